"""Whether a stated covariance keeps its word: of all frames, p % should lie inside the p % ellipsoid."""

from __future__ import annotations

import math

import numpy as np

from ..offline.metrics import EvaluatedFrames, nees

LEVELS = (0.5, 0.9, 0.95)
PARTS = {"all": slice(0, 6), "w": slice(0, 3), "v": slice(3, 6)}


def chi2_probability(values: np.ndarray, freedom: int) -> np.ndarray:
    """Probability [n] that a chi-square variable of 3 or 6 degrees of freedom is below each value; NaN stays NaN."""
    half = np.asarray(values, np.float64) / 2
    if freedom == 6:
        return 1 - np.exp(-half) * (1 + half + half**2 / 2)
    if freedom != 3:
        raise ValueError(f"{freedom} degrees of freedom: only 3 and 6 are needed here")
    erf = np.array([math.erf(x) for x in np.sqrt(half)])
    return erf - 2 * np.sqrt(half / np.pi) * np.exp(-half)


def inside_probability(frames: EvaluatedFrames, part: str) -> np.ndarray:
    """Smallest stated probability [m] whose ellipsoid contains the truth, for every frame that states a covariance.

    Uniform over 0..1 where the covariance is right, crowded near 1 where it is too small. `part` is a key of PARTS.
    """
    axes = PARTS[part]
    probability = chi2_probability(nees(frames, axes), axes.stop - axes.start)
    return probability[np.isfinite(probability)]


def coverage(frames: EvaluatedFrames) -> dict[str, dict[str, float]]:
    """Share of the frames inside the 50, 90 and 95 % ellipsoid, per part; NaN where none states a covariance."""
    shares: dict[str, dict[str, float]] = {}
    for part in PARTS:
        inside = inside_probability(frames, part)
        shares[part] = {
            f"{level:.0%}": float(np.mean(inside <= level)) if len(inside) else np.nan for level in LEVELS
        }
    return shares
