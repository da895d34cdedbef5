"""Real frames whose only truth is their velocity, as batches to learn from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from blur_imu_ros.canonical_view import CanonicalView
from blur_imu_ros.errors import ExposureError, SequenceError
from blur_imu_ros.exposure_field import fits_between_frames
from blur_imu_ros.sequence import Sequence, read_image
from training import canonical
from training.learn.batches import MIRROR_X
from training.learn.losses import Labels, make_labels


@dataclass(frozen=True)
class RealBatch:
    """image float32 [B,3,H,W] in 0..255; twist [B,6] per exposure (rad, m); focal_px [B]; unseen bool [B,1,h,w]."""

    image: Tensor
    twist: Tensor
    focal_px: Tensor
    unseen: Tensor

    def to(self, target: torch.device) -> RealBatch:
        return RealBatch(
            *(tensor.to(target) for tensor in (self.image, self.twist, self.focal_px, self.unseen))
        )


class RealFrames:
    """Frames with known velocity of some sequence folders, warped into the canonical view when they are drawn.

    canonical_px: the view's focal length; exposure_s stands in where a frame's own is unknown.
    Raises SequenceError where no frame can be used.
    """

    def __init__(
        self,
        folders: list[Path],
        size: tuple[int, int],
        canonical_px: float = canonical.FOCAL_PX,
        exposure_s: float | None = None,
    ) -> None:
        if exposure_s is not None and not exposure_s > 0:
            raise ExposureError(f"--exposure {exposure_s:g}: write positive seconds")
        self.canonical_px = canonical_px
        self.items: list[tuple[Path, np.ndarray, CanonicalView]] = []
        for folder in folders:
            sequence = Sequence.load(folder)
            interval_s = sequence.frame_interval_s or math.inf
            if exposure_s is not None and not fits_between_frames(exposure_s, interval_s):
                raise ExposureError(
                    f"--exposure {exposure_s:g} is longer than the {interval_s:g} s between the frames of {folder}; write seconds"
                )
            view = CanonicalView(sequence.camera, *size, self.canonical_px)
            for frame, truth in zip(sequence.frames, sequence.truth, strict=True):
                exposure = frame.exposure_s or exposure_s
                if exposure is not None and np.isfinite(truth).all():
                    self.items.append((frame.image, truth * exposure, view))
        if not self.items:
            names = ", ".join(map(str, folders))
            raise SequenceError(
                f"{names}: no frame has a velocity and an exposure; give --exposure where it is not recorded"
            )

    def batch(self, indices: np.ndarray, mirrored: np.ndarray) -> RealBatch:
        """The frames of these indices [B], left and right swapped where mirrored [B]."""
        images, twists, focals, unseen = [], [], [], []
        for index, swap in zip(indices, mirrored, strict=True):
            path, twist, view = self.items[index]
            seen, image = view.valid_on_grid(canonical.STRIDE), view.warp(read_image(path))
            images.append(image[:, ::-1] if swap else image)
            unseen.append(~seen[:, ::-1] if swap else ~seen)
            twists.append(twist * MIRROR_X if swap else twist)
            focals.append(view.focal_px)
        image = (
            torch.from_numpy(np.stack(images))
            .permute(0, 3, 1, 2)
            .float()
            .contiguous(memory_format=torch.channels_last)
        )
        return RealBatch(
            image,
            torch.from_numpy(np.array(twists, np.float32)),
            torch.tensor(focals, dtype=torch.float32),
            torch.from_numpy(np.stack(unseen)[:, None]),
        )

    def draw(self, rng: np.random.Generator, size: int) -> RealBatch:
        """A random batch, half of it mirrored."""
        return self.batch(rng.integers(len(self.items), size=size), rng.random(size) < 0.5)

    def labels(self, batch: RealBatch, inverse_depth: Tensor) -> Labels:
        """What the losses need of a batch on the CPU: true twist; predicted inverse depth [B,1,h,w] for the true one."""
        # make_labels takes 1/m and scales to the canonical focal length, where the prediction already is.
        depth = inverse_depth[:, 0] * (self.canonical_px / batch.focal_px).view(-1, 1, 1)
        metric = torch.ones(len(batch.twist), dtype=torch.bool)
        return make_labels(batch.twist, depth, metric, batch.focal_px, self.canonical_px, canonical.STRIDE)
