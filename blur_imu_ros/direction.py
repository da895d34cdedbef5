"""The sign of the velocity, which a single blurred image cannot tell, from the neighbouring frame and from continuity.

Both signed velocities predict where the points of this image were in the frame before it: exactly, by rotation and
depth, since the motion between frames can be many times the blur. The prediction that looks like the image wins.
Source: Chen & Clark 2025, section 3.3 (photometric error); the causal test and the probabilities are this package's.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .motion_field import Array
from .rigid_motion import reproject

# Fitted on real hand-held frames with velocities in error by 0 to 60 %: log-odds per unit of log error ratio.
_EVIDENCE_PER_LOG_RATIO = 4.5
# No photometric evidence makes a sign surer than this: moving objects and repeated texture deceive.
_MAXIMUM_LOG_ODDS = 6.0
_CONTINUITY_LIMIT = 4.0
_MINIMUM_OVERLAP = 0.05
_FULL_OVERLAP = 0.3
_MAXIMUM_POINTS = 4480
# Views are compared at half their size, which is a quarter of the work, and smoothed by so many pixels of that.
_SMOOTHING_PX = 3


@dataclass(frozen=True)
class DirectionOptions:
    """max_interval_s: frames further apart are not compared; acceleration_rad_s2, acceleration_m_s2: standard deviation
    of the change of velocity per second that continuity assumes."""

    max_interval_s: float = 0.25
    acceleration_rad_s2: float = 20.0
    acceleration_m_s2: float = 5.0

    def comparable(self, interval_s: float) -> bool:
        """Whether frames so far apart, in either order, can tell each other's sign."""
        return 0 < abs(interval_s) <= self.max_interval_s


@dataclass(frozen=True)
class GreyView:
    """A canonical view ready for comparison. grey: float32 [H/2, W/2], smoothed, NaN where the camera sees nothing;
    stamp_ns: middle of its exposure."""

    grey: NDArray[np.float32]
    stamp_ns: int


@dataclass(frozen=True)
class Geometry:
    """Points of the current view: x, y [N] px from the principal point, inverse_depth [N] 1/m, focal_px."""

    x: Array
    y: Array
    inverse_depth: Array
    focal_px: float


@dataclass(frozen=True)
class SignedVelocity:
    """A velocity whose sign was decided: twist [6], covariance [6, 6] of the solve, probability of the sign, stamp_ns."""

    twist: Array
    covariance: Array
    probability: float
    stamp_ns: int


@dataclass(frozen=True)
class DirectionDecision:
    """sign: +1 or -1, to multiply the twist with; probability: that it is right, 0.5 to 1."""

    sign: int
    probability: float


def outside_of(valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """What `grey_view` adds to the views of a camera: 0 where it sees all of a pixel of half the size, NaN elsewhere.

    valid: bool [H, W], the pixels of the view that the camera sees.
    """
    seen = cv2.resize(valid.astype(np.float32), _half_of(valid), interpolation=cv2.INTER_AREA)
    return np.where(seen > 0.999, 0, np.nan).astype(np.float32)


def grey_view(view: NDArray[np.uint8], outside: NDArray[np.float32], stamp_ns: int) -> GreyView:
    """Make a canonical view uint8 [H, W, 3] comparable; outside [H/2, W/2]: see outside_of."""
    half = cv2.resize(view, _half_of(view), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(half, cv2.COLOR_RGB2GRAY)
    smooth = cv2.boxFilter(grey, cv2.CV_32F, (_SMOOTHING_PX, _SMOOTHING_PX))
    cv2.add(smooth, outside, dst=smooth)
    return GreyView(smooth.astype(np.float32, copy=False), stamp_ns)


def _half_of(picture: NDArray[np.generic]) -> tuple[int, int]:
    return picture.shape[1] // 2, picture.shape[0] // 2


def choose_direction(
    current: GreyView,
    neighbours: list[GreyView],
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
    probability = 1 / (1 + np.exp(-min(abs(log_odds), _MAXIMUM_LOG_ODDS)))
    return DirectionDecision(sign, float(probability))


def _photometric_log_odds(
    current: GreyView, neighbour: GreyView, geometry: Geometry, twist: Array, interval_s: float
) -> float:
    """Log-odds of + over - from one neighbouring view, 0 where too little stays in view."""
    step = -(-geometry.x.size // _MAXIMUM_POINTS)
    x, y, inverse_depth = geometry.x[::step], geometry.y[::step], geometry.inverse_depth[::step]
    places = [
        reproject(x, y, geometry.focal_px, inverse_depth, signed, interval_s) for signed in (twist, -twist)
    ]
    here = _sample(current.grey, np.stack([x, y])[:, None])[0]
    there = _sample(neighbour.grey, np.stack(places, axis=1))
    both = np.isfinite(here) & np.isfinite(there)
    overlap = float(np.count_nonzero(both, axis=1).min()) / x.size
    if overlap < _MINIMUM_OVERLAP:
        return 0.0
    right, wrong = (_difference(here[seen], grey[seen]) for seen, grey in zip(both, there, strict=True))
    evidence = _EVIDENCE_PER_LOG_RATIO * min(1.0, overlap / _FULL_OVERLAP)
    return evidence * float(np.log(wrong / right))


def _sample(grey: NDArray[np.float32], points: Array) -> NDArray[np.float32]:
    """Grey levels [K, N] at pixels [2, K, N] of the whole view from its principal point, bilinear; NaN outside the picture."""
    height, width = grey.shape
    columns = (points[0] / 2 + (width - 1) / 2).astype(np.float32)
    rows = (points[1] / 2 + (height - 1) / 2).astype(np.float32)
    inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    columns, rows = np.where(inside, columns, 0), np.where(inside, rows, 0)
    return np.where(inside, cv2.remap(grey, columns, rows, cv2.INTER_LINEAR), np.nan)


def _difference(here: NDArray[np.float32], there: NDArray[np.float32]) -> float:
    """Mean absolute difference after equalising mean and deviation: blind to gain and offset of the exposure control."""
    return float(np.abs(_equalised(here) - _equalised(there)).mean()) + 1e-3


def _equalised(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = grey - grey.mean()
    return np.asarray(centred / (np.sqrt(centred @ centred / centred.size) + np.float32(1.0)))


def _continuity_log_odds(
    stamp_ns: int, twist: Array, covariance: Array, previous: SignedVelocity, options: DirectionOptions
) -> float:
    """Log-odds of + over - because velocity changes little between frames, given that the last sign may be wrong."""
    interval_s = (stamp_ns - previous.stamp_ns) * 1e-9
    if not 0 < interval_s <= options.max_interval_s:
        return 0.0
    change = np.repeat([options.acceleration_rad_s2, options.acceleration_m_s2], 3) * interval_s
    spread = covariance + previous.covariance + np.diag(change**2)
    agreement = 2 * float(twist @ np.linalg.solve(spread, previous.twist))
    if_right = np.exp(np.clip(agreement, -_CONTINUITY_LIMIT, _CONTINUITY_LIMIT))
    right, wrong = previous.probability, 1 - previous.probability
    return float(np.log((right * if_right + wrong) / (right + wrong * if_right)))
