"""Cameras that turn in place: what the frames say of a step of nearly nothing is mostly the error of depth."""

from collections.abc import Sequence

import numpy as np

from ..motion_field import Array
from .lever_arm import camera_of_centre

# So many cameras turn in place, fewer than in prior.py, as the blur's answer has that prior in it already. They step with this
# share of what others do.
_IN_PLACE, _IN_PLACE_SIGMA = 0.05, 0.1
_MOST = 50.0


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
    step = np.linalg.inv(camera_of_centre(lever_arm_m))[3:]
    found, common = step @ twist, covariance @ step.T
    known = step @ common
    steps, turns = (known + np.diag(np.square(share * sigma_m_s)) for share in (1.0, _IN_PLACE_SIGMA))
    odds = _log_density(found, turns) - _log_density(found, steps) + np.log(_IN_PLACE / (1 - _IN_PLACE))
    in_place = 1 / (1 + np.exp(-np.clip(odds, -_MOST, _MOST)))
    gain = common @ np.linalg.inv(turns)
    change, less = -gain @ found, gain @ common.T
    between = in_place * (1 - in_place) * np.outer(change, change)
    return twist + in_place * change, covariance - in_place * less + between


def _log_density(step: Array, covariance: Array) -> float:
    """Of a step [3] that is Gaussian about nothing, up to a constant."""
    return -0.5 * float(step @ np.linalg.solve(covariance, step) + np.linalg.slogdet(covariance)[1])
