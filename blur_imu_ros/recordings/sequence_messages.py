"""A sequence folder as the messages its camera would have published, so that it plays and records like a bag.

Topics: /camera/image_raw (or /camera/image_raw/compressed), /camera/camera_info, /camera/exposure (DiagnosticArray with
KeyValue ExposureTime in us, where the exposure is known), /truth/twist. Every stamp is the middle of the exposure:
`stamp_reference` frame_middle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..bag import BagMessage, BagTopic
from ..sequence import Sequence, read_image
from .ros_types import CAMERA_INFO, DIAGNOSTICS, IMAGE, TWIST, MessageFactory

FRAME_ID = "camera_optical_frame"
IMAGE_TOPIC = "/camera/image_raw"
CAMERA_INFO_TOPIC = "/camera/camera_info"
EXPOSURE_TOPIC = "/camera/exposure"
TRUTH_TOPIC = "/truth/twist"


def sequence_topics(sequence: Sequence) -> list[BagTopic]:
    """The topics of `sequence_messages` (not compressed) that hold messages."""
    counts = {
        (IMAGE_TOPIC, IMAGE): len(sequence.frames),
        (CAMERA_INFO_TOPIC, CAMERA_INFO): len(sequence.frames),
        (EXPOSURE_TOPIC, DIAGNOSTICS): sum(frame.exposure_s is not None for frame in sequence.frames),
        (TRUTH_TOPIC, TWIST): int(np.isfinite(sequence.truth).all(axis=1).sum()),
    }
    return [BagTopic(name, kind, count, ()) for (name, kind), count in counts.items() if count]


def sequence_messages(
    sequence: Sequence, factory: MessageFactory, *, compressed: bool = False
) -> Iterator[BagMessage]:
    """Yield CDR messages in order of time; compressed: the image files as they are instead of raw pixels."""
    for i, frame in enumerate(sequence.frames):
        stamp = frame.stamp_ns
        yield _message(
            factory, CAMERA_INFO_TOPIC, stamp, factory.camera_info(stamp, FRAME_ID, sequence.camera)
        )
        if frame.exposure_s is not None:
            yield _message(factory, EXPOSURE_TOPIC, stamp, factory.exposure(stamp, frame.exposure_s))
        if compressed:
            kind = "png" if frame.image.suffix.lower() == ".png" else "jpeg"
            image = factory.compressed_image(stamp, FRAME_ID, kind, frame.image.read_bytes())
            yield _message(factory, f"{IMAGE_TOPIC}/compressed", stamp, image)
        else:
            yield _message(
                factory, IMAGE_TOPIC, stamp, factory.image(stamp, FRAME_ID, read_image(frame.image))
            )
        if np.isfinite(sequence.truth[i]).all():
            covariance = np.diag(sequence.truth_sigma**2)
            truth = factory.twist(stamp, FRAME_ID, sequence.truth[i], covariance)
            yield _message(factory, TRUTH_TOPIC, stamp, truth)


def _message(factory: MessageFactory, topic: str, stamp_ns: int, message: Any) -> BagMessage:
    return BagMessage(topic, message.__msgtype__, stamp_ns, factory.cdr(message))
