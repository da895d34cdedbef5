"""Cells of a view in which there is nothing to see: clipped to black or white, or without any texture or noise at all.

A network reads "no blur" there, as on a sharp image, but a black image says nothing of how fast the camera moves.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

_SAMPLES_PER_CELL = 4
_NEIGHBOURHOOD = np.ones((3, 3), np.uint8)


class BlankCells:
    """Finds the blank cells of views [height, width] on the grid of a stride in pixels."""

    def __init__(self, height: int, width: int, stride: int) -> None:
        self._step = max(1, stride // _SAMPLES_PER_CELL)
        self._grid = (width // stride, height // stride)
        shape = len(range(0, height, self._step)), len(range(0, width, self._step))
        self._samples, self._contrast = np.empty(shape, np.uint8), np.empty(shape, np.uint8)

    def find(self, view: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """bool [h, w]: which cells of a view uint8 [height, width, 3] are blank, and their neighbours too; by its middle channel.

        What surrounds a single blank cell tells a network how it moves.
        """
        np.copyto(self._samples, view[:: self._step, :: self._step, 1])
        cv2.morphologyEx(self._samples, cv2.MORPH_GRADIENT, _NEIGHBOURHOOD, dst=self._contrast)
        # Rounded: 0 where a cell varies by less than half a grey level on average, less than any sensor's noise.
        blank = cv2.resize(self._contrast, self._grid, interpolation=cv2.INTER_AREA) == 0
        return cv2.erode(blank.view(np.uint8), _NEIGHBOURHOOD).view(np.bool_)
