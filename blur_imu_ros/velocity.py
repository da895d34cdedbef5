"""Velocity from one blurred image: sign-free robust weighted least squares with covariance and observability.

The steps of the solve: weights that know which way a wrong depth moves the flow (linearise.py), a start from the axes of
the flow (start.py), Gauss-Newton with redescending weights and a weak prior, the errors that neighbouring points share
(shared_errors.py), covariance (covariance.py).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .covariance import at_rest, common_mode, condition_number, inverse_information
from .errors import ConfigurationError, ExposureError
from .linearise import linearise, squared
from .motion_field import Array
from .motion_points import MotionPoints
from .robust import (
    hidden_contamination,
    likelihood_cost,
    median,
    residual_scale,
    tukey_information,
    tukey_weight,
)
from .shared_errors import shared_information
from .start import start_motions

# Steps below this share of a standard deviation, squared, change nothing.
_CONVERGED = 1e-2
_TINY = float(np.finfo(np.float64).tiny)
_SCALE_FLOOR = 1e-9


class _Stage(NamedTuple):
    """A round of the search: points, iterations, and how many of the motions go on."""

    points: int
    iterations: int
    survivors: int


_SEARCH = (_Stage(100, 2, 5), _Stage(250, 2, 3))
_SEARCH_TUKEY = 3.0
_WITHIN_REACH = 20.0
_SAME = 0.5
# Variance per squared share of hidden outliers, in units of the estimate's own; found on fields with 30 % of them.
_PULL = 2.0
_CLEAR_FLOW2 = 16.0
_MAXIMUM_EFFORT = 8.0
# A step seldom draws a flow that a turn against it hides: its prior reaches two fifths of the flow, noise included.
_STEP_REACH = 0.4
# So many points for each that errs independently, and never fewer: more would say the same again.
_POINTS_EACH, _FEWEST_POINTS = 125, 280


@dataclass(frozen=True)
class SolverOptions:
    """Options of the solve. An infinite prior turns it off and gives plain least squares.

    prior_angular_rad_s, prior_linear_m_s: standard deviation of the zero-mean prior per axis, of steps less where the image is
    sharp; exposure_relative_sigma:
    relative error of the exposure time; border_px: margin of the canonical view left out; max_points: of a larger grid a
    random sample is used; max_iterations: of the final refinement; tukey: residuals beyond this many scales are
    rejected; min_residual_scale: the covariance never assumes residuals smaller than this share of the sigmas, since what all
    points of an image get wrong together leaves no residual.
    """

    prior_angular_rad_s: float = 10.0
    prior_linear_m_s: float = 0.7
    exposure_relative_sigma: float = 0.05
    border_px: float = 8.0
    max_points: int = 2240
    max_iterations: int = 8
    tukey: float = 2.5
    min_residual_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("prior_angular_rad_s", "prior_linear_m_s", "max_points", "max_iterations", "tukey"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(
                    f"solver option {name} is {getattr(self, name)}: give a positive number"
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
    that the image removed, 0 (all prior) to 1 (all data); condition: see condition_number; residual_px: median length of
    the residual; blur_px: median length of the predicted flow over the exposure.
    """

    twist: Array
    covariance: Array
    observability: Array
    condition: float
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
    fraction = min(1.0, calibration.independent_fraction * points.grid_count / points.count)
    draws = _drawn(points)
    prior = 1 / _prior_sigmas(points, draws, exposure_s, calibration, options) ** 2

    motions = _search(points, prior, fraction)
    if points.precision is None:
        motions = _refine(points, motions, prior, fraction, options.tukey, options.max_iterations)
    if len(motions) > 1:
        motions = motions[np.argsort(_costs(points, motions, prior, fraction))]
    motion, shared = _settle(points, motions[0], prior, fraction, options)
    return _describe(points, motion, shared, draws, exposure_s, prior, fraction, calibration, options)


def _drawn(points: MotionPoints) -> Array:
    """Median flow [6] in px of the turn and of the step, of one rad and one metre, that draw most."""
    each = median(np.abs(points.rows) * points.sigma)
    return np.repeat([each[:3].max(), each[3:].max()], 3)


def _prior_sigmas(
    points: MotionPoints, draws: Array, exposure_s: float, calibration: Calibration, options: SolverOptions
) -> Array:
    """Standard deviations [6] of the prior in rad and m. A sharp image says that the camera stands still, rather than that it
    turns as it steps aside so that nothing is seen of either."""
    sigmas = np.repeat([options.prior_angular_rad_s, options.prior_linear_m_s], 3) * exposure_s
    if np.isfinite(options.prior_linear_m_s):
        flow_px = float(median(np.sqrt(squared(points.q) + 2) * points.sigma)[0])
        reach_px = _STEP_REACH * max(flow_px, calibration.min_blur_px)
        sigmas[3:] = np.minimum(sigmas[3:], reach_px / np.maximum(draws[3:], _TINY))
    return sigmas


def _search(points: MotionPoints, prior: Array, fraction: float) -> Array:
    """The best [H, 6] of many starts, refined on ever more points as they grow fewer: one, rarely more, and exactly zero
    where standing still explains the field better."""
    # Where the noise is independent and longer than the flow, only more points can tell the starts apart.
    effort = np.clip(
        fraction * _CLEAR_FLOW2 / max(float(median(squared(points.q))[0]), 1.0), 1, _MAXIMUM_EFFORT
    )
    motions = start_motions(points.first(int(effort * _SEARCH[0].points)), 2)
    # Where points share their errors, many of them say little more than a few, and all of them are asked next.
    for stage in _SEARCH if points.precision is None else _SEARCH[:1]:
        few = points.first(int(effort * stage.points))
        share = min(1.0, fraction * points.count / few.count)
        motions = np.vstack(
            [_refine(few, motions, prior, share, _SEARCH_TUKEY, stage.iterations), np.zeros(6)]
        )
        costs = _costs(few, motions, prior, share) / share
        order = np.argsort(costs)
        costs = costs[order]
        # Starts that arrived at the same place have the same cost.
        fresh = np.concatenate([[True], costs[1:] - costs[:-1] > _SAME])
        motions, costs = motions[order[fresh]][: stage.survivors], costs[fresh][: stage.survivors]
    # A sample that holds all the evidence there is decides; otherwise those within its reach wait for all points.
    return motions[costs < costs[0] + _WITHIN_REACH] if share == 1 else motions[:1]


def _costs(points: MotionPoints, motions: Array, prior: Array, fraction: float) -> Array:
    """Robust negative log posterior [H] (times two) of motions [H, 6], at the residual scale of the best of them."""
    model = linearise(points, motions)
    moving = motions.any(axis=1, keepdims=True)
    distance2 = np.where(moving, model.distance2, squared(points.q))
    scale2 = max(float(residual_scale(distance2).min()), _SCALE_FLOOR) ** 2
    spread2 = float(np.mean(squared(points.q))) / 2
    log_det = np.log(model.determinant) + model.surprise
    return fraction * likelihood_cost(distance2, log_det, scale2, spread2) + motions**2 @ prior


def _refine(
    points: MotionPoints, motion: Array, prior: Array, fraction: float, tukey: float, iterations: int
) -> Array:
    """Gauss-Newton with redescending weights on each of the motions [H, 6]."""
    scale = np.ones((len(motion), 1))
    for _ in range(iterations):
        model = linearise(points, motion, np.minimum(scale, 1.0))
        scale = np.maximum(residual_scale(model.distance2), _SCALE_FLOOR)
        robust = tukey_weight(model.distance2, scale * scale, tukey)
        # The prior weighs as much as scale^2 / fraction points of unit sigma.
        weight = scale * scale / fraction * prior
        gradient = model.gradient(points.rows, robust) - weight * motion
        step = _solve(model.information(points.rows, robust), weight, gradient)
        motion = motion + step
        if np.all(np.sum(step * gradient, axis=1) < _CONVERGED / fraction * scale[:, 0] ** 2):
            break
    return motion


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
        step = _solve(fraction * information[None], prior, gradient[None])[0]
        motion = motion + step
        if step @ gradient < _CONVERGED:
            break
    return motion, fraction * information


def _solve(information: Array, weight: Array, gradient: Array) -> Array:
    """Solve ([H, 6, 6] + diag([H, 6])) x = [H, 6], columns scaled to one, with a ridge that only matters where nothing is
    observed."""
    diagonal = information.reshape(-1, 36)[:, ::7] + weight
    scale = 1 / np.sqrt(np.maximum(diagonal, _TINY))
    scaled = information * scale[:, :, None] * scale[:, None]
    scaled.reshape(-1, 36)[:, ::7] = diagonal * scale * scale + 1e-13
    return np.linalg.solve(scaled, (gradient * scale)[..., None])[..., 0] * scale


def _describe(
    points: MotionPoints,
    motion: Array,
    shared: Array | None,
    draws: Array,
    exposure_s: float,
    prior: Array,
    fraction: float,
    calibration: Calibration,
    options: SolverOptions,
) -> VelocitySolution:
    """Covariance, observability and the figures of merit of a solved motion [6] (rad, m).

    shared: the data's information [6, 6] where points share their errors; draws: see _drawn.
    """
    model = linearise(points, motion[None], marginal=True)
    distance2 = model.distance2 if motion.any() else squared(points.q)[None]
    scale = np.maximum(residual_scale(distance2), max(options.min_residual_scale, _SCALE_FLOOR))
    robust = tukey_weight(distance2, scale * scale, options.tukey)
    per_point = tukey_information(options.tukey) * fraction / scale[0, 0] ** 2
    pull = fraction * points.count * hidden_contamination(distance2[0], float(scale[0, 0] ** 2)) ** 2
    data = per_point * model.information(points.rows, robust)[0] if shared is None else shared
    data /= 1 + _PULL * max(0.0, pull - 1)
    covariance = inverse_information(data + np.diag(prior))

    blur_px = float(median(model.length[0] * points.sigma)[0])
    widen = np.sqrt(np.asarray(calibration.covariance_scale))
    widened = covariance * widen[:, None] * widen
    if blur_px < calibration.min_blur_px:
        widened = at_rest(widened, calibration.min_blur_px / draws)
    twist = motion / exposure_s
    common = common_mode(twist, options.exposure_relative_sigma, calibration.depth_scale_sigma)
    return VelocitySolution(
        twist=twist,
        covariance=widened / exposure_s**2 + common,
        observability=np.clip(1 - np.diag(covariance) * prior, 0.0, 1.0),
        condition=condition_number(data),
        points_used=int(np.count_nonzero(robust)),
        residual_px=float(median(np.sqrt(distance2[0]) * points.sigma)[0]),
        blur_px=blur_px,
    )
