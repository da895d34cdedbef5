"""What a replay reads, however it is stored: frames with camera and exposure, a gyro, the true motion if known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from rosbags.interfaces import Qos
from rosbags.typesys.store import Typestore

from ..bag import BagMessage
from ..camera import CameraModel
from ..errors import CameraError
from ..timing import StampReference, mid_exposure_ns
from .gyro import Gyro


@dataclass(frozen=True)
class RecordedFrame:
    """`image()` decodes to uint8 RGB [H, W, 3] or mono [H, W]; calibration: or why there is none; stamp as recorded, None where
    malformed; exposure None where unknown, exposure_note says more of that."""

    image: Callable[[], np.ndarray]
    calibration: CameraModel | CameraError
    stamp_ns: int | None
    exposure_s: float | None
    exposure_note: str = ""

    @property
    def camera(self) -> CameraModel:
        """The camera of this frame. Raises CameraError where its CameraInfo describes none."""
        if isinstance(self.calibration, CameraError):
            raise CameraError(str(self.calibration)) from self.calibration
        return self.calibration


@dataclass(frozen=True)
class Timing:
    """How a driver's stamp becomes the middle of the exposure (see timing.py)."""

    reference: StampReference = StampReference.FIRST_ROW_START
    readout_s: float = 0.0

    def mid_ns(self, stamp_ns: int, exposure_s: float) -> int:
        return mid_exposure_ns(stamp_ns, exposure_s, self.readout_s, self.reference)


class Recording(Protocol):
    """A source of frames.

    `messages` yields everything recorded, as CDR, the k-th message of `image_topic` being the k-th frame of `frames`.
    qos: what was offered, by topic; gyro: what the estimates can be aligned with, from `gyro_label`; truth: stamps [n] ns
    and twists [n, 6] in the camera optical frame, NaN unknown.
    """

    name: str
    frame_count: int
    frame_id: str
    image_topic: str
    timing: Timing
    typestore: Typestore
    qos: dict[str, tuple[Qos, ...]]
    gyro: Gyro | None
    gyro_label: str
    truth: tuple[np.ndarray, np.ndarray] | None

    def frames(self) -> Iterator[RecordedFrame]: ...

    def messages(self) -> Iterator[BagMessage]: ...

    def close(self) -> None: ...
