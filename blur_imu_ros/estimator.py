"""Image as an IMU, step by step: blurred image, intrinsics and exposure in, velocity with covariance out.

No ROS and no input or output. Source: Chen & Clark, "Image as an IMU", ICCV 2025 (arXiv 2503.17358).
"""

import contextlib
import time
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .between_frames import SignedEstimate, counts, with_neighbours
from .camera import CameraModel
from .contrast_view import ContrastView
from .depth_before import DepthBefore, remembered, with_depth_before, with_depth_between
from .direction import DirectionDecision, Geometry, SignedVelocity, choose_direction
from .errors import BlurImuError
from .estimate import Estimate, Frame
from .exposure_check import exposure_ratio
from .model.spec import ModelSpec
from .network import Prediction
from .options import EstimatorOptions, UndecidedSign
from .solve.camera_solver import CameraSolver
from .solve.covariance import bound_eigenvalues
from .solve.motion_points import MotionPoints
from .solve.neighbour_ways import change_of
from .velocity import VelocitySolution


class Network(Protocol):
    """What the estimator needs of a network."""

    @property
    def spec(self) -> ModelSpec: ...

    def predict(self, image: NDArray[np.uint8]) -> Prediction: ...


@dataclass(frozen=True)
class SeenFrame:
    """What was seen of one frame: the points that its blur was solved from, the solve, and what its sign and the way to its
    neighbours need.

    options: those of the solve; they may have changed by the time a frame is answered again; one_before: a neighbour farther
    off, for where none of the others shows the way.
    """

    points: MotionPoints
    exposure_s: float
    solution: VelocitySolution
    geometry: Geometry
    view: ContrastView
    neighbours: list[ContrastView]
    previous: SignedVelocity | None
    options: EstimatorOptions
    one_before: ContrastView | None = None


@dataclass(frozen=True)
class _Answered:
    """An estimate and what it is made of; waits: whether it is to be made again with one more frame."""

    estimate: Estimate
    seen: SeenFrame
    signed: SignedEstimate
    waits: bool


class BlurImuEstimator:
    """Estimates velocity frame by frame, from the blur of each and the frame before.

    solver: what is worked out once for the camera seen last; last_canonical, last_prediction: the view of the last frame and
    what the network read in it (its buffers, overwritten by the next), its depth with what the frames before told. None before
    the first.
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
            for stamp_ns, seen in ((0, image), (33_000_000, np.roll(image, 1, axis=1))):
                self.estimate(Frame(seen, camera, stamp_ns, exposure_s=0.01))
        self._forget()

    def reset(self) -> None:
        """Forget the frames seen: a new epoch begins."""
        self._newest: _Answered | None = None
        self._signed: SignedVelocity | None = None
        self._depth: DepthBefore | None = None
        self._before: _Answered | None = None

    def estimate(self, frame: Frame) -> Estimate:
        """Estimate the velocity during one frame's exposure.

        Raises ImageError, CameraError, ExposureError or ModelError; the history is then as before the call, or empty where
        the camera is new.
        """
        clock = _Stopwatch()
        solver = self._solver_of(frame.camera)
        canonical = solver.view.warp(frame.image)
        view = solver.contrast_views.of(canonical, frame.stamp_ns)
        earlier = self._newest.seen.view if self._newest else None
        clock.lap("warp")
        if self._newest and self._published_again(self._newest.seen, view, frame.exposure_s):
            return self._restamped(self._newest, frame.stamp_ns, clock.laps_ms)

        prediction = self.network.predict(canonical)
        clock.lap("network")

        options = self.options
        if options.between_frames and self._depth and earlier and counts(earlier, view, options.direction):
            prediction = with_depth_before(prediction, solver, self._depth, frame.stamp_ns)
        points = solver.points(prediction)
        solution = solver.solve(points, frame.exposure_s, options)
        clock.lap("solve")

        geometry, neighbours = solver.geometry(prediction, frame.readout_s), [earlier] if earlier else []
        seen = SeenFrame(
            points,
            frame.exposure_s,
            solution,
            geometry,
            view,
            neighbours,
            self._signed,
            options,
            self._one_before(),
        )
        decision = self.decide(seen)
        clock.lap("direction")

        signed = self._with_neighbours(seen, decision)
        clock.lap("between_frames")

        estimate = self._publishable(frame.stamp_ns, seen, signed, clock.laps_ms)
        prediction = with_depth_between(prediction, signed.nearer)
        self.last_canonical, self.last_prediction = canonical, prediction
        comparable = options.direction.comparable
        alone = earlier is None or not comparable((frame.stamp_ns - earlier.stamp_ns) * 1e-9)
        waits = options.use_next_frame or alone
        self._before = self._newest
        self._newest = _Answered(estimate, seen, signed, waits)
        self._signed = SignedVelocity(
            signed.twist, signed.covariance, signed.probability, frame.stamp_ns, signed.way
        )
        self._depth = remembered(prediction, solver, self._signed)
        return estimate

    def _one_before(self) -> ContrastView | None:
        """The view before that of the frame before, where that frame, as a dark one does, found no way to it."""
        if self._newest is None or self._newest.signed.overlap > 0:
            return None
        return next(iter(self._newest.seen.neighbours), None)

    def _published_again(self, before: SeenFrame, view: ContrastView, exposure_s: float) -> bool:
        """Whether a view is of the exposure of the frame before, published under another stamp."""
        near = self.options.direction.comparable((view.stamp_ns - before.view.stamp_ns) * 1e-9)
        as_long = exposure_s == before.exposure_s
        return near and as_long and not view.blank and view.same_picture(before.view)

    def _restamped(self, newest: _Answered, stamp_ns: int, laps_ms: dict[str, float]) -> Estimate:
        """What the newest frame told, once more: the same exposure tells nothing new, and least of all at another time."""
        stages_ms = dict.fromkeys(newest.estimate.stages_ms, 0.0) | laps_ms
        estimate = self._publishable(stamp_ns, newest.seen, newest.signed, stages_ms)
        self._before, self._newest = None, replace(newest, estimate=estimate)
        return estimate

    @property
    def waits(self) -> bool:
        """Whether the last estimate is to be made again with the next frame: the first one, the first after a gap, and with
        `use_next_frame` every one."""
        return self._newest is not None and self._newest.waits

    def revised(self) -> Estimate | None:
        """The estimate before the last, made again with the last frame too (the paper's way of telling a sign, one frame late).

        None where it did not wait for that, or is of an earlier epoch.
        """
        old, newest = self._before, self._newest
        if old is None or newest is None or not old.waits:
            return None
        both = replace(old.seen, neighbours=[*old.seen.neighbours, newest.seen.view])
        signed = self._with_neighbours(both, self.decide(both))
        return self._publishable(old.estimate.stamp_ns, both, signed, old.estimate.stages_ms)

    def _solver_of(self, camera: CameraModel) -> CameraSolver:
        """What depends on the camera, made anew only when the camera changes by more than a calibration is known to."""
        if self.solver is None or not camera.resembles(self.solver.view.camera):
            self.solver = CameraSolver(camera, self.network.spec, self.options)
            self.reset()
        return self.solver

    def decide(self, seen: SeenFrame) -> DirectionDecision:
        """The sign of what was seen of a frame; may be overridden where it is known."""
        solution = seen.solution
        return choose_direction(
            seen.view,
            seen.neighbours,
            seen.geometry,
            solution.twist,
            solution.covariance,
            seen.previous,
            seen.options.direction,
        )

    def _with_neighbours(self, seen: SeenFrame, decision: DirectionDecision) -> SignedEstimate:
        return with_neighbours(
            seen.solution,
            decision,
            seen.view,
            seen.neighbours,
            seen.geometry,
            seen.previous,
            seen.options,
            self.network.spec,
            seen.one_before,
        )

    def _publishable(
        self, stamp_ns: int, seen: SeenFrame, signed: SignedEstimate, stages_ms: dict[str, float]
    ) -> Estimate:
        """Let the covariance cover the doubt about the sign: the opposite one lies 2 * twist away; and what acceleration may
        have changed since the picture was taken."""
        solution, twist, covariance = seen.solution, signed.twist, signed.covariance
        since_s = (stamp_ns - seen.view.stamp_ns) * 1e-9
        # A sharp picture that is shown again is of a camera at rest.
        if solution.blur_px >= seen.options.min_blur_px_of(self.network.spec):
            covariance = covariance + change_of(2 * since_s, seen.options.direction)
        if self.options.undecided_sign is UndecidedSign.INFLATE:
            covariance = covariance + 4 * signed.mirrored * np.outer(twist, twist)
        return Estimate(
            stamp_ns=stamp_ns,
            twist=twist,
            covariance=bound_eigenvalues(covariance, self.options.min_variance, self.options.max_variance),
            sign_probability=signed.probability,
            blur_px=solution.blur_px,
            points_used=solution.points_used,
            residual_px=solution.residual_px,
            observability=solution.observability,
            condition=solution.condition,
            overlap=signed.overlap,
            exposure_s=seen.exposure_s,
            stages_ms=stages_ms,
            decided=1 - signed.mirrored >= self.options.min_sign_probability,
            doubt=signed.doubt,
            exposure_ratio=exposure_ratio(seen.points, signed.moved, seen.exposure_s),
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
