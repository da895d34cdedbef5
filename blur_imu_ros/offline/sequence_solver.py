"""The pipeline of one camera taken apart, to solve one prediction in several ways and judge it by the truth."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np

from ..camera import CameraModel
from ..contrast_view import ContrastView
from ..direction import DirectionDecision, choose_direction
from ..motion_field import Array, flow_up_to_sign, interaction_matrix
from ..network import FlowDepthNetwork, FlowRepresentation, Prediction
from ..options import EstimatorOptions
from ..solve.camera_solver import CameraSolver
from ..solve.covariance import bound_eigenvalues
from ..solve.motion_points import MotionPoints, PointGeometry
from .published_solver import solve_published

REPORT_WIDTH = 320
FIT_POINTS = 1120


class Solver(Enum):
    """The solve of this package, or the published one: border 20 px, every tenth point, unweighted."""

    DEFAULT = "default"
    PUBLISHED = "published"


@dataclass(frozen=True)
class Solved:
    """A twist [6] up to one sign, with its covariance [6, 6] (NaN from the published solve, which has none)."""

    twist: Array
    covariance: Array


@dataclass(frozen=True)
class Prepared:
    """What is solved again for every exposure: points for the default solve, the finished motion for the published."""

    points: MotionPoints | None
    motion: Array | None


class SequenceSolver:
    """Network and solve for one camera; arguments of the solve: see CameraSolver."""

    def __init__(
        self,
        camera: CameraModel,
        network: FlowDepthNetwork,
        solver: Solver,
        options: EstimatorOptions,
        correlation_px: float | None = None,
        independent_fraction: float | None = None,
    ) -> None:
        self._network = network
        self._solver = solver
        self._options = options
        self.camera_solver = CameraSolver(camera, network.spec, options, correlation_px, independent_fraction)
        self.view = self.camera_solver.view
        self.report_scale = REPORT_WIDTH / network.spec.width

    def predict(self, image: np.ndarray) -> Prediction:
        """Network outputs of an image uint8 RGB [H, W, 3] or mono [H, W]; buffers, overwritten by the next one."""
        self.canonical = self.view.warp(image)
        return self._network.predict(self.canonical)

    @cached_property
    def _fit_geometry(self) -> PointGeometry:
        return self.camera_solver.point_geometry(FIT_POINTS, 0.0)

    def prepare(self, prediction: Prediction, *, for_fit: bool = False) -> Prepared:
        """Reduce a prediction to what the solve needs; keeps no reference to its buffers.

        for_fit: up to FIT_POINTS, each erring for itself, since a fit solves every frame many times.
        """
        if self._solver is Solver.PUBLISHED:
            solver, kind = self.camera_solver, prediction.representation
            inverse_depth = solver.inverse_depth(prediction)
            motion = solve_published(
                prediction.flow, inverse_depth, kind, solver.x, solver.y, self.view.focal_px
            )
            return Prepared(None, motion)
        return Prepared(self.camera_solver.points(prediction, self._fit_geometry if for_fit else None), None)

    def solve(self, prepared: Prepared, exposure_s: float) -> Solved:
        """Velocity over an exposure in seconds."""
        if prepared.points is None:
            assert prepared.motion is not None
            return Solved(prepared.motion / exposure_s, np.full((6, 6), np.nan))
        options = self._options
        solution = self.camera_solver.solve(prepared.points, exposure_s, options)
        covariance = bound_eigenvalues(solution.covariance, options.min_variance, options.max_variance)
        return Solved(solution.twist, covariance)

    def decide(
        self, prediction: Prediction, solved: Solved, stamp_ns: int, earlier: ContrastView | None
    ) -> tuple[DirectionDecision, ContrastView]:
        """The photometric sign of the frame predicted last, by the frame before alone; and its view, for the next."""
        view = self.camera_solver.contrast_views.of(self.canonical, stamp_ns)
        geometry = self.camera_solver.geometry(prediction)
        neighbours = [earlier] if earlier else []
        decision = choose_direction(
            view, neighbours, geometry, solved.twist, solved.covariance, None, self._options.direction
        )
        return decision, view

    def signed_flow(self, prediction: Prediction, twist: Array, exposure_s: float) -> Array:
        """Predicted flow [2, h, w], each vector on the side of the motion of `twist` [6]: for showing it."""
        flow = prediction.flow.astype(np.float64)
        if prediction.representation is FlowRepresentation.DOUBLE_ANGLE:
            flow = flow_up_to_sign(flow)
        matrix = self._interaction_matrix(prediction)
        side = np.einsum("nji,i,jn->n", matrix, twist * exposure_s, flow.reshape(2, -1)).reshape(
            flow.shape[1:]
        )
        return np.where(side < 0, -flow, flow)

    def true_blur_px(self, prediction: Prediction, truth: Array, exposure_s: float) -> float:
        """Median over the grid of |A p| with true velocity [6] and predicted depth, px at width 320.

        Of the rotation alone where the linear velocity is not known, as by a gyro; NaN where the rotation is not.
        """
        known = np.concatenate([truth[:3], np.nan_to_num(truth[3:])])
        matrix = self._interaction_matrix(prediction)[self.camera_solver.seen]
        length = np.linalg.norm(matrix @ (known * exposure_s), axis=1)
        return float(np.median(length)) * self.report_scale

    def inverse_depth_error(self, prediction: Prediction, depth_m: Array) -> float:
        """Mean of |predicted - true| / true inverse depth over the grid where depth [H, W] of the source is known."""
        solver = self.camera_solver
        centre = (self.view.width / 2 - 0.5, self.view.height / 2 - 0.5)
        points = np.stack([solver.x + centre[0], solver.y + centre[1]], axis=1)[solver.seen]
        column, row = np.rint(self.view.source_pixels(points)).astype(np.intp).T
        inside = (column >= 0) & (row >= 0) & (column < depth_m.shape[1]) & (row < depth_m.shape[0])
        true = depth_m[row[inside], column[inside]]
        predicted = solver.inverse_depth(prediction).ravel()[solver.seen][inside]
        known = np.isfinite(true) & (true > 0)
        # |1/a - 1/b| / (1/b) with b the true depth.
        return float(np.mean(np.abs(predicted[known] * true[known] - 1))) if known.any() else float("nan")

    def _interaction_matrix(self, prediction: Prediction) -> Array:
        """Of all points of the grid, at the predicted depth."""
        at = self.camera_solver.geometry(prediction)
        return interaction_matrix(at.x, at.y, at.focal_px, at.inverse_depth)
