"""Exposure integration of many samples at once on a GPU: what imaging/blur.py does for one, in the same steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

# Farthest, in pixels, that a nearer surface is looked for in front of what a pixel sees at mid exposure.
REACH_PX = 12


@dataclass(frozen=True)
class Exposures:
    """Key frames and how each is exposed: colour [B,3,h,w] linear light, inverse_depth [B,1,h,w] 1/m, key_focal_px [B]; the
    view's rotation [B,3,3] and focal_px [B]; twist, change [B,6] and readout [B] as in motion.ExposureMotion."""

    colour: Tensor
    inverse_depth: Tensor
    key_focal_px: Tensor
    rotation: Tensor
    focal_px: Tensor
    twist: Tensor
    change: Tensor
    readout: Tensor


def _column(value: Tensor) -> Tensor:
    return value.view(-1, 1, 1, 1)


def _rotations(vectors: Tensor) -> Tensor:
    """Rotation matrices [B,3,3] of rotation vectors [B,3]."""
    x, y, z = vectors.unbind(-1)
    none = torch.zeros_like(x)
    cross = torch.stack((none, -z, y, z, none, -x, -y, x, none), dim=-1).view(-1, 3, 3)
    angle = vectors.norm(dim=1).clamp(min=1e-6).view(-1, 1, 1)
    # Half angles, since 1 - cos is nothing in single precision where an exposure turns little.
    bend = 2 * (torch.sin(angle / 2) / angle) ** 2
    return torch.eye(3, device=cross.device) + torch.sin(angle) / angle * cross + bend * (cross @ cross)


def _intrinsics(focal_px: Tensor, height: int, width: int) -> Tensor:
    """From rays to places in an image: -1 and 1 are the middles of its outermost pixels. [B,3,3]"""
    matrix = torch.zeros(len(focal_px), 3, 3, device=focal_px.device)
    matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 2, 2] = (
        2 * focal_px / (width - 1),
        2 * focal_px / (height - 1),
        1,
    )
    return matrix


def _places(points: Tensor, matrix: Tensor) -> Tensor:
    """Homogeneous points [B,H,W,3] through matrices [B,3,3] to places [B,H,W,2]."""
    image = (points.flatten(1, 2) @ matrix.transpose(1, 2)).view_as(points)
    return image[..., :2] / image[..., 2:].clamp(min=1e-3)


def _look_up(image: Tensor, places: Tensor, mode: str = "nearest", border: str = "reflection") -> Tensor:
    return F.grid_sample(image, places, mode=mode, padding_mode=border, align_corners=True)


def _nearest(inverse_depth: Tensor, reach: Tensor) -> Tensor:
    """The nearest surface [B,1,H,W] within a square of `reach` [B] pixels."""
    for radius in range(1, REACH_PX + 1):
        wider = F.max_pool2d(inverse_depth, 3, 1, 1)
        inverse_depth = torch.where(_column(reach >= radius), wider, inverse_depth)
    return inverse_depth


class BatchExposure:
    """The views of a batch of exposures, of one size."""

    def __init__(self, exposures: Exposures, height: int, width: int) -> None:
        self.exposures, self.size = exposures, (height, width)
        device = exposures.focal_px.device
        x = torch.arange(width, device=device) - (width - 1) / 2
        y = torch.arange(height, device=device) - (height - 1) / 2
        y, x = torch.meshgrid(y, x, indexing="ij")
        flat = torch.stack((x, y), dim=-1)[None] / _column(exposures.focal_px)
        self.rays = F.pad(flat, (0, 1), value=1.0)
        self.to_view = _intrinsics(exposures.focal_px, height, width)
        key = _intrinsics(exposures.key_focal_px, *exposures.colour.shape[-2:])
        self.to_key = key @ exposures.rotation
        self.slant = (self.rays @ exposures.rotation[:, 2].view(-1, 1, 3, 1))[..., 0][:, None]
        self.inverse_depth = self.depth_at(_places(self.rays, self.to_key))

    def depth_at(self, places: Tensor) -> Tensor:
        """Inverse depth [B,1,H,W] along the view's axis, at places in the key frame."""
        return _look_up(self.exposures.inverse_depth, places) * self.slant

    def source(self, time: Tensor) -> Tensor:
        """Place in the key frame that each pixel sees at `time` [B], in exposures from mid exposure."""
        time = time[:, None]
        pose = self.exposures.twist * time + 0.5 * self.exposures.change * time * time
        rays = self.rays @ _rotations(pose[:, :3]).transpose(1, 2)[:, None]
        centre = pose[:, 3:].view(-1, 1, 1, 3)
        reach = self.exposures.focal_px * pose[:, 3:].norm(dim=1) * self.inverse_depth.amax((1, 2, 3))
        depth = _nearest(self.inverse_depth, torch.ceil(reach))
        for _ in range(2):
            seen = _places(rays + depth[:, 0, ..., None] * centre, self.to_view)
            depth = _look_up(self.inverse_depth, seen, border="border")
        return _places(rays + depth[:, 0, ..., None] * centre, self.to_key)

    def integrate(self, count: int) -> tuple[Tensor, Tensor]:
        """Linear light [B,3,H,W] of `count` sub-frames, and inverse depth [B,1,H,W] at each row's mid time."""
        readout = self.exposures.readout
        reach = 0.5 * (1.0 + readout)
        before, middle, after = (self.source(side * reach) for side in (-1, 0, 1))
        reach = _column(reach)
        slope, bend = (after - before) / (2 * reach), (after + before - 2 * middle) / (2 * reach * reach)
        rows = torch.linspace(-0.5, 0.5, self.size[0], device=readout.device).view(1, -1, 1, 1) * _column(
            readout
        )
        interval = 1 / count
        moment = rows - 0.5 + interval / 2
        source = middle + slope * moment + bend * (moment * moment)
        step = slope * interval + bend * (2 * interval * moment + interval * interval)
        growth = bend * (2 * interval * interval)
        total = torch.zeros_like(self.rays).permute(0, 3, 1, 2)
        for _ in range(count):
            total += _look_up(self.exposures.colour, source, mode="bilinear")
            source += step
            step += growth
        depth = self.depth_at(middle + slope * rows + bend * (rows * rows))
        return total / count, torch.where(_column(readout) > 0, depth, self.inverse_depth)
