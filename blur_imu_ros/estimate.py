"""What the estimator takes and what it gives: a frame of a camera, and the velocity during its exposure."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .camera import CameraModel
from .motion_field import Array

# A twist here is angular first, those of ROS are linear first: one from the other, either way.
LINEAR_FIRST = [3, 4, 5, 0, 1, 2]


@dataclass(frozen=True)
class Frame:
    """One image: uint8 RGB [H, W, 3] or mono [H, W], its camera, the middle of its exposure, the exposure time, and how much
    later its last row is exposed than its first."""

    image: NDArray[np.uint8]
    camera: CameraModel
    stamp_ns: int
    exposure_s: float
    readout_s: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """The camera's own velocity at `stamp_ns` in its optical frame.

    twist [6] (wx wy wz vx vy vz) rad/s and m/s; covariance [6, 6], symmetric positive definite, covering the doubt about
    the sign; sign_probability 0.5..1; blur_px: median flow over the exposure; overlap: share of the view that a neighbouring
    frame shows too, where that added to the estimate, else 0; points_used, residual_px, observability [6],
    condition: see VelocitySolution; stages_ms: time per step; decided: the sign is as probable as was asked for; doubt: 0 to 1,
    how far this frame and its neighbour disagree, as where something moves by itself, for which the covariance is wider;
    exposure_ratio: see exposure_check.exposure_ratio.
    """

    stamp_ns: int
    twist: Array
    covariance: Array
    sign_probability: float
    blur_px: float
    points_used: int
    residual_px: float
    observability: Array
    condition: float
    overlap: float
    exposure_s: float
    stages_ms: dict[str, float]
    decided: bool
    doubt: float = 0.0
    exposure_ratio: float = math.nan
