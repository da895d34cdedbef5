"""Tukey's redescending weight for two-component residuals, and what it costs in efficiency."""

from functools import lru_cache

import numpy as np

from .motion_field import Array

# Median of the length of a standard normal 2-vector (Rayleigh).
RAYLEIGH_MEDIAN = float(np.sqrt(2 * np.log(2)))


def tukey_weight(distance2: Array, scale2: Array, tuning: float) -> Array:
    """Weight (1 - d^2 / (c s)^2)^2 inside c s, 0 outside; distance2: [H, N], scale2: [H, 1]."""
    inside = np.maximum(1 - distance2 / (tuning * tuning * scale2), 0.0)
    return inside * inside


def tukey_cost(distance2: Array, scale2: Array, tuning: float) -> Array:
    """Tukey's cost with the curvature of d^2 / s^2 at zero; at most c^2 / 3."""
    inside = np.maximum(1 - distance2 / (tuning * tuning * scale2), 0.0)
    return tuning * tuning / 3 * (1 - inside * inside * inside)


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
    middle = distance2.shape[-1] // 2
    return np.sqrt(np.partition(distance2, middle, axis=-1)[..., middle : middle + 1]) / RAYLEIGH_MEDIAN
