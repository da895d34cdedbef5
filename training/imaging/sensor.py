"""Sensor model: linear light in, the 8-bit image a real camera would deliver out."""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def _soften(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma) if sigma > 0.15 else image


def _vignette(shape: tuple[int, ...], strength: float) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j].astype(np.float32)
    return (1 - strength * 0.5 * (x * x + y * y))[..., None]


def _balance(gains: np.ndarray) -> tuple[float, ...]:
    """Cameras raise the weaker colours and lower none, so that what is saturated is white."""
    return tuple(gains / gains.min())


@dataclass(frozen=True)
class Sensor:
    """One camera's look. Sigmas in pixels; `level`: mean grey that its exposure control aims at, in shares of saturation;
    shot and read: noise at saturation and in the dark; jpeg_quality 0: not compressed."""

    defocus: float
    vignetting: float
    level: float
    shot: float
    read: float
    noise_grain: float
    white_balance: tuple[float, ...]
    mono: bool
    luma_softening: float
    chroma_softening: float
    gamma: float
    contrast: float
    sharpening: float
    sharpening_sigma: float
    black: float
    white: float
    jpeg_quality: int

    def row(self) -> np.ndarray:
        """All of it as numbers [N], in the order of the fields."""
        return np.hstack([getattr(self, field.name) for field in fields(self)]).astype(np.float32)


def draw_sensor(rng: np.random.Generator, dark: bool | None = None) -> Sensor:
    """A random camera; dark: in low light (None: a quarter of them)."""
    dark = bool(rng.random() < 0.25) if dark is None else dark
    noise = 1.5 if dark else 1.0
    faded = rng.random() < 0.2
    return Sensor(
        defocus=abs(rng.normal(0, 0.5)) if rng.random() < 0.7 else rng.uniform(0.5, 1.6),
        vignetting=rng.uniform(0, 0.5),
        level=rng.uniform(0.03, 0.12) if dark else rng.uniform(0.1, 0.4),
        shot=noise * float(np.exp(rng.uniform(np.log(1e-3), np.log(2.5e-2)))),
        read=noise * float(np.exp(rng.uniform(np.log(5e-4), np.log(8e-3)))),
        noise_grain=rng.choice([0.0, rng.uniform(0.3, 0.8)], p=[0.4, 0.6]),
        white_balance=_balance(rng.uniform(0.8, 1.2, 3)),
        mono=bool(rng.random() < 0.15),
        luma_softening=rng.uniform(0, 0.5),
        chroma_softening=rng.uniform(0.3, 1.2),
        gamma=rng.uniform(1.7, 2.5),
        contrast=float(np.clip(rng.normal(0.2, 0.3), 0, 0.9)),
        sharpening=rng.uniform(0.1, 1.0) if rng.random() < 0.5 else 0.0,
        sharpening_sigma=rng.uniform(0.7, 1.5),
        black=rng.uniform(0, 0.1) if faded else 0.0,
        white=rng.uniform(0.7, 0.95) if faded else 1.0,
        jpeg_quality=int(rng.uniform(50, 98)) if rng.random() < 0.7 else 0,
    )


def _noise(rng: np.random.Generator, shape: tuple[int, ...], grain: float) -> np.ndarray:
    """Unit Gaussian noise, white or softened as shrinking, demosaicing and denoising leave it."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    if grain < 0.15:
        return noise
    soft = cv2.GaussianBlur(noise, (0, 0), grain)
    return soft / max(float(soft.std()), 1e-6)


def _develop(sensor: Sensor, image: np.ndarray) -> np.ndarray:
    """Demosaic softening, tone curve and sharpening; 0..1 in, about 0..1 out."""
    luma = image @ LUMA
    if sensor.mono:
        image = np.repeat(luma[..., None], 3, axis=2)
    else:
        chroma = _soften(image - luma[..., None], sensor.chroma_softening)
        image = np.clip(_soften(luma, sensor.luma_softening)[..., None] + chroma, 0, 1)
    toned = np.power(image, np.float32(1 / sensor.gamma))
    toned += np.float32(sensor.contrast) * (toned * toned * (3 - 2 * toned) - toned)
    if sensor.sharpening:
        toned += sensor.sharpening * (toned - cv2.GaussianBlur(toned, (0, 0), sensor.sharpening_sigma))
    return toned


def expose(sensor: Sensor, light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Linear light float32 [H,W,3] -> uint8 RGB [H,W,3], in the order of a camera.

    Lens, exposure, saturation, shot and read noise, white balance, demosaicing, tone curve, sharpening, 8 bits, JPEG.
    """
    image = _soften(light, sensor.defocus) * _vignette(light.shape, sensor.vignetting)
    image = np.minimum(image * np.float32(sensor.level / max(float(image.mean()), 1e-4)), 1.0)
    image += np.sqrt(image * sensor.shot**2 + sensor.read**2) * _noise(rng, image.shape, sensor.noise_grain)
    image = np.clip(image * np.array(sensor.white_balance, np.float32), 0, 1)
    image = _develop(sensor, image) * (sensor.white - sensor.black) + sensor.black
    result = (np.clip(image, 0, 1) * 255 + rng.random(image.shape, dtype=np.float32)).astype(np.uint8)
    if sensor.jpeg_quality:
        coded = cv2.imencode(".jpg", result[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, sensor.jpeg_quality])[1]
        result = np.ascontiguousarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1])
    return result
