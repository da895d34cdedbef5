"""Camera motion over one exposure, drawn so that every blur length and every axis is taught."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blur_imu_ros.motion_field import grid_points, interaction_matrix


@dataclass(frozen=True)
class ExposureMotion:
    """Motion per exposure: twist [6] (rad, m; mean velocity times exposure), its change over the exposure [6],
    and the read-out time of all rows in exposures (0: global shutter)."""

    twist: np.ndarray
    change: np.ndarray
    readout: float = 0.0

    def displacement(self, time: float) -> np.ndarray:
        """Pose [6] (rotation vector, translation) at `time`, in exposures from mid exposure."""
        return self.twist * time + 0.5 * self.change * time * time


def blur_lengths_px(
    twist: np.ndarray, inverse_depth: np.ndarray, focal_px: float, stride: int = 4
) -> np.ndarray:
    """Lengths [h*w] in pixels of the motion field of `twist` (per exposure) over a grid of inverse depths [h,w]."""
    rows, columns = inverse_depth.shape
    x, y = grid_points(columns * stride, rows * stride, stride)
    flow = interaction_matrix(x, y, focal_px, inverse_depth.ravel()) @ twist
    return np.hypot(flow[:, 0], flow[:, 1])


def median_blur_px(twist: np.ndarray, inverse_depth: np.ndarray, focal_px: float, stride: int = 4) -> float:
    """Median of the blur lengths of a view."""
    return float(np.median(blur_lengths_px(twist, inverse_depth, focal_px, stride)))


def _direction(rng: np.random.Generator, size: int) -> np.ndarray:
    vector = rng.normal(size=size)
    if rng.random() < 0.25:
        vector[np.arange(size) != rng.integers(size)] *= 0.05
    return vector / np.linalg.norm(vector)


def _rates(rng: np.random.Generator, log_vigour: float, spread: float) -> np.ndarray:
    """Rates [6] of a hand, drone or robot: 2 rad/s and 0.7 m/s per axis, each half times a log-normal vigour."""
    vigour = np.exp(rng.normal(log_vigour, spread, size=2))
    return np.concatenate((2.0 * vigour[0] * rng.normal(size=3), 0.7 * vigour[1] * rng.normal(size=3)))


def _natural_twist(rng: np.random.Generator) -> np.ndarray:
    """Hand-held, drone or robot, of heavy-tailed vigour, exposure 3-25 ms."""
    exposure_s = rng.uniform(0.003, 0.025)
    rates = _rates(rng, -0.2, 0.7)
    if rng.random() < 0.2:
        rates *= np.array([0.15, 1.0, 0.15, 0.3, 0.1, 1.0])
    return rates * exposure_s


def everyday_motion(rng: np.random.Generator) -> ExposureMotion:
    """What a camera in a hand, on a robot or a drone mostly sees: as `_natural_twist`, but seldom far from its usual vigour."""
    exposure_s = rng.uniform(0.005, 0.022)
    rates = _rates(rng, 0.0, 0.35)
    if rng.random() < 0.12:
        rates[:3] *= 0.3
    return _within_exposure(rng, rates * exposure_s, change=0.25, swing=0.08, rolling=0.25)


def draw_motion(
    rng: np.random.Generator,
    inverse_depth: np.ndarray,
    focal_px: float,
    max_blur_px: float,
    stride: int = 4,
    everyday_share: float = 0.0,
) -> ExposureMotion:
    """A motion for a view with this inverse depth grid [h,w] of a stride: an everyday one as often as asked for, else one with
    blur lengths up to max_blur_px (median)."""
    if everyday_share > 0 and rng.random() < everyday_share:
        return everyday_motion(rng)
    twist = _natural_twist(rng)
    if rng.random() < 0.5:
        share = rng.choice([0.0, 1.0, rng.random()], p=[0.15, 0.35, 0.5])
        depth_m = 1.0 / max(float(np.median(inverse_depth)), 1e-3)
        twist = np.concatenate((share * _direction(rng, 3), (1 - share) * depth_m * _direction(rng, 3)))
        length = median_blur_px(twist, inverse_depth, focal_px, stride)
        twist *= max_blur_px * rng.random() ** 2.5 / max(length, 1e-6)
    if rng.random() < 0.08:
        twist *= 0.05 * rng.random()
    excess = median_blur_px(twist, inverse_depth, focal_px, stride) / max_blur_px
    twist /= max(1.0, excess)
    return _within_exposure(rng, twist, change=0.3, swing=0.1, rolling=0.3)


def _within_exposure(
    rng: np.random.Generator, twist: np.ndarray, *, change: float, swing: float, rolling: float
) -> ExposureMotion:
    """A motion of this twist that changes over the exposure, and of a share `rolling` of which the rows are read one by one.

    change: standard deviation as a share of each component; swing: of the rotation's, as a share of its length.
    """
    drift = change * twist * rng.normal(size=6)
    drift += swing * np.linalg.norm(twist[:3]) * np.r_[rng.normal(size=3), 0, 0, 0]
    readout = rng.uniform(0.3, 3.0) if rng.random() < rolling else 0.0
    return ExposureMotion(twist, drift * (readout < 1.5), readout)
