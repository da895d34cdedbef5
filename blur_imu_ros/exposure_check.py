"""Whether the stated exposure time can be right: the way between frames tells a velocity too, and needs no exposure for it."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from .motion_field import Array
from .solve.linearise import squared
from .solve.motion_points import MotionPoints
from .solve.robust import median

# Flow of fewer pixels, measured or expected, tells little of how long it was exposed.
_MIN_FLOW_PX = 3.0
# What a network reads in a sharp image.
_SHARP_PX = 0.5
# So many of the newest frames are looked at together, and at least so many.
_NEWEST, _FEWEST = 60, 20
# Of right exposures the median came to 0.96 to 1.13 on recordings and rendered sequences, moving objects, fog and dark ones too.
_TOLERANCE = 1.25


def exposure_ratio(points: MotionPoints, twist: Array | None, exposure_s: float) -> float:
    """How many times as long as stated one exposure looks: the flow that its blur shows over the flow that the mean velocity
    `twist` [6] on the way from the frame before draws in that time; NaN where that is None, or both flows are short."""
    if twist is None:
        return math.nan
    expected, measured = (
        float(median(np.sqrt(squared(flow)) * points.sigma)[0])
        for flow in (exposure_s * twist @ points.rows, points.q)
    )
    if max(expected, measured) < _MIN_FLOW_PX:
        return math.nan
    return max(measured, _SHARP_PX) / max(expected, _SHARP_PX)


class ExposureCheck:
    """The exposure ratios of the `newest` frames, None for all of them; a camera at rest says nothing."""

    def __init__(self, newest: int | None = _NEWEST) -> None:
        self._ratios: deque[float] = deque(maxlen=newest)

    def add(self, ratio: float) -> None:
        """Take one frame's exposure_ratio, NaN among them."""
        if math.isfinite(ratio):
            self._ratios.append(ratio)

    @property
    def ratio(self) -> float | None:
        """How many times as long as stated exposures look; None before enough frames told."""
        return float(np.median(self._ratios)) if len(self._ratios) >= _FEWEST else None

    @property
    def complaint(self) -> str:
        """What is wrong with the stated exposure, empty where nothing is known to be."""
        ratio = self.ratio
        if ratio is None or 1 / _TOLERANCE < ratio < _TOLERANCE:
            return ""
        return (
            f"images look exposed {ratio:.2g} times as long as stated, by their blur and the way between them; check the "
            "exposure time and its unit (other causes: stamps that are not of the images, a camera that vibrates)"
        )
