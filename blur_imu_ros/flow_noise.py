"""How much a signed flow still says about motion once its sign is given up.

A signed network emits f with noise on f, but its sign cannot be trusted. The likelihood of a point is then an even
mixture of f and -f; the expected sign given a prediction is a hyperbolic tangent, never a hard choice, so noise at rest is
not rectified into motion. Giving up the sign costs nothing where |f| is many sigmas, and everything at zero.
"""

from functools import lru_cache

import numpy as np

from .motion_field import Array

_STEP = 1 / 16
_LIMIT = 6.0


@lru_cache(maxsize=1)
def _table() -> Array:
    """[3, K]: |f| / sigma, and the share of a point's information kept along and across the flow (Louis 1982)."""
    s = np.arange(0.0, _LIMIT + _STEP, _STEP)
    noise = np.linspace(-6.0, 6.0, 241)
    density = np.exp(-noise * noise / 2)
    density /= density.sum()
    seen = s[:, None] + noise
    doubt = density / np.cosh(np.minimum(np.abs(seen * s[:, None]), 300.0)) ** 2
    along = 1 - np.sum(doubt * seen * seen, axis=1)
    return np.array([s, np.maximum(along, 0.0), np.maximum(1 - doubt.sum(axis=1), 0.0)])


def sign_free_information(s: Array) -> tuple[Array, Array]:
    """Share of the information (0..1) that is left along and across a flow of length s sigmas, any shape."""
    lengths, along, across = _table()
    return np.interp(s, lengths, along), np.interp(s, lengths, across)
