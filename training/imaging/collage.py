"""Key frames from photographs: sloped planes and cut-outs that carry real image statistics and exact, if invented, depth."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from blur_imu_ros.errors import ImageError
from training.imaging.keyframe import KeyFrame, encode_linear

WIDTH, HEIGHT, FOCAL_PX = 512, 384, 520.0


@lru_cache(maxsize=256)
def _photograph(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError(f"{path} is not an image; give --photos folders that hold nothing else")
    return image[..., ::-1]


def _crop(rng: np.random.Generator, path: Path) -> np.ndarray:
    """A random piece of a photograph at a random scale and orientation, sharp at [HEIGHT,WIDTH], in linear light float32."""
    photo = _photograph(path)
    if rng.random() < 0.15:
        photo = np.rot90(photo)
    largest = min(photo.shape[0] / HEIGHT, photo.shape[1] / WIDTH)
    scale = np.exp(rng.uniform(np.log(min(1.0, 0.7 * largest)), np.log(largest)))
    height, width = int(HEIGHT * scale), int(WIDTH * scale)
    top, left = rng.integers(photo.shape[0] - height + 1), rng.integers(photo.shape[1] - width + 1)
    piece = np.ascontiguousarray(photo[top : top + height, left : left + width])
    piece = cv2.resize(piece, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC)
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    linear = np.power(piece.astype(np.float32) / 255, 2.2)
    highlights = np.clip(linear.min(axis=2, keepdims=True) - 0.85, 0, 1) / 0.15
    return linear * (1 + highlights * rng.uniform(0, 6)) * np.exp(rng.normal(0, 0.3))


def _plane(rng: np.random.Generator, nearest: float, farthest: float) -> np.ndarray:
    """Inverse depth float32 [HEIGHT,WIDTH] of a random plane: linear in the pixel position."""
    x, y = np.meshgrid(
        np.linspace(-1, 1, WIDTH, dtype=np.float32), np.linspace(-1, 1, HEIGHT, dtype=np.float32)
    )
    centre = 1 / np.exp(rng.uniform(np.log(nearest), np.log(farthest)))
    slope = rng.normal(0, 0.25, 2) * centre
    return np.maximum(centre + slope[0] * x + slope[1] * y, 0.3 * centre).astype(np.float32)


def _cutout(rng: np.random.Generator) -> np.ndarray:
    """A random polygon or ellipse as a bool mask [HEIGHT,WIDTH]."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    centre = rng.uniform(0, 1, 2) * (WIDTH, HEIGHT)
    size = np.exp(rng.uniform(np.log(15), np.log(160), 2))
    if rng.random() < 0.4:
        angle = rng.uniform(0, 180)
        cv2.ellipse(mask, (tuple(centre), tuple(2 * size), angle), 1, -1)
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
        corners = centre + size * np.stack((np.cos(angles), np.sin(angles)), axis=1)
        cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
    return mask.astype(bool)


def _paint(rng: np.random.Generator, colour: np.ndarray, depth: np.ndarray) -> None:
    """Many small flat shapes, strokes and words of power-law sizes, in place: the edges and corners of a cluttered desk.

    Some shapes lie on the surface below them, others stand in front of it.
    """
    for _ in range(int(np.exp(rng.uniform(0, 5.0)))):
        shade = tuple(
            float(c) for c in np.exp(rng.uniform(np.log(0.02), np.log(1.2))) * rng.uniform(0.6, 1.4, 3)
        )
        centre = rng.uniform(0, 1, 2) * (WIDTH, HEIGHT)
        size = 4.0 * (1 - rng.random()) ** -0.7
        kind = rng.random()
        if kind < 0.6:
            angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
            radius = size * np.exp(rng.normal(0, 0.4, 2))
            corners = (centre + radius * np.stack((np.cos(angles), np.sin(angles)), axis=1)).astype(np.int32)
            cv2.fillPoly(colour, [corners], shade, cv2.LINE_AA)
            if rng.random() < 0.3:
                x, y = np.clip(centre.astype(int), 0, (WIDTH - 1, HEIGHT - 1))
                cv2.fillPoly(depth, [corners], float(depth[y, x] * rng.uniform(1.0, 1.6)))
        elif kind < 0.8:
            end = centre + rng.normal(0, 3 * size + 10, 2)
            cv2.line(colour, centre.astype(int), end.astype(int), shade, int(rng.integers(1, 5)), cv2.LINE_AA)
        else:
            text = "".join(chr(c) for c in rng.integers(48, 123, rng.integers(2, 12)))
            font, scale = int(rng.integers(0, 8)), float(rng.uniform(0.3, 1.5))
            ink = np.zeros((HEIGHT, WIDTH), np.uint8)
            cv2.putText(ink, text, centre.astype(int), font, scale, 255, int(rng.integers(1, 3)), cv2.LINE_AA)
            inked = ink > 0
            cover = ink[inked][:, None] / np.float32(255)
            colour[inked] += cover * (np.array(shade, np.float32) - colour[inked])


def make_collage(rng: np.random.Generator, photographs: list[Path]) -> KeyFrame:
    """A background plane and up to six nearer pieces, each with its own photograph and slope; depth without a metric meaning."""
    colour = _crop(rng, photographs[rng.integers(len(photographs))])
    depth = _plane(rng, 0.8, 6.0)
    for _ in range(rng.integers(0, 7)):
        mask = _cutout(rng)
        nearer = depth + (1.0 / rng.uniform(0.6, 3.0)) * rng.random()
        piece = (
            _crop(rng, photographs[rng.integers(len(photographs))])
            if rng.random() < 0.8
            else rng.uniform(0.02, 1, 3)
        )
        colour = np.where(mask[..., None], piece, colour)
        depth = np.where(mask, np.maximum(nearer, _plane(rng, 0.6, 3.0)), depth)
    colour, depth = np.ascontiguousarray(colour, np.float32), np.ascontiguousarray(depth, np.float32)
    if rng.random() < 0.6:
        _paint(rng, colour, depth)
    return KeyFrame(encode_linear(colour), depth, FOCAL_PX, metric=False)
