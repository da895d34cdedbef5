"""The flow-and-depth network: one reader of blur for all scales of the image, and a U-Net that weighs what it read."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FLOW_SCALE_PX = 16.0
LEVEL_SCALE_PX = 8.0
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class NetworkConfig:
    """Levels of the pyramid; widths of the blur reader at strides 2, 4 and 8 of its level, and its residual blocks; widths
    of the context at strides 16, 32 and 64 of the image, and residual blocks at each."""

    levels: int = 4
    local: tuple[int, ...] = (16, 32, 48)
    local_blocks: int = 2
    context: tuple[int, ...] = (96, 128, 192)
    context_blocks: tuple[int, ...] = (1, 1, 1)


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


class EnergyBank(nn.Module):
    """Energy of differences over short distances, at four scales: luma [B,1,H,W] in 0..255 -> [B,LAGS * 4 + 4,H/8,W/8].

    Blur takes energy away along its own direction, up to its own length: what the differences of one direction lose from one
    distance to the next, compared with the other directions, is the blur. Twelve lags in the half plane of 5x5 pixels, on
    the image shrunk by 1, 2, 4 and 8; ln of the energies minus their mean over the lags, and that mean.
    """

    LAGS = (
        (1, 0), (0, 1), (1, 1), (1, -1), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2), (-1, 2), (-2, 2), (-2, 1),
    )  # fmt: skip
    SHRINKS = (1, 2, 4, 8)
    GRID = 8
    OUTPUTS = (len(LAGS) + 1) * len(SHRINKS)
    # About the energy of rounding to eight bits and a little noise.
    FLOOR = 1e-5 * 255**2

    def __init__(self) -> None:
        super().__init__()
        kernels = torch.zeros((len(self.LAGS), 1, 5, 5))
        for kernel, (x, y) in zip(kernels, self.LAGS, strict=True):
            left, top = 2 - (x + 1) // 2, 2 - (y + 1) // 2
            kernel[0, top, left], kernel[0, top + y, left + x] = -1, 1
        self.register_buffer("kernels", kernels)

    def forward(self, luma: Tensor) -> Tensor:
        planes = []
        for shrink in self.SHRINKS:
            if planes:
                luma = F.avg_pool2d(luma, 2)
            stride = 2 if shrink < self.GRID else 1
            differences = F.conv2d(F.pad(luma, (2, 2, 2, 2), mode="replicate"), self.kernels, stride=stride)
            energy = differences * differences
            if shrink * stride < self.GRID:
                energy = F.avg_pool2d(energy, self.GRID // (shrink * stride))
            energy = F.avg_pool2d(energy, 3, 1, 1, count_include_pad=False)
            logs = 0.5 * torch.log(energy + self.FLOOR)
            mean = logs.mean(dim=1, keepdim=True)
            planes += [logs - mean, 0.3 * (mean - math.log(255.0)) + 1]
        return torch.cat(planes, dim=1)


def luma_of(rgb: Tensor) -> Tensor:
    """Luma [B,1,H,W] of RGB [B,3,H,W]."""
    return (rgb.permute(0, 2, 3, 1) @ rgb.new_tensor(LUMA).view(3, 1)).permute(0, 3, 1, 2)


def zero_weights(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer, saying nothing until it has learnt to."""
    nn.init.zeros_(layer.weight)
    return layer


def normalised(luma: Tensor) -> Tensor:
    """Two planes from luma [B,1,H,W] in 0..1: with its local mean and contrast removed, and as it is."""
    size = luma.shape[-2:]
    coarse = F.avg_pool2d(torch.cat((luma, luma * luma), dim=1), 8)
    coarse = F.avg_pool2d(F.pad(coarse, (1, 1, 1, 1), mode="replicate"), 3, 1)
    deviation = torch.sqrt(torch.relu(coarse[:, 1:] - coarse[:, :1] ** 2) + 4e-4)
    smooth = torch.cat((coarse[:, :1], deviation), dim=1)
    smooth = F.interpolate(smooth, size=size, mode="bilinear", align_corners=False)
    return torch.cat(((luma - smooth[:, :1]) / smooth[:, 1:], 2 * luma - 1), dim=1)


def chroma(rgb: Tensor) -> Tensor:
    """Two planes from RGB [B,3,H,W] in 0..1: what red and blue have above luma."""
    luma = luma_of(rgb)
    return torch.cat((2 * (rgb[:, 0:1] - luma), 2 * (rgb[:, 2:3] - luma)), dim=1)


def bounded(x: Tensor, low: float, high: float) -> Tensor:
    """x within its bounds; the gradient passes beyond them too, or what once went there would stay. Exported as a plain clamp."""
    return x + (x.clamp(low, high) - x).detach() if torch.is_grad_enabled() else x.clamp(low, high)


class LevelConv(nn.Module):
    """One convolution for all levels, with a batch norm for each: the same blur looks the same at every scale, noise does not."""

    def __init__(self, levels: int, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs, momentum=0.03) for _ in range(levels))

    def forward(self, x: Tensor, level: int) -> Tensor:
        return self.norms[level](self.conv(x))


class BlurReader(nn.Module):
    """Reads blur of a few pixels from what is around it, at any level of the pyramid with the same weights.

    Luma [B,1,H,W] in 0..1 -> features [B,C,H/8,W/8], double-angle flow in pixels of the level [B,2,H/8,W/8] and how
    much it is to be believed beside the other levels' [B,1,H/8,W/8].
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        levels, (w2, w4, w8) = config.levels, config.local
        self.energies = EnergyBank()
        self.stem = LevelConv(levels, 2, w2, 5, 2)
        self.shrink = LevelConv(levels, w2, w4, 3, 2)
        # Products of linear filters: second-order statistics, in which blur shows itself whatever its sign.
        self.factors = nn.Conv2d(w4, 2 * w4, 1, bias=False)
        self.product_norms = nn.ModuleList(nn.BatchNorm2d(w4, momentum=0.03) for _ in range(levels))
        self.entry = LevelConv(levels, 2 * w4, w8, 3, 2)
        self.structure = nn.Conv2d(EnergyBank.OUTPUTS, w8, 1)
        self.first = nn.ModuleList(LevelConv(levels, w8, w8) for _ in range(config.local_blocks))
        self.second = nn.ModuleList(LevelConv(levels, w8, w8) for _ in range(config.local_blocks))
        for layer in self.second:
            for norm in layer.norms:
                nn.init.constant_(norm.weight, 0.2)
        self.head = nn.Conv2d(w8, 3, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, luma: Tensor, level: int) -> tuple[Tensor, Tensor, Tensor]:
        with torch.no_grad(), torch.autocast(luma.device.type, enabled=False):
            energies, planes = self.energies(255 * luma), normalised(luma)
        x = F.relu(self.stem(planes, level))
        x = self.shrink(x, level)
        a, b = self.factors(x).chunk(2, dim=1)
        x = torch.cat((F.relu(x), self.product_norms[level](a * b)), dim=1)
        x = F.relu(self.entry(x, level) + self.structure(energies))
        for first, second in zip(self.first, self.second, strict=True):
            x = F.relu(x + second(F.relu(first(x, level)), level))
        read = self.head(x)
        return x, LEVEL_SCALE_PX * read[:, :2], read[:, 2:]


def on_grid(x: Tensor, level: int) -> Tensor:
    """What a level says at its stride 8 -> at stride 16 of the image."""
    if level == 0:
        return F.avg_pool2d(x, 2)
    return (
        x
        if level == 1
        else F.interpolate(x, scale_factor=2 ** (level - 1), mode="bilinear", align_corners=False)
    )


class FlowDepthNetwork(nn.Module):
    """RGB [B,3,H,W] in 0..255 -> flow q [B,2,h,w] px, ln sigma, inverse depth 1/m, ln sigma (each [B,1,h,w]) at stride 16."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
        levels, widths = self.config.levels, self.config.context
        self.reader = BlurReader(self.config)
        self.gather = conv(levels * self.config.local[-1], widths[0], 1)
        self.colour = nn.Sequential(conv(4, 32, 5, 2), nn.ReLU(), conv(32, widths[0], 3, 2))
        self.stages = nn.ModuleList(
            nn.Sequential(*(Residual(width) for _ in range(count)))
            for width, count in zip(widths, self.config.context_blocks, strict=True)
        )
        self.entries = nn.ModuleList(conv(a, b, 3, 2) for a, b in itertools.pairwise(widths))
        self.whole = nn.Sequential(
            nn.Conv2d(widths[-1], widths[-1], 1),
            nn.ReLU(),
            zero_weights(nn.Conv2d(widths[-1], widths[-1], 1)),
        )
        self.lateral = nn.ModuleList(conv(deep, shallow, 1) for shallow, deep in itertools.pairwise(widths))
        self.merge = nn.ModuleList(Residual(width) for width in widths[:-1])
        self.flow_head = self._head(widths[0], 3 + levels)
        self.depth_head = self._head(widths[0], 2)

    @staticmethod
    def _head(width: int, outputs: int) -> nn.Sequential:
        last = nn.Conv2d(width, outputs, 1)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        return nn.Sequential(conv(width, width), nn.ReLU(), last)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            rgb = image / 255.0
            pyramid = [luma_of(rgb)]
            while len(pyramid) < self.config.levels:
                pyramid.append(F.avg_pool2d(pyramid[-1], 2))
            small = torch.cat((normalised(pyramid[2]), F.avg_pool2d(chroma(rgb), 4)), dim=1)
        features, flows, beliefs = [], [], []
        for level, luma in enumerate(pyramid):
            x, flow, belief = self.reader(luma, level)
            features.append(on_grid(x, level))
            flows.append(on_grid(2.0**level * flow, level))
            beliefs.append(on_grid(belief, level))
        x = self.context(self.gather(torch.cat(features, dim=1)) + self.colour(small))
        read, depth = self.flow_head(x).float(), self.depth_head(x).float()
        share = torch.softmax(torch.cat(beliefs, dim=1).float() + read[:, 3:], dim=1)
        q = sum(share[:, level : level + 1] * flow.float() for level, flow in enumerate(flows))
        inverse_depth = torch.exp(bounded(depth[:, :1], -4, 3)) * 0.5
        flow_log_sigma = read[:, 2:3].clamp(-4, 4)
        depth_log_sigma = torch.log(inverse_depth.detach()) + depth[:, 1:].clamp(-4, 2) - 1.0
        return q + FLOW_SCALE_PX * read[:, :2], flow_log_sigma, inverse_depth, depth_log_sigma

    def context(self, x: Tensor) -> Tensor:
        """What the surroundings say, up to those of the whole image: features at stride 16 in and out."""
        steps: list[Tensor] = []
        for number, stage in enumerate(self.stages):
            x = stage(F.relu(self.entries[number - 1](x) if number else x))
            steps.append(x)
        x = x + self.whole(x.mean(dim=(2, 3), keepdim=True))
        for number in reversed(range(len(self.merge))):
            lifted = F.interpolate(self.lateral[number](x), scale_factor=2, mode="nearest")
            x = self.merge[number](F.relu(steps[number] + lifted))
        return x


def averaged_weights(state: dict) -> dict[str, Tensor]:
    """State entries of the averaged network in a checkpoint."""
    prefix = "module."
    return {key[len(prefix) :]: value for key, value in state["average"].items() if key.startswith(prefix)}
