"""Exposure times from a topic: any stamped message, matched to the images by stamp through message_filters."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from message_filters import Cache, SimpleFilter
from rclpy.clock import ClockType
from rclpy.serialization import deserialize_message
from rclpy.time import Time

from ..errors import BlurImuError, ConfigurationError
from ..exposure_field import ExposureField, check_one_source
from ..timing import FrameInterval, stamp_ns

CACHED_READINGS = 60
MOST_AT_ONCE = 50
# A camera that has stated no exposure for so long is not there any more.
SILENT_S = 10.0
LONGEST_INTERVAL_S = 60.0


@dataclass(frozen=True)
class ExposureReading:
    """One exposure time with the header of the message that stated it."""

    header: Any
    exposure_s: float


class KeyedMessages(SimpleFilter):
    """Serialized messages in, those that hold the key out, and with each all that `pending` gives until it gives None.

    Of a busy /diagnostics only the camera's messages are worth converting; and one by one, as the executor takes them between
    images, the others would hold them up for longer than an image waits.
    """

    def __init__(
        self, source: SimpleFilter, kind: Any, key: str, pending: Callable[[], bytes | None] = lambda: None
    ) -> None:
        super().__init__()
        self._kind = kind
        self._key = key.encode()
        self._pending = pending
        source.registerCallback(self._take)

    def _take(self, data: bytes | None) -> None:
        left = MOST_AT_ONCE
        while data is not None:
            if self._key in data:
                self.signalMessage(deserialize_message(data, self._kind))
            left -= 1
            data = self._pending() if left else None


class ExposureFilter(SimpleFilter):
    """Turn messages into readings: messages without the key pass unnoticed, unreadable ones go to `refuse`."""

    def __init__(
        self, source: SimpleFilter, field: ExposureField, refuse: Callable[[BlurImuError], None]
    ) -> None:
        super().__init__()
        self._field = field
        self._refuse = refuse
        self._heard_s: dict[str, float] = {}
        source.registerCallback(self._convert)

    def _convert(self, message: Any) -> None:
        try:
            exposure_s = self._field.read(message)
            if exposure_s is None:
                return
            stamp_ns(message.header.stamp)
            self._check_source(message)
        except BlurImuError as error:
            self._refuse(error)
            return
        self.signalMessage(ExposureReading(message.header, exposure_s))

    def _check_source(self, message: Any) -> None:
        now_s = time.monotonic()
        self._heard_s |= dict.fromkeys(self._field.stated_by(message), now_s)
        self._heard_s = {
            name: heard_s for name, heard_s in self._heard_s.items() if now_s - heard_s < SILENT_S
        }
        check_one_source(self._heard_s)


class ExposureTopic:
    """The exposures of one topic, kept for a while and found by stamp."""

    def __init__(
        self, source: SimpleFilter, field: ExposureField, refuse: Callable[[BlurImuError], None]
    ) -> None:
        self._readings = ExposureFilter(source, field, refuse)
        self._cache = Cache(self._readings, CACHED_READINGS)
        self._interval = FrameInterval()
        self._readings.registerCallback(self._observe)

    @property
    def interval_s(self) -> float:
        """Mean time between readings, 0 before the second."""
        return self._interval.seconds or 0.0

    def _observe(self, reading: ExposureReading) -> None:
        self._interval.observe(stamp_ns(reading.header.stamp), LONGEST_INTERVAL_S)

    def on_reading(self, callback: Callable[[ExposureReading], None]) -> None:
        """Call back for every new reading, once it can be found."""
        self._cache.registerCallback(callback)

    def find(self, image_stamp_ns: int, tolerance_s: float) -> float | None:
        """Return the exposure in seconds whose stamp is nearest to the image's, None outside the tolerance."""
        tolerance_ns = round(tolerance_s * 1e9)
        readings = self._cache.getInterval(
            _ros_time(max(0, image_stamp_ns - tolerance_ns)), _ros_time(image_stamp_ns + tolerance_ns)
        )
        if not readings:
            return None
        # Of equally near ones the newest wins: a bag that loops repeats its stamps.
        nearest = min(
            reversed(readings), key=lambda reading: abs(stamp_ns(reading.header.stamp) - image_stamp_ns)
        )
        return nearest.exposure_s


def message_class(type_name: str) -> Any:
    """Return the class of a message type such as 'flir_camera_msgs/msg/ImageMetaData'. Raises ConfigurationError."""
    parts = type_name.split("/")
    package, name = parts[0], parts[-1]
    if len(parts) not in (2, 3) or not package.isidentifier() or not name.isidentifier():
        raise ConfigurationError(f"exposure_type '{type_name}' is no message type; write package/msg/Name")
    try:
        message = getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"exposure_type '{type_name}' cannot be loaded ({error}); check the name, install the package that defines it, "
            "and source its workspace"
        ) from error
    if not hasattr(message(), "header"):
        raise ConfigurationError(
            f"exposure_type '{type_name}' has no header to match by; choose a stamped message"
        )
    return message


def _ros_time(nanoseconds: int) -> Time:
    return Time(nanoseconds=nanoseconds, clock_type=ClockType.ROS_TIME)
