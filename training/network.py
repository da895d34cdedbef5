"""The flow-and-depth network: a first look by energies of blur and a compact U-Net, further ones along the flow it found, and a
reader of scenes for depth."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.convolution import conv
from training.looks.inputs import EnergyBank, luma_of, normalised_input
from training.looks.measurement import measurement
from training.looks.patches import half_sizes
from training.looks.steered import SteeredReader, addition
from training.scene import SceneReader

FLOW_SCALE_PX = 16.0


@dataclass(frozen=True)
class NetworkConfig:
    """Widths at strides 4, 8, 16, 32 and 64, residual blocks from stride 8 on, and how often it looks altogether."""

    widths: tuple[int, ...] = (16, 48, 96, 128, 192)
    blocks: tuple[int, ...] = (2, 3, 4, 2)
    looks: int = 3


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
        # Two layers, so that a runtime need not take the result of one apart.
        a, b = (F.conv2d(x, half, padding=1) for half in self.filters.weight.chunk(2))
        return self.norm(a * b)


class FlowDepthNetwork(nn.Module):
    """RGB [B,3,H,W] in 0..255 -> flow q [B,2,h,w] px, ln sigma, inverse depth 1/m, ln sigma (each [B,1,h,w]) at stride 16."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
        # Batch norms that keep their statistics, and whether the features learn from the further looks as well (learn/layers.py).
        self.in_evaluation: list[nn.Module] = []
        self.looks_teach_features = False
        w2, *widths = self.config.widths
        self.stem = conv(4, w2, 5, 2)
        self.products = LocalProducts(w2)
        self.energies = EnergyBank()
        self.structure = nn.Conv2d(EnergyBank.OUTPUTS, widths[0], 3, padding=1)
        entries, stages, inputs = [], [], 2 * w2
        for width, count in zip(widths, self.config.blocks, strict=True):
            entries.append(conv(inputs, width, 3, 2))
            stages.append(nn.Sequential(*(Residual(width) for _ in range(count))))
            inputs = width
        self.entries, self.stages = nn.ModuleList(entries), nn.ModuleList(stages)
        self.context = addition(inputs, 1)
        upper = widths[1:]
        self.lateral = nn.ModuleList(conv(deep, shallow, 1) for shallow, deep in itertools.pairwise(upper))
        self.merge = nn.ModuleList(Residual(width) for width in upper[:-1])
        last = nn.Conv2d(upper[0], 3, 1)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        self.flow_head = nn.Sequential(conv(upper[0], upper[0]), nn.ReLU(), last)
        self.scene = SceneReader()
        self.further_looks = nn.ModuleList(SteeredReader(upper[0]) for _ in range(self.config.looks - 1))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """The four outputs; after them each look's flow and ln sigma, the last look's first, as means: what likelihood judges."""
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            luma = luma_of(image)
            atlas = half_sizes(luma)
        seen = self.features(image, luma)
        q, log_sigma = self.first_look(seen)
        depth = self.scene(image)
        means = read = (q, log_sigma)
        known = seen if self.looks_teach_features else seen.detach()
        for look in self.further_looks:
            read = look(atlas, *(part.detach() for part in read), known)
            means = (*read, *means)
        return *measurement(*means[:2]), *depth, *means

    def train(self, mode: bool = True) -> FlowDepthNetwork:
        """As any module's; what is held (learn/layers.py) stays in evaluation."""
        super().train(mode)
        for module in self.in_evaluation:
            module.eval()
        return self

    def features(self, image: Tensor, luma: Tensor) -> Tensor:
        """What all looks read, [B,C,h,w]."""
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            planes, energies = normalised_input(image, luma), self.energies(luma)
        x = self.stem(planes)
        x = torch.cat((F.relu(x), self.products(x)), dim=1)
        features: list[Tensor] = []
        for entry, stage in zip(self.entries, self.stages, strict=True):
            x = entry(x)
            if not features:
                x = x + self.structure(energies)
            x = stage(F.relu(x))
            features.append(x)
        # What the whole image says of noise, light and motion, for its parts that say little themselves.
        x = features[-1] = x + self.context(x.mean(dim=(2, 3), keepdim=True))
        for level in reversed(range(len(self.merge))):
            lifted = F.interpolate(self.lateral[level](x), scale_factor=2, mode="nearest")
            x = self.merge[level](F.relu(features[level + 1] + lifted))
        return x

    def first_look(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Flow and ln sigma from the features."""
        flow = self.flow_head(seen).float()
        return FLOW_SCALE_PX * flow[:, :2], flow[:, 2:].clamp(-4, 4)
