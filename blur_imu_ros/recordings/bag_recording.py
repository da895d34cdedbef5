"""A bag as a recording: every image with the CameraInfo before it and the exposure of its stamp."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..bag import BagMessage, BagReader, read_imu
from ..camera import CameraModel
from ..errors import BagError, CameraError, ExposureError
from ..exposure_field import check_one_source
from ..image_message import decode_compressed, decode_image
from ..timing import stamp_or_none
from .bag_topics import BagTopics
from .gyro import Gyro
from .nearest import nearest
from .recording import RecordedFrame, Timing
from .ros_types import COMPRESSED_IMAGE
from .sequence_messages import FRAME_ID


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
        self._exposure_note = ""
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
        """Exposure in seconds by stamp, checked when a frame uses it; why there is none, where none can be read, a frame tells.

        Raises ExposureError where several cameras state one, or none of the messages bears a stamp.
        """
        source = self._topics.exposure
        if source is None or self._exposure_s is not None:
            return {}
        found: dict[int, float] = {}
        unreadable: ExposureError | None = None
        cameras: set[str] = set()
        for raw in self._reader.messages([source.topic]):
            message = self._reader.decode(raw)
            if not hasattr(message, "header"):
                raise ExposureError(
                    f"{self._reader.path}, {source.topic}: a {raw.type} bears no stamp, so nothing tells to which image it "
                    "belongs; give --exposure-s"
                )
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
            self._exposure_note = f" ({source.topic}: {unreadable})"
        self._exposure_stamps = np.array(sorted(found), dtype=np.int64)
        return found

    def _exposure(self, stamp: int | None) -> tuple[float | None, str]:
        if self._exposure_s is not None or not self._exposures or stamp is None:
            return self._exposure_s, self._exposure_note
        (row,), (apart_ns,) = nearest(self._exposure_stamps, np.array([stamp]))
        apart_s, tolerance_s = apart_ns * 1e-9, self._topics.exposure_tolerance_s
        if apart_s > tolerance_s:
            return None, (
                f" (the nearest one stated is stamped {apart_s:.4g} s apart, "
                f"--exposure-tolerance-s is {tolerance_s:g})"
            )
        return self._exposures[int(self._exposure_stamps[row])], ""

    def _read_gyro(self) -> tuple[Gyro | None, str]:
        if self._topics.imu is None:
            return None, ""
        stamps, rates, frame_id = read_imu(self._reader, self._topics.imu)
        if len(stamps) < 2:
            return None, ""
        return Gyro(stamps, rates), f"{self._topics.imu} ({frame_id})"
