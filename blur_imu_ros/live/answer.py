"""From a frame to its answer: decode, estimate, gate, publish; the whole work of the node's one worker thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from cv_bridge import CvBridge

from ..estimate import Estimate, Frame
from ..estimator import BlurImuEstimator
from ..image_message import decode_compressed, decode_image
from ..options import UndecidedSign
from .camera_source import CameraSource
from .debug_image import Seen, newest
from .diagnostics import DropCause, cause_of, describe
from .intake import ReceivedFrame
from .settings import ImageTransport, Settings

# How long the first frame waits for the next to tell its sign, and at most what share of the time after which it is stale.
PATIENCE_S, PATIENCE_SHARE = 0.15, 0.5
# The same share where every frame waits: of a camera slower than that none would come out otherwise.
LONGEST_SHARE = 0.9


@dataclass(frozen=True)
class _Held:
    """An estimate that waits for the next frame to decide its sign."""

    frame: ReceivedFrame
    estimate: Estimate
    seen: Seen | None


class FrameAnswerer:
    """Answer one frame at a time; whatever goes wrong is a counted drop, never an exception."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        estimator: BlurImuEstimator,
        cameras: CameraSource,
        publish: Callable[[ReceivedFrame, Estimate, Seen | None], None],
        drop: Callable[[DropCause, str], None],
    ) -> None:
        self._settings = settings
        self.estimator = estimator
        self._cameras = cameras
        self._publish = publish
        self._drop = drop
        self._bridge = CvBridge()
        self._epoch = 0
        self._held: _Held | None = None
        self._closed = False

    def answer(self, frame: ReceivedFrame | None) -> float | None:
        """Publish the estimate of a frame, or drop it for one cause, or let it wait for the next; None: no next one came.

        Returns for how many seconds to wait for the next, None where none is waited for.
        """
        settings = self._settings()
        if frame is None:
            self.release()
        else:
            self._take(frame, settings)
        if self._held is None:
            return None
        if settings.use_next_frame:
            return LONGEST_SHARE * settings.stale_after_s
        return min(PATIENCE_S, PATIENCE_SHARE * settings.stale_after_s)

    def close(self) -> None:
        """Publish nothing more: a frame still in work counts as stopped."""
        self._closed = True

    def _take(self, frame: ReceivedFrame, settings: Settings) -> None:
        if time.monotonic() - frame.arrival_s > settings.stale_after_s:
            self._drop(DropCause.STALE, "")
            return
        if frame.epoch != self._epoch:
            self.release()
            self.estimator.reset()
            self._epoch = frame.epoch
        elif self._held and not self._helped(self._held, frame):
            self.release()
        try:
            estimate = self._estimate(frame, settings)
            revised = self.estimator.revised()
        except Exception as error:
            # A worker that died of one frame would leave the robot without any further answer.
            self._drop(cause_of(error), describe(error))
            return
        self.release(revised)
        seen = newest(self.estimator)
        if self.estimator.waits:
            self._held = _Held(frame, estimate, seen)
        else:
            self._deliver(frame, estimate, seen)

    def _helped(self, held: _Held, frame: ReceivedFrame) -> bool:
        """Whether a frame is near enough in time to one that waits to tell its sign."""
        interval_s = (frame.t_mid_ns - held.frame.t_mid_ns) * 1e-9
        return self.estimator.options.direction.comparable(interval_s)

    def release(self, revised: Estimate | None = None) -> None:
        """Deliver the frame that waits for its next one, if any: as revised by it, or as it was."""
        if self._held is None:
            return
        held, self._held = self._held, None
        self._deliver(held.frame, revised or held.estimate, held.seen)

    def _deliver(self, frame: ReceivedFrame, estimate: Estimate, seen: Seen | None) -> None:
        cause = DropCause.STOPPED if self._closed else _gate(estimate, self._settings())
        if cause is not None:
            self._drop(cause, "")
            return
        try:
            self._publish(frame, estimate, seen)
        except Exception as error:
            self._drop(cause_of(error), describe(error))

    def _estimate(self, frame: ReceivedFrame, settings: Settings) -> Estimate:
        camera = self._cameras.camera()
        if settings.image_transport is ImageTransport.COMPRESSED:
            image = decode_compressed(frame.message)
        else:
            image = decode_image(frame.message, self._bridge.imgmsg_to_cv2)
        return self.estimator.estimate(
            Frame(image, camera, frame.t_mid_ns, frame.exposure_s, settings.readout_s)
        )


def _gate(estimate: Estimate, settings: Settings) -> DropCause | None:
    """Return why a parameter keeps an estimate back, None where none does."""
    if not estimate.condition <= settings.max_condition:
        return DropCause.ILL_CONDITIONED
    if settings.undecided_sign is UndecidedSign.DROP and not estimate.decided:
        return DropCause.UNDECIDED
    return None
