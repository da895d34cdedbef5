"""The node `blur_imu`: parameters, lifecycle and diagnostics; no maths.

Configure loads and warms the network, activate subscribes and estimates (live/pipeline.py), deactivate unsubscribes, cleanup
frees. It does the first two by itself unless `autostart` is false.
"""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from .errors import BlurImuError, ConfigurationError
from .estimator import BlurImuEstimator
from .live import parameters
from .live.diagnostics import LOG_EVERY_S, Health, Level, Report, describe
from .live.exposure import message_class
from .live.outputs import Outputs
from .live.pipeline import Pipeline
from .messages import diagnostics_message
from .model.finding import find_model
from .network import FlowDepthNetwork

HOUSEKEEPING_S = 0.1
REPORT_EVERY_S = 1.0
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class BlurImuNode(LifecycleNode):
    """Virtual IMU from a camera's blur, as a managed node."""

    def __init__(self) -> None:
        # First: rclpy since Kilted destroys a node that was refused, too.
        self._network: FlowDepthNetwork | None = None
        self._estimator: BlurImuEstimator | None = None
        self._outputs: Outputs | None = None
        self._pipeline: Pipeline | None = None
        self._closed: Pipeline | None = None
        super().__init__("blur_imu")
        self._answer_refused_transitions()
        parameters.declare(self)
        self._settings = parameters.read(self)
        for name in parameters.unknown_names(self):
            self.get_logger().warning(f"parameter '{name}' is unknown and ignored; check its spelling")
        self._health = Health()
        self._failure = ""
        self._starting = self._settings.autostart
        self._ended = False
        self._tried: Any = None
        self._reported: tuple[float, Level | None] = (-REPORT_EVERY_S, None)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.add_on_set_parameters_callback(self._change_parameters)
        # Steady: a simulated clock that stands still must not silence the diagnostics.
        self.create_timer(HOUSEKEEPING_S, self._keep_house, clock=Clock(clock_type=ClockType.STEADY_TIME))
        # Every step, since which of them are jumps may change while the node runs.
        least = Duration(nanoseconds=1)
        threshold = JumpThreshold(
            min_forward=least, min_backward=Duration(nanoseconds=-1), on_clock_change=False
        )
        self._jump = self.get_clock().create_jump_callback(threshold, post_callback=self._clock_jumped)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm the network; on a failure say why and stay unconfigured."""
        settings = self._settings
        try:
            if settings.exposure_type:
                message_class(settings.exposure_type)
            self._network = FlowDepthNetwork(
                settings.model, provider=settings.provider, threads=settings.threads
            )
            self._estimator = BlurImuEstimator(self._network, settings.estimator_options())
            self._outputs = Outputs(self)
        except Exception as error:
            self._free()
            self._failure = describe(error)
            self.get_logger().error(f"not configured: {self._failure}")
            return FAILURE
        self._failure = ""
        spec = self._network.spec
        self.get_logger().info(f"model {spec.name}: {self._network.provider_message}")
        for note in spec.notes:
            self.get_logger().warning(f"model {spec.name}: {note}")
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start to answer; on a failure say why and free everything."""
        if self._estimator is None or self._outputs is None:
            return FAILURE
        if self._closed is not None and self._closed.busy:
            self.get_logger().error(
                "not activated: the last frame before is still being worked on; activate again"
            )
            return FAILURE
        try:
            self._pipeline = Pipeline(
                self,
                lambda: self._settings,
                self._health,
                self._estimator,
                self._outputs,
                self.report_fault,
            )
        except Exception as error:
            self._failure = describe(error)
            self.get_logger().error(f"not activated: {self._failure}")
            return TransitionCallbackReturn.ERROR
        self.get_logger().info("active")
        return SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe; the network stays warm."""
        self._stop()
        return SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the network and the publishers."""
        self._free()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, from whatever state."""
        self._starting = False
        self._ended = True
        self._free()
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, so that configuring can be tried again."""
        self._free()
        return SUCCESS

    def destroy_node(self) -> None:
        """Free everything before the node itself goes."""
        self._free()
        super().destroy_node()

    def _stop(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()
            self._closed, self._pipeline = self._pipeline, None

    def _free(self) -> None:
        self._stop()
        if self._outputs is not None:
            self._outputs.close()
        if self._network is not None:
            self._network.close()
        self._outputs = self._estimator = self._network = None
        # What was closed refers to itself in circles; left to the collector's own time, it piles up from cycle to cycle.
        gc.collect()

    def _answer_refused_transitions(self) -> None:
        """Answer a transition the state does not allow with `success: false`; rclpy would end the process."""
        answer = self._service_change_state.callback

        def guarded(request: Any, response: Any) -> Any:
            # Whoever asks for a transition is in charge from now on.
            self._starting = False
            try:
                return answer(request, response)
            except rclpy_implementation.RCLError:
                self.get_logger().error("this transition is not possible in the present state")
                response.success = False
                return response

        self._service_change_state.callback = guarded

    def _change_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        before, configured = self._settings, self._network is not None
        try:
            self._settings = parameters.changed(before, changes, configured=configured)
        except ConfigurationError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if self._settings.autostart is not before.autostart:
            self._starting = self._settings.autostart and not self._ended
        if self._settings.exposure_s != before.exposure_s:
            self._health.exposure_changed()
        if self._estimator is not None:
            self._estimator.options = self._settings.estimator_options()
        return SetParametersResult(successful=True)

    def report_fault(self, kind: str, error: Exception) -> None:
        """Report an error that belongs to no image, in diagnostics and, not too often, in the log."""
        if self._health.fault(kind, time.monotonic(), describe(error)):
            self.get_logger().error(f"{kind}: {describe(error)}")

    def _clock_jumped(self, jump: TimeJump) -> None:
        step_s = jump.delta.nanoseconds / 1e9
        if self._pipeline is not None and abs(step_s) > self._settings.time_jump_s:
            self._pipeline.intake.clock_jumped()
            self.get_logger().warning(
                f"the ROS clock jumped by {step_s:.3f} s: new epoch",
                throttle_duration_sec=LOG_EVERY_S,
            )

    def _keep_house(self) -> None:
        """Start by itself, give up overdue frames, and report: at once when the level changes, else every second."""
        if self._starting:
            self._try_to_start()
        now_s = time.monotonic()
        if self._pipeline is not None:
            self._pipeline.intake.expire(now_s)
        level, message = self._verdict(now_s)
        changed = level is not self._reported[1]
        if changed and level is Level.WARN:
            self.get_logger().warning(message)
        if changed or now_s - self._reported[0] >= REPORT_EVERY_S:
            self._reported = (now_s, level)
            report = Report(level, message, self._values(now_s))
            name, now = self.get_fully_qualified_name(), self.get_clock().now().to_msg()
            self._diagnostics.publish(diagnostics_message(report, name, self._settings.model, now))

    def _try_to_start(self) -> None:
        """Configure and activate; after a failure again as soon as a parameter or the model's file changes."""
        attempt = (self._settings, _file_state(self._settings))
        if attempt == self._tried:
            return
        self._tried = attempt
        if self.trigger_configure() == SUCCESS:
            self._starting = self.trigger_activate() != SUCCESS

    def _verdict(self, now_s: float) -> tuple[Level, str]:
        if self._failure:
            return Level.ERROR, self._failure
        if self._pipeline is None:
            return Level.OK, "not active"
        return self._health.verdict(now_s, self._settings.dropout_s, self._pipeline.started_s)

    def _values(self, now_s: float) -> tuple[tuple[str, str], ...]:
        if self._pipeline is None or self._network is None:
            return self._health.counts()
        network = (("model", self._network.spec.name), ("provider", self._network.provider_message))
        return (*self._health.values(now_s), *network, *self._pipeline.details())


def _file_state(settings: parameters.Settings) -> tuple[str, int, int] | None:
    """Return what tells a changed model file from the one that failed."""
    try:
        path: Path = find_model(settings.model, settings.provider)
        state = path.stat()
    except (BlurImuError, OSError):
        return None
    return str(path), state.st_mtime_ns, state.st_size
