"""From messages to frames: every image gets its exposure and its place in time, or is dropped for a counted cause."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..errors import BlurImuError
from ..exposure_field import check_exposure
from ..timing import NS_PER_S, Admission, Epochs, FrameInterval, mid_exposure_ns, stamp_ns
from .diagnostics import DropCause, Health, cause_of
from .exposure import ExposureTopic
from .settings import Settings

# Exposures further apart than so many images are not stated one for each.
SELDOM = 1.5
LONGEST_WAIT_S = 1.0


@dataclass(frozen=True)
class ReceivedFrame:
    """An image message with what is known about it before it is decoded; `arrival_s` is monotonic."""

    message: Any
    stamp_ns: int
    arrival_s: float
    exposure_s: float = 0.0
    t_mid_ns: int = 0
    epoch: int = 0


class FrameIntake:
    """Run in the subscription callbacks, which must stay short: nothing here looks at pixels.

    A frame waits at most one period for its exposure and for the first CameraInfo, which may come just after it: until
    the next frame, or until `expire` finds it overdue.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        health: Health,
        submit: Callable[[ReceivedFrame], ReceivedFrame | None],
        drop: Callable[[DropCause, str], None],
    ) -> None:
        self._settings = settings
        self._health = health
        self._submit = submit
        self._drop = drop
        self._topic: ExposureTopic | None = None
        self._calibrated = False
        self._waiting: ReceivedFrame | None = None
        self._epochs = Epochs(settings().time_jump_s)
        self._interval = FrameInterval()
        # A recording that is played slowly comes at longer intervals than its stamps have.
        self._arrival_interval = FrameInterval()
        # The ROS clock may report a jump from another thread than the callbacks'.
        self._jumped = threading.Event()
        self.newest_exposure: tuple[float, float] | None = None

    @property
    def epochs(self) -> int:
        """Number of epochs begun."""
        return self._epochs.count

    def take_exposures_from(self, topic: ExposureTopic) -> None:
        """Match every image with a reading of this topic from now on."""
        self._topic = topic
        topic.on_reading(lambda reading: self._place_waiting())

    def clock_jumped(self) -> None:
        """Begin a new epoch with the next image; callable from any thread."""
        self._jumped.set()

    def on_camera_info(self, message: Any) -> None:
        """Know from now on that there is a CameraInfo."""
        self._calibrated = True
        self._place_waiting()

    def on_image(self, message: Any) -> None:
        """Take in an Image or CompressedImage message."""
        now_s = time.monotonic()
        self._health.received(now_s)
        try:
            frame = ReceivedFrame(message, stamp_ns(message.header.stamp), now_s)
        except BlurImuError as error:
            self._drop(DropCause.STAMP, str(error))
            return
        self._interval.observe(frame.stamp_ns, self._settings().time_jump_s)
        self._arrival_interval.observe(round(now_s * NS_PER_S), LONGEST_WAIT_S)
        self._give_up_waiting()
        self._waiting = frame
        self._place_waiting()

    def expire(self, now_s: float) -> None:
        """Give up a frame that waited longer than one period."""
        period_s = self._interval.seconds or self._settings().stale_after_s
        period_s = max(period_s, self._arrival_interval.seconds or 0.0)
        if self._waiting is not None and now_s - self._waiting.arrival_s > period_s:
            self._give_up_waiting()

    def close(self) -> None:
        """Account for a frame that is still waiting."""
        if self._waiting is not None:
            self._waiting = None
            self._drop(DropCause.STOPPED, "")

    def _give_up_waiting(self) -> None:
        self._place_waiting(last_call=True)
        if self._waiting is None:
            return
        self._waiting = None
        if not self._calibrated:
            self._drop(
                DropCause.CAMERA, "no CameraInfo received; remap the camera_info topic to the camera's"
            )
        elif self._topic is None:
            self._drop(
                DropCause.NO_EXPOSURE, "exposure time unknown; set exposure_s, or exposure_type for a topic"
            )
        else:
            self._drop(
                DropCause.NO_EXPOSURE,
                "no exposure message came with the image's stamp; check that the exposure topic is remapped, and "
                "exposure_field, exposure_key, exposure_source and exposure_tolerance_s",
            )

    def _exposure_of(self, frame: ReceivedFrame, last_call: bool) -> float | None:
        if self._topic is None:
            return self._settings().exposure_s or None
        tolerance_s = self._settings().exposure_tolerance_s
        interval_s = self._interval.seconds
        if not last_call and interval_s and self._topic.interval_s < SELDOM * interval_s:
            # Further away it may be another image's, and this one's may still come.
            tolerance_s = min(tolerance_s, interval_s / 2)
        return self._topic.find(frame.stamp_ns, tolerance_s)

    def _place_waiting(self, *, last_call: bool = False) -> None:
        """Once all is there that a frame needs, give it its time and epoch, and hand it to the worker."""
        if self._waiting is None or not self._calibrated:
            return
        exposure_s = self._exposure_of(self._waiting, last_call)
        if exposure_s is None:
            return
        frame, self._waiting = self._waiting, None
        settings = self._settings()
        self._epochs.time_jump_s = settings.time_jump_s
        if self._jumped.is_set():
            self._jumped.clear()
            self._epochs.restart()
        try:
            # What the frame interval is, no first frame tells; but none is longer than what counts as a jump.
            check_exposure(exposure_s, self._interval.longest_exposure_s or settings.time_jump_s)
            t_mid_ns = mid_exposure_ns(
                frame.stamp_ns, exposure_s, settings.readout_s, settings.stamp_reference
            )
        except BlurImuError as error:
            self._drop(cause_of(error), str(error))
            return
        if t_mid_ns < 0:
            self._drop(
                DropCause.STAMP, "the middle of the exposure lies before time zero; check stamp_reference"
            )
            return
        admission = self._epochs.admit(t_mid_ns)
        if admission is Admission.LATE:
            self._drop(DropCause.LATE, "")
            return
        if admission is Admission.NEW_EPOCH:
            self._health.began_epoch(time.monotonic())
        self.newest_exposure = (exposure_s, frame.arrival_s)
        placed = replace(frame, exposure_s=exposure_s, t_mid_ns=t_mid_ns, epoch=self._epochs.count)
        if self._submit(placed) is not None:
            self._drop(DropCause.SUPERSEDED, "")
