"""MSCAN-B image encoder, with the entry names of the published checkpoint.

Source: Guo et al., "SegNeXt: Rethinking Convolutional Attention Design for Semantic Segmentation", NeurIPS 2022,
sections 3.1 and 3.3. Attribute names are those of the published state, hence their style.
"""

import torch
from torch import Tensor, nn

CHANNELS = (64, 128, 320, 512)
_DEPTHS = (3, 3, 12, 3)
_MLP_RATIOS = (8, 8, 4, 4)


def _depthwise(channels: int, height: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, (height, width), padding=(height // 2, width // 2), groups=channels)


class _StripAttention(nn.Module):
    """Multi-scale convolutional attention: strips of 7, 11 and 21 pixels gate the features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = _depthwise(channels, 5, 5)
        self.conv0_1, self.conv0_2 = _depthwise(channels, 1, 7), _depthwise(channels, 7, 1)
        self.conv1_1, self.conv1_2 = _depthwise(channels, 1, 11), _depthwise(channels, 11, 1)
        self.conv2_1, self.conv2_2 = _depthwise(channels, 1, 21), _depthwise(channels, 21, 1)
        self.conv3 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        local = self.conv0(x)
        strips = (
            self.conv0_2(self.conv0_1(local))
            + self.conv1_2(self.conv1_1(local))
            + self.conv2_2(self.conv2_1(local))
        )
        return self.conv3(local + strips) * x


class _Attention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(channels, channels, 1)
        self.activation = nn.GELU()
        self.spatial_gating_unit = _StripAttention(channels)
        self.proj_2 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.proj_2(self.spatial_gating_unit(self.activation(self.proj_1(x))))


class _Depthwise3x3(nn.Module):
    """A depth-wise 3x3 convolution one level down, where the published state keeps it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = _depthwise(channels, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.dwconv(x)


class _Mlp(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.dwconv = _Depthwise3x3(hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.dwconv(self.fc1(x))))


class _Block(nn.Module):
    def __init__(self, channels: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.attn = _Attention(channels)
        self.norm2 = nn.BatchNorm2d(channels)
        self.mlp = _Mlp(channels, mlp_ratio * channels)
        self.layer_scale_1 = nn.Parameter(torch.ones(channels))
        self.layer_scale_2 = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.layer_scale_1[:, None, None] * self.attn(self.norm1(x))
        return x + self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x))


class _Stem(nn.Module):
    """Two strided convolutions: the image at a quarter of its resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Conv2d(3, channels // 2, 3, stride=2, padding=1),
            nn.BatchNorm2d(channels // 2),
            nn.GELU(),
            nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class _Downsample(nn.Module):
    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels_in, channels, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x))


class Mscan(nn.Module):
    """The encoder: BGR image, normalised and times 255, to features at 1/4, 1/8, 1/16 and 1/32 of its resolution."""

    def __init__(self) -> None:
        super().__init__()
        for i, channels in enumerate(CHANNELS):
            embed = _Stem(channels) if i == 0 else _Downsample(CHANNELS[i - 1], channels)
            self.add_module(f"patch_embed{i + 1}", embed)
            blocks = [_Block(channels, _MLP_RATIOS[i]) for _ in range(_DEPTHS[i])]
            self.add_module(f"block{i + 1}", nn.Sequential(*blocks))
            self.add_module(f"norm{i + 1}", nn.LayerNorm(channels))

    def forward(self, bgr: Tensor) -> list[Tensor]:
        """[N,3,H,W] float32 to four tensors [N,c,H/k,W/k] with c in CHANNELS and k = 4, 8, 16, 32."""
        features = []
        x = bgr
        for i in range(len(CHANNELS)):
            x = self.get_submodule(f"block{i + 1}")(self.get_submodule(f"patch_embed{i + 1}")(x))
            # The published stages pass their normalised output on, layer norm over the channels.
            x = self.get_submodule(f"norm{i + 1}")(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            features.append(x)
        return features
