"""How far depth is wrong, smoothly over the view: what two frames tell of it, beside the motion between them."""

import numpy as np

from ..motion_field import Array

# Places across and down between which the error goes evenly, and its standard deviation there, in ln. Found on validation.
_PLACES = 3
FIELD_SIZE, FIELD_SIGMA = _PLACES**2, 0.25


def field_of(x: Array, y: Array) -> Array:
    """Share [FIELD_SIZE, N] that the error at each place has in that at each point x, y [N] of a grid: bilinear, less its mean
    over the view, which two frames cannot tell from a longer way."""
    down, across = (_hats(coordinate) for coordinate in (y, x))
    shares = (down[:, None] * across).reshape(FIELD_SIZE, -1)
    return np.asarray(shares - shares.mean(axis=1, keepdims=True))


def _hats(coordinate: Array) -> Array:
    first, last = coordinate.min(), coordinate.max()
    place = (coordinate - first) * ((_PLACES - 1) / max(last - first, 1e-9))
    return np.maximum(1 - np.abs(place - np.arange(_PLACES)[:, None]), 0)
