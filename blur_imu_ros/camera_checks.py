"""What intrinsics can be those of a camera; anything else is refused with what to do about it."""

from typing import Any

import numpy as np

from .distortion import DistortionModel
from .errors import CameraError

MAX_SIDE_PX = 16384  # fixed-point maps hold 16-bit coordinates
MAX_COEFFICIENT = 1e9  # even k3 of a long lens stays below
FOCAL_RANGE = (0.02, 200.0)  # of the longer side: outside it no lens exists, but wrong units and garbage do
CALIBRATE = "calibrate the camera and have its driver publish the result"


def check_size(width: Any, height: Any) -> None:
    """Raise CameraError unless both are whole numbers of pixels that an image can have."""
    if not all(isinstance(side, int | np.integer) and 1 < side <= MAX_SIDE_PX for side in (width, height)):
        raise CameraError(
            f"camera width x height is {width} x {height}, not whole numbers from 2 to {MAX_SIDE_PX}; "
            f"{CALIBRATE}"
        )


def check_matrix(matrix: np.ndarray, longer_side: int) -> None:
    """Raise CameraError unless the matrix [3, 3] is that of a pinhole camera with an image of this longer side in pixels."""
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise CameraError(f"intrinsic matrix {matrix.tolist()} is not 3x3 with finite values; {CALIBRATE}")
    low, high = (bound * longer_side for bound in FOCAL_RANGE)
    for name, focal in (("fx", matrix[0, 0]), ("fy", matrix[1, 1])):
        if not low <= focal <= high:
            raise CameraError(
                f"focal length {name} is {focal:g} px; an image of {longer_side} px needs {low:g} to {high:g} px; "
                f"{CALIBRATE}"
            )
    if not np.array_equal(matrix[2], [0, 0, 1]) or matrix[1, 0] != 0:
        raise CameraError(
            f"intrinsic matrix {matrix.tolist()} is not [[fx, s, cx], [0, fy, cy], [0, 0, 1]]; {CALIBRATE}"
        )


def checked_coefficients(values: tuple[float, ...], model: DistortionModel) -> tuple[float, ...]:
    """The coefficients that the model has, without the zeros that drivers pad them with. Raises CameraError."""
    if not (np.abs(values) <= MAX_COEFFICIENT).all():
        raise CameraError(
            f"distortion coefficients {[float(value) for value in values]} are not all finite and below "
            f"{MAX_COEFFICIENT:g}; {CALIBRATE}"
        )
    coefficients = tuple(float(value) for value in values)
    longest = model.coefficient_counts[-1]
    # Drivers pad: zeros after the last coefficient of the model say nothing.
    kept = coefficients[:longest] if not any(coefficients[longest:]) else coefficients
    # No coefficients at all mean an ideal lens, but a fisheye is never meant by leaving its calibration out.
    ideal = not kept and model is not DistortionModel.EQUIDISTANT
    if not ideal and len(kept) not in model.coefficient_counts:
        raise CameraError(
            f"{len(kept)} distortion coefficients for the model {model.value}, which has "
            f"{' or '.join(map(str, model.coefficient_counts))}; {CALIBRATE}"
        )
    return kept
