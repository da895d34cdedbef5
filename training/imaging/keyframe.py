"""A key frame: one sharp scene-linear view with metric depth, from which whole exposures are rendered by warping."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

# As fine as the samples that are cut from it, and wider.
WIDTH, HEIGHT, FOCAL_PX = 960, 720, 600.0
FULL_SCALE = 8.0


@dataclass(frozen=True)
class KeyFrame:
    """Sharp RGB-D view at mid exposure.

    colour: uint16 [H,W,3] linear light, 65535 = FULL_SCALE times diffuse white; inverse_depth: float32 [H,W] in 1/m;
    the principal point is the image centre, ((W-1)/2, (H-1)/2). metric: whether the depth has a true scale to learn from.
    """

    colour: np.ndarray
    inverse_depth: np.ndarray
    focal_px: float
    metric: bool = True


def encode_linear(colour: np.ndarray) -> np.ndarray:
    """Scene-linear float [...] (1 = diffuse white) -> uint16, clipped at FULL_SCALE."""
    return (np.clip(colour, 0, FULL_SCALE) * (65535.0 / FULL_SCALE) + 0.5).astype(np.uint16)


def load_keyframe(path: Path) -> KeyFrame:
    """Read a room view written by `python -m training keyframes`."""
    with np.load(path) as arrays:
        return KeyFrame(
            arrays["colour"], arrays["inverse_depth"].astype(np.float32), float(arrays["focal_px"])
        )
