"""How far depth is wrong, smoothly over the view: what two frames tell of it, beside the motion between them."""

from functools import lru_cache

import numpy as np

from ..motion_field import Array

# Places down and across between which the error goes evenly. In ln it has this standard deviation, and from one place to another
# it is alike to exp(-1) over so much of the view's width: about as on validation.
_ROWS, _COLUMNS = 5, 7
_SIGMA, _ALIKE_OVER = 0.27, 0.3
# Height of the view, over its width.
_HEIGHT = 0.7
FIELD_SIZE = _ROWS * _COLUMNS


def _precision() -> Array:
    down, across = np.mgrid[0 : _HEIGHT : _ROWS * 1j, 0 : 1 : _COLUMNS * 1j]
    place = (across + 1j * down).ravel()
    return np.asarray(np.linalg.inv(_SIGMA**2 * np.exp(-np.abs(place[:, None] - place) / _ALIKE_OVER)))


# Inverse covariance [FIELD_SIZE, FIELD_SIZE] of the error at the places, row by row, before two frames are laid together.
FIELD_PRECISION = _precision()


class DepthField:
    """The error at the points of a grid, row by row, as shares of that at the places: bilinear, less its mean over the view, as
    two frames cannot tell that from a longer way. What least squares needs of the shares is summed across before down."""

    def __init__(self, rows: int, columns: int) -> None:
        self._grid = rows, columns
        self._down, self._across = _hats(rows, _ROWS), _hats(columns, _COLUMNS)
        self._pairs_down, self._pairs_across = _pairs(self._down), _pairs(self._across)
        each = np.full(rows * columns, 1 / (rows * columns))
        self._mean = self._shared(each)
        self._mean_square = self.squares(each)

    def at_points(self, error: Array) -> Array:
        """The error [N] at the points, for that at the places [FIELD_SIZE]."""
        grid = self._down.T @ error.reshape(_ROWS, _COLUMNS) @ self._across
        return (grid - self._mean @ error).ravel()

    def at_places(self, values: Array) -> Array:
        """Values [..., N] at the points summed to the places [..., FIELD_SIZE], each by its share."""
        return self._shared(values) - values.sum(axis=-1, keepdims=True) * self._mean

    def squares(self, weight: Array) -> Array:
        """Sums [FIELD_SIZE, FIELD_SIZE] over the points of the products of two shares, weighted by [N]."""
        grid = self._pairs_down @ weight.reshape(self._grid) @ self._pairs_across.T
        products = (
            grid.reshape(_ROWS, _ROWS, _COLUMNS, _COLUMNS).swapaxes(1, 2).reshape(FIELD_SIZE, FIELD_SIZE)
        )
        half = np.outer(self._shared(weight) - weight.sum() / 2 * self._mean, self._mean)
        return products - half - half.T

    def mean_of(self, covariance: Array) -> float:
        """Mean variance over the points, for a covariance [FIELD_SIZE, FIELD_SIZE] of the places."""
        return float(np.sum(covariance * self._mean_square))

    def _shared(self, values: Array) -> Array:
        grids = values.reshape(*values.shape[:-1], *self._grid)
        return (self._down @ grids @ self._across.T).reshape(*values.shape[:-1], FIELD_SIZE)


@lru_cache(maxsize=8)
def field_of(rows: int, columns: int) -> DepthField:
    """The field on a grid of so many rows and columns."""
    return DepthField(rows, columns)


def _hats(count: int, places: int) -> Array:
    """Share [places, count] of each place in each of `count` points."""
    place = np.linspace(0, places - 1, count)
    return np.maximum(1 - np.abs(place - np.arange(places)[:, None]), 0)


def _pairs(shares: Array) -> Array:
    """Products [places * places, count] of the shares of two places."""
    return (shares[:, None] * shares).reshape(-1, shares.shape[1])
