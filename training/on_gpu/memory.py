"""Samples kept on the GPU that made them, and batches drawn from them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from training import canonical
from training.learn.batches import (
    DARKEST_LIMIT,
    MIRROR_X,
    MIRROR_Y,
    MOST_CLIPPED,
    OVEREXPOSED,
    Batch,
    keep_share,
)
from training.learn.losses import Labels, make_labels
from training.samples import SampleConfig


@dataclass(frozen=True)
class Samples:
    """images uint8 [B,H,W,3] and what made them: twist [B,6] over the exposure, inverse_depth [B,h,w] 1/m on the label grid,
    metric [B] (whether its depth is true or invented), focal_px [B]."""

    images: Tensor
    twist: Tensor
    inverse_depth: Tensor
    metric: Tensor
    focal_px: Tensor

    def labels(self, canonical_px: float) -> Labels:
        return make_labels(
            self.twist,
            self.inverse_depth.float(),
            self.metric,
            self.focal_px,
            canonical_px,
            canonical.STRIDE,
        )

    def tensors(self) -> list[Tensor]:
        return [getattr(self, field.name) for field in fields(self)]


class Memory:
    """The last `size` samples."""

    def __init__(self, size: int, config: SampleConfig, device: torch.device) -> None:
        rows, columns = config.height // canonical.STRIDE, config.width // canonical.STRIDE
        self.size, self.canonical_px, self.made = size, config.canonical_px, 0
        self.samples = Samples(
            torch.empty(size, config.height, config.width, 3, dtype=torch.uint8, device=device),
            torch.empty(size, 6, device=device),
            torch.empty(size, rows, columns, dtype=torch.float16, device=device),
            torch.empty(size, dtype=torch.bool, device=device),
            torch.empty(size, device=device),
        )
        self.share = torch.zeros(size, device=device)

    def add(self, samples: Samples) -> None:
        """Put samples in the place of the oldest."""
        count, device = len(samples.images), samples.images.device
        places = (self.made + torch.arange(count, device=device)) % self.size
        self.made += count
        for kept, new in zip(self.samples.tensors(), samples.tensors(), strict=True):
            kept[places] = new.to(kept.dtype)
        length = samples.labels(self.canonical_px).flow.norm(dim=-1).flatten(1).median(dim=1).values
        self.share[places] = keep_share(length)

    def draw(self, count: int) -> Batch:
        """A random batch, mirrored and recoloured at random; of long blur fewer, as batches.Shards.pick_moderate."""
        chosen = torch.multinomial(self.share, count, replacement=True)
        device = chosen.device
        images, twist, depth, metric, focal_px = (kept[chosen] for kept in self.samples.tensors())
        images = images.permute(0, 3, 1, 2)
        for axis, signs, probability in ((-1, MIRROR_X, 0.5), (-2, MIRROR_Y, 0.3)):
            flipped = torch.rand(count, device=device) < probability
            images = torch.where(flipped.view(-1, 1, 1, 1), images.flip(axis), images)
            depth = torch.where(flipped.view(-1, 1, 1), depth.flip(axis), depth)
            twist = torch.where(flipped[:, None], twist * torch.from_numpy(signs).to(device), twist)
        channels = torch.arange(3, device=device).repeat(count, 1)
        shuffled = torch.rand(count, 3, device=device).argsort(dim=1)
        channels = torch.where(torch.rand(count, 1, device=device) < 0.3, shuffled, channels)
        images = images.gather(1, channels[:, :, None, None].expand_as(images))
        images = _overexposed(images.float())
        labels = Samples(images, twist, depth, metric, focal_px).labels(self.canonical_px)
        images = images.contiguous(memory_format=torch.channels_last)
        return Batch(images, labels, self.canonical_px)


def _overexposed(images: Tensor) -> Tensor:
    """Images [B,3,H,W] in 0..255, some of them with more light than the sensor takes, as batches.overexpose."""
    count, device = len(images), images.device
    grey = images[..., :: canonical.STRIDE, :: canonical.STRIDE].mean(dim=1).flatten(1).sort(dim=1).values
    unclipped = 1 - MOST_CLIPPED * torch.rand(count, 1, device=device)
    limit = grey.gather(1, (unclipped * (grey.shape[1] - 1)).long()).clamp(min=DARKEST_LIMIT)
    gain = torch.where(torch.rand(count, 1, device=device) < OVEREXPOSED, 255 / limit, 1)
    return (images * gain[..., None, None]).clamp(max=255)
