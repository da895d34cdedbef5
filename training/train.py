"""The training loop: one configuration for a CPU, a GPU, or several under torchrun; resumable and seeded."""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from blur_imu_ros.errors import ConfigurationError
from training import canonical
from training.learn.batches import Batch, Shards, draw_batch, prefetch
from training.learn.compute import compute_device, mixed_precision
from training.learn.configuration import TrainingConfig, add_fields, learning_rate
from training.learn.layers import Learning
from training.learn.losses import covariance_loss, depth_loss, flow_loss, solve_at_truth, velocity_loss
from training.learn.run import Run, remember
from training.learn.validate import validate
from training.looks.measurement import measurement
from training.network import NetworkConfig
from training.numbers import positive, positive_int
from training.pictures import write_sheet


def batch_loss(
    model: nn.Module, batch: Batch, config: TrainingConfig, with_velocity: bool
) -> dict[str, torch.Tensor]:
    """The losses by name; `total` is what is minimised."""
    with mixed_precision(batch.image.device):
        _, _, *outputs = model(batch.image)
    depth, looks = outputs[:2], list(zip(outputs[2::2], outputs[3::2], strict=True))
    losses = {
        "first": flow_loss(batch.labels, *looks.pop(), likelihood=with_velocity),
        "depth": depth_loss(batch.labels, *depth),
    }
    total = losses["first"] + config.depth_weight * losses["depth"]
    weights = {"flow": 1.0, "velocity": config.velocity_weight, "covariance": config.covariance_weight}
    for number, look in enumerate(looks):
        found = look_losses(batch, look, depth, with_velocity)
        total = total + sum(weights[name] * value for name, value in found.items())
        if number == 0:
            losses |= found
    return losses | {"total": total}


def look_losses(
    batch: Batch, look: tuple[torch.Tensor, torch.Tensor], depth: list[torch.Tensor], with_velocity: bool
) -> dict[str, torch.Tensor]:
    """The losses of one look's mean flow and ln sigma."""
    labels = batch.labels
    losses = {"flow": flow_loss(labels, *look, likelihood=with_velocity)}
    if with_velocity:
        error, information = solve_at_truth(labels, *measurement(*look), *depth)
        losses["velocity"] = velocity_loss(labels, error)
        losses["covariance"] = covariance_loss(labels, error, information)
    return losses


def train_step(
    state: Run, model: nn.Module, batch: Batch, rate: float, with_velocity: bool
) -> dict[str, torch.Tensor]:
    """One step of the optimiser at a learning rate; the losses of the batch."""
    losses = batch_loss(model, batch, state.config, with_velocity)
    state.descend(losses["total"], rate, longest=5.0)
    return losses


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training train`; each field of TrainingConfig is one."""
    parser.add_argument("--samples", type=Path, nargs="+", required=True, help="folders of shards")
    parser.add_argument(
        "--validation", type=Path, nargs="+", required=True, help="folders of shards of other rooms"
    )
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints and the log")
    parser.add_argument("--start-from", type=Path, help="checkpoint whose weights a new run starts from")
    parser.add_argument(
        "--looks",
        type=int,
        default=NetworkConfig().looks,
        help="how often the network looks, from 2 on",
    )
    parser.add_argument("--minutes", type=positive, default=math.inf, help="stop after this long")
    parser.add_argument("--every", type=positive_int, default=500, help="steps between validations")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument(
        "--compile", action="store_true", help="compile the network first: faster steps, needs a C++ compiler"
    )
    add_fields(parser, TrainingConfig.__dataclass_fields__)


def run(arguments: argparse.Namespace) -> int:
    """Train until the steps or the minutes are used up."""
    torch.set_num_threads(arguments.threads)
    fields = {name: getattr(arguments, name) for name in TrainingConfig.__dataclass_fields__}
    config = TrainingConfig(**{**fields, "crop": tuple(fields["crop"]), "learns": Learning(fields["learns"])})
    if arguments.looks < 2:
        raise ConfigurationError(
            f"--looks {arguments.looks}: velocity is taught by the looks after the first; give 2 or more"
        )
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    shards = Shards(arguments.samples)
    held_out = Shards(arguments.validation)
    if held_out.canonical_px != shards.canonical_px:
        raise ConfigurationError(
            f"--validation has a canonical focal length of {held_out.canonical_px:g} px, --samples of "
            f"{shards.canonical_px:g} px: give samples of one"
        )
    crops = {(min(config.crop[0], height), min(config.crop[1], width)) for height, width in shards.sizes()}
    for height, width in sorted(crops.union(held_out.sizes())):
        canonical.check_size(width, height)
    network = NetworkConfig(looks=arguments.looks)
    state = Run(arguments.run, config, network, compute_device(), shards.canonical_px)
    if state.checkpoint.exists():
        state.resume(state.checkpoint)
    elif arguments.start_from:
        state.start_from(arguments.start_from)
    else:
        state.begin()
    if state.over():
        return 0
    model: nn.Module = state.model
    if arguments.compile:
        # A graph per size of the images, not one for any size.
        model.compile(dynamic=False)
    if world > 1:
        torch.distributed.init_process_group()
        model = nn.parallel.DistributedDataParallel(model)
    train(state, model, shards, held_out, arguments, rank)
    return 0


def _anywhere(over: bool, device: torch.device) -> bool:
    """Whether it is over for any of the processes: their clocks differ, and one that went on alone would wait for ever."""
    if not torch.distributed.is_initialized():
        return over
    flag = torch.tensor(float(over), device=device)
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
    return bool(flag)


def train(
    state: Run, model: nn.Module, shards: Shards, held_out: Shards, arguments: argparse.Namespace, rank: int
) -> None:
    """The loop itself; rank 0 validates, logs to log.jsonl and saves."""
    config, began = state.config, time.monotonic()
    rng = np.random.default_rng((config.seed, state.step, rank))

    means: dict[str, float] = {}
    for batch in prefetch(lambda: draw_batch(rng, shards, config.batch, config.crop, config.blurred_share)):
        batch = batch.to(state.device)
        model.train()
        with_velocity = state.step >= config.velocity_from * config.steps
        losses = train_step(state, model, batch, learning_rate(config, state.step), with_velocity)
        remember(means, losses, 0.01)
        minutes = (time.monotonic() - began) / 60
        over = _anywhere(state.step >= config.steps or minutes >= arguments.minutes, state.device)
        due = state.step % arguments.every == 0
        if due:
            shards.refresh()
        if rank == 0 and (over or due):
            figures = validate(state.average.module, held_out, state.device)
            write_sheet(state.folder / "sheet.png", state.average.module, held_out)
            line = {
                "step": state.step,
                "minutes": round(minutes, 1),
                "shards": len(shards.arrays),
                **means,
                **figures,
            }
            line = {key: round(value, 4) for key, value in line.items()}
            print(json.dumps(line), flush=True)
            with (state.folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            state.save()
        if over:
            return
