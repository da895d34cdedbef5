"""The published flow-and-depth network: one encoder, two decoders, in our own code with the published entry names.

Source: Chen & Clark, "Image as an IMU", ICCV 2025, section 3.2.
"""

import torch
from torch import Tensor, nn

from .hamburger import FEATURES, ConvRelu, HamburgerDecoder, draw_bases
from .mscan import Mscan

WIDTH = 320
HEIGHT = 224
FOCAL_PX = 250.8  # training images: focal 1433 px at 1920x1440, resized to 336x252
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class _LowLevelEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvRelu(3, FEATURES, 3)
        self.conv2 = ConvRelu(FEATURES, FEATURES, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv2(self.conv1(image))


class _FlowDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.decoder = HamburgerDecoder()
        self.linear_pred_flow = nn.Conv2d(FEATURES, 2, 1)


class _DepthDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.decoder = HamburgerDecoder()
        self.linear_pred_depth = nn.Conv2d(FEATURES, 1, 1)


class PublishedNetwork(nn.Module):
    """RGB image to signed flow (pixels per exposure) and the logarithm of depth (depth in metres)."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Mscan()
        self.ll_enc = _LowLevelEncoder()
        self.flow_decoder = _FlowDecoder()
        self.depth_decoder = _DepthDecoder()
        self.register_buffer("mean", torch.tensor(_MEAN).reshape(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).reshape(3, 1, 1), persistent=False)

    def freeze_bases(self, seed: int) -> None:
        """Fix the factorisation bases of both decoders, which the published code draws on every pass."""
        flow, depth = draw_bases(seed)
        self.flow_decoder.decoder.set_bases(flow)
        self.depth_decoder.decoder.set_bases(depth)

    def encode(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """RGB [N,3,H,W] in 0..255 to the four encoder features and the low-level features [N,FEATURES,H,W]."""
        normalised = (image / 255 - self.mean) / self.std
        # The published encoder takes the normalised image in BGR order times 255; it does not undo mean and std.
        return self.backbone(255 * normalised.flip(1)), self.ll_enc(normalised)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """RGB float32 [N,3,H,W] in 0..255 to flow [N,2,H,W] in pixels and log depth [N,1,H,W]."""
        features, low_level = self.encode(image)
        flow = self.flow_decoder.decoder(features, low_level)
        depth = self.depth_decoder.decoder(features, low_level)
        return self.flow_decoder.linear_pred_flow(flow), self.depth_decoder.linear_pred_depth(depth)
