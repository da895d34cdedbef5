"""Canonical views made comparable between frames: small, and blind to what the exposure control does."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

# How much smaller than the view its pictures are, coarse before fine; each half of the one after it.
LEVELS = (8, 4)
COARSE = 0
# Before views are halved a last time, so many pixels are averaged: what is left moves smoothly.
_SMOOTHING = (3, 3)
# Contrast is relative to that of so many pixels around; what differs by fewer grey levels fades out.
_NEIGHBOURHOOD_PX, _FAINT = 9, 4.0
# Before, cv2.remap sampled at multiples of 1/32 px alone, by which slow motions would be lost.
_REMAP_IS_EXACT = int(cv2.__version__.split(".", 1)[0]) >= 5


@dataclass(frozen=True)
class ContrastView:
    """A canonical view ready for comparison.

    levels: for each of LEVELS float32 [H/level, W/level, 3], the local contrast, NaN where the camera sees nothing, and its slope
    across and down per pixel of the whole view; stamp_ns: middle of its exposure.
    """

    levels: tuple[Picture, ...]
    stamp_ns: int

    def at(self, points: NDArray[np.float64], level: int) -> Picture:
        """Contrast and slopes [3, K, N] at pixels [2, K, N] from the view's principal point, bilinear; contrast NaN outside."""
        picture, shrink = self.levels[level], LEVELS[level]
        height, width = picture.shape[:2]
        columns = (points[0] / shrink + (width - 1) / 2).astype(np.float32)
        rows = (points[1] / shrink + (height - 1) / 2).astype(np.float32)
        inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
        columns, rows = np.where(inside, columns, 0), np.where(inside, rows, 0)
        if _REMAP_IS_EXACT:
            contrast, across, down = cv2.split(cv2.remap(picture, columns, rows, cv2.INTER_LINEAR))
        else:
            contrast, across, down = _bilinear(picture, columns, rows)
        return np.stack([np.where(inside, contrast, np.float32(np.nan)), across, down])

    @property
    def blank(self) -> bool:
        """Whether nothing is seen that could tell one picture from another."""
        return not np.any(self.levels[COARSE][..., 0] > 0)

    def same_picture(self, other: "ContrastView") -> bool:
        """Whether both are of one exposure, as where a driver publishes an image twice: noise never comes out the same."""
        return np.array_equal(self.levels[COARSE], other.levels[COARSE], equal_nan=True)


class ContrastViews:
    """Makes the views of one camera comparable."""

    def __init__(self, valid: NDArray[np.bool_]) -> None:
        """valid: bool [H, W], the pixels of the view that the camera sees."""
        self._outside = [_outside(valid, level) for level in LEVELS]

    def of(self, view: NDArray[np.uint8], stamp_ns: int) -> ContrastView:
        """The comparable view of a canonical one, uint8 [H, W, 3], in the middle of whose exposure the time is `stamp_ns`."""
        # Halving again and again is several times faster than shrinking at once.
        half = _halved(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY))
        fine = _halved(cv2.boxFilter(half, cv2.CV_32F, _SMOOTHING))
        pictures = zip((_halved(fine), fine), self._outside, LEVELS, strict=True)
        return ContrastView(tuple(_sloped(_contrast(p), out, level) for p, out, level in pictures), stamp_ns)


def _bilinear(picture: Picture, columns: Picture, rows: Picture) -> Picture:
    """A picture [H, W, C] at places [K, N] within it: [C, K, N]."""
    height, width, channels = picture.shape
    left, top = (
        np.minimum(places.astype(np.intp), size - 2) for places, size in ((columns, width), (rows, height))
    )
    x, y = columns - left, rows - top
    first, flat = top * width + left, picture.reshape(-1, channels).T
    corners = ((0, (1 - x) * (1 - y)), (1, x * (1 - y)), (width, (1 - x) * y), (width + 1, x * y))
    # What has no weight has no say, though it be NaN.
    parts = (np.where(weight > 0, flat[:, first + step] * weight, 0) for step, weight in corners)
    return np.asarray(sum(parts), np.float32)


def _contrast(grey: Picture) -> Picture:
    """How far each pixel is from its surroundings, in units of how they differ: blind to gain, offset and shading."""
    box = (_NEIGHBOURHOOD_PX, _NEIGHBOURHOOD_PX)
    mean = cv2.blur(grey, box)
    variance = cv2.blur(grey * grey, box) - mean * mean
    return np.asarray((grey - mean) / (np.sqrt(np.maximum(variance, 0)) + np.float32(_FAINT)))


def _sloped(contrast: Picture, outside: Picture, level: int) -> Picture:
    """The contrast and its slopes across and down, by central differences."""
    across, down = (
        cv2.Sobel(contrast, cv2.CV_32F, *axis, ksize=1, scale=0.5 / level) for axis in ((1, 0), (0, 1))
    )
    return np.asarray(cv2.merge([contrast + outside, across, down]))


def _outside(valid: NDArray[np.bool_], level: int) -> Picture:
    """What to add to a picture: 0 where the camera sees all of a pixel and its neighbours, NaN elsewhere."""
    size = (valid.shape[1] // level, valid.shape[0] // level)
    seen = cv2.resize(valid.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.where(cv2.erode(seen, np.ones((3, 3))) > 0.999, 0, np.nan).astype(np.float32)


def _halved(picture: NDArray[Any]) -> NDArray[Any]:
    size = (picture.shape[1] // 2, picture.shape[0] // 2)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
