"""One exposure time for a recording whose camera does not report it, fitted against a known angular velocity.

The network measures motion over the exposure; the velocity is that motion divided by the exposure. A wrong exposure
therefore scales every velocity, and the right one makes them agree with a gyro or motion capture.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .errors import ExposureError

SHORTEST_S = 0.5e-3
COARSE_CANDIDATES = 9
COARSE_FRAMES = 40
FINE_STEPS = 10
GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0

Solve = Callable[[int, float], np.ndarray]
"""Solve(frame index, exposure in seconds) -> angular velocity [3] rad/s, of either sign."""


def fit_exposure(solve: Solve, truth: np.ndarray, longest_s: float) -> float:
    """Return the exposure in seconds with the least mean length of the angular error.

    The mean length, not its square, so that a few failed frames cannot pull it; each solution takes the sign nearer to
    the truth, since a single blur does not tell it. truth: [n, 3] rad/s, NaN rows are skipped. longest_s: no exposure
    is longer than the frame interval. Coarse on some frames, logarithmic; then golden section on all. Raises ExposureError.
    """
    known = np.flatnonzero(np.isfinite(truth).all(axis=1))
    if known.size == 0 or not np.any(np.abs(truth[known]) > 0):
        raise ExposureError("exposure cannot be fitted: no frame has a known turning rate; state the exposure instead")
    if not longest_s > SHORTEST_S:
        raise ExposureError(f"exposure cannot be fitted: the frame interval is {longest_s:g} s; are the stamps right?")

    def error(exposure_s: float, frames: np.ndarray) -> float:
        w = np.array([solve(int(i), exposure_s) for i in frames])
        nearer = np.minimum(np.linalg.norm(w - truth[frames], axis=1), np.linalg.norm(w + truth[frames], axis=1))
        return float(np.mean(nearer))

    # The frames that turn fastest tell the scale best.
    fastest = known[np.argsort(-np.linalg.norm(truth[known], axis=1))][:COARSE_FRAMES]
    candidates = np.geomspace(SHORTEST_S, longest_s, COARSE_CANDIDATES)
    best = int(np.argmin([error(c, fastest) for c in candidates]))
    low, high = np.log(candidates[[max(best - 1, 0), min(best + 1, COARSE_CANDIDATES - 1)]])
    return float(np.exp(_golden_section(lambda x: error(float(np.exp(x)), known), low, high)))


def _golden_section(f: Callable[[float], float], low: float, high: float) -> float:
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    f_left, f_right = f(left), f(right)
    for _ in range(FINE_STEPS):
        if f_left <= f_right:
            high, right, f_right = right, left, f_left
            left = high - GOLDEN * (high - low)
            f_left = f(left)
        else:
            low, left, f_left = left, right, f_right
            right = low + GOLDEN * (high - low)
            f_right = f(right)
    return (low + high) / 2
