"""What a replay reads, however it is stored: frames with camera and exposure, a gyro, the true motion if known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from rosbags.interfaces import Qos
from rosbags.typesys.store import Typestore

from .bag import BagMessage, BagReader, read_imu
from .bag_topics import BagTopics
from .camera import CameraModel
from .errors import BagError, CameraError, ExposureError
from .exposure_field import check_one_source
from .gyro import Gyro
from .image_message import decode_compressed, decode_image
from .ros_types import COMPRESSED_IMAGE, MessageFactory
from .sequence import Sequence, read_image
from .sequence_messages import FRAME_ID, IMAGE_TOPIC, sequence_messages
from .timing import StampReference, mid_exposure_ns, stamp_or_none


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


class BagRecording:
    """A bag with the topics chosen in `topics`; exposure_s overrides what the bag states."""

    def __init__(
        self,
        reader: BagReader,
        topics: BagTopics,
        *,
        exposure_s: float | None,
        timing: Timing,
        rectified: bool,
    ) -> None:
        self._reader = reader
        self._topics = topics
        self._exposure_s = exposure_s
        self._rectified = rectified
        self.timing = timing
        self.name = reader.path.stem
        self.truth: tuple[np.ndarray, np.ndarray] | None = None
        self.image_topic = topics.image
        self.typestore = reader.typestore
        self.qos = {topic.name: topic.qos for topic in reader.topics.values()}
        self.frame_count = reader.topics[topics.image].count
        self.frame_id = self._first_frame_id()
        self._exposures = self._read_exposures()
        self.gyro, self.gyro_label = self._read_gyro()

    def frames(self) -> Iterator[RecordedFrame]:
        file = self._topics.camera_file
        camera: CameraModel | CameraError = (
            CameraModel.from_yaml(file, rectified=self._rectified) if file else self._first_camera()
        )
        content = b""
        wanted = [self._topics.image, *([self._topics.camera_info] if self._topics.camera_info else [])]
        for raw in self._reader.messages(wanted):
            if raw.topic == self._topics.camera_info:
                # The stamp (bytes 4 to 12 of the CDR) changes with every message, the calibration seldom does.
                if raw.data[12:] != content:
                    content, camera = raw.data[12:], self._camera(raw)
                continue
            message = self._reader.decode(raw)
            decode = decode_compressed if raw.type == COMPRESSED_IMAGE else decode_image
            stamp = stamp_or_none(message.header.stamp)
            yield RecordedFrame(partial(decode, message), camera, stamp, *self._exposure(stamp))

    def messages(self) -> Iterator[BagMessage]:
        return self._reader.messages()

    def close(self) -> None:
        self._reader.close()

    def _camera(self, raw: BagMessage) -> CameraModel | CameraError:
        try:
            return CameraModel.from_camera_info(self._reader.decode(raw), rectified=self._rectified)
        except CameraError as error:
            return CameraError(f"{self._reader.path}, {raw.topic}: {error}; or give --camera-info FILE")

    def _first_camera(self) -> CameraModel:
        """The first usable one, for images recorded before any CameraInfo."""
        unusable: CameraError | None = None
        for raw in self._reader.messages([self._topics.camera_info or ""]):
            camera = self._camera(raw)
            if isinstance(camera, CameraModel):
                return camera
            unusable = unusable or camera
        raise unusable or BagError(
            f"{self._reader.path}: no CameraInfo message can be read; give --camera-info FILE"
        )

    def _first_frame_id(self) -> str:
        for raw in self._reader.messages([self._topics.image]):
            return str(self._reader.decode(raw).header.frame_id) or FRAME_ID
        raise BagError(
            f"{self._reader.path}: no message of {self._topics.image} can be read; record it again"
        )

    def _read_exposures(self) -> dict[int, float]:
        """Exposure in seconds by stamp, checked when a frame uses it. Raises ExposureError where none can be read."""
        source = self._topics.exposure
        if source is None or self._exposure_s is not None:
            return {}
        found: dict[int, float] = {}
        unreadable: ExposureError | None = None
        cameras: set[str] = set()
        for raw in self._reader.messages([source.topic]):
            message = self._reader.decode(raw)
            cameras |= source.field.stated_by(message)
            check_one_source(cameras)
            try:
                exposure_s = source.field.read(message)
            except ExposureError as error:
                unreadable = unreadable or error
                continue
            stamp = stamp_or_none(message.header.stamp)
            if exposure_s is not None and stamp is not None:
                found[stamp] = exposure_s
        if unreadable and not found:
            raise ExposureError(f"{self._reader.path}, {source.topic}: {unreadable}") from unreadable
        self._exposure_stamps = np.array(sorted(found), dtype=np.int64)
        return found

    def _exposure(self, stamp: int | None) -> tuple[float | None, str]:
        if self._exposure_s is not None or not self._exposures or stamp is None:
            return self._exposure_s, ""
        nearest = int(self._exposure_stamps[np.abs(self._exposure_stamps - stamp).argmin()])
        apart_s, tolerance_s = abs(nearest - stamp) * 1e-9, self._topics.exposure_tolerance_s
        if apart_s > tolerance_s:
            return None, (
                f" (the nearest one stated is stamped {apart_s:.4g} s apart, "
                f"--exposure-tolerance-s is {tolerance_s:g})"
            )
        return self._exposures[nearest], ""

    def _read_gyro(self) -> tuple[Gyro | None, str]:
        if self._topics.imu is None:
            return None, ""
        stamps, rates, frame_id = read_imu(self._reader, self._topics.imu)
        if len(stamps) < 2:
            return None, ""
        return Gyro(stamps, rates), f"{self._topics.imu} ({frame_id})"
