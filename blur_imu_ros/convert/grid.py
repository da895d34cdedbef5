"""The published network behind the model contract: uint8 image in, flow and inverse depth on a grid out.

On a reduced grid only exact rewrites are made, equal to sampling the full resolution up to rounding: what no grid
point reads is not computed, and linear steps change places where that is cheaper.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .hamburger import HamburgerDecoder, ResidualUnit, upsample
from .mscan import CHANNELS
from .published import PublishedNetwork

_MAX_INVERSE_DEPTH = 1e8  # the published depth is clipped to 1e-8 m


def sample(full: Tensor, stride: int) -> Tensor:
    """Full resolution [N,C,H,W] at the middle of every stride x stride cell, [N,C,H/stride,W/stride].

    The middle of an even cell lies between four pixels, so it is their mean.
    """
    if stride == 1:
        return full
    first, second = slice(stride // 2 - 1, None, stride), slice(stride // 2, None, stride)
    rows = full[:, :, first] + full[:, :, second]
    return (rows[..., first] + rows[..., second]) / 4


class _GridHead(nn.Module):
    """Last convolution of the residual unit, linear prediction and sampling, merged into two strided convolutions."""

    last: Tensor
    skip: Tensor
    bias: Tensor

    def __init__(self, unit: ResidualUnit, prediction: nn.Conv2d, stride: int) -> None:
        super().__init__()
        self.first = unit.conv1
        self.stride = stride
        linear = prediction.weight[:, :, 0, 0]
        last = torch.einsum("oi,ichw->ochw", linear, unit.conv2.weight)
        # Mean over the four shifts of the 3x3 kernel, as one 4x4 kernel; likewise 2x2 for the skip path.
        shifts = [F.pad(last, (j, 1 - j, i, 1 - i)) for i in (0, 1) for j in (0, 1)]
        self.register_buffer("last", torch.stack(shifts).mean(dim=0))
        self.register_buffer("skip", prediction.weight.expand(-1, -1, 2, 2) / 4)
        self.register_buffer("bias", linear @ _bias(unit.conv2) + _bias(prediction))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(x)
        hidden = torch.relu(self.first(x))
        begin = self.stride // 2
        last = F.conv2d(hidden[:, :, begin - 2 :, begin - 2 :], self.last, self.bias, self.stride)
        return last + F.conv2d(x[:, :, begin - 1 :, begin - 1 :], self.skip, None, self.stride)


class _GridDecoder(nn.Module):
    def __init__(self, decoder: HamburgerDecoder, prediction: nn.Conv2d, stride: int) -> None:
        super().__init__()
        self.decoder = decoder
        self.low_level_unit = decoder.ll_fusion.resConfUnit1
        self.head = _GridHead(decoder.ll_fusion.resConfUnit2, prediction, stride)

    def forward(self, features: list[Tensor], low_level: Tensor) -> Tensor:
        x = self.decoder.after_squeeze(self._squeeze(features))
        return self.head(upsample(x) + self.low_level_unit(low_level))

    def _squeeze(self, features: list[Tensor]) -> Tensor:
        """A 1x1 convolution commutes with the interpolation, so each level is squeezed at its own resolution."""
        conv = self.decoder.squeeze.conv
        weights = conv.weight.split(CHANNELS, dim=1)
        size = features[0].shape[2:]
        total = F.conv2d(features[0], weights[0], conv.bias)
        for level, weight in zip(features[1:], weights[1:], strict=True):
            squeezed = F.conv2d(level, weight)
            total = total + F.interpolate(squeezed, size=size, mode="bilinear", align_corners=False)
        return torch.relu(total)


class GridNetwork(nn.Module):
    """The network as exported, on a grid of stride 1, 4 or 8; stride 1 is the published computation unchanged."""

    def __init__(self, network: PublishedNetwork, stride: int) -> None:
        super().__init__()
        self.network = network
        self.stride = stride
        if stride > 1:
            flow, depth = network.flow_decoder, network.depth_decoder
            self.flow = _GridDecoder(flow.decoder, flow.linear_pred_flow, stride)
            self.depth = _GridDecoder(depth.decoder, depth.linear_pred_depth, stride)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Image uint8 [1,H,W,3] RGB to flow [1,2,h,w] in pixels and inverse depth [1,1,h,w] in 1/m."""
        rgb = image.permute(0, 3, 1, 2).float()
        if self.stride == 1:
            flow, log_depth = self.network(rgb)
        else:
            features, low_level = self.network.encode(rgb)
            flow, log_depth = self.flow(features, low_level), self.depth(features, low_level)
        return flow, inverse_depth(log_depth)


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None  # both convolutions of the head have one
    return conv.bias


def inverse_depth(log_depth: Tensor) -> Tensor:
    """Inverse depth in 1/m of a log depth, bounded as the published depth is."""
    return torch.exp(-log_depth).clamp(max=_MAX_INVERSE_DEPTH)
