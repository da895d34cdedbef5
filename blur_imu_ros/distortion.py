"""Lens distortion: from a ray to the normalised image plane, and where that stops being one-to-one.

Formulas are those of OpenCV's calib3d and fisheye modules, whose coefficients `sensor_msgs/CameraInfo`
carries in `d`.
"""

import enum

import numpy as np
from numpy.polynomial import Polynomial


class DistortionModel(enum.Enum):
    """The values of `sensor_msgs/CameraInfo.distortion_model` that are understood."""

    NONE = "none"
    PLUMB_BOB = "plumb_bob"  # k1 k2 p1 p2 [k3]
    RATIONAL_POLYNOMIAL = "rational_polynomial"  # k1 k2 p1 p2 k3 k4 k5 k6 [s1 s2 s3 s4]
    EQUIDISTANT = "equidistant"  # k1 k2 k3 k4, Kannala-Brandt fisheye

    @property
    def coefficient_counts(self) -> tuple[int, ...]:
        """Numbers of coefficients that the model is written with."""
        return _COUNTS[self]


_COUNTS = {
    DistortionModel.NONE: (0,),
    DistortionModel.PLUMB_BOB: (4, 5),
    DistortionModel.RATIONAL_POLYNOMIAL: (4, 5, 8, 12),
    DistortionModel.EQUIDISTANT: (4,),
}


def distort(model: DistortionModel, coefficients: tuple[float, ...], rays: np.ndarray) -> np.ndarray:
    """Distorted normalised coordinates [N, 2] of the rays (x, y, 1), given as [N, 2] float64."""
    if model is DistortionModel.NONE:
        return rays
    if model is DistortionModel.EQUIDISTANT:
        radius = np.hypot(rays[:, 0], rays[:, 1])
        scale = radial_profile(model, coefficients, radius) / np.where(radius > 0, radius, 1.0)
        return rays * np.where(radius > 0, scale, 1.0)[:, None]
    _, _, p1, p2, _, _, _, _, s1, s2, s3, s4 = _padded(coefficients, 12)
    x, y = np.ascontiguousarray(rays.T)
    square = x * x + y * y
    scale = _radial_scale(coefficients, square)
    return np.stack(
        [
            x * scale + 2 * p1 * x * y + p2 * (square + 2 * x * x) + s1 * square + s2 * square**2,
            y * scale + p1 * (square + 2 * y * y) + 2 * p2 * x * y + s3 * square + s4 * square**2,
        ],
        axis=1,
    )


def radial_profile(model: DistortionModel, coefficients: tuple[float, ...], radius: np.ndarray) -> np.ndarray:
    """Distorted radius for an undistorted one (tangent of the angle from the axis), without tangential terms."""
    if model is DistortionModel.NONE:
        return radius
    if model is DistortionModel.EQUIDISTANT:
        theta = np.arctan(radius)
        return theta * Polynomial([1.0, *_padded(coefficients, 4)])(theta * theta)
    return radius * _radial_scale(coefficients, radius * radius)


def fold_radius(model: DistortionModel, coefficients: tuple[float, ...]) -> float:
    """Undistorted radius where the radial profile first stops growing and starts to fold the picture back."""
    if model is DistortionModel.NONE:
        return np.inf
    if model is DistortionModel.EQUIDISTANT:
        odd_powers = np.array([1.0, 3.0, 5.0, 7.0, 9.0])
        slope = Polynomial(odd_powers * [1.0, *_padded(coefficients, 4)])
        theta_square = _smallest_positive_root(slope)
        return float(np.tan(np.sqrt(theta_square))) if theta_square < (np.pi / 2) ** 2 else np.inf
    numerator, denominator = _radial_polynomials(coefficients)
    square = Polynomial([0.0, 1.0])
    slope = numerator * denominator + 2 * square * (
        numerator.deriv() * denominator - numerator * denominator.deriv()
    )
    return float(np.sqrt(min(_smallest_positive_root(slope), _smallest_positive_root(denominator))))


def _radial_polynomials(coefficients: tuple[float, ...]) -> tuple[Polynomial, Polynomial]:
    """Numerator and denominator of the radial scale, in the squared radius."""
    k1, k2, _, _, k3, k4, k5, k6 = _padded(coefficients, 8)
    return Polynomial([1.0, k1, k2, k3]), Polynomial([1.0, k4, k5, k6])


def _radial_scale(coefficients: tuple[float, ...], square: np.ndarray) -> np.ndarray:
    numerator, denominator = _radial_polynomials(coefficients)
    below = denominator(square)
    return numerator(square) / np.where(below == 0, np.nan, below)


def _smallest_positive_root(polynomial: Polynomial) -> float:
    roots = polynomial.roots()
    real = roots.real[(np.abs(roots.imag) <= 1e-9 * np.abs(roots)) & (roots.real > 0)]
    return float(real.min(initial=np.inf))


def _padded(coefficients: tuple[float, ...], count: int) -> list[float]:
    values = list(coefficients[:count])
    return values + [0.0] * (count - len(values))
