"""Whether two frames, laid upon each other, show one scene that moves as one."""

import cv2
import numpy as np

from ..motion_field import Array

# Frames are of one scene from not at all to surely as their pictures correlate so much: those of noise alone do not, nor 19 of 20
# that were looked for from the wrong sign, and of plain walls a lens's shading correlates too, which does not move.
_ALIKE = (0.3, 1.0)
# As so much of the textured view shows one thing here and another there, they are doubted so far, and the rest believed so far:
# hardly any of it does where nothing moves but the camera. What deceives the way deceives the blur as well, so that a little is
# believed until most of the view is something else.
_OTHER, _DOUBT, _REST = (0.07, 0.22, 0.75), (0.0, 1.0, 1.0), (1.0, 0.1, 0.0)
# That is seen region by region (across, down), where so much of a region is shown, with so much contrast, and where the two
# correlate less than so.
_REGIONS, _SHOWN, _TEXTURE, _CORRELATED = (7, 5), 0.2, 0.05, 0.5
_TINY = 1e-9


def agreement(here: Array, there: Array, seen: Array) -> float:
    """How far contrasts here and there [N] are of one scene, 0 to 1; seen: [N] bool, where they are known."""
    here, there = here[seen], there[seen]
    here, there = here - here.mean(), there - there.mean()
    alike = float(here @ there) / max(float(np.sqrt((here @ here) * (there @ there))), _TINY)
    return float(np.interp(alike, _ALIKE, (0, 1)))


def disagreement(here: Array, there: Array, seen: Array, grid: tuple[int, int]) -> tuple[float, float]:
    """How far part of them is of something else, as where something moves by itself, and how far the rest is to be believed
    then, 0 to 1 each; grid: their rows and columns."""
    here, there = np.where(seen, here, 0), np.where(seen, there, 0)
    products = np.stack([here * there, (here * here + there * there) / 2, seen], axis=-1)
    regions = cv2.resize(products.reshape(*grid, 3), _REGIONS, interpolation=cv2.INTER_AREA)
    common, texture, shown = regions.reshape(-1, 3).T
    shown = np.where((shown > _SHOWN) & (texture > _TEXTURE * shown), shown, 0)
    other = shown[common < _CORRELATED * texture].sum() / max(shown.sum(), _TINY)
    return float(np.interp(other, _OTHER, _DOUBT)), float(np.interp(other, _OTHER, _REST))
