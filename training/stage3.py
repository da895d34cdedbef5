"""`python -m training stage3`: go on with real sequences whose only truth is velocity, held near their start."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from blur_imu_ros.errors import ConfigurationError
from training import canonical
from training.learn.batches import prefetch
from training.learn.compute import compute_device
from training.learn.configuration import TrainingConfig, learning_rate
from training.learn.losses import Labels, compress, solve_at_truth, velocity_loss
from training.learn.real_frames import RealBatch, RealFrames
from training.learn.run import Run, remember
from training.learn.weights import load_network, read_checkpoint
from training.network import FlowDepthNetwork, NetworkConfig
from training.numbers import positive, positive_int

# ln sigma added where the camera sees nothing: such places have no say in the velocity.
UNSEEN = 20.0


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
    network = NetworkConfig(**read_checkpoint(checkpoint)["network"])
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
        remember(means, losses, 0.1)
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
    parser.add_argument(
        "--exposure", type=float, help="exposure in seconds, where a sequence does not state it"
    )
    canonical.add_arguments(parser)
    parser.add_argument("--steps", type=int, default=500, help="length of the run")
    parser.add_argument("--batch", type=int, default=8, help="frames per step")
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="its peak")
    parser.add_argument(
        "--keep", type=float, default=1.0, help="weight of the distance from the starting network"
    )
    parser.add_argument("--minutes", type=positive, default=float("inf"), help="stop after this long")
    parser.add_argument("--every", type=positive_int, default=50, help="steps between checkpoints")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--seed", type=int, default=1)


def run(arguments: argparse.Namespace) -> int:
    """Train until the steps or the minutes are used up."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise ConfigurationError("stage 3 is short: start it as one process")
    canonical.check_size(*arguments.size)
    torch.set_num_threads(arguments.threads)
    config = TrainingConfig(
        steps=arguments.steps,
        batch=arguments.batch,
        learning_rate=arguments.learning_rate,
        warm_up=max(1, arguments.steps // 20),
        seed=arguments.seed,
    )
    state = start_run(arguments.run, config, arguments.start_from, arguments.focal_px)
    if state.over():
        return 0
    start = load_network(arguments.start_from, arguments.focal_px).to(state.device)
    frames = RealFrames(arguments.sequences, tuple(arguments.size), arguments.focal_px, arguments.exposure)
    end = time.monotonic() + 60 * arguments.minutes
    train(state, start, frames, arguments.keep, arguments.every, lambda: time.monotonic() >= end)
    state.save()
    return 0
