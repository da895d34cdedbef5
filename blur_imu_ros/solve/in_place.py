"""Cameras that turn in place: what the frames say of a step of nearly nothing is mostly the error of depth."""

from collections.abc import Sequence

import numpy as np

from ..motion_field import Array
from .lever_arm import camera_of_centre
from .prior import IN_PLACE_SIGMA, either

# So many cameras turn in place: fewer than in prior.py, as the blur's answer has that prior in it already.
_IN_PLACE = 0.05


def or_in_place(
    twist: Array, covariance: Array, sigma_m_s: Array, lever_arm_m: Sequence[float]
) -> tuple[Array, Array]:
    """Mean [6] and covariance [6, 6] of a velocity that is as found or, so far as that is likelier, of a camera that turns about
    its centre and hardly moves that.

    sigma_m_s: [3] standard deviation of the step of a centre per axis, infinite where nothing is held likely; lever_arm_m: see
    lever_arm.py.
    """
    if not np.isfinite(sigma_m_s).all():
        return twist, covariance
    # From the camera back to the centre is the same arm the other way.
    step = camera_of_centre([-metres for metres in lever_arm_m])[3:]
    found, common = step @ twist, covariance @ step.T
    known = step @ common
    steps, turns = (known + np.diag(np.square(share * sigma_m_s)) for share in (1.0, IN_PLACE_SIGMA))
    evidence = _log_density(found, turns) - _log_density(found, steps)
    gain = common @ np.linalg.inv(turns)
    in_place = twist - gain @ found, covariance - gain @ common.T
    return either((twist, covariance), in_place, _IN_PLACE, evidence)


def _log_density(step: Array, covariance: Array) -> float:
    """Of a step [3] that is Gaussian about nothing, up to a constant."""
    return -0.5 * float(step @ np.linalg.solve(covariance, step) + np.linalg.slogdet(covariance)[1])
