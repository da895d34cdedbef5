"""Which of many stamps is nearest to a moment."""

from __future__ import annotations

import numpy as np


def nearest(stamps_ns: np.ndarray, wanted_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index [n] of the stamp, of int64 [m] in order and at least one, that is nearest to each of int64 [n], and how far it is
    away, in ns."""
    right = np.searchsorted(stamps_ns, wanted_ns).clip(max=len(stamps_ns) - 1)
    pair = np.stack([(right - 1).clip(0), right])
    distance = np.abs(stamps_ns[pair] - wanted_ns)
    closer = distance.argmin(axis=0)[None]
    return np.take_along_axis(pair, closer, axis=0)[0], np.take_along_axis(distance, closer, axis=0)[0]
