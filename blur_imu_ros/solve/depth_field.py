"""How far depth is wrong, smoothly over the view: what two frames tell of it, beside the motion between them."""

from functools import lru_cache

import numpy as np

from ..motion_field import Array

# Places across and down between which the error goes evenly, and its standard deviation there, in ln. Found on validation.
_PLACES = 3
FIELD_SIZE, FIELD_SIGMA = _PLACES**2, 0.25


@lru_cache(maxsize=8)
def field_of(rows: int, columns: int) -> Array:
    """Share [FIELD_SIZE, rows * columns] that the error at each place has in that at each point of a grid, row by row: bilinear,
    less its mean over the view, which two frames cannot tell from a longer way. Not to be written to."""
    down, across = (_hats(count) for count in (rows, columns))
    shares = (down[:, None, :, None] * across[:, None]).reshape(FIELD_SIZE, -1)
    shares -= shares.mean(axis=1, keepdims=True)
    shares.setflags(write=False)
    return shares


def _hats(count: int) -> Array:
    place = np.linspace(0, _PLACES - 1, count)
    return np.maximum(1 - np.abs(place - np.arange(_PLACES)[:, None]), 0)
