"""Tukey's redescending weight for two-component residuals, and what it costs in efficiency."""

from functools import lru_cache

import numpy as np

from ..motion_field import Array

# Median of the length of a standard normal 2-vector (Rayleigh).
RAYLEIGH_MEDIAN = float(np.sqrt(2 * np.log(2)))
_OUTLIER_FLOOR = 9.0
_CORE2, _SHOULDER2 = 2.0**2, 4.5**2


def tukey_weight(distance2: Array, scale2: Array, tuning: float) -> Array:
    """Weight (1 - d^2 / (c s)^2)^2 inside c s, 0 outside; distance2: [H, N], scale2: [H, 1]."""
    inside = np.maximum(1 - distance2 / (tuning * tuning * scale2), 0.0)
    return inside * inside


def flat_weight(distance2: Array, scale: float, reach: float) -> Array:
    """Weight [N] that is one up to `reach` scales and falls to zero at 1.6 times that; where points share their errors, weights
    that differ from point to point would make noise of what they share."""
    return np.clip((1.6 - np.sqrt(distance2) / (reach * scale)) / 0.6, 0.0, 1.0)


def likelihood_cost(distance2: Array, log_det: Array, scale2: float, spread2: float) -> Array:
    """Minus two log likelihood [H], up to a constant, of points that are Gaussian inliers or from a broad density.

    distance2, log_det: [H, N]; scale2: variance of the inliers; spread2: variance of the measurements altogether. Unlike
    a bounded weight it lets hypotheses with different covariances compete: an inlier pays for its log determinant.
    """
    outlier = max(_OUTLIER_FLOOR, 2 + 2 * np.log(max(spread2 / scale2, 1.0)))
    return np.sum(np.minimum(distance2 / scale2 + log_det, outlier), axis=1)


@lru_cache(maxsize=8)
def tukey_information(tuning: float) -> float:
    """Information of the estimate per unit of summed weight, for Gaussian residuals of unit scale.

    The estimate's covariance is s^2 E[psi^2] / E[psi']^2 (A^T W A)^-1 (Huber 1964), and the solver sums w A^T W A.
    """
    half = (np.arange(20000) + 0.5) * (tuning * tuning / 2 / 20000)
    density = np.exp(-half) * (tuning * tuning / 2 / 20000)
    u = 2 * half / (tuning * tuning)
    weight = (1 - u) ** 2
    mean_weight = float(np.sum(density * weight))
    variance = float(np.sum(density * half * weight**2))
    slope = float(np.sum(density * (weight - 2 * u * (1 - u))))
    return slope * slope / (variance * mean_weight)


def residual_scale(distance2: Array) -> Array:
    """Robust scale of whitened 2-vector residuals from the median of their length: [H, N] -> [H, 1]."""
    return np.sqrt(median(distance2)) / RAYLEIGH_MEDIAN


def median(values: Array) -> Array:
    """Upper median along the last axis, [..., N] -> [..., 1]; several times faster than NumPy's on small arrays."""
    middle = values.shape[-1] // 2
    return np.partition(values, middle, axis=-1)[..., middle : middle + 1]


def hidden_contamination(distance2: Array, scale2: float) -> float:
    """Share of points between 2 and 4.5 scales in excess of the Gaussian tail of those nearer, [N] -> 0..1.

    Outliers there belong to a population that overlaps with the inliers (an object moving nearly as the camera does):
    those of it inside are not rejected and all pull the same way, so that the error grows with their share.
    """
    reach2 = 2.5**2
    # Mean of d^2 of a Gaussian 2-vector truncated at reach.
    truncated = 2 * (1 - reach2 / 2 / np.expm1(reach2 / 2))
    for _ in range(6):
        inner2 = float(distance2[distance2 <= reach2 * scale2].mean()) / truncated
        if inner2 > 0.99 * scale2:
            break
        scale2 = inner2
    core = np.count_nonzero(distance2 < _CORE2 * scale2)
    shoulder = np.count_nonzero(distance2 < _SHOULDER2 * scale2) - core
    expected = (np.exp(-_CORE2 / 2) - np.exp(-_SHOULDER2 / 2)) / (1 - np.exp(-_CORE2 / 2))
    return max(0.0, float(shoulder - expected * core)) / distance2.size
