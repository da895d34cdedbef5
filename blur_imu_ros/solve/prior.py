"""What is held likely of a motion before its image is looked at closely: that it is slow, and often that it hardly steps."""

from dataclasses import dataclass

import numpy as np

from ..motion_field import Array
from .covariance import inverse_information
from .linearise import squared
from .motion_points import MotionPoints
from .robust import median

_TINY = float(np.finfo(np.float64).tiny)
# The prior of a step holds in full where the flow is as long as one at this speed draws, noise included: what fits real sharp
# images as well as rendered fast ones.
_FULL_AT_M_S = 1.55
# So many cameras turn in place, which is to step with this share of the prior's sigma; the others step as it says.
_IN_PLACE, IN_PLACE_SIGMA = 0.3, 0.1
_VARIANCES = np.repeat([[1.0, 1.0], [1.0, IN_PLACE_SIGMA**2]], 3, axis=1)
_OVERALL = (1 - _IN_PLACE) * _VARIANCES[0] + _IN_PLACE * _VARIANCES[1]
# What the second kind's inverse variances have more than the first's, as logarithm.
_LOG_PRECISION = -np.log(_VARIANCES).sum(axis=1)
# What the image says of which it is counts half: its points share more errors than is known of.
_BELIEVED = 0.5
_UNIT, _MOST = np.eye(6), 500.0


# One number for all axes, or one each for x, y and z of the camera's optical frame.
PerAxis = float | tuple[float, float, float]


def each_axis(value: PerAxis) -> Array:
    """The number of each axis [3]."""
    return np.full(3, value, dtype=np.float64)


@dataclass(frozen=True)
class Prior:
    """A zero-mean Gaussian prior on a motion over the exposure (rad, m).

    precision: [6] inverse variances of a camera that steps, 0 where there is no prior; draws_px: [6] median flow of the turn and
    of the step, of one rad and one metre, that draw most.
    """

    precision: Array
    draws_px: Array

    @property
    def overall(self) -> Array:
        """Inverse variances [6], of cameras that step and those that turn in place together."""
        return self.precision / _OVERALL


def prior_of(
    points: MotionPoints, exposure_s: float, angular_rad_s: PerAxis, linear_m_s: PerAxis, min_blur_px: float
) -> Prior:
    """The prior of an image, given its standard deviations per axis, that of a step at most.

    A sharp image says that the camera stands still, rather than that it turns as it steps aside so that nothing is seen of
    either: below a length of flow the prior of a step shrinks with it. min_blur_px: flow below which the network only says
    "slow".
    """
    each = median(np.abs(points.rows) * points.sigma)
    draws_px = np.repeat([each[:3].max(), each[3:].max()], 3)
    flow_px = float(median(np.sqrt(squared(points.q) + 2) * points.sigma)[0])
    full_px = max(_FULL_AT_M_S * exposure_s * float(draws_px[3]), _TINY)
    share = min(1.0, max(flow_px, min_blur_px) / full_px)
    sigmas = np.concatenate([each_axis(angular_rad_s), share * each_axis(linear_m_s)]) * exposure_s
    return Prior(1 / sigmas**2, draws_px)


def weigh_steps(information: Array, motion: Array, precision: Array) -> tuple[Array, Array]:
    """Mean [6] and covariance [6, 6] of the motion of a camera that steps and of one that turns in place, each weighed by how
    likely it makes the image (the evidence of a Gaussian; MacKay 2003, section 28.1). Without a prior on all axes, of the first.

    information: [6, 6] of the data; motion: [6] the likeliest with the prior's inverse variances `precision` [6].
    """
    if not precision.all():
        return motion, inverse_information(information + np.diag(precision))
    gradient = information @ motion + precision * motion
    priors = (precision / _VARIANCES)[:, None] * _UNIT
    covariances = np.linalg.inv(information + priors)
    believed = _BELIEVED * information + priors
    explained = np.linalg.solve(believed, np.stack([gradient, gradient])[..., None])[..., 0] @ gradient
    evidence = (_BELIEVED**2 * explained - np.linalg.slogdet(believed)[1] + _LOG_PRECISION) / 2
    steps, turns = zip(covariances @ gradient, covariances, strict=True)
    return either(steps, turns, _IN_PLACE, float(evidence[1] - evidence[0]))


def either(
    steps: tuple[Array, Array], turns: tuple[Array, Array], in_place: float, evidence: float
) -> tuple[Array, Array]:
    """Mean [6] and covariance [6, 6] of motions of two kinds, where nobody knows which it is.

    steps, turns: mean and covariance of a camera that steps and of one that turns in place; in_place: how many of them do;
    evidence: by how much more that explains what was seen, as logarithm.
    """
    odds = (1 - in_place) / in_place * np.exp(-np.clip(evidence, -_MOST, _MOST))
    share = 1 / (1 + odds)
    apart = turns[0] - steps[0]
    covariance = (1 - share) * steps[1] + share * turns[1] + share * (1 - share) * np.outer(apart, apart)
    return steps[0] + share * apart, covariance
