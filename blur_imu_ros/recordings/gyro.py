"""A gyro's recording, and its mean over the exposure of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Gyro:
    """Gyro samples: stamps int64 [m] ns, strictly increasing; rates [m, 3] rad/s in its own frame."""

    stamps_ns: np.ndarray
    rates: np.ndarray

    def mean_rates(self, stamps_ns: np.ndarray, window_s: np.ndarray, offset_s: float = 0.0) -> np.ndarray:
        """Mean rate [n, 3] over windows centred at stamps + offset; NaN outside the recording or across a gap."""
        origin = self.stamps_ns[0]
        t = (self.stamps_ns - origin) * 1e-9
        steps = np.diff(t)
        angle = np.vstack(
            [np.zeros(3), np.cumsum(0.5 * (self.rates[1:] + self.rates[:-1]) * steps[:, None], axis=0)]
        )
        # A window shorter than the sample interval would only pick up rounding of the integral.
        half = np.maximum(window_s, np.median(steps)) / 2
        centre = (stamps_ns - origin) * 1e-9 + offset_s
        inside = (centre - half >= t[0]) & (centre + half <= t[-1])
        gap = steps[np.searchsorted(t, centre).clip(1, len(steps)) - 1]
        inside &= gap <= 10 * np.median(steps)
        ends = [np.stack([np.interp(centre + s * half, t, a) for a in angle.T], axis=1) for s in (-1, 1)]
        return np.where(inside[:, None], (ends[1] - ends[0]) / (2 * half[:, None]), np.nan)
