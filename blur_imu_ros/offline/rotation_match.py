"""The rotation that turns a gyro's rates into a camera's: Wahba's problem in closed form (SVD), also where signs are open.

Throughout: w [n, 3] a camera's angular velocities and rates [n, 3] a gyro's at the same moments, rad/s, NaN where the gyro
says nothing; weight [n].
"""

from __future__ import annotations

import numpy as np

from ..rigid_motion import rotations

STARTS = 32
FEWEST_FRAMES = 20
EQUAL_CORRELATION = 2e-3


def match(w: np.ndarray, weight: np.ndarray, rates: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Correlation, rotation [3, 3] and scale that best turn rates into w; NaN with too few frames."""
    known = np.isfinite(rates).all(axis=1)
    if known.sum() < FEWEST_FRAMES:
        return np.nan, np.eye(3), np.nan
    a, b, k = w[known], rates[known], weight[known]
    u, s, vt = np.linalg.svd((k[:, None] * a).T @ b)
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    trace, power = float(np.sum(s * flip)), float(np.sum(k[:, None] * b**2))
    total = np.sqrt(float(np.sum(k[:, None] * a**2)) * power)
    if total == 0:
        return 0.0, np.eye(3), np.nan
    return trace / total, (u * flip) @ vt, trace / power


def match_any_sign(w: np.ndarray, weight: np.ndarray, rates: np.ndarray) -> tuple[float, np.ndarray]:
    """Best correlation over rotations and the sign of every frame, from several starts; and w [n, 3] with those signs.

    Of equally good ones, as there are two where the camera turns about two axes only, the one that turns fewest signs.
    """
    found = [(-np.inf, w)]
    for start in rotations(np.random.default_rng(0).normal(size=(STARTS, 4))):
        predicted, rotation = rates @ start.T, start
        for _ in range(10):
            turned = _nearer_side(w, predicted)
            correlation, rotation, _ = match(turned, weight, rates)
            predicted = rates @ rotation.T
        if correlation > -np.inf:
            found.append((correlation, turned))
    best = max(correlation for correlation, _ in found)
    equal = [one for one in found if one[0] >= best - EQUAL_CORRELATION]
    return max(equal, key=lambda one: float(np.sum(weight[:, None] * w * one[1])))


def turn_against(w: np.ndarray, predicted: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """w with the sign nearer to the prediction [n, 3], and weights [n] that leave out what still disagrees (Tukey)."""
    turned = _nearer_side(w, predicted)
    distance = np.linalg.norm(turned - predicted, axis=1) * np.sqrt(weight)
    limit = 4.685 * max(1.4826 * float(np.nanmedian(distance)), 1e-12)
    return turned, weight * np.clip(1 - np.nan_to_num(distance, nan=np.inf) / limit, 0, None) ** 2


def _nearer_side(w: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.where(np.einsum("ni,ni->n", w, predicted) < 0, -1.0, 1.0)[:, None] * w
