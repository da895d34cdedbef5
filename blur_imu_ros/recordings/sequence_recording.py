"""A sequence folder as a recording."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from rosbags.interfaces import Qos

from ..bag import BagMessage
from ..sequence import Sequence, read_image
from ..timing import StampReference
from .gyro import Gyro
from .recording import RecordedFrame, Timing
from .ros_types import MessageFactory
from .sequence_messages import FRAME_ID, IMAGE_TOPIC, sequence_messages


class SequenceRecording:
    """A sequence folder; its stamps are the middle of the exposure already, and its truth serves as gyro."""

    def __init__(self, folder: Path, *, exposure_s: float | None) -> None:
        sequence = Sequence.load(folder)
        self._sequence = sequence
        self._exposure_s = exposure_s
        self._factory = MessageFactory()
        self.name = sequence.name
        self.frame_count = len(sequence.frames)
        self.frame_id = FRAME_ID
        self.image_topic = f"{IMAGE_TOPIC}/compressed"
        self.timing = Timing(StampReference.FRAME_MIDDLE)
        self.typestore = self._factory.typestore
        self.qos: dict[str, tuple[Qos, ...]] = {}
        known = np.isfinite(sequence.truth[:, :3]).all(axis=1)
        self.truth = (sequence.stamps_ns, sequence.truth) if known.any() else None
        self.gyro = Gyro(sequence.stamps_ns[known], sequence.truth[known, :3]) if known.sum() > 1 else None
        self.gyro_label = "truth.csv"

    def frames(self) -> Iterator[RecordedFrame]:
        for frame in self._sequence.frames:
            exposure_s = frame.exposure_s if self._exposure_s is None else self._exposure_s
            yield RecordedFrame(
                partial(read_image, frame.image), self._sequence.camera, frame.stamp_ns, exposure_s
            )

    def messages(self) -> Iterator[BagMessage]:
        return sequence_messages(self._sequence, self._factory, compressed=True)

    def close(self) -> None:
        """Nothing is held open."""
