"""`python -m training stage3`: go on with real sequences whose only truth is velocity, held near their start."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from blur_imu_ros.canonical_view import CanonicalView
from blur_imu_ros.errors import ConfigurationError, SequenceError
from blur_imu_ros.sequence import Sequence, read_image
from training import canonical
from training.batches import MIRROR_X, prefetch
from training.compute import compute_device
from training.configuration import TrainingConfig, learning_rate
from training.losses import Labels, compress, make_labels, solve_at_truth, velocity_loss
from training.network import FlowDepthNetwork, NetworkConfig
from training.run import Run
from training.weights import load_network

# ln sigma added where the camera sees nothing: such places have no say in the velocity.
UNSEEN = 20.0


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
        self.canonical_px = canonical_px
        self.items: list[tuple[Path, np.ndarray, CanonicalView]] = []
        for folder in folders:
            sequence = Sequence.load(folder)
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


def stage3_loss(
    labels: Labels, batch: RealBatch, outputs: tuple[Tensor, ...], start: tuple[Tensor, ...], keep: float
) -> dict[str, Tensor]:
    """Losses: `velocity` through the solve, `drift` of depth and every look from those of the start, and their sum `total`."""
    q, q_log_sigma, inverse_depth, depth_log_sigma = outputs[:4]
    masked = q_log_sigma + UNSEEN * batch.unseen
    error, _ = solve_at_truth(labels, q, masked, inverse_depth, depth_log_sigma)
    velocity = velocity_loss(labels, error)
    relative, relative_start = (x[3] - torch.log(x[2]) for x in (outputs, start))
    drift = F.smooth_l1_loss(torch.log(inverse_depth), torch.log(start[2]))
    drift = drift + 0.1 * F.smooth_l1_loss(relative, relative_start)
    looks = range(4, len(outputs), 2)
    for k in looks:
        flow = F.smooth_l1_loss(compress(outputs[k]), compress(start[k]))
        sigma = F.smooth_l1_loss(outputs[k + 1], start[k + 1])
        drift = drift + (4 * flow + 0.1 * sigma) / len(looks)
    return {"velocity": velocity, "drift": drift, "total": velocity + keep * drift}


def start_run(folder: Path, config: TrainingConfig, checkpoint: Path, focal_px: float) -> Run:
    """A run that begins with the averaged weights of a checkpoint, for views of `focal_px`, or goes on from its own.

    Velocity judges the last look alone, so the features learn from that one too, or they would not learn at all.
    """
    config = replace(config, looks_teach_features=True)
    network = NetworkConfig(**torch.load(checkpoint, map_location="cpu", weights_only=True)["network"])
    state = Run(folder, config, network, compute_device(), focal_px)
    if state.checkpoint.exists():
        state.resume(state.checkpoint)
    else:
        state.start_from(checkpoint)
    return state


def train(
    state: Run, start: FlowDepthNetwork, frames: RealFrames, keep: float, every: int, over: Callable[[], bool]
) -> None:
    """The loop: batch norms stay as they are, since real frames are few; the log goes to log.jsonl."""
    config, means = state.config, dict[str, float]()
    rng = np.random.default_rng((config.seed, state.step))
    state.model.eval()
    for batch in prefetch(lambda: frames.draw(rng, config.batch)):
        if state.step >= config.steps or over():
            break
        image = batch.image.to(state.device)
        with torch.no_grad():
            before = start(image)
        labels = frames.labels(batch, before[2].cpu()).map(lambda tensor: tensor.to(state.device))
        losses = stage3_loss(labels, batch.to(state.device), state.model(image), before, keep)
        state.descend(losses["total"], learning_rate(config, state.step), longest=1.0)
        for name, value in losses.items():
            means[name] = 0.9 * means.get(name, value.item()) + 0.1 * value.item()
        if state.step % every == 0 or state.step == config.steps:
            line = json.dumps(
                {"step": state.step, **{name: round(value, 4) for name, value in means.items()}}
            )
            print(line, flush=True)
            with (state.folder / "log.jsonl").open("a") as log:
                log.write(line + "\n")
            state.save()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training stage3`."""
    parser.add_argument(
        "--sequences", type=Path, nargs="+", required=True, help="sequence folders with truth.csv"
    )
    parser.add_argument(
        "--start-from", type=Path, required=True, help="checkpoint of stage 2; outputs are held near its own"
    )
    parser.add_argument("--run", type=Path, required=True, help="folder for the checkpoint and the log")
    parser.add_argument("--exposure", type=float, help="s, where a sequence does not say")
    canonical.add_arguments(parser)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument(
        "--keep", type=float, default=1.0, help="weight of the distance from the starting network"
    )
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after this long")
    parser.add_argument("--every", type=int, default=50, help="steps between checkpoints")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)


def run(arguments: argparse.Namespace) -> int:
    """Train until the steps or the minutes are used up."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise ConfigurationError("stage 3 is short: start it as one process")
    torch.set_num_threads(arguments.threads)
    config = TrainingConfig(
        steps=arguments.steps,
        batch=arguments.batch,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
    )
    state = start_run(arguments.run, config, arguments.start_from, arguments.focal_px)
    start = load_network(arguments.start_from, arguments.focal_px).to(state.device)
    frames = RealFrames(arguments.sequences, tuple(arguments.size), arguments.focal_px, arguments.exposure)
    end = time.monotonic() + 60 * arguments.minutes
    train(state, start, frames, arguments.keep, arguments.every, lambda: time.monotonic() >= end)
    state.save()
    return 0
