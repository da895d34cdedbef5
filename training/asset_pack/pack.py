"""Reading side of the asset pack: the surfaces, pictures and furniture of one split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import cv2
import numpy as np

from blur_imu_ros.errors import ConfigurationError
from training.asset_pack.split import Split

# What stands in where a split has no texture of a kind.
FALLBACK = {
    "ceiling": "wall", "fabric": "general", "books": "picture", "rug": "floor", "door": "wood", "box": "picture",
    "photograph": "picture", "picture": "photograph", "metal": "general", "general": "wall", "floor": "wood",
    "wood": "floor", "wall": "general",
}  # fmt: skip


@dataclass(frozen=True)
class Furniture:
    """One model; size in metres along its own x (width), y (up) and z (depth, front at +z)."""

    path: Path
    name: str
    category: str
    size: tuple[float, float, float]

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        with np.load(self.path) as file:
            return {key: file[key] for key in file.files}

    @property
    def corners(self) -> np.ndarray:
        """float32 [T,3,3] metres, standing on y = 0, centred in x and z."""
        data = self._arrays
        unit = data["vertices"].astype(np.float32) / 65535 - np.array([0.5, 0.0, 0.5], np.float32)
        return (unit * np.array(self.size, np.float32))[data["triangles"]]

    @property
    def uv(self) -> np.ndarray:
        return self._arrays["uv"].astype(np.float32)[self._arrays["triangles"]]

    @property
    def material(self) -> np.ndarray:
        return self._arrays["material"]

    @property
    def colour(self) -> np.ndarray:
        return self._arrays["colour"]

    @property
    def opacity(self) -> np.ndarray:
        return self._arrays["opacity"]

    @property
    def layer(self) -> np.ndarray:
        return self._arrays["layer"]

    @property
    def images(self) -> np.ndarray:
        return self._arrays["images"]


class Pack:
    """The textures and furniture of one split of a pack folder. Raises ConfigurationError where there are none."""

    def __init__(self, folder: Path, split: Split):
        self.split = split
        root = Path(folder) / "textures" / split.value
        self._textures = {kind.name: sorted(kind.glob("*.jpg")) for kind in sorted(root.glob("*"))}
        if not self._textures:
            raise ConfigurationError(
                f"{root} holds no textures: build the pack with `python -m training assets --out {folder}`"
            )
        self.furniture = [
            _describe(path) for path in sorted((Path(folder) / "furniture" / split.value).glob("*.npz"))
        ]

    def texture(self, kind: str, rng: np.random.Generator) -> Path:
        """The path of a random texture of a kind, or of its nearest relative."""
        for _ in range(len(FALLBACK)):
            if self._textures.get(kind):
                return self._textures[kind][rng.integers(len(self._textures[kind]))]
            kind = FALLBACK[kind]
        raise ConfigurationError(
            f"the {self.split.value} split of the pack has no texture to stand in for {kind}"
        )


def _describe(path: Path) -> Furniture:
    with np.load(path) as file:
        width, height, depth = (float(s) for s in file["size"])
        return Furniture(path, str(file["name"]), str(file["category"]), (width, height, depth))


@lru_cache(maxsize=512)
def load_rgba(path: Path, side: int) -> np.ndarray:
    """An image file as RGBA uint8 [side,side,4], stretched to the square."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ConfigurationError(f"{path} is not an image: build the pack again")
    image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGBA)
