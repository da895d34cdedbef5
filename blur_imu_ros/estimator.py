"""Image as an IMU, step by step: blurred image, intrinsics and exposure in, velocity with covariance out.

No ROS and no input or output. Source: Chen & Clark, "Image as an IMU", ICCV 2025 (arXiv 2503.17358).
"""

import contextlib
import time
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .camera import CameraModel
from .direction import DirectionDecision, Geometry, GreyView, SignedVelocity, choose_direction, grey_view
from .errors import BlurImuError
from .estimate import Estimate, Frame
from .model.spec import ModelSpec
from .network import Prediction
from .options import EstimatorOptions, UndecidedSign
from .solve.camera_solver import CameraSolver
from .solve.covariance import bound_eigenvalues
from .velocity import VelocitySolution


class Network(Protocol):
    """What the estimator needs of a network."""

    @property
    def spec(self) -> ModelSpec: ...

    def predict(self, image: NDArray[np.uint8]) -> Prediction: ...


@dataclass(frozen=True)
class _Solved:
    """What deciding a sign again, with one more frame, needs of an estimate; waits: whether that is to be done."""

    estimate: Estimate
    solution: VelocitySolution
    geometry: Geometry
    view: GreyView
    earlier: GreyView | None
    previous: SignedVelocity | None
    waits: bool


class BlurImuEstimator:
    """Estimates velocity frame by frame; remembers the frame before only to tell the direction of motion.

    solver: what is worked out once for the camera seen last; last_canonical, last_prediction: the view of the last frame and
    what the network read in it (its buffers, overwritten by the next). None before the first.
    """

    def __init__(self, network: Network, options: EstimatorOptions | None = None) -> None:
        self.network = network
        self.options = options or EstimatorOptions()
        self._forget()

    def _forget(self) -> None:
        self.solver: CameraSolver | None = None
        self.last_canonical: NDArray[np.uint8] | None = None
        self.last_prediction: Prediction | None = None
        self.reset()

    def warm(self) -> None:
        """Estimate from noise, and forget it: what is loaded and allocated at first use shall not delay the first image."""
        spec = self.network.spec
        camera = CameraModel.pinhole(spec.width, spec.height, spec.focal_px)
        shape = (spec.height, spec.width, 3)
        image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        # A frame that cannot be answered is told of when a camera sends it.
        with contextlib.suppress(BlurImuError):
            for stamp_ns in (1, 2):
                self.estimate(Frame(image, camera, stamp_ns, exposure_s=0.01))
        self._forget()

    def reset(self) -> None:
        """Forget the frames seen: a new epoch begins."""
        self._newest: _Solved | None = None
        self._signed: SignedVelocity | None = None
        self._before: _Solved | None = None

    def estimate(self, frame: Frame) -> Estimate:
        """Estimate the velocity during one frame's exposure.

        Raises ImageError, CameraError, ExposureError or ModelError; the history is then as before the call, or empty where
        the camera is new.
        """
        clock = _Stopwatch()
        solver = self._solver_of(frame.camera)
        canonical = solver.view.warp(frame.image)
        clock.lap("warp")

        prediction = self.network.predict(canonical)
        clock.lap("network")

        solution = solver.solve(solver.points(prediction), frame.exposure_s, self.options)
        clock.lap("solve")

        geometry = solver.geometry(prediction)
        grey = grey_view(canonical, solver.outside, frame.stamp_ns)
        earlier = self._newest.view if self._newest else None
        decision = self._decide(solution, geometry, grey, [earlier], self._signed)
        clock.lap("direction")

        estimate = self._publishable(frame.stamp_ns, frame.exposure_s, solution, decision, clock.laps_ms)
        self.last_canonical, self.last_prediction = canonical, prediction
        comparable = self.options.direction.comparable
        alone = earlier is None or not comparable((frame.stamp_ns - earlier.stamp_ns) * 1e-9)
        waits = self.options.use_next_frame or alone
        self._before = self._newest
        self._newest = _Solved(estimate, solution, geometry, grey, earlier, self._signed, waits)
        self._signed = _signed(solution, decision, frame.stamp_ns)
        return estimate

    @property
    def waits(self) -> bool:
        """Whether the last estimate's sign is to be decided again with the next frame: that of the first one, and of the first
        after a gap, and with `use_next_frame` every one."""
        return self._newest is not None and self._newest.waits

    def revised(self) -> Estimate | None:
        """The estimate before the last, its sign decided again with the last frame too (the paper's way, one frame late).

        None where it did not wait for that, or is of an earlier epoch.
        """
        old, newest = self._before, self._newest
        if old is None or newest is None or not old.waits:
            return None
        decision = self._decide(
            old.solution, old.geometry, old.view, [old.earlier, newest.view], old.previous
        )
        estimate = old.estimate
        return self._publishable(
            estimate.stamp_ns, estimate.exposure_s, old.solution, decision, estimate.stages_ms
        )

    def _solver_of(self, camera: CameraModel) -> CameraSolver:
        """What depends on the camera, made anew only when the camera changes by more than a calibration is known to."""
        if self.solver is None or not camera.resembles(self.solver.view.camera):
            self.solver = CameraSolver(camera, self.network.spec, self.options)
            self.reset()
        return self.solver

    def _decide(
        self,
        solution: VelocitySolution,
        geometry: Geometry,
        view: GreyView,
        neighbours: list[GreyView | None],
        previous: SignedVelocity | None,
    ) -> DirectionDecision:
        decision = choose_direction(
            view,
            [neighbour for neighbour in neighbours if neighbour],
            geometry,
            solution.twist,
            solution.covariance,
            previous,
            self.options.direction,
        )
        if solution.blur_px < self.options.min_blur_px_of(self.network.spec):
            return replace(decision, probability=0.5)
        return decision

    def _publishable(
        self,
        stamp_ns: int,
        exposure_s: float,
        solution: VelocitySolution,
        decision: DirectionDecision,
        stages_ms: dict[str, float],
    ) -> Estimate:
        """Apply the sign and let the covariance cover the doubt about it: the other sign lies 2 * twist away, with
        probability 1 - P."""
        twist = decision.sign * solution.twist
        covariance = solution.covariance
        if self.options.undecided_sign is UndecidedSign.INFLATE:
            covariance = covariance + 4 * (1 - decision.probability) * np.outer(twist, twist)
        return Estimate(
            stamp_ns=stamp_ns,
            twist=twist,
            covariance=bound_eigenvalues(covariance, self.options.min_variance, self.options.max_variance),
            sign_probability=decision.probability,
            blur_px=solution.blur_px,
            points_used=solution.points_used,
            residual_px=solution.residual_px,
            observability=solution.observability,
            condition=solution.condition,
            exposure_s=exposure_s,
            stages_ms=stages_ms,
            decided=decision.probability >= self.options.min_sign_probability,
        )


class _Stopwatch:
    """Time of consecutive steps in ms."""

    def __init__(self) -> None:
        self.laps_ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps_ms[name] = 1e3 * (now - self._last)
        self._last = now


def _signed(solution: VelocitySolution, decision: DirectionDecision, stamp_ns: int) -> SignedVelocity:
    return SignedVelocity(decision.sign * solution.twist, solution.covariance, decision.probability, stamp_ns)
