"""Patches of a picture laid along a flow: turned into its direction, scaled to its length."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def half_sizes(luma: Tensor) -> Tensor:
    """Luma [B,1,H,W] with its half, quarter and eighth in a column to its right: one picture [B,1,H,3W/2] to sample."""
    height, width = (int(n) for n in luma.shape[-2:])
    levels, column = [luma], []
    for _ in range(3):
        levels.append(F.avg_pool2d(levels[-1], 2))
        column.append(F.pad(levels[-1], (0, width // 2 - int(levels[-1].shape[-1]))))
    filled = sum(int(level.shape[2]) for level in column)
    return torch.cat((luma, F.pad(torch.cat(column, dim=2), (0, 0, 0, height - filled))), dim=3)


class FlowPatches(nn.Module):
    """Luma [B,1,H,W] -> patches [B,h*w,ALONG*ACROSS], each around the middle of its cell."""

    # Samples of a patch, along and across the flow; so many of them make up its length.
    ALONG, ACROSS, STEPS = 33, 9, 8

    def __init__(self) -> None:
        super().__init__()
        along = torch.arange(self.ALONG) - self.ALONG // 2
        across = torch.arange(self.ACROSS) - self.ACROSS // 2
        self.register_buffer("along", along.float().repeat(self.ACROSS), persistent=False)
        self.register_buffer("across", across.float().repeat_interleave(self.ALONG), persistent=False)

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

    def forward(self, luma: Tensor, length: Tensor, direction: Tensor) -> Tensor:
        """Patches scaled to a length [B,1,h,w] px and turned to a double-angle direction [B,2,h,w] of unit length; taken from
        the size of luma in which their steps are about a pixel."""
        height, width = (int(n) for n in luma.shape[-2:])
        rows, columns = (int(n) for n in length.shape[-2:])
        step, double = length / self.STEPS, direction[:, :1]
        cos = torch.sqrt((0.5 + 0.5 * double).clamp(min=0.0))
        sin = torch.sqrt((0.5 - 0.5 * double).clamp(min=0.0)) * torch.where(direction[:, 1:] < 0, -1.0, 1.0)
        half, quarter, eighth = ((step > limit).float() for limit in (1.4, 2.8, 5.6))
        shrink = 1 + half + 2 * quarter + 4 * eighth
        left, top = width * half, height / 2 * quarter + height / 4 * eighth
        x = (torch.arange(columns, dtype=torch.float32, device=luma.device) + 0.5) * (width / columns)
        y = (torch.arange(rows, dtype=torch.float32, device=luma.device) + 0.5) * (height / rows)
        x, y, shrink, left, top, u, v = (
            plane.flatten(1)[..., None]
            for plane in (
                x / shrink - 0.5, y[:, None] / shrink - 0.5, shrink, left, top, cos * step / shrink, sin * step / shrink
            )
        )  # fmt: skip
        px = x + u * self.along - v * self.across
        py = y + v * self.along + u * self.across
        px = torch.minimum(px.clamp(min=0), width / shrink - 1) + left
        py = torch.minimum(py.clamp(min=0), height / shrink - 1) + top
        grid = torch.stack(((px + 0.5) * (4 / 3 / width) - 1, (py + 0.5) * (2 / height) - 1), dim=-1)
        return F.grid_sample(half_sizes(luma), grid, padding_mode="border", align_corners=False)[:, 0]
