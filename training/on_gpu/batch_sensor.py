"""The sensor model for many images at once on a GPU: what imaging/sensor.py does for one, in the same steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from training.imaging.sensor import LUMA, Sensor

RADIUS = 6
# Quantisation of JPEG's luma and chroma at quality 50 (ITU-T T.81, tables K.1 and K.2).
LUMA_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA_STEPS = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
# JPEG's Y, Cb, Cr from R, G, B (ITU-T T.871).
YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


@dataclass(frozen=True)
class Sensors:
    """The cameras of a batch: each field of sensor.Sensor as [B,1,1,1], white_balance [B,3,1,1]."""

    values: dict[str, Tensor]

    @classmethod
    def of(cls, rows: Tensor) -> Sensors:
        """Cameras from their `Sensor.row` [B,N]."""
        widths = [3 if field.name == "white_balance" else 1 for field in fields(Sensor)]
        parts = rows[..., None, None].split(widths, dim=1)
        return cls({field.name: part for field, part in zip(fields(Sensor), parts, strict=True)})

    def __getattr__(self, name: str) -> Tensor:
        return self.values[name]


def soften(image: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of images [B,C,H,W], each by its own sigma [B,1,1,1] in pixels."""
    _, channels, height, width = image.shape
    place = torch.arange(-RADIUS, RADIUS + 1, device=image.device)
    weight = torch.exp(-0.5 * (place / sigma.clamp(min=0.05)) ** 2)
    weight = (weight / weight.sum(dim=-1, keepdim=True)).expand(-1, channels, -1, -1).flatten(0, 1)[:, None]
    flat = F.pad(image.reshape(1, -1, height, width), (RADIUS,) * 4, mode="reflect")
    flat = F.conv2d(F.conv2d(flat, weight, groups=len(weight)), weight.transpose(2, 3), groups=len(weight))
    return flat.view_as(image)


def _luma(image: Tensor) -> Tensor:
    return (image * image.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def _develop(sensors: Sensors, image: Tensor) -> Tensor:
    """Demosaic softening, tone curve and sharpening; 0..1 in, about 0..1 out."""
    luma = _luma(image)
    chroma = soften(image - luma, sensors.chroma_softening)
    coloured = (soften(luma, sensors.luma_softening) + chroma).clamp(0, 1)
    toned = torch.where(sensors.mono > 0, luma, coloured) ** (1 / sensors.gamma)
    toned = toned + sensors.contrast * (toned * toned * (3 - 2 * toned) - toned)
    return toned + sensors.sharpening * (toned - soften(toned, sensors.sharpening_sigma))


def expose(sensors: Sensors, light: Tensor) -> Tensor:
    """Linear light [B,3,H,W] -> RGB uint8 [B,3,H,W], in the order of a camera."""
    height, width = light.shape[-2:]
    y = torch.linspace(-1, 1, height, device=light.device)[:, None]
    x = torch.linspace(-1, 1, width, device=light.device)
    image = soften(light, sensors.defocus) * (1 - sensors.vignetting * 0.5 * (x * x + y * y))
    image = (image * sensors.level / image.mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-4)).clamp(max=1)
    noise = soften(torch.randn_like(image), sensors.noise_grain)
    noise = noise / noise.std(dim=(1, 2, 3), keepdim=True)
    image = image + torch.sqrt(image * sensors.shot**2 + sensors.read**2) * noise
    image = _develop(sensors, (image * sensors.white_balance).clamp(0, 1))
    image = (image * (sensors.white - sensors.black) + sensors.black).clamp(0, 1)
    result = (image * 255 + torch.rand_like(image)).floor().clamp(max=255)
    quality = sensors.jpeg_quality
    return torch.where(quality > 0, compressed(result, quality.clamp(min=1)), result).to(torch.uint8)


def compressed(image: Tensor, quality: Tensor) -> Tensor:
    """RGB [B,3,H,W] in 0..255 (sides multiples of 16) as JPEG of a quality [B,1,1,1] leaves it, chroma halved."""
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    matrix = image.new_tensor(YCC)
    planes = torch.einsum("kc,bchw->bkhw", matrix, image)
    luma = _quantised(planes[:, :1] - 128, LUMA_STEPS, scale) + 128
    chroma = _quantised(F.avg_pool2d(planes[:, 1:], 2), CHROMA_STEPS, scale)
    chroma = F.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
    planes = torch.cat((luma, chroma), dim=1)
    return torch.einsum("kc,bchw->bkhw", torch.linalg.inv(matrix), planes).round().clamp(0, 255)


def _quantised(planes: Tensor, steps: tuple[tuple[int, ...], ...], scale: Tensor) -> Tensor:
    """Planes [B,C,H,W] with the cosine transform of every 8x8 block rounded to steps times scale [B,1,1,1]."""
    batch, channels, height, width = planes.shape
    k = torch.arange(8, device=planes.device)
    cosines = torch.cos((k + 0.5) * k[:, None] * (math.pi / 8)) * 0.5
    cosines[0] /= math.sqrt(2)
    step = (planes.new_tensor(steps) * scale).round().clamp(1, 255)[:, :, None, None]
    blocks = planes.view(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    waves = cosines @ blocks @ cosines.T
    blocks = cosines.T @ ((waves / step).round() * step) @ cosines
    return blocks.transpose(3, 4).reshape(planes.shape)
