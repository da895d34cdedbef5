"""Time offset and rotation between a camera and a gyro, from the angular velocities that both report.

Model: w_camera(t) = R w_gyro(t + offset), both constant for the recording; w_camera averages over the exposure, so the
gyro is averaged over it too. Neither the signs of w_camera nor its scale (a wrong exposure) need be right: offsets are
ranked by the correlation of the two turning speeds, R is found from several starts by turning each w_camera to the side
of its prediction and solving Wahba's problem in closed form (SVD), and both are then refined together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from ..recordings.gyro import Gyro
from .rotation_match import FEWEST_FRAMES, match, match_any_sign, turn_against

LONGEST_OFFSET_S = 0.5
COARSE_STEP_S = 0.005
FINE_STEP_S = 0.0005
MOST_ROUNDS = 8
SUMMITS = 4
# Of vectors that have nothing in common, each turned to the better side, the correlation is already 0.5 to 0.6.
LEAST_CORRELATION = 0.75
# One sigma of the least certain direction of R beyond which the rotation is called unobserved (10 degrees).
LARGEST_ROTATION_SIGMA = np.radians(10)


class AlignmentProblem(Enum):
    """Why an alignment must not be used."""

    NONE = "none"
    TOO_FEW_FRAMES = "fewer than 20 frames fall inside the gyro's recording"
    NO_CORRELATION = (
        "camera and gyro do not agree at any offset; is it the right topic, and does the camera move?"
    )
    OFFSET_AT_LIMIT = "the best offset is at the end of the search range; are both stamped by the same clock?"
    ONE_AXIS_ONLY = "the camera turned about one axis only; turn it about two or more"


@dataclass(frozen=True)
class Alignment:
    """w_camera(t) = rotation @ w_gyro(t + offset_s).

    rotation [3, 3] turns gyro-frame vectors into the camera optical frame; the sigmas are one standard deviation
    (rotation: of its least certain direction); correlation is 0 to 1; scale: length of w_camera over that of w_gyro.
    """

    offset_s: float
    offset_sigma_s: float
    rotation: np.ndarray
    rotation_sigma_rad: float
    correlation: float
    scale: float
    frames: int
    problem: AlignmentProblem

    @property
    def usable(self) -> bool:
        return self.problem is AlignmentProblem.NONE


def align(
    stamps_ns: np.ndarray, w: np.ndarray, sigma: np.ndarray, exposure_s: np.ndarray, gyro: Gyro
) -> Alignment:
    """Align n camera angular velocities w [n, 3] rad/s of any sign, sigma [n] rad/s, to a gyro."""
    if len(gyro.stamps_ns) < 2:
        return _failed(AlignmentProblem.TOO_FEW_FRAMES)
    weight = 1.0 / (sigma**2 + np.median(sigma) ** 2)
    grid = np.arange(-LONGEST_OFFSET_S, LONGEST_OFFSET_S + COARSE_STEP_S / 2, COARSE_STEP_S)
    speeds = np.array(
        [_speed_correlation(w, weight, gyro.mean_rates(stamps_ns, exposure_s, d)) for d in grid]
    )
    if np.isnan(speeds).all():
        return _failed(AlignmentProblem.TOO_FEW_FRAMES)
    candidates = grid[_summits(speeds)]
    ranked = [match_any_sign(w, weight, gyro.mean_rates(stamps_ns, exposure_s, d)) for d in candidates]
    best = int(np.argmax([correlation for correlation, _ in ranked]))
    correlation, w = ranked[best]
    offset = float(candidates[best])
    if correlation < LEAST_CORRELATION:
        return _failed(AlignmentProblem.NO_CORRELATION, correlation)
    for _ in range(MOST_ROUNDS):
        before = offset
        rates = gyro.mean_rates(stamps_ns, exposure_s, offset)
        _, rotation, scale = match(w, weight, rates)
        w, robust = turn_against(w, scale * rates @ rotation.T, weight)
        fine = offset + np.arange(-2 * COARSE_STEP_S, 2 * COARSE_STEP_S, FINE_STEP_S)
        offset = _peak(fine, [match(w, robust, gyro.mean_rates(stamps_ns, exposure_s, d))[0] for d in fine])
        if abs(offset - before) < FINE_STEP_S:
            break
    if abs(offset) > LONGEST_OFFSET_S - COARSE_STEP_S:
        return _failed(AlignmentProblem.OFFSET_AT_LIMIT, correlation)
    return _with_uncertainty(offset, w, robust, stamps_ns, exposure_s, gyro)


def _speed_correlation(w: np.ndarray, weight: np.ndarray, rates: np.ndarray) -> float:
    """Weighted Pearson correlation of the lengths, which know neither sign, rotation nor scale."""
    known = np.isfinite(rates).all(axis=1)
    if known.sum() < FEWEST_FRAMES:
        return np.nan
    k = weight[known] / weight[known].sum()
    a, b = np.linalg.norm(w[known], axis=1), np.linalg.norm(rates[known], axis=1)
    a, b = a - k @ a, b - k @ b
    total = np.sqrt((k @ a**2) * (k @ b**2))
    return float(k @ (a * b) / total) if total > 0 else 0.0


def _summits(speeds: np.ndarray) -> np.ndarray:
    """Indices of the highest local maxima, the highest first."""
    padded = np.concatenate([[-np.inf], np.nan_to_num(speeds, nan=-np.inf), [-np.inf]])
    peaks = np.flatnonzero(
        (padded[1:-1] >= padded[:-2]) & (padded[1:-1] >= padded[2:]) & np.isfinite(padded[1:-1])
    )
    return peaks[np.argsort(-speeds[peaks])][:SUMMITS]


def _peak(x: np.ndarray, y: list[float]) -> float:
    """Position of the maximum of y, refined by a parabola through its neighbours."""
    i = int(np.clip(np.nanargmax(y), 1, len(x) - 2))
    bend = y[i - 1] - 2 * y[i] + y[i + 1]
    shift = 0.5 * (y[i - 1] - y[i + 1]) / bend if bend < 0 else 0.0
    return float(x[i] + np.clip(shift, -1, 1) * (x[1] - x[0]))


def _with_uncertainty(
    offset: float,
    w: np.ndarray,
    weight: np.ndarray,
    stamps_ns: np.ndarray,
    exposure_s: np.ndarray,
    gyro: Gyro,
) -> Alignment:
    """Final match at the offset, with the covariance of (rotation, offset) from the linearised model."""
    rates = gyro.mean_rates(stamps_ns, exposure_s, offset)
    correlation, rotation, scale = match(w, weight, rates)
    slope = gyro.mean_rates(stamps_ns, exposure_s, offset + COARSE_STEP_S) - gyro.mean_rates(
        stamps_ns, exposure_s, offset - COARSE_STEP_S
    )
    slope /= 2 * COARSE_STEP_S
    used = np.isfinite(rates + slope).all(axis=1) & (weight > 0)
    predicted = scale * rates[used] @ rotation.T
    zero = np.zeros(len(predicted))
    x, y, z = predicted.T
    cross = np.array([[zero, z, -y], [-z, zero, x], [y, -x, zero]]).transpose(2, 0, 1)
    jacobian = np.concatenate([cross, (scale * slope[used] @ rotation.T)[:, :, None]], axis=2)
    k = weight[used]
    residual = w[used] - predicted
    variance = float(np.sum(k[:, None] * residual**2)) / max(3 * len(k) - 4, 1) * _repetition(residual)
    information = np.einsum("n,nik,nil->kl", k, jacobian, jacobian)
    covariance = variance * np.linalg.pinv(information + np.eye(4) * 1e-12 * np.trace(information))
    rotation_sigma = float(np.sqrt(np.linalg.eigvalsh(covariance[:3, :3])[-1]))
    problem = (
        AlignmentProblem.ONE_AXIS_ONLY if rotation_sigma > LARGEST_ROTATION_SIGMA else AlignmentProblem.NONE
    )
    return Alignment(
        offset,
        float(np.sqrt(covariance[3, 3])),
        rotation,
        rotation_sigma,
        correlation,
        scale,
        int(used.sum()),
        problem,
    )


def _repetition(residual: np.ndarray) -> float:
    """How many frames in a row [n, 3] tell the same error, from the correlation of neighbours (first-order process)."""
    repeated = float(np.sum(residual[1:] * residual[:-1]) / max(np.sum(residual**2), 1e-12))
    return float(np.clip((1 + repeated) / max(1 - repeated, 1e-3), 1, 50))


def _failed(problem: AlignmentProblem, correlation: float = np.nan) -> Alignment:
    return Alignment(np.nan, np.nan, np.full((3, 3), np.nan), np.nan, correlation, np.nan, 0, problem)
