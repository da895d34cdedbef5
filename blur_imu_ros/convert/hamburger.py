"""Light-Hamburger decoder with low-level fusion, with the entry names of the published checkpoint.

Source: Geng et al., "Is Attention Better Than Matrix Decomposition?", ICLR 2021, section 2.2 and algorithm 2
(non-negative matrix factorisation by multiplicative updates).
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .mscan import CHANNELS

RANK = 64
DIMENSION = 512
FEATURES = 64
_STEPS = 7
_EPSILON = 1e-6


def draw_bases(seed: int) -> tuple[Tensor, Tensor]:
    """Factorisation bases [1, DIMENSION, RANK] of the flow and the depth decoder; columns of unit length.

    The published code draws uniform bases anew on every forward pass; here a seed fixes them for good.
    """
    uniform = np.random.default_rng(seed).random((2, 1, DIMENSION, RANK), dtype=np.float32)
    flow, depth = F.normalize(torch.from_numpy(uniform), dim=2)
    return flow, depth


def upsample(x: Tensor) -> Tensor:
    """Twice the resolution, bilinear, by pixel centres."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class ConvRelu(nn.Module):
    def __init__(self, channels_in: int, channels: int, size: int = 1, *, bias: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, size, padding=size // 2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x))


class _Factorisation(nn.Module):
    """Low-rank non-negative reconstruction of the features from fixed starting bases."""

    bases: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Not persistent: the published state has no bases, and ours must match it entry for entry.
        self.register_buffer("bases", torch.zeros(1, DIMENSION, RANK), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        bases = self.bases
        codes = torch.softmax(flat.transpose(1, 2) @ bases, dim=-1)
        for _ in range(_STEPS):
            codes = self._update_codes(flat, bases, codes)
            bases = bases * (flat @ codes) / (bases @ (codes.transpose(1, 2) @ codes) + _EPSILON)
        codes = self._update_codes(flat, bases, codes)
        return (bases @ codes.transpose(1, 2)).reshape(x.shape)

    @staticmethod
    def _update_codes(flat: Tensor, bases: Tensor, codes: Tensor) -> Tensor:
        return codes * (flat.transpose(1, 2) @ bases) / (codes @ (bases.transpose(1, 2) @ bases) + _EPSILON)


class _Hamburger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ham_in = ConvRelu(DIMENSION, DIMENSION)
        self.ham = _Factorisation()
        self.ham_out = ConvRelu(DIMENSION, DIMENSION)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.ham_out(self.ham(self.ham_in(x))))


class ResidualUnit(nn.Module):
    """Two convolutions around a skip path that carries relu(x), as the published in-place ReLU makes it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.conv2 = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(x)
        return x + self.conv2(torch.relu(self.conv1(x)))


class _Fusion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.resConfUnit1 = ResidualUnit()
        self.resConfUnit2 = ResidualUnit()

    def forward(self, x: Tensor, low_level: Tensor) -> Tensor:
        return self.resConfUnit2(x + self.resConfUnit1(low_level))


class HamburgerDecoder(nn.Module):
    """Encoder features to FEATURES channels at full resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = ConvRelu(sum(CHANNELS), DIMENSION)
        self.hamburger = _Hamburger()
        self.align = ConvRelu(DIMENSION, FEATURES)
        self.out_conv = ConvRelu(FEATURES, FEATURES, 3, bias=False)
        self.ll_fusion = _Fusion()

    def set_bases(self, bases: Tensor) -> None:
        self.hamburger.ham.bases.copy_(bases)

    def after_squeeze(self, squeezed: Tensor) -> Tensor:
        """Squeezed features [N, DIMENSION, H/4, W/4] to [N, FEATURES, H/2, W/2]."""
        return self.out_conv(upsample(self.align(self.hamburger(squeezed))))

    def forward(self, features: list[Tensor], low_level: Tensor) -> Tensor:
        size = features[0].shape[2:]
        levels = [F.interpolate(f, size=size, mode="bilinear", align_corners=False) for f in features]
        squeezed = self.squeeze(torch.cat(levels, dim=1))
        return self.ll_fusion(upsample(self.after_squeeze(squeezed)), low_level)
