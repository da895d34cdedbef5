"""The node's account of itself: every image received is answered or dropped for a counted cause; no ROS in here."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np

from ..errors import BlurImuError, CameraError, ExposureError, ImageError
from ..exposure_check import ExposureCheck

ERROR_SHOWN_S = 2.0
LOG_EVERY_S = 5.0
WINDOW = 300
# So many epochs begun within so many seconds are no recording that loops.
MANY_EPOCHS, MANY_EPOCHS_S = 5, 2.0


class Level(Enum):
    """Severity, with the byte diagnostic_msgs/msg/DiagnosticStatus uses for it."""

    OK = b"\x00"
    WARN = b"\x01"
    ERROR = b"\x02"


class DropCause(Enum):
    """Why an image was not answered; the value names its counter."""

    SUPERSEDED = "superseded by a newer image"
    STALE = "waited too long"
    LATE = "stamp not after the last one"
    STAMP = "malformed stamp"
    IMAGE = "unusable image"
    CAMERA = "no usable camera info"
    NO_EXPOSURE = "no exposure time"
    EXPOSURE = "unusable exposure time"
    ILL_CONDITIONED = "condition above max_condition"
    UNDECIDED = "sign undecided"
    ESTIMATE = "estimate failed"
    STOPPED = "deactivated"

    @property
    def is_error(self) -> bool:
        """Whether somebody must mend something; the others happen in healthy operation."""
        return self in _ERRORS


_ERRORS = {
    DropCause.STAMP,
    DropCause.IMAGE,
    DropCause.CAMERA,
    DropCause.NO_EXPOSURE,
    DropCause.EXPOSURE,
    DropCause.ESTIMATE,
}


# What to do where frame after frame is dropped for such a cause.
_ADVICE = {
    DropCause.LATE: "every image needs a later stamp than the one before it; of a recording that loops, lower time_jump_s",
    DropCause.STALE: "this computer is too slow: the small model, a GPU, or raise stale_after_s",
    DropCause.SUPERSEDED: "this computer is too slow: the small model, a GPU, or fewer or smaller images",
    DropCause.ILL_CONDITIONED: "raise max_condition",
    DropCause.UNDECIDED: "undecided_sign is drop: inflate gives an answer that says how sure it is",
}


def cause_of(error: Exception) -> DropCause:
    """Return the cause under which a failed frame is counted."""
    for kind, cause in (
        (ImageError, DropCause.IMAGE),
        (CameraError, DropCause.CAMERA),
        (ExposureError, DropCause.EXPOSURE),
    ):
        if isinstance(error, kind):
            return cause
    return DropCause.ESTIMATE


@dataclass(frozen=True)
class Report:
    """What a diagnostic status says."""

    level: Level
    message: str
    values: tuple[tuple[str, str], ...]


class Answer(NamedTuple):
    """An image's answer: when (monotonic), how long after the image came and, by the ROS clock, after its stamp, in s; how sure
    its sign is, whether its covariance covers the other one, whether a neighbouring frame added to it; doubt, exposure_ratio: see
    Estimate."""

    now_s: float
    latency_s: float
    age_s: float
    sign_probability: float
    inflated: bool
    between_frames: bool
    doubt: float
    exposure_ratio: float = math.nan


class Health:
    """Thread-safe counts of images in, answers out, drops by cause, latencies, and the newest error."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._received = 0
        self._answered = 0
        self._drops: Counter[DropCause] = Counter()
        self._drops_since_answer: Counter[DropCause] = Counter()
        self._arrivals: deque[float] = deque(maxlen=WINDOW)
        self._epochs: deque[float] = deque(maxlen=MANY_EPOCHS)
        self._answers: deque[Answer] = deque(maxlen=WINDOW)
        self._exposure = ExposureCheck()
        self._error: tuple[float, str] | None = None
        self._logged: dict[str, float] = {}

    def received(self, now_s: float) -> None:
        """Count an image at its arrival (monotonic seconds)."""
        with self._lock:
            self._received += 1
            self._arrivals.append(now_s)

    def answered(self, answer: Answer) -> None:
        """Count an answer."""
        with self._lock:
            self._answered += 1
            self._drops_since_answer.clear()
            self._answers.append(answer)
            self._exposure.add(answer.exposure_ratio)

    def exposure_changed(self) -> None:
        """Another exposure time was stated: what the images told of the one before is of no use."""
        with self._lock:
            self._exposure = ExposureCheck()

    def dropped(self, cause: DropCause, now_s: float, text: str = "") -> bool:
        """Count a drop; return whether its text is worth a log line now."""
        with self._lock:
            self._drops[cause] += 1
            self._drops_since_answer[cause] += 1
        return cause.is_error and self.fault(cause.value, now_s, text)

    def began_epoch(self, now_s: float) -> None:
        """Count an epoch: the stamps jumped, or the ROS clock."""
        with self._lock:
            self._epochs.append(now_s)

    def fault(self, kind: str, now_s: float, text: str) -> bool:
        """Note an error of some kind; return whether that kind has not been logged for a while."""
        with self._lock:
            self._error = (now_s, text)
            due = now_s - self._logged.get(kind, -LOG_EVERY_S) >= LOG_EVERY_S
            if due:
                self._logged[kind] = now_s
            return due

    def verdict(self, now_s: float, dropout_s: float, since_s: float) -> tuple[Level, str]:
        """Judge the node, active since `since_s`: an error of the last seconds, a silent camera, no answers, an exposure that the
        images contradict, or fine."""
        with self._lock:
            if self._error is not None and now_s - self._error[0] < ERROR_SHOWN_S:
                return Level.ERROR, self._error[1]
            silence = now_s - max(since_s, self._arrivals[-1] if self._arrivals else since_s)
            unanswered = now_s - max(since_s, self._answers[-1].now_s if self._answers else since_s)
            why = self._drops_since_answer.most_common(1)
            jumping = len(self._epochs) == MANY_EPOCHS and now_s - self._epochs[0] < MANY_EPOCHS_S
            complaint = self._exposure.complaint
        if silence > dropout_s:
            return (
                Level.WARN,
                f"no image for {silence:.1f} s; check the camera, its topic (remap image) and its type (a CompressedImage needs "
                "image_transport:=compressed and its topic's full name, .../compressed)",
            )
        if why and unanswered > dropout_s:
            cause, count = why[0]
            advice = f"; {_ADVICE[cause]}" if cause in _ADVICE else ""
            return Level.WARN, f"no answer for {unanswered:.1f} s, {count} times: {cause.value}{advice}"
        if jumping:
            return (
                Level.WARN,
                "time jumps back and forth, so that no image has a neighbour to tell its sign; see that one publisher only sends "
                "the images, and one only /clock (ros2 topic info --verbose)",
            )
        if complaint:
            return Level.WARN, complaint
        return Level.OK, "running"

    def counts(self) -> tuple[tuple[str, str], ...]:
        """Return what became of every image; at any moment, received = answered + in work + dropped."""
        with self._lock:
            in_work = self._received - self._answered - sum(self._drops.values())
            return (
                ("images received", str(self._received)),
                ("images answered", str(self._answered)),
                ("images in work", str(in_work)),
                *((f"images dropped: {cause.value}", str(self._drops[cause])) for cause in DropCause),
            )

    def values(self, now_s: float) -> tuple[tuple[str, str], ...]:
        """Return counts, rates, latencies, sign confidence, and shares of the answers."""
        with self._lock:
            counts, arrivals, answers = self.counts(), list(self._arrivals), list(self._answers)
            ratio = self._exposure.ratio
        values = [
            ("rate in [Hz]", _rate(arrivals, now_s)),
            ("rate out [Hz]", _rate([answer.now_s for answer in answers], now_s)),
        ]
        if answers:
            told = Answer(*np.array(answers, np.float64).T)
            for name, seconds in (("arrival", told.latency_s), ("stamp", told.age_s)):
                for share in (50, 99):
                    milliseconds = 1e3 * np.percentile(seconds, share)
                    values.append((f"latency since {name} p{share} [ms]", f"{milliseconds:.2f}"))
            for name, column in (
                ("sign confidence, mean", told.sign_probability),
                ("share of inflated outputs", told.inflated),
                ("share of outputs measured between frames", told.between_frames),
                ("doubt, as something moves by itself, mean", told.doubt),
            ):
                values.append((name, f"{np.mean(column):.3f}"))
            values.append(
                ("exposure by the images, of that stated", "unknown" if ratio is None else f"{ratio:.2f}")
            )
        return (*counts, *values)


def _rate(times: list[float], now_s: float, window_s: float = 2.0) -> str:
    if len(times) == WINDOW:
        # Of a fast camera fewer seconds are remembered.
        window_s = min(window_s, max(now_s - times[0], 1e-3))
    return f"{sum(now_s - t <= window_s for t in times) / window_s:.1f}"


def describe(error: Exception) -> str:
    """Return the text of an error; ours explain themselves, others need their type."""
    if isinstance(error, BlurImuError):
        return str(error)
    return f"{type(error).__name__}: {error}; please report this"
