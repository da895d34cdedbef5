"""When a frame was exposed, how far frames are apart, and when time itself has jumped; all in integer nanoseconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .errors import BlurImuError

NS_PER_S = 1_000_000_000


class StampReference(Enum):
    """What the camera driver stamps: the moment t, of which t_mid = t + a * exposure + b * readout."""

    FIRST_ROW_START = "first_row_start"
    FIRST_ROW_MIDDLE = "first_row_middle"
    FIRST_ROW_END = "first_row_end"
    FRAME_MIDDLE = "frame_middle"
    LAST_ROW_END = "last_row_end"


_WEIGHTS = {
    StampReference.FIRST_ROW_START: (0.5, 0.5),
    StampReference.FIRST_ROW_MIDDLE: (0.0, 0.5),
    StampReference.FIRST_ROW_END: (-0.5, 0.5),
    StampReference.FRAME_MIDDLE: (0.0, 0.0),
    StampReference.LAST_ROW_END: (-0.5, -0.5),
}


def stamp_ns(stamp: Any) -> int:
    """Return a builtin_interfaces/Time in nanoseconds. Raises BlurImuError for one outside its definition."""
    if stamp.sec < 0 or stamp.nanosec >= NS_PER_S:
        raise BlurImuError(
            f"time stamp {stamp.sec} s {stamp.nanosec} ns is malformed; check the driver's clock"
        )
    return int(stamp.sec * NS_PER_S + stamp.nanosec)


def stamp_or_none(stamp: Any) -> int | None:
    """As stamp_ns, None for a malformed one: of a recording that is one message less, not its end."""
    try:
        return stamp_ns(stamp)
    except BlurImuError:
        return None


def mid_exposure_ns(stamp_ns: int, exposure_s: float, readout_s: float, reference: StampReference) -> int:
    """Return t_mid, the middle of the exposure of the middle row, from the driver's stamp."""
    exposure_weight, readout_weight = _WEIGHTS[reference]
    return stamp_ns + round((exposure_weight * exposure_s + readout_weight * readout_s) * NS_PER_S)


class FrameInterval:
    """Mean time between the newest frames: stamps that come late in a burst follow a gap, so it stays the same."""

    def __init__(self) -> None:
        self._intervals: deque[int] = deque(maxlen=30)
        self._newest_ns: int | None = None

    @property
    def seconds(self) -> float | None:
        """The interval, None before the second frame."""
        return sum(self._intervals) / len(self._intervals) / NS_PER_S if self._intervals else None

    @property
    def longest_exposure_s(self) -> float | None:
        """What fits between two frames: of a camera that has just slowed down, for a longer exposure, the newest interval."""
        return max(self.seconds, self._intervals[-1] / NS_PER_S) if self.seconds is not None else None

    def observe(self, stamp_ns: int, longest_s: float) -> None:
        """Take in the stamp of a received frame; steps back and steps beyond `longest_s` are no intervals."""
        if self._newest_ns is not None and 0 < stamp_ns - self._newest_ns <= longest_s * NS_PER_S:
            self._intervals.append(stamp_ns - self._newest_ns)
        self._newest_ns = stamp_ns


class Admission(Enum):
    """How a time stamp follows those before it."""

    IN_ORDER = "in order"
    LATE = "late"
    NEW_EPOCH = "new epoch"


@dataclass
class Epochs:
    """Split a stream of t_mid into epochs, within which they strictly increase.

    A step of more than `time_jump_s` either way starts a new epoch (a bag loops, a clock is set, a camera was
    away), and so does `restart`. A smaller step back, or none, is late.
    """

    time_jump_s: float
    count: int = 0
    _newest_ns: int | None = None

    def restart(self) -> None:
        """Let the next stamp start a new epoch, whatever it is."""
        self._newest_ns = None

    def admit(self, t_mid_ns: int) -> Admission:
        """Take in the next t_mid and tell how it follows; a late one changes nothing."""
        step_s = None if self._newest_ns is None else (t_mid_ns - self._newest_ns) / NS_PER_S
        if step_s is None or abs(step_s) > self.time_jump_s:
            self._newest_ns = t_mid_ns
            self.count += 1
            return Admission.NEW_EPOCH
        if step_s <= 0:
            return Admission.LATE
        self._newest_ns = t_mid_ns
        return Admission.IN_ORDER
