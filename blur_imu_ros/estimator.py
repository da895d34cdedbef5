"""Image as an IMU, step by step: blurred image, intrinsics and exposure in, velocity with covariance out.

No ROS and no input or output. Source: Chen & Clark, "Image as an IMU", ICCV 2025 (arXiv 2503.17358).
"""

import contextlib
import time
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .camera import CameraModel, CanonicalView, DistortionModel
from .covariance import bound_eigenvalues
from .direction import (
    DirectionDecision,
    DirectionOptions,
    Geometry,
    GreyView,
    SignedVelocity,
    choose_direction,
    grey_view,
    outside_of,
)
from .errors import BlurImuError, ConfigurationError
from .model_spec import ModelSpec
from .motion_field import Array, grid_points
from .motion_points import PointGeometry
from .network import Prediction
from .velocity import Calibration, SolverOptions, VelocitySolution, solve_velocity


class UndecidedSign(Enum):
    """What becomes of an estimate whose sign is not sure."""

    INFLATE = "inflate"  # published, with a covariance that covers the other sign
    DROP = "drop"  # not to be published when less probable than the threshold


class Network(Protocol):
    """What the estimator needs of a network."""

    @property
    def spec(self) -> ModelSpec: ...

    def predict(self, image: NDArray[np.uint8]) -> Prediction: ...


@dataclass(frozen=True)
class EstimatorOptions:
    """undecided_sign, min_sign_probability: what to do below that probability; min_blur_px: blur below which the sign is
    open, None for the model's; use_next_frame: every sign is decided again with the next frame, not only the first;
    min_variance, max_variance: bounds of the covariance's eigenvalues, (rad/s)^2 and (m/s)^2."""

    solver: SolverOptions = field(default_factory=SolverOptions)
    direction: DirectionOptions = field(default_factory=DirectionOptions)
    undecided_sign: UndecidedSign = UndecidedSign.INFLATE
    min_sign_probability: float = 0.75
    min_blur_px: float | None = None
    use_next_frame: bool = False
    min_variance: float = 1e-6
    max_variance: float = 1e4

    def __post_init__(self) -> None:
        if not 0 < self.min_variance < self.max_variance < np.inf:
            raise ConfigurationError(
                f"min_variance {self.min_variance} and max_variance {self.max_variance} must be finite, positive and in "
                "this order"
            )
        if not 0.5 <= self.min_sign_probability <= 1:
            raise ConfigurationError(f"min_sign_probability is {self.min_sign_probability}: give 0.5 to 1")


@dataclass(frozen=True)
class Frame:
    """One image: uint8 RGB [H, W, 3] or mono [H, W], its camera, the middle of its exposure and the exposure time."""

    image: NDArray[np.uint8]
    camera: CameraModel
    stamp_ns: int
    exposure_s: float


@dataclass(frozen=True)
class Estimate:
    """The camera's own velocity at `stamp_ns` in its optical frame.

    twist [6] (wx wy wz vx vy vz) rad/s and m/s; covariance [6, 6], symmetric positive definite, covering the doubt about
    the sign; sign_probability 0.5..1; blur_px: median flow over the exposure; points_used, residual_px, observability [6],
    condition: see VelocitySolution; stages_ms: time per step; decided: the sign is as probable as was asked for.
    """

    stamp_ns: int
    twist: Array
    covariance: Array
    sign_probability: float
    blur_px: float
    points_used: int
    residual_px: float
    observability: Array
    condition: float
    exposure_s: float
    stages_ms: dict[str, float]
    decided: bool


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
    """Estimates velocity frame by frame; remembers the frame before only to tell the direction of motion."""

    def __init__(self, network: Network, options: EstimatorOptions | None = None) -> None:
        self.network = network
        self.options = options or EstimatorOptions()
        spec = network.spec
        self._x, self._y = grid_points(spec.width, spec.height, spec.stride)
        self._forget()

    def _forget(self) -> None:
        self._camera_key: object = None
        self.last_view: CanonicalView | None = None
        self.last_canonical: NDArray[np.uint8] | None = None
        self.last_prediction: Prediction | None = None
        self.reset()

    def warm(self) -> None:
        """Estimate from noise, and forget it: what is loaded and allocated at first use shall not delay the first image."""
        spec = self.network.spec
        centre = (spec.width - 1) / 2, (spec.height - 1) / 2
        matrix = np.array([[spec.focal_px, 0, centre[0]], [0, spec.focal_px, centre[1]], [0, 0, 1]])
        camera = CameraModel(spec.width, spec.height, matrix, (0.0,) * 4, DistortionModel.PLUMB_BOB)
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

        Raises ImageError, CameraError, ExposureError or ModelError; the history is then as before the call.
        """
        clock = _Stopwatch()
        view = self._view_of(frame.camera)
        canonical = view.warp(frame.image)
        clock.lap("warp")

        prediction = self.network.predict(canonical)
        clock.lap("network")

        solution, geometry = self._solve(prediction, view, frame.exposure_s)
        clock.lap("solve")

        grey = grey_view(canonical, self._outside, frame.stamp_ns)
        earlier = self._newest.view if self._newest else None
        decision = self._decide(solution, geometry, grey, [earlier], self._signed)
        clock.lap("direction")

        estimate = self._publishable(frame.stamp_ns, frame.exposure_s, solution, decision, clock.laps_ms)
        self.last_view, self.last_canonical, self.last_prediction = view, canonical, prediction
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
        if self._before is None or self._newest is None or not self._before.waits:
            return None
        old = self._before
        decision = self._decide(
            old.solution, old.geometry, old.view, [old.earlier, self._newest.view], old.previous
        )
        estimate = old.estimate
        return self._publishable(
            estimate.stamp_ns, estimate.exposure_s, old.solution, decision, estimate.stages_ms
        )

    def _view_of(self, camera: CameraModel) -> CanonicalView:
        """The canonical view of a camera, rebuilt only when the camera changes."""
        key = camera.cache_key()
        if self.last_view is None or key != self._camera_key:
            spec, border = self.network.spec, self.options.solver.border_px
            view = CanonicalView(camera, spec.width, spec.height, spec.focal_px)
            inside = (np.abs(self._x) <= spec.width / 2 - border) & (
                np.abs(self._y) <= spec.height / 2 - border
            )
            valid = view.valid_on_grid(spec.stride).ravel() & inside
            maximum = self.options.solver.sample_size(spec.independent_fraction, self._x.size)
            self._points = PointGeometry(
                self._x, self._y, view.focal_px, valid, maximum, spec.error_correlation_px
            )
            self._outside = outside_of(view.valid)
            self._camera_key, self.last_view = key, view
            self.reset()
        return self.last_view

    def _solve(
        self, prediction: Prediction, view: CanonicalView, exposure_s: float
    ) -> tuple[VelocitySolution, Geometry]:
        """Velocity up to sign. The network's depth was learnt at the canonical focal length: a view that zooms in by
        `depth_scale` makes everything look that much nearer."""
        inverse_depth = prediction.inverse_depth.ravel() / view.depth_scale
        points = self._points.points(
            prediction.flow,
            np.exp(prediction.flow_log_sigma),
            inverse_depth,
            np.exp(prediction.inverse_depth_log_sigma) / view.depth_scale,
            prediction.representation,
        )
        spec = self.network.spec
        calibration = Calibration(
            spec.independent_fraction, spec.covariance_scale, spec.depth_scale_sigma, self._min_blur_px
        )
        solution = solve_velocity(points, exposure_s, calibration, self.options.solver)
        return solution, Geometry(self._x, self._y, inverse_depth, view.focal_px)

    @property
    def _min_blur_px(self) -> float:
        chosen = self.options.min_blur_px
        return self.network.spec.min_blur_px if chosen is None else chosen

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
        if solution.blur_px < self._min_blur_px:
            return replace(decision, probability=0.5, note="the blur is too short to tell a direction")
        return decision

    def _publishable(
        self,
        stamp_ns: int,
        exposure_s: float,
        solution: VelocitySolution,
        decision: DirectionDecision,
        stages_ms: dict[str, float],
    ) -> Estimate:
        """Apply the sign and let the covariance cover the doubt about it: the other sign is 2 p away."""
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
