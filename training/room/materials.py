"""Materials of a room: paint, wood, cloth, metal, printed pages and screens, drawn from one split of the pack."""

from __future__ import annotations

import colorsys
from pathlib import Path

import cv2
import numpy as np

from training.asset_pack.pack import Pack
from training.room.scene import LAYER_SIDE, Material, SceneBuilder


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def paint(
    rng: np.random.Generator, low: float, high: float, saturation: float = 0.25
) -> tuple[float, float, float]:
    """A linear albedo of log-uniform lightness and random hue."""
    value = log_uniform(rng, low, high)
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), saturation * rng.random(), 1.0)
    return (value * red, value * green, value * blue)


class Palette:
    """Hands out materials of a scene; every kind keeps a short list that is reused, so that the textures fit."""

    def __init__(self, builder: SceneBuilder, pack: Pack, rng: np.random.Generator, per_kind: int = 6):
        self._builder, self._pack, self._rng, self._per_kind = builder, pack, rng, per_kind
        self._made: dict[str, list[int]] = {}

    def of(
        self, kind: str, low: float = 0.05, high: float = 0.6, *, fresh: bool = False, **values: float
    ) -> int:
        """A textured material of a pack kind, its mean albedo between low and high."""
        made = self._made.setdefault(kind, [])
        if made and not fresh and (len(made) >= self._per_kind or self._rng.random() < 0.4):
            return made[self._rng.integers(len(made))]
        brightness = log_uniform(self._rng, low, high)
        values = {
            "noise": float(self._rng.uniform(0.05, 0.3)),
            "noise_per_m": float(np.exp(self._rng.uniform(3.5, 5.5))),
            **values,
        }
        made.append(self._builder.textured(self._pack.texture(kind, self._rng), brightness, **values))
        return made[-1]

    def picture(self, kind: str = "picture", **values: float) -> int:
        """A picture or photograph as it is."""
        made = self._made.setdefault(f"as it is {kind}", [])
        if len(made) >= 2 * self._per_kind:
            return made[self._rng.integers(len(made))]
        made.append(self._builder.textured(self._pack.texture(kind, self._rng), **values))
        return made[-1]

    def plain(self, low: float = 0.03, high: float = 0.7, saturation: float = 0.5) -> int:
        """Painted, moulded or coated: one colour with fine mottling and a random gloss."""
        rng = self._rng
        specular = float(rng.uniform(0, 0.8)) if rng.random() < 0.5 else 0.0
        gloss, noise = rng.uniform((5, 0.03), (80, 0.35)).tolist()
        colour = paint(rng, low, high, saturation)
        finish = Material(colour, -1, specular, gloss, noise=noise, noise_per_m=log_uniform(rng, 8, 200))
        return self._builder.material(finish)

    def photograph_path(self) -> Path:
        return self._pack.texture("photograph", self._rng)

    def page(self) -> int:
        """A printed page."""
        made = self._made.setdefault("page", [])
        if len(made) < 4:
            made.append(
                self._builder.material(
                    Material((0.9, 0.9, 0.88), self._builder.layer_of(_printed(self._rng)))
                )
            )
        return made[self._rng.integers(len(made))]

    def screen(self) -> int:
        """A lit display: a photograph or windows of text; or switched off."""
        rng, builder = self._rng, self._builder
        if rng.random() < 0.2:
            return builder.material(Material((0.015, 0.015, 0.018), specular=0.8, gloss=60.0))
        glow = log_uniform(rng, 0.3, 2.5)
        if rng.random() < 0.5:
            layer = builder.layer_of(_windows(rng))
        else:
            layer = builder.layer(self._pack.texture("photograph" if rng.random() < 0.7 else "picture", rng))
        return builder.material(Material((0.5, 0.5, 0.5), layer, 0.3, 60.0, glow))


def _printed(rng: np.random.Generator) -> np.ndarray:
    image = np.full((LAYER_SIDE, LAYER_SIDE, 4), 245, np.uint8)
    y, left, right = 30, int(rng.integers(25, 60)), int(LAYER_SIDE - rng.integers(25, 60))
    while y < LAYER_SIDE - 30:
        if rng.random() < 0.08 and y < LAYER_SIDE - 170:
            height = int(rng.integers(60, 140))
            noise = rng.integers(
                0, 255, (int(rng.integers(2, 9)), int(rng.integers(2, 9)), 3), dtype=np.uint8
            )
            image[y : y + height, left:right, :3] = cv2.resize(
                noise, (right - left, height), interpolation=int(rng.integers(0, 3))
            )
            y += height + 16
            continue
        title = rng.random() < 0.08
        _write_line(image, rng, left, right, y, 0.9 if title else 0.4, (20, 20, 25))
        y += 34 if title else 14
    return image


def _write_line(
    image: np.ndarray, rng: np.random.Generator, left: int, right: int, y: int, size: float, colour: tuple
) -> None:
    letters = rng.choice(list("abcdefghijklmnopqrstuvwxyz      ABCDEFG0123456789.,()="), 90)
    length = int(min(90, (right - left) / (18 * size)) * (1 if rng.random() < 0.75 else rng.uniform(0.2, 1)))
    text, thick = "".join(letters[:length]), 2 if size > 0.6 else 1
    cv2.putText(image, text, (left, y), cv2.FONT_HERSHEY_SIMPLEX, size, (*colour, 255), thick, cv2.LINE_AA)


def _windows(rng: np.random.Generator) -> np.ndarray:
    """A desktop with a few windows of text."""
    image = np.full((LAYER_SIDE, LAYER_SIDE, 4), 255, np.uint8)
    image[..., :3] = rng.integers(10, 160, 3)
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.integers(0, 260, 2)
        width, height = rng.integers(150, 400, 2)
        dark = rng.random() < 0.5
        cv2.rectangle(
            image,
            (int(x), int(y)),
            (int(x + width), int(y + height)),
            (30, 32, 36, 255) if dark else (240, 240, 240, 255),
            -1,
        )
        cv2.rectangle(
            image,
            (int(x), int(y)),
            (int(x + width), int(y + 14)),
            (*rng.integers(40, 200, 3).tolist(), 255),
            -1,
        )
        for line in range(int(y) + 30, min(int(y + height), LAYER_SIDE), int(rng.integers(12, 18))):
            colour = (
                tuple(rng.integers(120, 255, 3).tolist()) if dark else tuple(rng.integers(0, 120, 3).tolist())
            )
            _write_line(
                image, rng, int(x) + 6 + 12 * int(rng.integers(0, 4)), int(x + width), line, 0.38, colour
            )
    return image
