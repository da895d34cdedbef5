"""The training loop: one configuration for a CPU, a GPU, or several under torchrun; resumable and seeded."""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from training import canonical
from training.batches import Batch, Shards, draw_batch, prefetch
from training.compute import compute_device, mixed_precision
from training.losses import covariance_loss, depth_loss, flow_loss, solve_at_truth, velocity_loss
from training.measurement import measurement
from training.network import FlowDepthNetwork, NetworkConfig, averaged_weights
from training.pictures import write_sheet
from training.validate import validate

# Where a network may have more layers than the one it starts from.
GROWN = "stages."


@dataclass(frozen=True)
class TrainingConfig:
    """One run. Stage 1 teaches flow and depth, stage 2 (from `velocity_from` of the steps on) velocity as well.

    With a `first_look_weight` of zero only the looks after it learn. With `hold_norms` the batch norms keep their statistics,
    which wants weights to start from.
    """

    steps: int = 20000
    batch: int = 16
    crop: tuple[int, int] = canonical.WINDOW[::-1]
    velocity_from: float = 0.15
    velocity_weight: float = 1.75
    covariance_weight: float = 0.2
    depth_weight: float = 2.0
    first_look_weight: float = 1.0
    hold_norms: bool = False
    learning_rate: float = 1.5e-3
    warm_up: int = 300
    weight_decay: float = 1e-3
    seed: int = 1


def learning_rate(config: TrainingConfig, step: int, progress: float | None = None) -> float:
    """Linear warm-up, then a cosine down to 2 % over the run; progress: how much of it is over, if not by steps."""
    progress = min(step / config.steps if progress is None else progress, 1.0)
    return (
        config.learning_rate
        * min(1.0, (step + 1) / config.warm_up)
        * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
    )


def follow(average: AveragedModel, model: nn.Module) -> None:
    """Move the averaged weights and statistics towards the model's: an exponential mean over about 500 steps, over fewer while
    there are fewer. As AveragedModel does it, but in a few operations and without waiting for a GPU."""
    share = max(0.002, 1 / (1 + 0.2 * int(average.n_averaged)))
    pairs = zip(average.module.state_dict().values(), model.state_dict().values(), strict=True)
    means, values = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
    torch._foreach_lerp_(means, values, share)
    average.n_averaged += 1


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
    total = config.first_look_weight * losses["first"] + config.depth_weight * losses["depth"]
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


class Run:
    """Model, averaged model and optimiser of a run, with their checkpoint."""

    def __init__(
        self,
        folder: Path,
        config: TrainingConfig,
        network: NetworkConfig,
        device: torch.device,
        canonical_px: float = canonical.FOCAL_PX,
    ) -> None:
        """canonical_px: focal length of the views to learn from."""
        self.folder, self.config, self.network, self.device = folder, config, network, device
        self.canonical_px = canonical_px
        torch.manual_seed(config.seed)
        self.model = FlowDepthNetwork(network).to(device, memory_format=torch.channels_last)
        self.average = AveragedModel(self.model, use_buffers=True)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=1e-3, weight_decay=config.weight_decay, fused=True
        )
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "last.pt"

    def save(self) -> None:
        """Write everything needed to go on, whole or not at all."""
        state = {
            "step": self.step,
            "network": asdict(self.network),
            "canonical_px": self.canonical_px,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of this run."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def start_from(self, path: Path) -> None:
        """Begin with the averaged weights of another run's checkpoint, or of `export --weights`.

        They may have learnt from views of another focal length. Layers that only this network has start as they are made: adding
        nothing to what passes them; looks that only it has, as the last one of those that learnt.
        """
        state = torch.load(path, map_location=self.device, weights_only=True)
        weights = averaged_weights(state, self.canonical_px)
        learnt = NetworkConfig(**state["network"]).looks - 1
        for key in [key for key in weights if key.startswith(f"further_looks.{learnt - 1}.")]:
            for number in range(learnt, self.network.looks - 1):
                weights[f"further_looks.{number}.{key.split('.', 2)[2]}"] = weights[key]
        added = {key: value for key, value in self.model.state_dict().items() if key.startswith(GROWN)}
        for model in (self.model, self.average.module):
            model.load_state_dict({**added, **weights})


def train_step(
    state: Run, model: nn.Module, batch: Batch, rate: float, with_velocity: bool
) -> dict[str, torch.Tensor]:
    """One step of the optimiser at a learning rate; the losses of the batch."""
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    losses = batch_loss(model, batch, state.config, with_velocity)
    losses["total"].backward()
    length = nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    # Read by the optimiser: it leaves a step without finite gradients out.
    state.optimiser.found_inf = (~torch.isfinite(length)).float()
    state.optimiser.step()
    state.optimiser.zero_grad(set_to_none=True)
    follow(state.average, state.model)
    state.step += 1
    return losses


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training train`; each field of TrainingConfig is one."""
    parser.add_argument("--samples", type=Path, nargs="+", required=True, help="folders of shards")
    parser.add_argument(
        "--validation", type=Path, nargs="+", required=True, help="folders of shards of other rooms"
    )
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints and the log")
    parser.add_argument("--start-from", type=Path, help="checkpoint whose weights a new run starts from")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this long")
    parser.add_argument("--every", type=int, default=500, help="steps between validations")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--compile", action="store_true", help="compile the network first: faster steps, needs a C++ compiler"
    )
    defaults = TrainingConfig()
    for name, value in asdict(defaults).items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, tuple):
            parser.add_argument(option, type=type(value[0]), nargs=len(value), default=value)
        elif isinstance(value, bool):
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=value)
        else:
            parser.add_argument(option, type=type(value), default=value)


def run(arguments: argparse.Namespace) -> int:
    """Train until the steps or the minutes are used up."""
    torch.set_num_threads(arguments.threads)
    fields = {name: getattr(arguments, name) for name in TrainingConfig.__dataclass_fields__}
    config = TrainingConfig(**{**fields, "crop": tuple(fields["crop"])})
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    shards = Shards(arguments.samples)
    state = Run(arguments.run, config, NetworkConfig(), compute_device(), shards.canonical_px)
    if state.checkpoint.exists():
        state.resume(state.checkpoint)
    elif arguments.start_from:
        state.start_from(arguments.start_from)
    model: nn.Module = state.model
    if arguments.compile:
        # A graph per size of the images, not one for any size.
        model.compile(dynamic=False)
    if world > 1:
        torch.distributed.init_process_group()
        model = nn.parallel.DistributedDataParallel(model)
    train(state, model, shards, Shards(arguments.validation), arguments, rank)
    return 0


def train(
    state: Run, model: nn.Module, shards: Shards, held_out: Shards, arguments: argparse.Namespace, rank: int
) -> None:
    """The loop itself; rank 0 validates, logs to log.jsonl and saves."""
    config, began = state.config, time.monotonic()
    rng = np.random.default_rng((config.seed, state.step, rank))

    means: dict[str, float] = {}
    for batch in prefetch(lambda: draw_batch(rng, shards, config.batch, config.crop)):
        batch = batch.to(state.device)
        model.train()
        if config.first_look_weight == 0:
            state.model.hold_first_look()
        if config.hold_norms:
            state.model.hold_norms()
        with_velocity = state.step >= config.velocity_from * config.steps
        losses = train_step(state, model, batch, learning_rate(config, state.step), with_velocity)
        for name, value in losses.items():
            means[name] = 0.99 * means.get(name, value.item()) + 0.01 * value.item()
        minutes = (time.monotonic() - began) / 60
        over = state.step >= config.steps or minutes >= arguments.minutes
        if rank == 0 and (over or state.step % arguments.every == 0):
            shards.refresh()
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
