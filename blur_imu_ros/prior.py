"""What is held likely of a motion before its image is looked at closely: that it is slow."""

from dataclasses import dataclass

import numpy as np

from .linearise import squared
from .motion_field import Array
from .motion_points import MotionPoints
from .robust import median

_TINY = float(np.finfo(np.float64).tiny)
# A step seldom draws a flow that a turn against it hides: its prior reaches two fifths of the flow, noise included.
_STEP_REACH = 0.4


@dataclass(frozen=True)
class Prior:
    """A zero-mean Gaussian prior on a motion over the exposure (rad, m).

    precision: [6] inverse variances, 0 where there is no prior; draws_px: [6] median flow of the turn and of the step, of one rad
    and one metre, that draw most.
    """

    precision: Array
    draws_px: Array


def prior_of(points: MotionPoints, turn_rad: float, step_m: float, min_blur_px: float) -> Prior:
    """The prior of an image, its standard deviations per axis those given at most.

    A sharp image says that the camera stands still, rather than that it turns as it steps aside so that nothing is seen of
    either: that of a step reaches no further than a share of the flow seen. min_blur_px: flow below which the network only says
    "slow".
    """
    each = median(np.abs(points.rows) * points.sigma)
    draws_px = np.repeat([each[:3].max(), each[3:].max()], 3)
    if np.isfinite(step_m):
        flow_px = float(median(np.sqrt(squared(points.q) + 2) * points.sigma)[0])
        step_m = min(step_m, _STEP_REACH * max(flow_px, min_blur_px) / max(float(draws_px[3]), _TINY))
    return Prior(1 / np.repeat([turn_rad, step_m], 3) ** 2, draws_px)
