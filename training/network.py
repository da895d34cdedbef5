"""The flow-and-depth network: a compact residual U-Net that reads blur at full resolution and answers on a stride-8 grid."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 8
FLOW_SCALE_PX = 8.0
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class NetworkConfig:
    """Widths at strides 2, 4, 8, 16 and 32, and residual blocks at strides 4, 8, 16 and 32."""

    widths: tuple[int, ...] = (16, 48, 96, 128, 192)
    blocks: tuple[int, ...] = (2, 2, 2, 2)


def conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution and batch norm; the norm is folded into the convolution by the exporter's runtime."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs, momentum=0.03),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions around a skip connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = conv(width, width), conv(width, width)
        nn.init.zeros_(self.second[1].weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))


class LocalProducts(nn.Module):
    """Products of linear filters: second-order image statistics, in which blur shows itself whatever its sign."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.filters = nn.Conv2d(width, 2 * width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.filters(x).chunk(2, dim=1)
        return self.norm(a * b)


def structure(luma: Tensor) -> Tensor:
    """Structure tensor of [B,1,H,W] at three scales on the stride-4 grid: [B,21,H/4,W/4].

    Per scale: (Jxx - Jyy) / E, 2 Jxy / E and ln E with E = Jxx + Jyy, in double-angle form as the flow, then ln of the gradient
    energy along 0, 90, 45 and 135 degrees. Blur takes energy away along its own direction, most at the fine scales: what a
    direction loses from one scale to the next, compared with the others, is the blur, and a difference of these planes.
    """
    planes = []
    for shrink in (1, 2, 4):
        scaled = F.avg_pool2d(luma, shrink) if shrink > 1 else luma
        # The two diagonal differences (Roberts) turned by 45 degrees: both sit on the same pixel corner.
        across = scaled[..., :-1, 1:] - scaled[..., 1:, :-1]
        down = scaled[..., 1:, 1:] - scaled[..., :-1, :-1]
        x, y = F.pad(across + down, (0, 1, 0, 1)), F.pad(down - across, (0, 1, 0, 1))
        products = torch.cat((x * x, y * y, x * y), dim=1)
        pooled = F.avg_pool2d(products, 4 // shrink) if shrink < 4 else products
        xx, yy, xy = F.avg_pool2d(pooled, 3, 1, 1).split(1, dim=1)
        energy = xx + yy
        diagonals = (0.5 * energy + xy, 0.5 * energy - xy)
        planes += [(xx - yy) / (energy + 1e-3), 2 * xy / (energy + 1e-3)]
        planes += [0.3 * torch.log(torch.relu(part) + 1e-3) for part in (energy, xx, yy, *diagonals)]
    return torch.cat(planes, dim=1)


def normalised_input(image: Tensor) -> Tensor:
    """Four planes from RGB [B,3,H,W] in 0..255: luma with its local mean and contrast removed, raw luma, two chroma."""
    rgb = image / 255.0
    red, green, blue = rgb[:, 0:1], rgb[:, 1:2], rgb[:, 2:3]
    luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    size = luma.shape[-2:]
    coarse = F.avg_pool2d(torch.cat((luma, luma * luma), dim=1), 16)
    coarse = F.avg_pool2d(F.pad(coarse, (1, 1, 1, 1), mode="replicate"), 3, 1)
    mean = F.interpolate(coarse[:, :1], size=size, mode="bilinear", align_corners=False)
    deviation = torch.sqrt(torch.relu(coarse[:, 1:] - coarse[:, :1] ** 2) + 4e-4)
    deviation = F.interpolate(deviation, size=size, mode="bilinear", align_corners=False)
    return torch.cat(((luma - mean) / deviation, 2 * luma - 1, 2 * (red - luma), 2 * (blue - luma)), dim=1)


class FlowDepthNetwork(nn.Module):
    """RGB [B,3,H,W] in 0..255 -> flow q [B,2,h,w] px, ln sigma, inverse depth 1/m, ln sigma (each [B,1,h,w]) at stride 8."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
        w2, *widths = self.config.widths
        self.stem = conv(4, w2, 5, 2)
        self.products = LocalProducts(w2)
        self.structure = nn.Conv2d(21, widths[0], 3, padding=1)
        entries, stages, inputs = [], [], 2 * w2
        for width, count in zip(widths, self.config.blocks, strict=True):
            entries.append(conv(inputs, width, 3, 2))
            stages.append(nn.Sequential(*(Residual(width) for _ in range(count))))
            inputs = width
        self.entries, self.stages = nn.ModuleList(entries), nn.ModuleList(stages)
        upper = widths[1:]
        self.lateral = nn.ModuleList(conv(deep, shallow, 1) for shallow, deep in itertools.pairwise(upper))
        self.merge = nn.ModuleList(Residual(width) for width in upper[:-1])
        self.flow_head = self._head(upper[0], 3)
        self.depth_head = self._head(upper[0], 2)

    @staticmethod
    def _head(width: int, outputs: int) -> nn.Sequential:
        last = nn.Conv2d(width, outputs, 1)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        return nn.Sequential(conv(width, width), nn.ReLU(), last)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        planes = normalised_input(image)
        x = self.stem(planes)
        x = torch.cat((F.relu(x), self.products(x)), dim=1)
        features: list[Tensor] = []
        for entry, stage in zip(self.entries, self.stages, strict=True):
            x = entry(x)
            if not features:
                x = x + self.structure(structure(planes[:, :1]))
            x = stage(F.relu(x))
            features.append(x)
        for level in reversed(range(len(self.merge))):
            lifted = F.interpolate(self.lateral[level](x), scale_factor=2, mode="nearest")
            x = self.merge[level](F.relu(features[level + 1] + lifted))
        flow, depth = self.flow_head(x).float(), self.depth_head(x).float()
        inverse_depth = torch.exp(depth[:, :1].clamp(-4, 3)) * 0.5
        flow_log_sigma = flow[:, 2:].clamp(-4, 4)
        depth_log_sigma = torch.log(inverse_depth.detach()) + depth[:, 1:].clamp(-4, 2) - 1.0
        return FLOW_SCALE_PX * flow[:, :2], flow_log_sigma, inverse_depth, depth_log_sigma


def averaged_weights(state: dict) -> dict[str, Tensor]:
    """State entries of the averaged network in a checkpoint."""
    prefix = "module."
    return {key[len(prefix) :]: value for key, value in state["average"].items() if key.startswith(prefix)}
