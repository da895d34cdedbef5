"""The velocity of a frame from mean motions about it, which differ from it by what acceleration changes meanwhile.

One way between frames does not tell how a camera speeds up or slows down. Two in succession do, as far as it goes on so.
"""

import numpy as np

from ..motion_field import Array
from .registration import Registration
from .way import Way

# So much of what an acceleration may change from way to way it changes between the two about a frame. Found on validation.
_CHANGES = 0.5


def velocity(
    twist: Array,
    covariance: Array,
    found: list[Registration],
    acceleration: Array,
    earlier: Way | None,
    here: Way | None,
    stamp_ns: int,
) -> tuple[Array, Array]:
    """Velocity [6] at `stamp_ns` and its covariance, by least squares of it and its mean acceleration [6 + 6].

    twist, covariance: what the blur told; found: the ways to the neighbours; acceleration [6]: its standard deviation;
    earlier, here: the way to the frame before, and from it.
    """
    total = np.zeros((12, 12))
    total[:6, :6] = np.linalg.inv(covariance)
    total[6:, 6:] = np.diag(acceleration**-2)
    weighted, variance = total[:, :6] @ twist, total
    for registration in found:
        mean = _mean(registration.interval_s / 2)
        information = mean.T @ registration.information @ mean
        weighted = weighted + mean.T @ registration.weighted
        total = total + information
        # What one neighbour gets wrong, as by a wrong depth, the other does too.
        variance = variance + len(found) * registration.variance * information
    if earlier is not None:
        middle_s = (earlier.middle_ns - stamp_ns) * 1e-9
        change = np.diag(((here or earlier).unsteady * acceleration * middle_s) ** 2)
        mean = _mean(middle_s)
        known = mean.T @ np.linalg.inv(earlier.covariance + change)
        information = known @ mean
        weighted = weighted + known @ earlier.twist
        total, variance = total + information, variance + information
    inverse = np.linalg.inv(total)
    covariance = (inverse @ variance @ inverse)[:6, :6]
    if len(found) > 1:
        covariance = covariance + _uneven(found, acceleration, here or earlier)
    return (inverse @ weighted)[:6], covariance


def way_here(twist: Array, covariance: Array, found: Registration, stamp_ns: int) -> Way:
    """The way from a neighbour to the frame at `stamp_ns`, known before it was found to be of `twist` [6] with `covariance`."""
    prior = np.linalg.inv(covariance)
    inverse = np.linalg.inv(found.information + prior)
    variance = prior + found.variance * found.information
    middle_ns = stamp_ns + round(found.interval_s / 2 * 1e9)
    return Way(inverse @ (found.weighted + prior @ twist), inverse @ variance @ inverse, middle_ns)


def _uneven(found: list[Registration], acceleration: Array, way: Way | None) -> Array:
    """Covariance [6, 6] of a velocity between two ways, one to either side, whose accelerations differ: by their middle both
    are as fast, by a steady change of acceleration a sixth of it over one of them faster."""
    interval_s = np.mean([abs(one.interval_s) for one in found])
    changes = _CHANGES * (way.unsteady if way else 1.0) * acceleration
    return np.diag((changes * interval_s / 6) ** 2)


def _mean(middle_s: float) -> Array:
    """What takes velocity and acceleration [12] to the mean velocity [6] on a way whose middle lies so far away."""
    return np.hstack([np.eye(6), np.eye(6) * middle_s])
