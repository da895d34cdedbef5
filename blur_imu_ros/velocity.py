"""Velocity from one blurred image: sign-free robust weighted least squares with covariance and observability.

The steps of the solve: weights that know which way a wrong depth moves the flow (linearise.py), a start from the axes of
the flow (start.py), Gauss-Newton with redescending weights and a weak prior, covariance (covariance.py).
"""

from dataclasses import dataclass

import numpy as np

from .covariance import common_mode, condition_number, inverse_information, rest_information
from .errors import ConfigurationError, ExposureError
from .linearise import linearise
from .motion_field import Array
from .motion_points import MotionPoints
from .robust import residual_scale, tukey_cost, tukey_information, tukey_weight
from .start import start_motions

# Steps below this share of a standard deviation (squared) change nothing.
_CONVERGED = 1e-4
_SCALE_FLOOR = 1e-9


@dataclass(frozen=True)
class SolverOptions:
    """Options of the solve. An infinite prior turns it off and gives plain least squares.

    prior_angular_rad_s, prior_linear_m_s: standard deviation of the zero-mean prior per axis; exposure_relative_sigma:
    relative error of the exposure time; border_px: margin of the canonical view left out; max_points: the grid is thinned
    evenly to this many; search_points, hypotheses: size of the search for the start; max_iterations: of the final
    refinement; tukey: residuals beyond this many scales are rejected; min_residual_scale: the covariance never assumes
    residuals smaller than this share of the sigmas.
    """

    prior_angular_rad_s: float = 5.0
    prior_linear_m_s: float = 1.5
    exposure_relative_sigma: float = 0.05
    border_px: float = 8.0
    max_points: int = 4480
    search_points: int = 400
    hypotheses: int = 3
    max_iterations: int = 8
    tukey: float = 4.0
    min_residual_scale: float = 0.3

    def __post_init__(self) -> None:
        positive = ("prior_angular_rad_s", "prior_linear_m_s", "max_points", "search_points", "hypotheses")
        for name in (*positive, "max_iterations", "tukey"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"solver option {name} is {getattr(self, name)}: give a positive number")
        for name in ("exposure_relative_sigma", "border_px", "min_residual_scale"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ConfigurationError(f"solver option {name} is {getattr(self, name)}: give a finite number >= 0")


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
    sigmas = np.repeat([options.prior_angular_rad_s, options.prior_linear_m_s], 3) * exposure_s
    prior = 1 / sigmas**2

    motion = _search(points, prior, fraction, options)
    if motion.any():
        motion, scale = _refine(points, motion[None], prior, fraction, options.max_iterations, options.tukey)
        motion = motion[0]
    return _describe(points, motion, exposure_s, prior, fraction, calibration, options)


def _search(points: MotionPoints, prior: Array, fraction: float, options: SolverOptions) -> Array:
    """The best of several starts refined on a thinned field, or exactly zero where standing still explains it better."""
    few = points.thinned(options.search_points)
    fraction = min(1.0, fraction * points.count / few.count)
    motions, _ = _refine(few, start_motions(few, options.hypotheses), prior, fraction, 10, options.tukey)
    model = linearise(few, motions, np.ones((len(motions), 1)))
    still = np.sum(few.q**2, axis=0) / few.sigma**2
    distance2 = np.vstack([model.distance2, still])
    log_det = np.vstack([model.log_det, 4 * np.log(few.sigma)])
    motions = np.vstack([motions, np.zeros(6)])
    scale2 = np.maximum(residual_scale(distance2).min(), _SCALE_FLOOR) ** 2
    misfit = np.sum(tukey_cost(distance2, scale2, options.tukey) + log_det, axis=1)
    return motions[np.argmin(fraction * misfit + motions**2 @ prior)]


def _refine(
    points: MotionPoints, motion: Array, prior: Array, fraction: float, iterations: int, tukey: float
) -> tuple[Array, Array]:
    """Gauss-Newton on each of the motions [H, 6]; returns them with their residual scales [H, 1]."""
    scale = np.ones((len(motion), 1))
    for _ in range(iterations):
        model = linearise(points, motion, np.minimum(scale, 1.0))
        scale = np.maximum(residual_scale(model.distance2), _SCALE_FLOOR)
        robust = tukey_weight(model.distance2, scale**2, tukey)
        # The prior weighs as much as scale^2 / fraction points of unit sigma.
        weight = scale**2 / fraction * prior
        gradient = model.gradient(points.matrix, robust) - weight * motion
        information = model.information(points.matrix, robust) + weight[:, :, None] * np.eye(6)
        step = _solve(information, gradient)
        motion = motion + step
        if np.all(np.sum(step * gradient, axis=1) < _CONVERGED * scale[:, 0] ** 2):
            break
    return motion, scale


def _solve(information: Array, gradient: Array) -> Array:
    """Solve [H, 6, 6] x = [H, 6], columns scaled to one, with a ridge that only matters where nothing is observed."""
    diagonal = np.einsum("hii->hi", information)
    scale = 1 / np.sqrt(np.maximum(diagonal, np.finfo(np.float64).tiny))
    scaled = information * scale[:, :, None] * scale[:, None, :] + 1e-13 * np.eye(6)
    return np.linalg.solve(scaled, (gradient * scale)[..., None])[..., 0] * scale


def _describe(
    points: MotionPoints,
    motion: Array,
    exposure_s: float,
    prior: Array,
    fraction: float,
    calibration: Calibration,
    options: SolverOptions,
) -> VelocitySolution:
    """Covariance, observability and the figures of merit of a solved motion [6] (rad, m)."""
    scale = np.ones((1, 1))
    model = linearise(points, motion[None], scale, marginal=True)
    distance2 = model.distance2 if motion.any() else (np.sum(points.q**2, axis=0) / points.sigma**2)[None]
    scale = np.maximum(residual_scale(distance2), options.min_residual_scale)
    robust = tukey_weight(distance2, scale**2, options.tukey)
    data = model.information(points.matrix, robust)[0] * (tukey_information(options.tukey) * fraction / scale[0, 0] ** 2)
    covariance = inverse_information(data + np.diag(prior))

    blur_px = float(np.median(model.length))
    if blur_px < calibration.min_blur_px:
        covariance += inverse_information(rest_information(points.matrix, calibration.min_blur_px) + np.diag(prior))
    twist = motion / exposure_s
    widen = np.sqrt(np.asarray(calibration.covariance_scale)) / exposure_s
    covariance = covariance * widen[:, None] * widen
    residual = np.median(np.sqrt(distance2[0]) * points.sigma)
    with np.errstate(divide="ignore"):
        observability = np.clip(1 - np.diag(covariance) * exposure_s**2 * prior, 0.0, 1.0)
    return VelocitySolution(
        twist=twist,
        covariance=covariance + common_mode(twist, options.exposure_relative_sigma, calibration.depth_scale_sigma),
        observability=observability,
        condition=condition_number(data),
        points_used=int(np.count_nonzero(robust)),
        residual_px=float(residual),
        blur_px=blur_px,
    )
