"""From the network's answer to a velocity, with what depends on the camera alone worked out once."""

from functools import cached_property

import numpy as np

from ..camera import CameraModel
from ..canonical_view import CanonicalView
from ..contrast_view import ContrastViews
from ..direction import Geometry
from ..model.spec import ModelSpec
from ..motion_field import Array, grid_points
from ..network import Prediction
from ..options import EstimatorOptions
from ..rigid_motion import rays_of
from ..velocity import Calibration, VelocitySolution, solve_velocity
from .motion_points import MotionPoints, PointGeometry


class CameraSolver:
    """Canonical view, usable cells of the network's grid and weighted solve of one camera.

    view: the canonical view; x, y [N]: the grid's points, px from the principal point; rays [3, N]: the directions that they are
    seen in, last component 1; seen [N]: those that the camera sees; contrast_views: makes its views comparable. Raises
    CameraError where the camera cannot be used.
    """

    def __init__(
        self,
        camera: CameraModel,
        spec: ModelSpec,
        options: EstimatorOptions,
        correlation_px: float | None = None,
        independent_fraction: float | None = None,
    ) -> None:
        """options: say which points are used; correlation_px: how far apart points share their errors, independent_fraction:
        the share of them that err independently, which says how many are used; None for the model's own."""
        self._spec = spec
        self.view = CanonicalView(camera, spec.width, spec.height, spec.focal_px)
        self.contrast_views = ContrastViews(self.view.valid)
        self.x, self.y = grid_points(spec.width, spec.height, spec.stride)
        self.rays = rays_of(self.x, self.y, self.view.focal_px)
        self.seen = self.view.valid_on_grid(spec.stride).ravel()
        border_px = options.solver.border_px
        self._usable = (
            self.seen
            & (np.abs(self.x) <= spec.width / 2 - border_px)
            & (np.abs(self.y) <= spec.height / 2 - border_px)
        )
        fraction = spec.independent_fraction if independent_fraction is None else independent_fraction
        self._maximum = options.solver.sample_size(fraction, self.x.size)
        self._correlation_px = spec.error_correlation_px if correlation_px is None else correlation_px

    @cached_property
    def _chosen(self) -> PointGeometry:
        return self.point_geometry(self._maximum, self._correlation_px)

    def point_geometry(self, maximum: int, correlation_px: float) -> PointGeometry:
        """Up to `maximum` of the usable cells. Raises ImageError when fewer than 12 are left."""
        return PointGeometry(self.x, self.y, self.view.focal_px, self._usable, maximum, correlation_px)

    def inverse_depth(self, prediction: Prediction) -> Array:
        """Inverse depth [h, w], 1/m. The network learnt it at the canonical focal length: a view that zooms in by
        `depth_scale` makes everything look that much nearer."""
        return prediction.inverse_depth / self.view.depth_scale

    def _inverse_depth_sigma(self, prediction: Prediction) -> Array:
        return np.exp(prediction.inverse_depth_log_sigma) / self.view.depth_scale

    def geometry(self, prediction: Prediction, readout_s: float = 0.0) -> Geometry:
        """The whole grid with its inverse depth, of a frame whose last row is exposed so much later than its first."""
        inverse_depth, sigma = self.inverse_depth(prediction), self._inverse_depth_sigma(prediction)
        camera, focal_px = self.view.camera, self.view.focal_px
        row_s = readout_s / (camera.height * focal_px / camera.matrix[1, 1])
        return Geometry(self.x, self.y, inverse_depth.ravel(), sigma.ravel(), focal_px, row_s)

    def points(self, prediction: Prediction, chosen: PointGeometry | None = None) -> MotionPoints:
        """The measurements to solve from, at the chosen cells. Raises ImageError when fewer than 12 are usable."""
        return (chosen or self._chosen).points(
            prediction.flow,
            np.exp(prediction.flow_log_sigma),
            self.inverse_depth(prediction),
            self._inverse_depth_sigma(prediction),
            prediction.representation,
        )

    def solve(self, points: MotionPoints, exposure_s: float, options: EstimatorOptions) -> VelocitySolution:
        """Velocity up to sign, by the options of now, which may change from frame to frame.

        Raises ExposureError when the exposure is not a positive, finite time.
        """
        spec = self._spec
        calibration = Calibration(
            # A view that zooms in shows fewer surfaces, and the points of one err alike: so many fewer err independently.
            spec.independent_fraction / self.view.depth_scale**2,
            spec.covariance_scale,
            spec.depth_scale_sigma,
            options.min_blur_px_of(spec),
        )
        return solve_velocity(points, exposure_s, calibration, options.solver)
