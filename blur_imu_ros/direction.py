"""The sign of the velocity, which a single blurred image cannot tell, from the neighbouring frame and from continuity.

Both signed velocities predict where the points of this image were in the frame before it: exactly, by rotation and
depth, since the motion between frames can be many times the blur. The prediction that looks like the image wins.
Source: Chen & Clark 2025, section 3.3 (photometric error); the causal test and the probabilities are this package's.
"""

import math
from dataclasses import dataclass

import numpy as np

from .contrast_view import COARSE, ContrastView
from .errors import ConfigurationError
from .motion_field import Array
from .rigid_motion import reproject
from .solve.way import Way

# Fitted on real hand-held frames with velocities in error by 0 to 60 %: log-odds per unit of log error ratio.
_EVIDENCE_PER_LOG_RATIO = 4.5
# No photometric evidence makes a sign surer than this: moving objects and repeated texture deceive.
_MAXIMUM_LOG_ODDS = 6.0
_CONTINUITY_LIMIT = 4.0
_MINIMUM_OVERLAP = 0.05
_FULL_OVERLAP = 0.3
_MAXIMUM_POINTS = 4480


@dataclass(frozen=True)
class DirectionOptions:
    """max_interval_s: frames further apart are not compared; acceleration_rad_s2, acceleration_m_s2: standard deviation
    of the change of velocity per second, from frame to frame; stamp_sigma_s: that of the error of a stamp."""

    max_interval_s: float = 0.25
    acceleration_rad_s2: float = 20.0
    acceleration_m_s2: float = 5.0
    stamp_sigma_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.stamp_sigma_s < math.inf:
            raise ConfigurationError(f"stamp_sigma_s is {self.stamp_sigma_s}: give 0 or more seconds")

    def comparable(self, interval_s: float) -> bool:
        """Whether frames so far apart, in either order, can tell each other's sign."""
        return 0 < abs(interval_s) <= self.max_interval_s


@dataclass(frozen=True)
class Geometry:
    """Grid of points of the current view, row by row.

    x, y [N] px from the principal point, inverse_depth [N] 1/m and its sigma, focal_px; row_s: how much later a row is exposed
    than the one above it.
    """

    x: Array
    y: Array
    inverse_depth: Array
    inverse_depth_sigma: Array
    focal_px: float
    row_s: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the grid."""
        columns = int(np.count_nonzero(self.y == self.y[0]))
        return self.y.size // columns, columns

    def thinned(self, maximum: int) -> "Geometry":
        """Every so-manieth point across and down of a grid, so that about `maximum` are left."""
        step = int(np.ceil(np.sqrt(self.x.size / maximum)))
        if step == 1:
            return self
        kept = np.arange(self.x.size).reshape(self.shape)[step // 2 :: step, step // 2 :: step].ravel()
        depth, sigma = self.inverse_depth[kept], self.inverse_depth_sigma[kept]
        return Geometry(self.x[kept], self.y[kept], depth, sigma, self.focal_px, self.row_s)


@dataclass(frozen=True)
class SignedVelocity:
    """A velocity whose sign was decided: twist [6], covariance [6, 6] of the solve, probability of the sign, stamp_ns; way: from
    the frame before, None where it was not found."""

    twist: Array
    covariance: Array
    probability: float
    stamp_ns: int
    way: Way | None = None


@dataclass(frozen=True)
class DirectionDecision:
    """sign: +1 or -1, to multiply the twist with; probability: that it is right, 0.5 to 1."""

    sign: int
    probability: float


def choose_direction(
    current: ContrastView,
    neighbours: list[ContrastView],
    geometry: Geometry,
    twist: Array,
    covariance: Array,
    previous: SignedVelocity | None,
    options: DirectionOptions,
) -> DirectionDecision:
    """Decide the sign of `twist` [6], known up to sign with `covariance` [6, 6], at the moment of `current`.

    neighbours: earlier or later views; previous: the last decided velocity. Without either, P = 0.5 and sign +1.
    """
    log_odds = 0.0
    for neighbour in neighbours:
        interval_s = (neighbour.stamp_ns - current.stamp_ns) * 1e-9
        if options.comparable(interval_s):
            log_odds += _photometric_log_odds(current, neighbour, geometry, twist, interval_s)
    log_odds = float(np.clip(log_odds, -_MAXIMUM_LOG_ODDS, _MAXIMUM_LOG_ODDS))
    if previous is not None:
        log_odds += _continuity_log_odds(current.stamp_ns, twist, covariance, previous, options)
    sign = 1 if log_odds >= 0 else -1
    return DirectionDecision(sign, probability_of(abs(log_odds)))


def probability_of(log_odds: float, beyond_looks: float = 0.0) -> float:
    """Probability of a sign that these log-odds speak for, surer than looks can make it by so much in log-odds at most."""
    return 1 / (1 + math.exp(-min(log_odds, _MAXIMUM_LOG_ODDS + beyond_looks)))


def _photometric_log_odds(
    current: ContrastView, neighbour: ContrastView, geometry: Geometry, twist: Array, interval_s: float
) -> float:
    """Log-odds of + over - from one neighbouring view, 0 where too little stays in view."""
    at = geometry.thinned(_MAXIMUM_POINTS)
    places = [
        reproject(at.x, at.y, at.focal_px, at.inverse_depth, signed, interval_s) for signed in (twist, -twist)
    ]
    here = current.at(np.stack([at.x, at.y])[:, None], COARSE)[0]
    there = neighbour.at(np.stack(places, axis=1), COARSE)[0]
    difference = np.abs(there - here)
    both = np.isfinite(difference)
    overlap = float(np.count_nonzero(both, axis=1).min()) / at.x.size
    if overlap < _MINIMUM_OVERLAP:
        return 0.0
    right, wrong = (float(one[seen].mean()) + 1e-3 for one, seen in zip(difference, both, strict=True))
    return _EVIDENCE_PER_LOG_RATIO * min(1.0, overlap / _FULL_OVERLAP) * float(np.log(wrong / right))


def _continuity_log_odds(
    stamp_ns: int, twist: Array, covariance: Array, previous: SignedVelocity, options: DirectionOptions
) -> float:
    """Log-odds of + over - because velocity changes little between frames, given that the last sign may be wrong."""
    interval_s = (stamp_ns - previous.stamp_ns) * 1e-9
    if not 0 <= interval_s <= options.max_interval_s:
        return 0.0
    change = np.repeat([options.acceleration_rad_s2, options.acceleration_m_s2], 3) * interval_s
    spread = covariance + previous.covariance + np.diag(change**2)
    agreement = 2 * float(twist @ np.linalg.solve(spread, previous.twist))
    if_right = np.exp(np.clip(agreement, -_CONTINUITY_LIMIT, _CONTINUITY_LIMIT))
    right, wrong = previous.probability, 1 - previous.probability
    return float(np.log((right * if_right + wrong) / (right + wrong * if_right)))
