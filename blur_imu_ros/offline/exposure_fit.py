"""One exposure time for a recording whose camera does not report it, fitted against a known angular velocity.

The network measures motion over the exposure; the velocity is that motion divided by the exposure. A wrong exposure
therefore scales every velocity, and the right one makes them agree with a gyro or motion capture. The motion itself
depends on the exposure only through the solver's prior on velocity, that is weakly and smoothly, so few solves do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import ExposureError

SHORTEST_S = 0.5e-3
COARSE_CANDIDATES = 8
COARSE_FRAMES = 40
MOST_ROUNDS = 8
# Of the logarithm of the exposure: distance of the three solves between which the motion is interpolated.
NODE_STEPS = (0.35, 0.1)

Solve = Callable[[int, float], np.ndarray]
"""Solve(frame index, exposure in seconds) -> angular velocity [3] rad/s, of either sign."""


def fit_exposure(solve: Solve, truth: np.ndarray, longest_s: float) -> float:
    """Return the exposure in seconds with the least robust angular error e: the mean of e / (e + c).

    c is the median turning rate, so that failed frames cannot pull the fit; each solution takes the sign nearer to the
    truth, since a single blur does not tell it. truth: [n, 3] rad/s, NaN rows are skipped. longest_s: no exposure is
    longer than the frame interval. Coarse on the fastest frames, fine on all. Raises ExposureError.
    """
    frames = np.flatnonzero(np.isfinite(truth).all(axis=1))
    truth = truth[frames]
    if not np.any(np.abs(truth) > 0):
        raise ExposureError(
            "exposure cannot be fitted: no frame has a known turning rate; state the exposure instead"
        )
    if not longest_s > SHORTEST_S:
        raise ExposureError(
            f"exposure cannot be fitted: the frame interval is {longest_s:g} s; are the stamps right?"
        )
    fastest = np.argsort(-np.linalg.norm(truth, axis=1))[:COARSE_FRAMES]
    low, high = np.log(SHORTEST_S), np.log(longest_s)
    candidates = np.linspace(low, high, COARSE_CANDIDATES)
    errors = [
        _error(_motions(solve, frames[fastest], truth[fastest], x), x, truth[fastest]) for x in candidates
    ]
    best = float(candidates[int(np.argmin(errors))])
    for step in NODE_STEPS:
        for _ in range(MOST_ROUNDS):
            centre = best
            nodes = [_motions(solve, frames, truth, centre + k * step) for k in (-1, 0, 1)]
            grid = np.linspace(max(low, centre - step), min(high, centre + step), 101)
            best = float(
                grid[np.argmin([_error(_between(nodes, (x - centre) / step), x, truth) for x in grid])]
            )
            if abs(best - centre) < 0.99 * step:
                break
    return float(np.exp(best))


def limit_note(exposure_s: float, longest_s: float) -> str:
    """A warning where a fitted exposure is at an end of its range, else nothing."""
    if 1.05 * SHORTEST_S < exposure_s < 0.95 * longest_s:
        return ""
    return (
        f"the fitted exposure {exposure_s:.4f} s is at an end of its range ({SHORTEST_S:g} to {longest_s:.4f} s): the "
        "estimates do not agree with the known rotation at any exposure; do not trust them"
    )


def _motions(solve: Solve, frames: np.ndarray, truth: np.ndarray, log_s: float) -> np.ndarray:
    """Rotation [n, 3] in rad over an exposure of that logarithm, each with the sign nearer to the truth."""
    w = np.array([solve(int(i), float(np.exp(log_s))) for i in frames])
    return np.where(np.einsum("ni,ni->n", w, truth) < 0, -1.0, 1.0)[:, None] * w * np.exp(log_s)


def _error(motion: np.ndarray, log_s: float, truth: np.ndarray) -> float:
    error = np.linalg.norm(motion * np.exp(-log_s) - truth, axis=1)
    return float(np.mean(error / (error + np.median(np.linalg.norm(truth, axis=1)) + 1e-9)))


def _between(nodes: list[np.ndarray], t: float) -> np.ndarray:
    """Quadratic interpolation of values at -1, 0 and 1."""
    below, middle, above = nodes
    return middle + t * (above - below) / 2 + t * t * ((above + below) / 2 - middle)
