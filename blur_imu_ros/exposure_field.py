"""Where a message states the exposure time, and what an exposure time may be; no ROS here.

Sources of message layouts: flir_camera_msgs/msg/ImageMetaData, realsense2_camera_msgs/msg/Metadata,
diagnostic_msgs/msg/DiagnosticArray as published by camera_ros.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from .errors import ConfigurationError, ExposureError

# No shutter is faster: such a time is stated in another unit.
SHORTEST_EXPOSURE_S, LONGEST_EXPOSURE_S = 1e-6, 10.0
LISTED = 4


class ExposureUnit(Enum):
    """Unit in which a source states the exposure time."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"

    @property
    def seconds(self) -> float:
        """One of this unit in seconds."""
        return {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[self.value]


def fits_between_frames(exposure_s: float, frame_interval_s: float) -> bool:
    """Whether an exposure may be that long: a full-time one equals the interval, and stamps jitter around it."""
    return exposure_s <= 1.1 * frame_interval_s


def check_exposure(exposure_s: float, frame_interval_s: float | None) -> None:
    """Raise ExposureError unless the exposure time in seconds is one of a camera and fits between two frames."""
    if not SHORTEST_EXPOSURE_S <= exposure_s <= LONGEST_EXPOSURE_S:
        raise ExposureError(
            f"exposure time is {exposure_s:g} s, not within {SHORTEST_EXPOSURE_S:g} to {LONGEST_EXPOSURE_S:g} s; "
            "set exposure_s, or check exposure_field and exposure_unit"
        )
    if frame_interval_s is not None and not fits_between_frames(exposure_s, frame_interval_s):
        raise ExposureError(
            f"exposure time {exposure_s:g} s is longer than the frame interval {frame_interval_s:g} s; "
            "check exposure_s or exposure_unit, and the camera's time stamps"
        )


def check_one_source(names: Collection[str]) -> None:
    """Raise ConfigurationError where several cameras state exposures in one topic: none of them is surely this one's."""
    if len(names) > 1:
        listed = ", ".join(f"'{name}'" for name in sorted(names)[:LISTED])
        raise ConfigurationError(
            f"several cameras state an exposure in one topic ({listed}); give the name or hardware_id of this one as "
            "exposure_source"
        )


@dataclass(frozen=True)
class ExposureField:
    """Where a message states the exposure: a dotted field path, and a key where the field is JSON or key-values; of diagnostics,
    in the status with `source` for its name or hardware_id, empty: the only one that has the key."""

    path: str
    key: str
    unit: ExposureUnit
    source: str = ""

    def read(self, message: Any) -> float | None:
        """Return the exposure in seconds, None where the message does not carry the key. Raises ExposureError."""
        if self.in_diagnostics(message):
            text = next(iter(self._stated(message).values()), None)
        else:
            text = self._follow(message)
            if isinstance(text, str) and self.key:
                text = _json_value(text, self.key)
        if text is None:
            return None
        try:
            return float(text) * self.unit.seconds
        except (TypeError, ValueError) as error:
            raise ExposureError(
                f"exposure value {str(text)[:40]!r} in field '{self.path}' {self.key} is not a number; "
                "check exposure_field and exposure_key"
            ) from error

    def stated_by(self, message: Any) -> set[str]:
        """Names of the diagnostic statuses that state this exposure; empty for other messages, and where one was chosen."""
        return set() if self.source or not self.in_diagnostics(message) else set(self._stated(message))

    def in_diagnostics(self, message: Any) -> bool:
        """Whether a message, or a class of such, is of diagnostics: a topic shared by many, where those with the key count."""
        return hasattr(message, "status") and self.path in ("", "status")

    def _stated(self, message: Any) -> dict[str, str]:
        return {
            f"{status.name} ({status.hardware_id})" if status.hardware_id else status.name: pair.value
            for status in message.status
            if not self.source or self.source in (status.name, status.hardware_id)
            for pair in status.values
            if pair.key == self.key
        }

    def _follow(self, message: Any) -> Any:
        value = message
        for name in self.path.split("."):
            if not hasattr(value, name):
                raise ExposureError(
                    f"exposure message {type(message).__name__} has no field '{self.path}'; check exposure_field"
                )
            value = getattr(value, name)
        return value


@dataclass(frozen=True)
class RealSenseField(ExposureField):
    """The exposure that a RealSense states with its infrared and depth images. With those of its colour camera, which alone have
    a brightness, it states steps of 0.1 ms, or with auto exposure whatever was last set by hand (librealsense, issue 5035)."""

    def read(self, message: Any) -> float | None:
        if _json_value(self._follow(message), "brightness") is not None:
            raise ExposureError(
                "a RealSense does not state what exposure its colour camera chooses: turn auto exposure off, and set exposure_s "
                "to its exposure (166 is 0.0166 s)"
            )
        return super().read(message)


DRIVERS = {
    "flir_camera_msgs/msg/ImageMetaData": ExposureField("exposure_time", "", ExposureUnit.MICROSECONDS),
    "realsense2_camera_msgs/msg/Metadata": RealSenseField(
        "json_data", "actual_exposure", ExposureUnit.MICROSECONDS
    ),
    "diagnostic_msgs/msg/DiagnosticArray": ExposureField("", "ExposureTime", ExposureUnit.MICROSECONDS),
}
"""Messages of drivers whose layout is known, by type: nobody need spell them out."""


def exposure_field(kind: str, path: str, key: str, unit: ExposureUnit, source: str = "") -> ExposureField:
    """Where messages of a type state the exposure: by path or key, or, with neither, as its driver does, where that is known.

    Raises ConfigurationError where it is not, or where a unit other than the default contradicts the driver's.
    """
    if path or key:
        return ExposureField(path, key, unit, source)
    parts = kind.split("/")
    known = DRIVERS.get(f"{parts[0]}/msg/{parts[-1]}")
    if known is None:
        raise ConfigurationError(
            f"where {kind} states the exposure is not known: give exposure_field or exposure_key, and exposure_unit"
        )
    if unit not in (ExposureUnit.SECONDS, known.unit):
        raise ConfigurationError(
            f"exposure_unit is {unit.value}, but {kind} states the exposure in {known.unit.value}: leave exposure_unit out"
        )
    return replace(known, source=source)


def _json_value(text: str, key: str) -> Any:
    try:
        return json.loads(text).get(key)
    except (ValueError, AttributeError, RecursionError):
        return None
