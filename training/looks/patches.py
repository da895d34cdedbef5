"""Patches of a picture laid along a flow: turned into its direction, scaled to its length."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def half_sizes(luma: Tensor) -> Tensor:
    """Atlas [B,1,H,3W/2] of luma [B,1,H,W]: its half, quarter and eighth in a column to its right, one picture to sample."""
    height, width = (int(n) for n in luma.shape[-2:])
    levels, column = [luma], []
    for _ in range(3):
        levels.append(F.avg_pool2d(levels[-1], 2))
        column.append(F.pad(levels[-1], (0, width // 2 - int(levels[-1].shape[-1]))))
    filled = sum(int(level.shape[2]) for level in column)
    return torch.cat((luma, F.pad(torch.cat(column, dim=2), (0, 0, 0, height - filled))), dim=3)


class FlowPatches(nn.Module):
    """An atlas of luma [B,1,H,3W/2] (half_sizes) -> patches [B,h*w,ALONG*ACROSS], each around the middle of its cell."""

    # Samples of a patch, along and across the flow; so many of them make up its length.
    ALONG, ACROSS, STEPS = 33, 9, 8

    def __init__(self) -> None:
        super().__init__()
        along = torch.arange(self.ALONG) - self.ALONG // 2
        across = torch.arange(self.ACROSS) - self.ACROSS // 2
        along, across = along.float().repeat(self.ACROSS), across.float().repeat_interleave(self.ALONG)
        self.register_buffer("along", along, persistent=False)
        self.register_buffer("across", across, persistent=False)
        # Times a patch's middle (x, y) and its step's (cos, sin): (x, y) of its samples.
        one, none = torch.ones_like(along), torch.zeros_like(along)
        x, y = torch.stack((one, none, along, -across)), torch.stack((none, one, across, along))
        self.register_buffer("offsets", torch.stack((x, y), dim=-1), persistent=False)

    def waves(self) -> Tensor:
        """Cosines, then sines [ALONG * ACROSS, 2 * waves], where learning starts: of waves up to 4 to the flow's length along
        it and 3 across, under a window, and of differences along the flow, so that strong waves leak less into weak ones."""
        fine = torch.cat((torch.arange(8) * 0.25 + 0.125, torch.arange(4) * 0.5 + 2.25))
        across, along = (f.flatten() for f in torch.meshgrid(torch.arange(-3, 4.0), fine, indexing="ij"))
        window = torch.cos(self.along * math.pi / self.ALONG) ** 2 * torch.cos(
            self.across * math.pi / (self.ACROSS + 1)
        )
        phase = 2 * math.pi / self.STEPS * (self.along[:, None] * along + self.across[:, None] * across)
        waves = torch.cat((torch.cos(phase), torch.sin(phase)), dim=1) * window[:, None]
        waves = (waves / waves.norm(dim=0)).view(self.ACROSS, self.ALONG, -1)
        return (waves - waves.roll(-1, 1)).flatten(0, 1)

    def sizes(self, height: int, width: int) -> Tensor:
        """Of each size of luma [4,7]: its scale, where it lies among all of them as (x, y) from their middle, and where its first
        and last pixel lie."""
        scale, whole = 0.5 ** torch.arange(4.0)[:, None], torch.tensor((width, height))
        origin = torch.tensor(((-0.75, -0.5), (0.25, -0.5), (0.25, 0.0), (0.25, 0.25))) * whole
        last = origin + scale * whole - 0.5
        return torch.cat((scale, origin, origin + 0.5, last), dim=1)

    def forward(self, atlas: Tensor, length: Tensor, direction: Tensor) -> Tensor:
        """Patches scaled to a length [B,1,h,w] px and turned to a double-angle direction [B,2,h,w] of unit length; taken from
        the size of luma in which their steps are about a pixel."""
        height, width = int(atlas.shape[2]), int(atlas.shape[3]) * 2 // 3
        rows, columns = (int(n) for n in length.shape[-2:])
        length, direction = (part.flatten(2).transpose(1, 2) for part in (length, direction))
        sizes = self.sizes(height, width).to(length.device)
        coarser = (length > self.STEPS * length.new_tensor((1.4, 2.8, 5.6))).float()
        scale, origin, first, last = (sizes[0] + coarser @ sizes.diff(dim=0)).split((1, 2, 2, 2), dim=2)
        # Half the angle; of the flow and its opposite, the one to the right.
        axis = torch.sqrt((0.5 + direction[..., :1] * length.new_tensor((0.5, -0.5))).clamp(min=0.0))
        upright, turned = length.new_tensor(((1.0, 1.0), (1.0, -1.0)))
        step = axis * torch.where(direction[..., 1:] < 0, turned, upright) * (length * scale / self.STEPS)
        x = (torch.arange(columns, dtype=torch.float32, device=length.device) + 0.5) * (width / columns)
        y = (torch.arange(rows, dtype=torch.float32, device=length.device) + 0.5) * (height / rows)
        middle = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).view(-1, 2)
        placed = torch.cat((middle * scale + origin, step), dim=2)
        places = (self.offsets * torch.tensor([4 / 3 / width, 2 / height], device=length.device)).flatten(1)
        grid = torch.minimum(torch.maximum(placed @ places, first @ places[:2]), last @ places[:2])
        grid = grid.unflatten(2, (-1, 2))
        # None lies outside; with zeros there ONNX Runtime lets its threads share the work.
        return F.grid_sample(atlas, grid, padding_mode="zeros", align_corners=False)[:, 0]
