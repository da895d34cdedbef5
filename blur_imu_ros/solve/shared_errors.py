"""Errors that neighbouring points share: a network reads flow too long here and turned there, smoothly over the image.

Half of the variance of a point's error is taken for such a field along and across the flow, a Gaussian process whose correlation
falls off exponentially, and half for noise of its own. What looks like such a field too, as most of a rotation's flow does, is
then known less well than what only differences between neighbours show: in the estimate, and in its covariance.
"""

import numpy as np

from ..motion_field import Array
from .linearise import whitened
from .motion_points import ComplexArray, MotionPoints
from .robust import flat_weight, residual_scale

_TINY = 1e-9


def shared_information(
    points: MotionPoints, motion: Array, reach: float, min_residual_scale: float
) -> tuple[Array, Array]:
    """What points with a precision say about a motion [6] (rad, m): their information [6, 6], and the gradient [6] towards a
    better one. Residuals up to `reach` of their scale count in full, and as no smaller than `min_residual_scale` of sigma."""
    assert points.precision is not None
    rows, residual = whitened(points, motion)
    distance2 = np.square(np.abs(residual))
    scale = max(float(residual_scale(distance2[None])[0, 0]), _TINY)
    weight = flat_weight(distance2, scale, reach)
    design, error = _real(weight * rows), _real(weight * residual)
    known = design.astype(np.float32) @ points.precision / max(scale, min_residual_scale) ** 2
    return (known @ design.transpose(0, 2, 1)).sum(axis=0), (known @ error[..., None]).sum(axis=0)[:, 0]


def _real(flow: ComplexArray) -> Array:
    """Complex [..., N] as real [2, ..., N]."""
    return np.stack([flow.real, flow.imag])
