"""Batches from shards on disk: random samples, mirrored and cropped, made by a thread while the step before them runs."""

from __future__ import annotations

import queue
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from blur_imu_ros.errors import ConfigurationError, first_line
from training.canonical import STRIDE
from training.learn.losses import Labels, make_labels

# What becomes of a twist (w, v) in the picture mirrored left to right, and upside down.
MIRROR_X = np.array([1, -1, -1, -1, 1, 1], np.float32)
MIRROR_Y = np.array([-1, 1, -1, 1, -1, 1], np.float32)


@dataclass(frozen=True)
class Batch:
    """image float32 [B,3,H,W] in 0..255, with the labels of the same crop; canonical_px: focal length the network is taught."""

    image: Tensor
    labels: Labels
    canonical_px: float

    def to(self, device: torch.device) -> Batch:
        return Batch(
            self.image.to(device), self.labels.map(lambda tensor: tensor.to(device)), self.canonical_px
        )


# Share of the samples that are overexposed, how much of those is clipped at most, and the grey level nothing is clipped below.
OVEREXPOSED, MOST_CLIPPED, DARKEST_LIMIT = 0.3, 0.5, 20.0
# Blur in pixels above which an image counts as blurred.
BLURRED_PX = 3.0


def keep_share(length: Tensor) -> Tensor:
    """Which share of the samples of a blur length in pixels is learnt from: all up to 36 pixels, where cameras in motion are most
    of the time and an error of a pixel costs most rad/s, and fewer of longer blur."""
    return ((36.0 / length.clamp(min=1.0)) ** 3).clamp(0.3, 1.0)


class Shards:
    """Memory-mapped shards below some folders; `refresh` picks up those written since."""

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders
        self.arrays: dict[Path, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take in the shards written since; one that is not whole, as while it is copied here, waits for the next time."""
        found = sorted(path for folder in self.folders for path in folder.glob("shard_*"))
        arrays = dict(self.arrays)
        for path in found:
            if path in arrays:
                continue
            try:
                arrays[path] = tuple(
                    np.load(path / f"{name}.npy", mmap_mode="r")
                    for name in ("images", "inverse_depth", "records")
                )
            except (OSError, ValueError, EOFError) as error:
                print(f"{path} is left out, since it is not whole: {first_line(error)}", file=sys.stderr)
        lengths = {float(records["canonical_px"][0]): path for path, (_, _, records) in arrays.items()}
        if len(lengths) > 1:
            raise ConfigurationError(
                "samples of several canonical focal lengths, "
                + " and ".join(f"{length:g} px ({path})" for length, path in sorted(lengths.items()))
                + ", would mix up depth: give folders of one"
            )
        # In one step: the thread that draws (prefetch) goes through the shards meanwhile.
        self.arrays = arrays
        if not self.arrays:
            raise ConfigurationError(
                f"no shard_* below {', '.join(map(str, self.folders))}: run `python -m training samples`"
            )

    @property
    def canonical_px(self) -> float:
        """Canonical focal length of the views, which all have the same."""
        return float(next(iter(self.arrays.values()))[2]["canonical_px"][0])

    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) of the images, each size once."""
        return sorted({images.shape[1:3] for images, _, _ in self.arrays.values()})

    def pick(
        self, rng: np.random.Generator, size: tuple[int, int] | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.void]:
        """A random sample, of images of this (height, width) where one is given."""
        fitting = [shard for shard in self.arrays.values() if size in (None, shard[0].shape[1:3])]
        images, depths, records = fitting[rng.integers(len(fitting))]
        index = rng.integers(len(records))
        return images[index], depths[index], records[index]

    def pick_moderate(
        self, rng: np.random.Generator, size: tuple[int, int] | None = None, blurred_share: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray, np.void]:
        """As pick, with long blur made rarer, and blurred images altogether where their share is less than 1."""
        while True:
            image, depth, record = self.pick(rng, size)
            length = record["focal_px"] * (
                np.linalg.norm(record["twist"][:3])
                + np.linalg.norm(record["twist"][3:]) * float(np.median(depth))
            )
            share = float(keep_share(torch.tensor(length))) * (blurred_share if length > BLURRED_PX else 1.0)
            if rng.random() < share:
                return image, depth, record


def assemble(samples: list, corners: tuple[int, int], crop: tuple[int, int]) -> Batch:
    """Samples (image, inverse depth, record) -> a batch of the crop (height, width) at corners (top, left) on the label grid."""
    top, left = corners
    rows, columns = (
        slice(top // STRIDE, (top + crop[0]) // STRIDE),
        slice(left // STRIDE, (left + crop[1]) // STRIDE),
    )
    images = np.stack([image[top : top + crop[0], left : left + crop[1]] for image, _, _ in samples])
    labels = make_labels(
        torch.from_numpy(np.stack([record["twist"] for *_, record in samples])),
        torch.from_numpy(np.stack([depth for _, depth, _ in samples]).astype(np.float32)),
        torch.from_numpy(np.array([record["metric"] for *_, record in samples])),
        torch.from_numpy(np.array([record["focal_px"] for *_, record in samples])),
        canonical_px := float(samples[0][2]["canonical_px"]),
        STRIDE,
    )
    cropped = replace(
        labels,
        inverse_depth=labels.inverse_depth[:, rows, columns],
        rotation=labels.rotation[:, rows, columns],
        translation=labels.translation[:, rows, columns],
    )
    image = torch.from_numpy(images).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
    return Batch(image, cropped, canonical_px)


def overexpose(image: np.ndarray, share: float) -> np.ndarray:
    """The image uint8 [H,W,3] with so much more light that this share of it is clipped, as where a camera looks at a window."""
    limit = np.quantile(image[::STRIDE, ::STRIDE].mean(axis=2), 1 - share)
    return cv2.convertScaleAbs(image, alpha=255 / max(float(limit), DARKEST_LIMIT))


def _augment(rng: np.random.Generator, sample: tuple) -> tuple:
    image, depth, record = sample
    record = record.copy()
    if rng.random() < 0.5:
        image, depth = image[:, ::-1], depth[:, ::-1]
        record["twist"] *= MIRROR_X
    if rng.random() < 0.3:
        image, depth = image[::-1], depth[::-1]
        record["twist"] *= MIRROR_Y
    if rng.random() < 0.3:
        image = image[..., rng.permutation(3)]
    if rng.random() < OVEREXPOSED:
        image = overexpose(np.ascontiguousarray(image), rng.uniform(0, MOST_CLIPPED))
    return image, depth, record


def draw_batch(
    rng: np.random.Generator,
    shards: Shards,
    size: int,
    crop: tuple[int, int],
    blurred_share: float = 1.0,
) -> Batch:
    """A random augmented batch of images of one size; crop (height, width) is cut to the image where it is larger.

    Of images smaller than the largest there are as many more: windows show many motions, whole views their surroundings.
    """
    sizes = shards.sizes()
    height, width = sizes[rng.integers(len(sizes))]
    count = size * max(h * w for h, w in sizes) // (height * width)
    samples = [_augment(rng, shards.pick_moderate(rng, (height, width), blurred_share)) for _ in range(count)]
    crop = min(crop[0], height), min(crop[1], width)
    corners = tuple(
        int(rng.integers((full - part) // STRIDE + 1)) * STRIDE
        for full, part in zip((height, width), crop, strict=True)
    )
    return assemble(samples, corners, crop)


def prefetch(make, depth: int = 3):
    """Endless results of `make()`, computed ahead in a daemon thread; an error there is raised here."""
    ready: queue.Queue = queue.Queue(depth)

    def work() -> None:
        while True:
            try:
                ready.put(make())
            except Exception as error:
                ready.put(error)
                return

    threading.Thread(target=work, daemon=True).start()
    while True:
        item = ready.get()
        if isinstance(item, Exception):
            raise item
        yield item
