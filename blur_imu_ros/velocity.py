"""Velocity from one blurred image: sign-free robust weighted least squares with covariance and observability.

The steps of the solve, all in solve/: the motion of the point that the camera turns about (lever_arm.py), a weak prior of it
(prior.py), a start from the axes of the flow (start.py), Gauss-Newton with redescending weights (search.py) that know which way
a wrong depth moves the flow (linearise.py), the errors that neighbouring points share (shared_errors.py), whether the camera
steps at all or turns in place (prior.py again), covariance (covariance.py).
"""

from dataclasses import dataclass, replace

import numpy as np

from .errors import ConfigurationError, ExposureError
from .motion_field import Array
from .solve.covariance import at_rest, common_mode, condition_number
from .solve.lever_arm import camera_of_centre
from .solve.linearise import linearise, squared
from .solve.motion_points import MotionPoints
from .solve.prior import PerAxis, Prior, prior_of, weigh_steps
from .solve.robust import hidden_contamination, median, residual_scale, tukey_information, tukey_weight
from .solve.search import SCALE_FLOOR, costs_of, refine, search, solve_normal
from .solve.shared_errors import shared_information

# Variance per squared share of hidden outliers, in units of the estimate's own; found on fields with 30 % of them.
_PULL = 2.0
# So many points for each that errs independently, and never fewer: more would say the same again.
_POINTS_EACH, _FEWEST_POINTS = 100, 280
# Refinement ends with a step of less than this many standard deviations, squared: a further one changes figures by a
# thousandth.
_SETTLED = 0.1


@dataclass(frozen=True)
class SolverOptions:
    """Options of the solve. An infinite prior turns it off and gives plain least squares.

    prior_angular_rad_s, prior_linear_m_s: standard deviation of the zero-mean prior of each axis, that of a step at most
    (see solve/prior.py); lever_arm_m: where the camera is, seen from the point that it turns about and that the prior of a step
    is of, in its optical frame (see solve/lever_arm.py); exposure_relative_sigma: relative error of the exposure time;
    border_px: margin of the canonical view left out; max_points: of a larger grid a random sample is used; max_iterations: of
    the final refinement; tukey: residuals beyond this many scales are rejected; min_residual_scale: the covariance never
    assumes residuals smaller than this share of the sigmas, since what all points of an image get wrong together leaves no
    residual.
    """

    prior_angular_rad_s: PerAxis = 10.0
    prior_linear_m_s: PerAxis = 0.7
    lever_arm_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    exposure_relative_sigma: float = 0.05
    border_px: float = 8.0
    max_points: int = 2240
    max_iterations: int = 8
    tukey: float = 2.5
    min_residual_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("prior_angular_rad_s", "prior_linear_m_s"):
            value = np.asarray(getattr(self, name))
            if value.shape not in ((), (3,)) or not np.all(value > 0):
                raise ConfigurationError(
                    f"solver option {name} is {getattr(self, name)}: give a positive number, or three"
                )
        for name in ("max_points", "max_iterations", "tukey"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(
                    f"solver option {name} is {getattr(self, name)}: give a positive number"
                )
        if len(self.lever_arm_m) != 3 or not np.isfinite(self.lever_arm_m).all():
            raise ConfigurationError(
                f"solver option lever_arm_m is {self.lever_arm_m}: give three finite numbers, in metres"
            )
        for name in ("exposure_relative_sigma", "border_px", "min_residual_scale"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ConfigurationError(
                    f"solver option {name} is {getattr(self, name)}: give a finite number >= 0"
                )

    def sample_size(self, independent_fraction: float, grid_count: int) -> int:
        """How many points of a grid of `grid_count` to solve from, given the share of them that errs independently."""
        worthwhile = max(_FEWEST_POINTS, _POINTS_EACH * independent_fraction * grid_count)
        return int(min(self.max_points, worthwhile))


@dataclass(frozen=True)
class Calibration:
    """What a network's validation says of its errors (ModelSpec has the same fields).

    independent_fraction: share of the grid's points that err independently; covariance_scale: factor per axis of
    (w, v); depth_scale_sigma: relative error of the scale of depth common to an image; min_blur_px: flow below which the
    network only says "slow".
    """

    independent_fraction: float = 1.0
    covariance_scale: tuple[float, ...] = (1.0,) * 6
    depth_scale_sigma: float = 0.0
    min_blur_px: float = 0.0


@dataclass(frozen=True)
class VelocitySolution:
    """A velocity up to one common sign.

    twist: [6] (wx wy wz vx vy vz) rad/s, m/s; covariance: [6, 6]; observability: [6] share of each axis' prior variance
    that the image removed, 0 (all prior) to 1 (all data), v being that of the centre where there is a lever arm; condition: see
    condition_number; residual_px, blur_px: median length of the residual and of the predicted flow over the exposure, both at
    the likeliest motion of a camera that steps.
    """

    twist: Array
    covariance: Array
    observability: Array
    condition: float
    points_used: int
    residual_px: float
    blur_px: float


@dataclass(frozen=True)
class _Fit:
    """What an image says of its likeliest motion: the data's information [6, 6] (rad, m), and what VelocitySolution has of it."""

    information: Array
    points_used: int
    residual_px: float
    blur_px: float


def solve_velocity(
    points: MotionPoints, exposure_s: float, calibration: Calibration, options: SolverOptions
) -> VelocitySolution:
    """Solve the camera's velocity over the exposure from sign-free flow and depth.

    Raises ExposureError when the exposure is not a positive, finite time.
    """
    if not (np.isfinite(exposure_s) and exposure_s > 0):
        raise ExposureError(f"exposure of {exposure_s} s cannot be used: give a positive time in seconds")
    if not any(options.lever_arm_m):
        return _solve(points, exposure_s, calibration, options)
    to_camera = camera_of_centre(options.lever_arm_m)
    centre = _solve(points.in_terms_of(to_camera), exposure_s, calibration, options)
    return replace(
        centre, twist=to_camera @ centre.twist, covariance=to_camera @ centre.covariance @ to_camera.T
    )


def _solve(
    points: MotionPoints, exposure_s: float, calibration: Calibration, options: SolverOptions
) -> VelocitySolution:
    """Solve the velocity of the point that the camera turns about, from points in terms of that."""
    fraction = min(1.0, calibration.independent_fraction * points.grid_count / points.count)
    prior = prior_of(
        points,
        exposure_s,
        options.prior_angular_rad_s,
        options.prior_linear_m_s,
        calibration.min_blur_px,
    )

    motions = search(points, prior.precision, fraction)
    if points.precision is None:
        motions = refine(points, motions, prior.precision, fraction, options.tukey, options.max_iterations)
    if len(motions) > 1:
        motions = motions[np.argsort(costs_of(points, motions, prior.precision, fraction))]
    motion, shared = _settle(points, motions[0], prior.precision, fraction, options)
    fit = _fit_of(points, motion, shared, fraction, options)
    motion, covariance = weigh_steps(fit.information, motion, prior.precision)
    twist = motion / exposure_s
    return VelocitySolution(
        twist=twist,
        covariance=_calibrated(covariance, fit.blur_px, prior, calibration) / exposure_s**2
        + common_mode(twist, options.exposure_relative_sigma, calibration.depth_scale_sigma),
        observability=np.clip(1 - np.diag(covariance) * prior.overall, 0.0, 1.0),
        condition=condition_number(fit.information),
        points_used=fit.points_used,
        residual_px=fit.residual_px,
        blur_px=fit.blur_px,
    )


def _settle(
    points: MotionPoints, motion: Array, prior: Array, fraction: float, options: SolverOptions
) -> tuple[Array, Array | None]:
    """Gauss-Newton with shared errors taken into account where points have such, from a motion [6] found without; and the
    data's information [6, 6] there, None where nothing is shared."""
    if points.precision is None or not motion.any():
        return motion, None
    for _ in range(options.max_iterations):
        information, gradient = shared_information(points, motion, options.tukey, options.min_residual_scale)
        gradient = fraction * gradient - prior * motion
        step = solve_normal(fraction * information[None], prior, gradient[None])[0]
        motion = motion + step
        if step @ gradient < _SETTLED:
            break
    return motion, fraction * information


def _fit_of(
    points: MotionPoints, motion: Array, shared: Array | None, fraction: float, options: SolverOptions
) -> _Fit:
    """How the image fits a solved motion [6] (rad, m); shared: the data's information [6, 6] where points share their errors."""
    model = linearise(points, motion[None], marginal=True)
    distance2 = model.distance2 if motion.any() else squared(points.q)[None]
    scale = np.maximum(residual_scale(distance2), max(options.min_residual_scale, SCALE_FLOOR))
    robust = tukey_weight(distance2, scale * scale, options.tukey)
    per_point = tukey_information(options.tukey) * fraction / scale[0, 0] ** 2
    pull = fraction * points.count * hidden_contamination(distance2[0], float(scale[0, 0] ** 2)) ** 2
    data = per_point * model.information(points.rows, robust)[0] if shared is None else shared
    return _Fit(
        information=data / (1 + _PULL * max(0.0, pull - 1)),
        points_used=int(np.count_nonzero(robust)),
        residual_px=float(median(np.sqrt(distance2[0]) * points.sigma)[0]),
        blur_px=float(median(model.length[0] * points.sigma)[0]),
    )


def _calibrated(covariance: Array, blur_px: float, prior: Prior, calibration: Calibration) -> Array:
    """Covariance [6, 6] of a motion (rad, m), as wide as validation showed its errors to be."""
    widen = np.sqrt(np.asarray(calibration.covariance_scale))
    widened = covariance * widen[:, None] * widen
    if blur_px < calibration.min_blur_px:
        widened = at_rest(widened, calibration.min_blur_px / prior.draws_px)
    return widened
