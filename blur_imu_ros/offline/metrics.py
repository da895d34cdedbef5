"""Error measures of virtual IMU estimates against true velocities; pure functions of arrays.

Throughout: [n, 6] twists are (wx, wy, wz, vx, vy, vz) in rad/s and m/s in the camera optical frame, NaN marks what is
unknown, and blur is in pixels at width 320 (median over the grid of |A p| with true velocity and predicted depth; of the
rotation alone where the linear velocity is unknown).
RMSE and ratios follow the paper (arXiv 2503.17358, section 5): nearest truth stamp, no filtering.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

# Quantile 0.95 of the chi-square distribution with 3 and with 6 degrees of freedom.
CHI2_95 = {3: 7.814727903251179, 6: 12.591587243743977}
STANDSTILL_RAD_S = 0.05
BLURRED_PX = 1.0
SHARP_PX = 0.5
SIGN_BINS = np.linspace(0.5, 1.0, 6)


@dataclass(frozen=True)
class EvaluatedFrames:
    """Estimates of n frames beside their truth.

    stamps_ns int64 [n]; twist and truth [n, 6]; covariance [n, 6, 6]; truth_sigma [n, 6]; sign_probability [n];
    blur_px [n] true blur at width 320; pixel_rate [n] focal (at width 320) times exposure, px per rad/s;
    inverse_depth_error [n] mean absolute relative error, NaN without true depth; exposure_s [n]; latency_ms [n].
    """

    stamps_ns: np.ndarray
    twist: np.ndarray
    covariance: np.ndarray
    sign_probability: np.ndarray
    truth: np.ndarray
    truth_sigma: np.ndarray
    blur_px: np.ndarray
    pixel_rate: np.ndarray
    inverse_depth_error: np.ndarray
    exposure_s: np.ndarray
    latency_ms: np.ndarray

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @classmethod
    def concatenate(cls, parts: list[EvaluatedFrames]) -> EvaluatedFrames:
        return cls(
            **{name: np.concatenate([getattr(p, name) for p in parts]) for name in cls.__dataclass_fields__}
        )


def true_sign(twist: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The factor +1 or -1 [n] that turns each twist towards the truth, NaN where that is not known or the twist is none.

    It makes w.w_true > 0, or v.v_true where the true rotation stands still.
    """
    angular = np.einsum("ni,ni->n", twist[:, :3], truth[:, :3])
    linear = np.einsum("ni,ni->n", twist[:, 3:], truth[:, 3:])
    turning = np.linalg.norm(truth[:, :3], axis=1) >= STANDSTILL_RAD_S
    product = np.where(turning | np.isnan(linear), angular, linear)
    return np.where(np.isnan(product) | (product == 0), np.nan, np.where(product < 0, -1.0, 1.0))


def rmse(error: np.ndarray) -> np.ndarray:
    """Root mean square over the known rows of [n, k], per column [k]; NaN for a column without any."""
    known = np.isfinite(error)
    count = known.sum(axis=0)
    total = np.where(known, error, 0.0) ** 2
    return np.sqrt(np.divide(total.sum(axis=0), count, out=np.full(error.shape[1], np.nan), where=count > 0))


def velocity_errors(frames: EvaluatedFrames) -> dict[str, Any]:
    """RMSE per axis beside that of predicting zero, and their ratios pooled over axes and per axis."""
    known = np.where(np.isfinite(frames.twist), frames.truth, np.nan)
    error, zero = rmse(frames.twist - known), rmse(known)
    worthwhile = (zero > 0) & (zero >= 3 * rmse(frames.truth_sigma))
    axis_ratio = np.divide(error, zero, out=np.full(6, np.nan), where=worthwhile)
    angular_error = np.linalg.norm((frames.twist - known)[:, :3], axis=1)
    linear_error = np.linalg.norm((frames.twist - known)[:, 3:], axis=1)
    return {
        "angular_rmse": error[:3],
        "linear_rmse": error[3:],
        "angular_zero_rmse": zero[:3],
        "linear_zero_rmse": zero[3:],
        "angular_ratio": _ratio(error[:3], zero[:3]),
        "linear_ratio": _ratio(error[3:], zero[3:]),
        "axis_ratio": axis_ratio,
        "angular_median_error": _median(angular_error),
        "linear_median_error": _median(linear_error),
    }


def sign_accuracy(frames: EvaluatedFrames) -> float:
    """Share of the frames over 1 px of blur whose estimate points the right way; NaN if there are none."""
    right = true_sign(frames.twist, frames.truth)[frames.blur_px > BLURRED_PX]
    return _mean(right[np.isfinite(right)] > 0)


def sign_reliability(frames: EvaluatedFrames) -> list[dict[str, Any]]:
    """Stated probability of the sign against how often it is right, in five bins over 0.5 to 1.

    Frames whose true motion is within 3 sigma of the truth's own noise are left out: their true sign is not known.
    """
    sign = true_sign(frames.twist, frames.truth)
    moving = np.abs(frames.truth) > 3 * frames.truth_sigma
    usable = np.isfinite(sign) & moving.any(axis=1)
    bins = np.digitize(frames.sign_probability, SIGN_BINS[1:-1])
    rows = []
    for i in range(len(SIGN_BINS) - 1):
        chosen = usable & (bins == i)
        stated, right = frames.sign_probability[chosen], sign[chosen] > 0
        bounds = [round(float(SIGN_BINS[i]), 3), round(float(SIGN_BINS[i + 1]), 3)]
        rows.append(
            {"bin": bounds, "frames": int(chosen.sum()), "stated": _mean(stated), "right": _mean(right)}
        )
    return rows


def nees(frames: EvaluatedFrames, axes: slice = slice(0, 6)) -> np.ndarray:
    """Normalised estimation error squared [n] over the axes, the variance of the truth added; NaN where unknown."""
    error = (frames.twist - frames.truth)[:, axes]
    known = np.isfinite(error).all(axis=1)
    result = np.full(len(error), np.nan)
    truth_variance = frames.truth_sigma[known][:, axes, None] ** 2 * np.eye(error.shape[1])
    covariance = frames.covariance[known][:, axes, axes] + truth_variance
    solved = np.linalg.solve(covariance, error[known][..., None])[..., 0]
    result[known] = np.einsum("ni,ni->n", error[known], solved)
    return result


def coverage_95(values: np.ndarray, degrees_of_freedom: int) -> float:
    """Share of the known NEES values inside the 95 % ellipsoid."""
    return _mean(values[np.isfinite(values)] <= CHI2_95[degrees_of_freedom])


def sharp_frames(frames: EvaluatedFrames) -> dict[str, Any]:
    """How frames with less than 0.5 px of true blur are reported, per axis of w.

    within_two_sigma: share whose error is inside the estimate's own two sigma; two_sigma_px: median of two sigma times
    focal times exposure, that is the rotation the estimate leaves open, in pixels at width 320.
    """
    # Without its linear velocity a camera that only translates would pass for one at rest.
    sharp = (frames.blur_px < SHARP_PX) & np.isfinite(frames.truth).all(axis=1)
    error = np.abs(frames.twist - frames.truth)[sharp, :3]
    known = np.isfinite(error).all(axis=1)
    two_sigma = 2 * np.sqrt(np.diagonal(frames.covariance, axis1=1, axis2=2)[sharp, :3])
    open_px = two_sigma * frames.pixel_rate[sharp, None]
    return {
        "frames": int(known.sum()),
        "within_two_sigma": [_mean(column) for column in (error <= two_sigma)[known].T],
        "two_sigma_px": [_median(column) for column in open_px[known].T],
    }


def summary(frames: EvaluatedFrames) -> dict[str, Any]:
    """All measures of one set of frames, as JSON-ready values (None where a measure does not exist)."""
    return plain(
        {
            "frames": len(frames),
            **velocity_errors(frames),
            "sign_accuracy": sign_accuracy(frames),
            "sign_reliability": sign_reliability(frames),
            "nees_coverage_95": {
                "all": coverage_95(nees(frames), 6),
                "w": coverage_95(nees(frames, slice(0, 3)), 3),
            },
            "sharp": sharp_frames(frames),
            "blur_px": {"p50": _percentile(frames.blur_px, 50), "p95": _percentile(frames.blur_px, 95)},
            "inverse_depth_abs_rel": _mean(
                frames.inverse_depth_error[np.isfinite(frames.inverse_depth_error)]
            ),
            "latency_ms": {
                "p50": _percentile(frames.latency_ms, 50),
                "p99": _percentile(frames.latency_ms, 99),
            },
        }
    )


def plain(value: Any) -> Any:
    """Turn arrays into lists and numbers that do not exist (NaN) into None, all the way down."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _ratio(error: np.ndarray, zero: np.ndarray) -> float:
    total = float(np.sum(zero**2))
    return math.sqrt(float(np.sum(error**2)) / total) if total > 0 else math.nan


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _median(values: np.ndarray) -> float:
    return _percentile(values, 50)


def _percentile(values: np.ndarray, percent: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.percentile(known, percent)) if len(known) else math.nan
