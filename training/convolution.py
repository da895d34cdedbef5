"""Convolution and batch norm: what the network is made of."""

from __future__ import annotations

from torch import nn


def conv(inputs: int, outputs: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and batch norm; export folds the norm into the convolution (learn/weights.py)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, momentum=0.03),
    )
