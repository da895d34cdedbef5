"""Time offset and rotation between a camera and a gyro, from the angular velocities that both report.

Model: w_camera(t) = R w_gyro(t + offset), both constant for the recording; w_camera averages over the exposure, so the
gyro is averaged over it too. R is found in closed form (Wahba's problem by SVD) for every candidate offset, and the
offset by search over the correlation of the two, which a wrong exposure (a common scale) leaves unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

LONGEST_OFFSET_S = 0.5
COARSE_STEP_S = 0.005
FINE_STEP_S = 0.0005
MOST_ROUNDS = 8
FEWEST_FRAMES = 20
LEAST_CORRELATION = 0.5
# One sigma of the least certain direction of R beyond which the rotation is called unobserved (10 degrees).
LARGEST_ROTATION_SIGMA = np.radians(10)


class AlignmentProblem(Enum):
    """Why an alignment must not be used."""

    NONE = "none"
    TOO_FEW_FRAMES = "fewer than 20 frames fall inside the gyro's recording"
    NO_CORRELATION = "camera and gyro do not agree at any offset; is it the right topic, and does the camera move?"
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


@dataclass(frozen=True)
class Gyro:
    """Gyro samples: stamps int64 [m] ns, strictly increasing; rates [m, 3] rad/s in its own frame."""

    stamps_ns: np.ndarray
    rates: np.ndarray

    def mean_rates(self, stamps_ns: np.ndarray, window_s: np.ndarray, offset_s: float = 0.0) -> np.ndarray:
        """Mean rate [n, 3] over windows centred at stamps + offset; NaN outside the recording or across a gap."""
        origin = self.stamps_ns[0]
        t = (self.stamps_ns - origin) * 1e-9
        steps = np.diff(t)
        angle = np.vstack([np.zeros(3), np.cumsum(0.5 * (self.rates[1:] + self.rates[:-1]) * steps[:, None], axis=0)])
        # A window shorter than the sample interval would only pick up rounding of the integral.
        half = np.maximum(window_s, np.median(steps)) / 2
        centre = (stamps_ns - origin) * 1e-9 + offset_s
        inside = (centre - half >= t[0]) & (centre + half <= t[-1])
        gap = steps[np.searchsorted(t, centre).clip(1, len(steps)) - 1]
        inside &= gap <= 10 * np.median(steps)
        ends = [np.stack([np.interp(centre + s * half, t, a) for a in angle.T], axis=1) for s in (-1, 1)]
        return np.where(inside[:, None], (ends[1] - ends[0]) / (2 * half[:, None]), np.nan)


def align(stamps_ns: np.ndarray, w: np.ndarray, sigma: np.ndarray, exposure_s: np.ndarray, gyro: Gyro) -> Alignment:
    """Align n camera angular velocities w [n, 3] rad/s, sigma [n] rad/s, to a gyro.

    The signs of w need only be right for most frames: once R is roughly known it tells the sign of each.
    """
    if len(gyro.stamps_ns) < 2:
        return _failed(AlignmentProblem.TOO_FEW_FRAMES)
    weight = 1.0 / (sigma**2 + np.median(sigma) ** 2)
    coarse = np.arange(-LONGEST_OFFSET_S, LONGEST_OFFSET_S + COARSE_STEP_S / 2, COARSE_STEP_S)
    correlation = [_match(w, weight, gyro.mean_rates(stamps_ns, exposure_s, d))[0] for d in coarse]
    if np.isnan(correlation).all():
        return _failed(AlignmentProblem.TOO_FEW_FRAMES)
    best = int(np.nanargmax(correlation))
    if correlation[best] < LEAST_CORRELATION:
        return _failed(AlignmentProblem.NO_CORRELATION, correlation[best])
    if best in (0, len(coarse) - 1):
        return _failed(AlignmentProblem.OFFSET_AT_LIMIT, correlation[best])
    offset = float(coarse[best])
    for _ in range(MOST_ROUNDS):
        before = offset
        rates = gyro.mean_rates(stamps_ns, exposure_s, offset)
        _, rotation, scale = _match(w, weight, rates)
        w, robust = _against(w, scale * rates @ rotation.T, weight)
        fine = offset + np.arange(-2 * COARSE_STEP_S, 2 * COARSE_STEP_S, FINE_STEP_S)
        offset = _peak(fine, [_match(w, robust, gyro.mean_rates(stamps_ns, exposure_s, d))[0] for d in fine])
        if abs(offset - before) < FINE_STEP_S:
            break
    return _with_uncertainty(offset, w, robust, stamps_ns, exposure_s, gyro)


def _match(w: np.ndarray, weight: np.ndarray, rates: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Correlation, rotation and scale that best turn gyro rates into w (Wahba's problem); NaN with too few frames."""
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


def _against(w: np.ndarray, predicted: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """w with the sign nearer to the prediction, and weights that leave out what still disagrees (Tukey)."""
    sign = np.where(np.einsum("ni,ni->n", w, predicted) < 0, -1.0, 1.0)
    turned = w * sign[:, None]
    distance = np.linalg.norm(turned - predicted, axis=1) * np.sqrt(weight)
    limit = 4.685 * max(1.4826 * float(np.nanmedian(distance)), 1e-12)
    return turned, weight * np.clip(1 - np.nan_to_num(distance, nan=np.inf) / limit, 0, None) ** 2


def _peak(x: np.ndarray, y: list[float]) -> float:
    """Position of the maximum of y, refined by a parabola through its neighbours."""
    i = int(np.clip(np.nanargmax(y), 1, len(x) - 2))
    bend = y[i - 1] - 2 * y[i] + y[i + 1]
    shift = 0.5 * (y[i - 1] - y[i + 1]) / bend if bend < 0 else 0.0
    return float(x[i] + np.clip(shift, -1, 1) * (x[1] - x[0]))


def _with_uncertainty(
    offset: float, w: np.ndarray, weight: np.ndarray, stamps_ns: np.ndarray, exposure_s: np.ndarray, gyro: Gyro
) -> Alignment:
    """Final match at the offset, with the covariance of (rotation, offset) from the linearised model."""
    rates = gyro.mean_rates(stamps_ns, exposure_s, offset)
    correlation, rotation, scale = _match(w, weight, rates)
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
    variance = float(np.sum(k[:, None] * residual**2)) / max(3 * len(k) - 4, 1)
    information = np.einsum("n,nik,nil->kl", k, jacobian, jacobian)
    covariance = variance * np.linalg.pinv(information + np.eye(4) * 1e-12 * np.trace(information))
    rotation_sigma = float(np.sqrt(np.linalg.eigvalsh(covariance[:3, :3])[-1]))
    problem = AlignmentProblem.ONE_AXIS_ONLY if rotation_sigma > LARGEST_ROTATION_SIGMA else AlignmentProblem.NONE
    return Alignment(
        offset, float(np.sqrt(covariance[3, 3])), rotation, rotation_sigma, correlation, scale, int(used.sum()), problem
    )


def _failed(problem: AlignmentProblem, correlation: float = np.nan) -> Alignment:
    return Alignment(np.nan, np.nan, np.full((3, 3), np.nan), np.nan, correlation, np.nan, 0, problem)
