"""The active part of the node, built and torn down as one: subscriptions, intake, worker, answer, publishers."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode

from ..estimate import Estimate
from ..estimator import BlurImuEstimator
from .answer import FrameAnswerer
from .camera_source import CameraSource
from .debug_image import Seen
from .diagnostics import LOG_EVERY_S, Answer, DropCause, Health
from .inputs import Inputs
from .intake import FrameIntake, ReceivedFrame
from .outputs import Outputs
from .settings import Settings
from .worker import LatestWorker


class Pipeline:
    """What exists while the node is active. Callbacks sort frames; one worker thread answers the newest."""

    def __init__(
        self,
        node: LifecycleNode,
        settings: Callable[[], Settings],
        health: Health,
        estimator: BlurImuEstimator,
        outputs: Outputs,
        report_fault: Callable[[str, Exception], None],
    ) -> None:
        self._node = node
        self._settings = settings
        self._health = health
        self._outputs = outputs
        self._report_fault = report_fault
        self._cameras = CameraSource(rectified=settings().image_is_rectified)
        self._frames_seen: tuple[str, str] | None = None
        self._answerer = FrameAnswerer(settings, estimator, self._cameras, self._publish, self._drop)
        self._worker: LatestWorker[ReceivedFrame] = LatestWorker(self._answerer.answer, estimator.warm)
        self.intake = FrameIntake(settings, health, self._worker.submit, self._drop)
        on_camera_info = (self._cameras.take, self.intake.on_camera_info)
        try:
            self._inputs = Inputs(
                node,
                settings(),
                self.intake.on_image,
                on_camera_info,
                lambda error: report_fault("exposure message", error),
            )
        except Exception:
            self._worker.stop()
            raise
        if self._inputs.exposures is not None:
            self.intake.take_exposures_from(self._inputs.exposures)
        # Not before, since no image can have come while the estimator was warmed.
        self.started_s = time.monotonic()

    @property
    def busy(self) -> bool:
        """Whether the estimator is in use; after `close`, by a frame that takes longer than was waited for."""
        return self._worker.busy

    def close(self) -> None:
        """Unsubscribe, let the frame in work finish, and account for those that wait."""
        self._inputs.close()
        self.intake.close()
        if self._worker.stop() is not None:
            self._drop(DropCause.STOPPED, "")
        self._answerer.close()

    def details(self) -> tuple[tuple[str, str], ...]:
        """Return what a diagnostic status says beyond the counts: the exposure in use, its age, and the epochs."""
        settings = self._settings()
        source = f"topic of {settings.exposure_type}" if settings.exposure_type else "parameter exposure_s"
        values = [("exposure from", source), ("epochs", str(self.intake.epochs))]
        if self.intake.newest_exposure is not None:
            exposure_s, arrival_s = self.intake.newest_exposure
            values.append(("exposure [ms]", f"{1e3 * exposure_s:.3f}"))
            values.append(("exposure age [s]", f"{time.monotonic() - arrival_s:.2f}"))
        return tuple(values)

    def _publish(self, frame: ReceivedFrame, estimate: Estimate, seen: Seen | None) -> None:
        header = frame.message.header
        frame_id = self._settings().frame_id or header.frame_id
        self._outputs.publish(estimate, frame_id)
        self._check_frames(header.frame_id, frame_id)
        age_s = (self._node.get_clock().now().nanoseconds - frame.stamp_ns) / 1e9
        now_s = time.monotonic()
        self._health.answered(
            Answer(
                now_s,
                now_s - frame.arrival_s,
                age_s,
                estimate.sign_probability,
                inflated=not estimate.decided,
                between_frames=estimate.overlap > 0,
                doubt=estimate.doubt,
                exposure_ratio=estimate.exposure_ratio,
            )
        )
        try:
            self._outputs.publish_debug(seen, estimate, header, self._settings().debug_rate_hz)
        except Exception as error:
            # The frame is answered already.
            self._report_fault("debug image", error)

    def _check_frames(self, image_frame: str, output_frame: str) -> None:
        """Warn, once for each pair of names, of an output that tf cannot transform and of a CameraInfo that may be another's."""
        info_frame = self._cameras.frame_id
        if (seen := (info_frame, image_frame)) == self._frames_seen:
            return
        self._frames_seen = seen
        if not output_frame:
            self._node.get_logger().warning(
                "the images name no frame, so neither does the output; set frame_id",
                throttle_duration_sec=LOG_EVERY_S,
            )
        if info_frame and image_frame and info_frame != image_frame:
            self._node.get_logger().warning(
                f"camera_info is of frame '{info_frame}', but the images are of '{image_frame}'; check that both are "
                "remapped to one camera",
                throttle_duration_sec=LOG_EVERY_S,
            )

    def _drop(self, cause: DropCause, text: str) -> None:
        if self._health.dropped(cause, time.monotonic(), text):
            self._node.get_logger().error(f"image dropped: {text}")
