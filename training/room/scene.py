"""What the renderer draws: triangles, materials, texture layers and lamps, in metres with z up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training.asset_pack.pack import load_rgba

LAYER_SIDE = 512
MAX_LIGHTS = 12


@dataclass(frozen=True)
class Material:
    """colour: linear tint of the texture or plain albedo; layer: its texture or -1; emission: 1 = diffuse white."""

    colour: tuple[float, float, float] = (0.6, 0.6, 0.6)
    layer: int = -1
    specular: float = 0.0
    gloss: float = 20.0
    emission: float = 0.0
    noise: float = 0.0
    noise_per_m: float = 30.0
    cut_out: bool = False

    def row(self) -> tuple[float, ...]:
        return (*self.colour, self.layer, self.specular, self.gloss, self.emission, self.noise, self.noise_per_m,
                float(self.cut_out), 0.0, 0.0)  # fmt: skip


@dataclass(frozen=True)
class Light:
    """A small Lambertian emitter: irradiance at distance d along `direction` is intensity / d^2; parallel: the sun."""

    position: tuple[float, float, float]
    direction: tuple[float, float, float]
    intensity: tuple[float, float, float]
    cone_deg: float = 150.0
    parallel: bool = False


@dataclass(frozen=True)
class Scene:
    """position, normal float32 [N,3], uv float32 [N,2], material int32 [N]: three consecutive rows are a triangle; the
    first `casters` rows throw shadows. materials float32 [M,12]; layers uint8 [L,S,S,4], sRGB; ambient: linear RGB."""

    position: np.ndarray
    normal: np.ndarray
    uv: np.ndarray
    material: np.ndarray
    casters: int
    materials: np.ndarray
    layers: np.ndarray
    lights: tuple[Light, ...]
    ambient: tuple[float, float, float]


class SceneBuilder:
    """Collects meshes and materials; textures are shared by path."""

    def __init__(self) -> None:
        self._meshes: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, bool]] = []
        self._materials: list[Material] = []
        self._layers: list[np.ndarray] = []
        self._known: dict[Path, int] = {}
        self.lights: list[Light] = []
        self.triangles = 0

    def layer(self, path: Path) -> int:
        """The texture layer of an image file."""
        if path not in self._known:
            self._known[path] = self.layer_of(load_rgba(path, LAYER_SIDE))
        return self._known[path]

    def layer_of(self, image: np.ndarray) -> int:
        """The texture layer of an RGBA uint8 image [LAYER_SIDE,LAYER_SIDE,4]."""
        self._layers.append(image)
        return len(self._layers) - 1

    @property
    def layers(self) -> int:
        """How many texture layers are in use."""
        return len(self._layers)

    def material(self, material: Material) -> int:
        self._materials.append(material)
        return len(self._materials) - 1

    def textured(self, path: Path, brightness: float | None = None, **values: float) -> int:
        """A material showing an image file; with `brightness`, its mean albedo is that and its mean colour is muted."""
        layer = self.layer(path)
        tint = np.ones(3)
        if brightness is not None:
            mean = np.maximum(
                np.power(self._layers[layer][::8, ::8, :3] / 255.0, 2.2).mean(axis=(0, 1)), 0.01
            )
            tint = np.clip(brightness * np.sqrt(mean / mean.mean()) / mean, 0.2, 4.0)
        return self.material(replace(Material(tuple(tint.tolist()), layer), **values))  # type: ignore[arg-type]

    def add(
        self,
        corners: np.ndarray,
        uv: np.ndarray,
        material: np.ndarray | int,
        *,
        smooth: bool = False,
        casts: bool = True,
    ) -> None:
        """corners float [T,3,3] in the room, uv [T,3,2], material index [T] or one for all."""
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = np.linalg.norm(normal, axis=1)
        keep = area > 1e-9
        corners, uv, normal = corners[keep], uv[keep], normal[keep]
        material = np.broadcast_to(material, keep.shape)[keep]
        flat = np.repeat(normal / area[keep, None], 3, axis=0)
        rounded = _smoothed(corners.reshape(-1, 3), np.repeat(normal, 3, axis=0), flat) if smooth else flat
        self.triangles += len(corners)
        self._meshes.append(
            (corners.reshape(-1, 3), rounded, uv.reshape(-1, 2), np.repeat(material, 3), casts)
        )

    def build(self, ambient: tuple[float, float, float]) -> Scene:
        meshes = sorted(self._meshes, key=lambda mesh: not mesh[4])
        casters = sum(len(mesh[0]) for mesh in meshes if mesh[4])
        position, normal, uv, material = (np.concatenate([mesh[k] for mesh in meshes]) for k in range(4))
        layers = (
            np.stack(self._layers) if self._layers else np.full((1, LAYER_SIDE, LAYER_SIDE, 4), 255, np.uint8)
        )
        return Scene(
            position.astype(np.float32),
            normal.astype(np.float32),
            uv.astype(np.float32),
            material.astype(np.int32),
            casters,
            np.array([m.row() for m in self._materials], np.float32),
            layers,
            tuple(self.lights[:MAX_LIGHTS]),
            ambient,
        )


def _smoothed(points: np.ndarray, weighted: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Area-weighted normals per place, kept flat across creases sharper than about 40 degrees."""
    keys = np.round(points * 5000).astype(np.int64)
    _, index = np.unique(keys @ np.array([1, 1 << 20, 1 << 40]), return_inverse=True)
    total = np.zeros((index.max() + 1, 3))
    for axis in range(3):
        total[:, axis] = np.bincount(index, weighted[:, axis], len(total))
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    mean = total[index]
    return np.where((mean * flat).sum(axis=1, keepdims=True) > 0.75, mean, flat)
