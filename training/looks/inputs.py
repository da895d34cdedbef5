"""What the network is shown of an image: planes of locally normalised contrast, and energies of blur; nothing here is learnt.

Written in few and large operations, in the order in which pixels lie in memory: on a CPU these layers, which see every pixel,
cost as much as those that learn.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.convolution import resized

LUMA = (0.299, 0.587, 0.114)
# Twice what red and blue have more than luma.
CHROMA = tuple(
    tuple(2 * (other == channel) - 2 * share for other, share in enumerate(LUMA)) for channel in (0, 2)
)
# Pixels whose luma is mixed at once: runtimes are slow with matrices of one column.
TOGETHER = 16
# Contrast is measured over squares of so many pixels of the half size, and their neighbours.
SQUARE = 16


def luma_of(rgb: Tensor) -> Tensor:
    """Luma [B,1,H,W] of RGB [B,3,H,W], W a multiple of TOGETHER."""
    batch, _, height, width = (int(n) for n in rgb.shape)
    runs = rgb.permute(0, 2, 3, 1).reshape(batch, -1, 3 * TOGETHER)
    mix = torch.kron(torch.eye(TOGETHER, device=rgb.device), rgb.new_tensor(LUMA).view(3, 1))
    return (runs @ mix).view(batch, 1, height, width)


def chroma_of(rgb: Tensor) -> Tensor:
    """Chroma [B,2,H/2,W/2] about -2..2 of RGB [B,3,H,W] in 0..255, means of 2x2 pixels."""
    upper, lower = rgb.permute(0, 2, 3, 1).unflatten(1, (-1, 2)).unbind(2)
    pairs = (upper + lower).unflatten(2, (-1, 2)).flatten(3)
    mix = (rgb.new_tensor(CHROMA).T / (4 * 255)).repeat(2, 1)
    return (pairs @ mix).permute(0, 3, 1, 2)


def normalised_input(image: Tensor, luma: Tensor) -> Tensor:
    """RGB [B,3,H,W] and its luma [B,1,H,W] in 0..255 -> four planes of half the size: luma without its local mean and contrast,
    raw luma, two chroma."""
    half = F.avg_pool2d(luma, 2)
    mean, square = (
        F.avg_pool2d(F.pad(F.avg_pool2d(plane, SQUARE), (1, 1, 1, 1), mode="replicate"), 3, 1)
        for plane in (half, half * half)
    )
    deviation = torch.sqrt(torch.relu(square - mean * mean) + 4e-4 * 255**2)
    size = (int(half.shape[-2]), int(half.shape[-1]))
    mean, deviation = resized(torch.cat((mean, deviation), dim=1), size).split(1, dim=1)
    contrast = (half - mean) / deviation
    return torch.cat((contrast, half * (2 / 255) - 1, chroma_of(image)), dim=1)


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
