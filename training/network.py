"""The flow-and-depth network: a first look by energies of blur and a compact U-Net, a second along the flow it found."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.measurement import measurement
from training.steered import SteeredReader

FLOW_SCALE_PX = 16.0
LUMA = (0.299, 0.587, 0.114)
# Luma, and twice what red and blue have more than it.
PLANES = (
    LUMA,
    *(tuple(2 * (other == channel) - 2 * share for other, share in enumerate(LUMA)) for channel in (0, 2)),
)


@dataclass(frozen=True)
class NetworkConfig:
    """Widths at strides 4, 8, 16, 32 and 64, and residual blocks from stride 8 on."""

    widths: tuple[int, ...] = (16, 48, 96, 128, 192)
    blocks: tuple[int, ...] = (2, 3, 4, 2)


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
        # Two layers, so that a runtime need not take the result of one apart.
        a, b = (F.conv2d(x, half, padding=1) for half in self.filters.weight.chunk(2))
        return self.norm(a * b)


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
    # Runtimes work on channels by blocks of so many; fewer would be laid out anew after every layer.
    BLOCK = 16
    # About the energy of rounding to eight bits and a little noise.
    FLOOR = 1e-5 * 255**2

    def __init__(self) -> None:
        super().__init__()
        kernels = torch.zeros((self.BLOCK, 1, 5, 5))
        for kernel, (x, y) in zip(kernels, self.LAGS, strict=False):
            left, top = 2 - (x + 1) // 2, 2 - (y + 1) // 2
            kernel[0, top, left], kernel[0, top + y, left + x] = -1, 1
        self.register_buffer("kernels", kernels, persistent=False)
        # From 0.5 ln of the energies of one scale to them without their mean, and the mean.
        lags = len(self.LAGS)
        mean = torch.full((1, lags), 1 / lags)
        planes = F.pad(torch.cat((torch.eye(lags) - mean, 0.3 * mean)), (0, self.BLOCK - lags))
        self.register_buffer(
            "weight", torch.block_diag(*[0.5 * planes] * len(self.SHRINKS))[..., None, None], persistent=False
        )
        bias = F.one_hot(torch.tensor(lags), lags + 1) * (1 - 0.3 * math.log(255.0))
        self.register_buffer("bias", bias.repeat(len(self.SHRINKS)), persistent=False)

    def forward(self, luma: Tensor) -> Tensor:
        energies: list[Tensor] = []
        for shrink in self.SHRINKS:
            if energies:
                luma = F.avg_pool2d(luma, 2)
            stride = 2 if shrink < self.GRID else 1
            differences = F.conv2d(F.pad(luma, (2, 2, 2, 2), mode="replicate"), self.kernels, stride=stride)
            energy = differences * differences
            if shrink * stride < self.GRID:
                energy = F.avg_pool2d(energy, self.GRID // (shrink * stride))
            energies.append(F.avg_pool2d(energy, 3, 1, 1, count_include_pad=False))
        logs = torch.log(torch.cat(energies, dim=1) + self.FLOOR)
        return F.conv2d(logs, self.weight, self.bias)


def luma_of(rgb: Tensor) -> Tensor:
    """Luma [B,1,H,W] of RGB [B,3,H,W]."""
    return (rgb.permute(0, 2, 3, 1) @ rgb.new_tensor(LUMA).view(3, 1)).permute(0, 3, 1, 2)


def zero_weights(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer, saying nothing until it has learnt to."""
    nn.init.zeros_(layer.weight)
    return layer


def normalised_input(image: Tensor) -> Tensor:
    """RGB [B,3,H,W] in 0..255 -> four planes of half the size: luma without its local mean and contrast, raw luma, two chroma."""
    # Rows, then columns by twos, in the order in which pixels lie in memory.
    upper, lower = image.permute(0, 2, 3, 1).unflatten(1, (-1, 2)).unbind(2)
    pairs = (upper + lower).unflatten(2, (-1, 2)).flatten(3)
    mixes = (image.new_tensor(PLANES).T / (4 * 255)).repeat(2, 1)
    luma, chroma = ((pairs @ mix).permute(0, 3, 1, 2) for mix in mixes.split((1, 2), dim=1))
    size = luma.shape[-2:]
    coarse = F.avg_pool2d(torch.cat((luma, luma * luma), dim=1), 16)
    coarse = F.avg_pool2d(F.pad(coarse, (1, 1, 1, 1), mode="replicate"), 3, 1)
    mean = F.interpolate(coarse[:, :1], size=size, mode="bilinear", align_corners=False)
    deviation = torch.sqrt(torch.relu(coarse[:, 1:] - coarse[:, :1] ** 2) + 4e-4)
    deviation = F.interpolate(deviation, size=size, mode="bilinear", align_corners=False)
    return torch.cat(((luma - mean) / deviation, 2 * luma - 1, chroma), dim=1)


def bounded(x: Tensor, low: float, high: float) -> Tensor:
    """x within its bounds; the gradient passes beyond them too, or what once went there would stay. Exported as a plain clamp."""
    return x + (x.clamp(low, high) - x).detach() if torch.is_grad_enabled() else x.clamp(low, high)


class FlowDepthNetwork(nn.Module):
    """RGB [B,3,H,W] in 0..255 -> flow q [B,2,h,w] px, ln sigma, inverse depth 1/m, ln sigma (each [B,1,h,w]) at stride 16."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
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
        self.context = nn.Sequential(
            nn.Conv2d(inputs, inputs, 1), nn.ReLU(), zero_weights(nn.Conv2d(inputs, inputs, 1))
        )
        upper = widths[1:]
        self.lateral = nn.ModuleList(conv(deep, shallow, 1) for shallow, deep in itertools.pairwise(upper))
        self.merge = nn.ModuleList(Residual(width) for width in upper[:-1])
        self.flow_head = self._head(upper[0], 3)
        self.depth_head = self._head(upper[0], 2)
        self.second_look = SteeredReader()

    @staticmethod
    def _head(width: int, outputs: int) -> nn.Sequential:
        last = nn.Conv2d(width, outputs, 1)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        return nn.Sequential(conv(width, width), nn.ReLU(), last)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """The four outputs; after them both looks' flow and ln sigma, second first, as means: what likelihood judges."""
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            luma = luma_of(image)
        q, log_sigma, *depth = self.first_look(image, luma)
        mean, mean_log_sigma = self.second_look(luma, q.detach(), log_sigma.detach())
        return *measurement(mean, mean_log_sigma), *depth, mean, mean_log_sigma, q, log_sigma

    def hold_first_look(self) -> None:
        """Train the second look alone: everything else keeps its weights and the statistics of its batch norms."""
        for name, child in self.named_children():
            if name != "second_look":
                child.eval().requires_grad_(False)

    def hold_norms(self) -> None:
        """Keep the statistics of the batch norms: what large batches found out is not unlearnt from small ones."""
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    def first_look(self, image: Tensor, luma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            planes, energies = normalised_input(image), self.energies(luma)
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
        flow, depth = self.flow_head(x).float(), self.depth_head(x).float()
        inverse_depth = torch.exp(bounded(depth[:, :1], -4, 3)) * 0.5
        flow_log_sigma = flow[:, 2:].clamp(-4, 4)
        depth_log_sigma = torch.log(inverse_depth.detach()) + depth[:, 1:].clamp(-4, 2) - 1.0
        return FLOW_SCALE_PX * flow[:, :2], flow_log_sigma, inverse_depth, depth_log_sigma


def averaged_weights(state: dict) -> dict[str, Tensor]:
    """State entries of the averaged network in a checkpoint."""
    prefix = "module."
    return {key[len(prefix) :]: value for key, value in state["average"].items() if key.startswith(prefix)}
