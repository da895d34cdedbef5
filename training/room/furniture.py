"""Catalogue models as furniture of a room: dressed in materials, and set in their places."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from training.asset_pack.pack import Furniture
from training.room.materials import Palette, log_uniform
from training.room.objects import Vector
from training.room.scene import LAYER_SIDE, Material, SceneBuilder
from training.room.shapes import placed

_UPRIGHT = np.array(
    [[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32
)  # model (x, y up, z front) -> room (x, -y front, z up)


class Furnisher:
    """Adds catalogue models to a scene; a model that stands several times is dressed once."""

    def __init__(self, builder: SceneBuilder, palette: Palette, rng: np.random.Generator):
        self.builder, self.palette, self.rng = builder, palette, rng
        self._dressings: dict[Path, tuple[np.ndarray, np.ndarray]] = {}

    def stand(self, model: Furniture, place: Vector, yaw: float) -> None:
        """Add a model with its foot at `place`, its front facing -y turned by `yaw` about z.

        Untextured parts get wood, cloth, metal or mottled paint instead of their flat colour.
        """
        if model.path not in self._dressings:
            self._dressings[model.path] = self._dressing(model)
        table, projected = self._dressings[model.path]
        seen = model.opacity[model.material] > 0.5
        corners, material = model.corners[seen] @ _UPRIGHT.T, model.material[seen]
        uv = model.uv[seen]
        tile = projected[material]
        uv = np.where(
            tile[:, None, None] > 0, _box_mapped(corners) / np.maximum(tile, 1e-3)[:, None, None], uv
        )
        if len(corners):
            moved = placed((corners, uv), place, yaw)
            self.builder.add(*moved, table[material], smooth=True)

    def _dressing(self, model: Furniture) -> tuple[np.ndarray, np.ndarray]:
        """Scene material of every model material, and its texture's tile in metres (0: the model's own coordinates)."""
        layers = [self.builder.layer_of(_layer(image)) for image in model.images]
        table, projected = np.zeros(len(model.colour), np.int64), np.zeros(len(model.colour))
        for k, (colour, layer) in enumerate(zip(model.colour, model.layer, strict=True)):
            if layer >= 0:
                cut = bool((model.images[layer][..., 3] < 128).mean() > 0.01)
                shine = float(self.rng.uniform(0, 0.3))
                table[k] = self.builder.material(
                    Material((0.95, 0.95, 0.95), layers[layer], shine, cut_out=cut)
                )
            else:
                table[k], projected[k] = self._dressed(np.asarray(colour))
        return table, projected

    def _dressed(self, colour: np.ndarray) -> tuple[int, float]:
        """A material near the flat colour, and its texture's tile in metres (0: none)."""
        linear = np.power(np.clip(colour, 0.02, 0.97), 2.2)
        kind = self.rng.choice(["", "wood", "fabric", "metal", "general"], p=[0.45, 0.3, 0.1, 0.1, 0.05])
        if kind:
            material = self.palette.of(str(kind), 0.06, 0.5, specular=float(self.rng.uniform(0, 0.4)))
            return material, float(self.rng.uniform(0.3, 1.0))
        noise, scale = float(self.rng.uniform(0.03, 0.35)), log_uniform(self.rng, 8, 150)
        red, green, blue = np.clip(linear * np.exp(self.rng.normal(0, 0.2, 3)), 0.01, 0.9).tolist()
        specular, gloss = self.rng.uniform((0, 5), (0.6, 60)).tolist()
        plain = Material((red, green, blue), -1, specular, gloss, noise=noise, noise_per_m=scale)
        return self.builder.material(plain), 0.0


def _box_mapped(corners: np.ndarray) -> np.ndarray:
    """Texture coordinates [T,3,2] in metres by projection along the largest axis of each triangle's normal."""
    normal = np.abs(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    axes = np.array([[1, 2], [0, 2], [0, 1]])[normal.argmax(axis=1)]
    return np.take_along_axis(corners, axes[:, None, :].repeat(3, axis=1), axis=2)


def _layer(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (LAYER_SIDE, LAYER_SIDE), interpolation=cv2.INTER_LINEAR)
