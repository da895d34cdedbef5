"""First guesses for the solve: a blur fixes the axis of the flow at each point, hence the motion up to scale and sign."""

import numpy as np

from ..motion_field import Array
from .linearise import predicted_flow, squared
from .motion_points import MotionPoints
from .robust import median

_TINY = float(np.finfo(np.float64).tiny)


def start_motions(points: MotionPoints, per_region: int) -> Array:
    """Motions that best explain the directions of the flow in parts of the image, [K, 6] (rad, m), scaled to its length.

    True flow is parallel to the measured axis, so n_i^T A_i p = 0 for the axis normals n_i. The motions are the
    eigenvectors of that normal matrix with the smallest share of flow energy across the axes: energy, and not the
    Euclidean length of p, makes metres, radians and badly observed directions comparable. Parts of the image are tried
    beside the whole, for one of them may be free of the moving object that spoils the others.
    """
    length2 = squared(points.flow)
    length = np.sqrt(length2)
    axis = points.flow / np.maximum(length, _TINY)
    across = (points.rows * axis.conj()).imag
    # The axis of a flow no longer than its noise is anybody's guess.
    weight = _regions(points) * (length2 / (length2 + 4))
    misfit = _normal_matrices(weight, across[:, None] * across)
    energy = _normal_matrices(weight, (points.rows[:, None] * points.rows.conj()).real)
    energy += (1e-9 * np.einsum("rii->ri", energy) + _TINY)[:, :, None] * np.eye(6)
    whitener = np.linalg.inv(np.linalg.cholesky(energy))
    _, vectors = np.linalg.eigh(whitener @ misfit @ whitener.transpose(0, 2, 1))
    best = whitener.transpose(0, 2, 1) @ vectors[:, :, :per_region]
    motions = best.transpose(0, 2, 1).reshape(-1, 6)
    predicted = median(np.abs(predicted_flow(motions, points.rows)))
    return motions * (median(length) / np.maximum(predicted, _TINY))


def _regions(points: MotionPoints) -> Array:
    """Indicator [R, N] of the whole image, its halves, its middle and its rim."""
    x, y = points.place.real, points.place.imag
    radius2 = squared(points.place)
    inner = radius2 < median(radius2)
    return np.array([np.ones(points.count), x < 0, x >= 0, y < 0, y >= 0, inner, ~inner])


def _normal_matrices(weight: Array, products: Array) -> Array:
    """Weighted sums [R, 6, 6] of products [6, 6, N] with weights [R, N]."""
    return (weight @ products.reshape(36, -1).T).reshape(-1, 6, 6)
