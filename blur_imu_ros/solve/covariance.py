"""Covariance and observability of a solved motion."""

import numpy as np

from ..motion_field import Array

_RIDGE = 1e-12


def inverse_information(information: Array) -> Array:
    """Inverse of a symmetric positive semi-definite matrix [6, 6]; large, never infinite, where it says nothing."""
    diagonal = np.diag(information)
    scale = 1 / np.sqrt(np.maximum(diagonal, _RIDGE * max(float(diagonal.max()), _RIDGE)))
    values, vectors = np.linalg.eigh(information * scale[:, None] * scale)
    half = scale[:, None] * vectors / np.sqrt(np.maximum(values, _RIDGE))
    return half @ half.T


def at_rest(covariance: Array, sigmas: Array) -> Array:
    """The covariance [6, 6] with no standard deviation, along an axis or any mix of them in units of `sigmas` [6], below one.

    For an image that only says "the flow is below so many pixels": near rest a network's errors are common to all its points,
    and however many agree, none of them is known better than that.
    """
    return bound_eigenvalues(covariance / sigmas / sigmas[:, None], 1.0, np.inf) * sigmas * sigmas[:, None]


def common_mode(twist: Array, exposure_relative_sigma: float, depth_scale_sigma: float) -> Array:
    """Covariance [6, 6] of the errors all points share and that never average out: exposure and depth scale."""
    linear = np.concatenate([np.zeros(3), twist[3:]])
    return exposure_relative_sigma**2 * np.outer(twist, twist) + depth_scale_sigma**2 * np.outer(
        linear, linear
    )


def condition_number(information: Array) -> float:
    """Largest over smallest eigenvalue of the data's information [6, 6] scaled to unit diagonal: 1 where the six
    velocities are told apart perfectly, large where some combination looks like nothing. At most 1e12."""
    diagonal = np.diag(information)
    if not np.all(diagonal > 0):
        return 1 / _RIDGE
    scale = 1 / np.sqrt(diagonal)
    values = np.linalg.eigvalsh(information * scale[:, None] * scale)
    return float(values[-1] / max(values[0], _RIDGE * values[-1]))


def bound_eigenvalues(covariance: Array, floor: float, ceiling: float) -> Array:
    """The covariance made exactly symmetric with every eigenvalue in [floor, ceiling], (rad/s)^2 and (m/s)^2 alike."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    bounded = (vectors * np.clip(values, floor, ceiling)) @ vectors.T
    return (bounded + bounded.T) / 2
