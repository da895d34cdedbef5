"""Weights for the published architecture by a rule instead of training, so that tests need no checkpoint."""

import zlib

import numpy as np
import torch
from torch import Tensor

from blur_imu_ros.convert.published import PublishedNetwork


def deterministic_state(seed: int = 7) -> dict[str, Tensor]:
    """Every entry of the published state, filled with a sine whose phase depends on its name and the seed."""
    return {name: _fill(name, value, seed) for name, value in PublishedNetwork().state_dict().items()}


def deterministic_bases(seed: int) -> Tensor:
    """Factorisation bases [1,512,64] by a like rule, columns of unit length."""
    bases = (0.5 + 0.5 * np.sin(0.61 * np.arange(512 * 64) + seed)).reshape(1, 512, 64)
    return torch.from_numpy((bases / np.linalg.norm(bases, axis=1, keepdims=True)).astype(np.float32))


def _fill(name: str, value: Tensor, seed: int) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return value
    wave = np.sin(0.37 * np.arange(value.numel()) + (zlib.crc32(name.encode()) + seed) % 1000)
    if name.endswith("running_var"):
        wave = 1 + 0.5 * np.abs(wave)
    elif name.endswith(("running_mean", "bias")):
        wave = 0.05 * wave
    elif "layer_scale" in name:
        wave = 0.3 + 0.1 * wave
    elif value.ndim == 1:
        wave = 1 + 0.1 * wave
    else:
        wave = wave * np.sqrt(2 / np.prod(value.shape[1:]))
    return torch.from_numpy(wave.astype(np.float32).reshape(tuple(value.shape)))
