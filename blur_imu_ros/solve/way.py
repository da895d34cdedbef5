"""The mean motion from one frame to the next, and how steadily such motions change."""

import math
from dataclasses import dataclass, replace

import numpy as np

from ..motion_field import Array

# Before any were seen, an acceleration is taken to change by so much of what it may be, as if that had been told of by
# accelerations whose squares sum to so many (rad/s^2)^2.
_USUAL, _TOLD = 0.5, 150.0
# Those that were seen fade so from way to way; and of how much they changed, relative to how large they were, so much is taken.
_FADING, _TAKEN = 0.9, 0.55


@dataclass(frozen=True)
class Way:
    """The mean motion from one frame to the next: twist [6] with its covariance [6, 6]; middle_ns: the middle of that time.

    acceleration: of its turn since the way before [3], rad/s^2, None where there was none; changed, accelerated: squares of how
    much that changed from way to way, and of itself, summed over the ways so far, those long ago counting less.
    """

    twist: Array
    covariance: Array
    middle_ns: int
    acceleration: Array | None = None
    changed: float = 0.0
    accelerated: float = 0.0

    @property
    def unsteady(self) -> float:
        """How much a mean acceleration differs from that before, as a share of what it may be: little where a heavy robot moves
        smoothly, much in a hand that shakes, or where frames are stamped roughly."""
        usual = _USUAL**2 * _TOLD
        return math.sqrt((usual + _TAKEN**2 * self.changed) / (_TOLD + self.accelerated))

    def after(self, earlier: "Way | None") -> "Way":
        """The way together with what is known from the one before it."""
        if earlier is None:
            return self
        acceleration = (self.twist - earlier.twist)[:3] / ((self.middle_ns - earlier.middle_ns) * 1e-9)
        before = earlier.acceleration
        if before is None:
            return replace(self, acceleration=acceleration)
        return replace(
            self,
            acceleration=acceleration,
            changed=_FADING * earlier.changed + float(np.sum((acceleration - before) ** 2)),
            accelerated=_FADING * earlier.accelerated + float(np.sum(acceleration**2 + before**2)) / 2,
        )
