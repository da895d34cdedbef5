"""First guesses for the solve: a blur fixes the axis of the flow at each point, hence the motion up to scale and sign."""

import numpy as np

from .motion_field import Array
from .motion_points import MotionPoints


def start_motions(points: MotionPoints, count: int) -> Array:
    """The `count` motions that best explain the directions of the flow, [count, 6] (rad, m), scaled to its length.

    True flow is parallel to the measured axis, so n_i^T A_i p = 0 for the axis normals n_i. The motions are the
    eigenvectors of that normal matrix with the smallest share of flow energy across the axes: energy, and not the
    Euclidean length of p, makes metres, radians and badly observed directions comparable.
    """
    rows_u, rows_v = points.matrix
    length2 = points.flow[0] ** 2 + points.flow[1] ** 2
    # The axis of a flow no longer than its noise is anybody's guess.
    weight = length2 / (length2 + 4 * points.sigma**2) / points.sigma**2
    length = np.sqrt(length2)
    across = (points.flow[0] * rows_v - points.flow[1] * rows_u) / np.maximum(length, 1e-12)
    misfit = (weight * across) @ across.T
    energy = (weight * rows_u) @ rows_u.T + (weight * rows_v) @ rows_v.T
    energy += np.diag(1e-9 * np.diag(energy) + np.finfo(np.float64).tiny)
    whitener = np.linalg.inv(np.linalg.cholesky(energy)).T
    _, vectors = np.linalg.eigh(whitener.T @ misfit @ whitener)
    motions = (whitener @ vectors[:, :count]).T
    predicted = np.sqrt((motions @ rows_u) ** 2 + (motions @ rows_v) ** 2)
    return motions * (np.median(length) / np.maximum(np.median(predicted, axis=1), np.finfo(np.float64).tiny))[:, None]
