"""`python -m training live`: train on one GPU with samples that are made on it while worker processes build and draw rooms."""

from __future__ import annotations

import argparse
import json
import queue
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from blur_imu_ros.errors import ConfigurationError
from training import canonical
from training.asset_pack.pack import Pack
from training.asset_pack.split import Split
from training.learn.compute import compute_device
from training.learn.configuration import TrainingConfig, add_fields, learning_rate
from training.learn.run import CHECKPOINT, Run
from training.network import NetworkConfig
from training.numbers import positive
from training.on_gpu.maker import Maker
from training.on_gpu.memory import Memory
from training.on_gpu.rooms import PlannedKey, Supply, read_keys, start_workers
from training.samples import SampleConfig, add_everyday
from training.train import train_step

# Seconds between two lines of the log, and two checkpoints.
REPORT_S = 15.0
# Fields of TrainingConfig that are arguments of this command too.
LEARNING = ("batch", "learning_rate", "warm_up", "velocity_weight", "looks_teach_features", "seed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training live`."""
    parser.add_argument("--pack", type=Path, required=True, help="folder made by `python -m training assets`")
    parser.add_argument(
        "--keys", type=Path, required=True, help="folder for key frames that wait, best in memory"
    )
    parser.add_argument("--run", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--start-from", type=Path, help="checkpoint whose weights a new run starts from")
    parser.add_argument(
        "--minutes", type=positive, required=True, help="how long; the learning rate falls over this time"
    )
    parser.add_argument("--workers", type=int, default=14, help="processes that build rooms")
    parser.add_argument("--memory", type=int, default=30000, help="samples kept on the GPU, 0.86 MB each")
    parser.add_argument(
        "--first-samples", type=int, default=2000, help="how many to have before the first step"
    )
    parser.add_argument("--made-at-once", type=int, default=32, help="samples made together")
    parser.add_argument(
        "--making", type=float, default=0.35, help="share of the GPU's time that goes into samples"
    )
    canonical.add_arguments(parser)
    parser.add_argument("--collages", type=float, default=0.1, help="share of collages among the key frames")
    add_everyday(parser)
    add_fields(parser, LEARNING)


def run(arguments: argparse.Namespace) -> int:
    """Train until the time is used up."""
    if (arguments.run / CHECKPOINT).exists():
        raise ConfigurationError(
            f"{arguments.run} holds a run already, which would be lost: give another --run, and --start-from "
            f"{arguments.run / CHECKPOINT} to go on from its weights"
        )
    canonical.check_size(*arguments.size)
    # Before anything is made that a missing pack would leave behind.
    Pack(arguments.pack, Split.TRAIN)
    device, began = compute_device(), time.monotonic()
    torch.backends.cudnn.benchmark = True
    samples = SampleConfig(
        *arguments.size, arguments.focal_px, arguments.collages, everyday_share=arguments.everyday
    )
    config = TrainingConfig(**{name: getattr(arguments, name) for name in LEARNING}, velocity_from=0.0)
    state = Run(arguments.run, config, NetworkConfig(), device, samples.canonical_px)
    if arguments.start_from:
        state.start_from(arguments.start_from)
    else:
        state.begin()
    workers = start_workers(
        Supply(arguments.pack, arguments.keys, samples, arguments.workers, arguments.seed)
    )
    maker = Maker(samples, arguments.made_at_once, device, arguments.seed)
    memory = Memory(arguments.memory, samples, device)
    keys = read_keys(arguments.keys)

    def supplied() -> bool:
        return any(worker.is_alive() for worker in workers)

    limit = 60 * arguments.minutes
    try:
        train(state, maker, memory, keys, arguments, lambda: (time.monotonic() - began) / limit, supplied)
    finally:
        for worker in workers:
            worker.terminate()
    if not state.step:
        raise ConfigurationError(
            f"not one step in {arguments.minutes:g} minutes: {memory.made} samples were made of the "
            f"{arguments.first_samples} (--first-samples) to begin with; give more --minutes or --workers"
        )
    state.save()
    return 0


def train(
    state: Run,
    maker: Maker,
    memory: Memory,
    keys: queue.Queue[PlannedKey],
    arguments: argparse.Namespace,
    progress: Callable[[], float],
    supplied: Callable[[], bool],
) -> None:
    """The loop: samples are made while they are fewer than wanted or have had less than their share of the time.

    Raises ConfigurationError where nothing is `supplied` any more before there are enough to begin with.
    """
    config, sums, steps = state.config, dict[str, Tensor](), 0
    reported = started = time.monotonic()
    making_s, began = 0.0, progress()
    model: nn.Module = state.model
    model.train()
    while (share := progress()) < 1:
        few = memory.made < min(arguments.first_samples, memory.size)
        if few or making_s < arguments.making * (time.monotonic() - started):
            took_s = _make(maker, memory, keys)
            making_s += took_s
        if few:
            began = share
            time.sleep(0 if took_s else 0.02)
            if not took_s and not supplied():
                raise ConfigurationError(
                    "every worker that draws rooms has ended, for the reason that it printed above: mend that (--pack, or EGL) "
                    "and start again"
                )
            started, making_s = time.monotonic(), 0.0
            continue
        rate = learning_rate(config, state.step, (share - began) / (1 - began))
        losses = train_step(state, model, memory.draw(config.batch), rate, with_velocity=True)
        for name, value in losses.items():
            sums[name] = sums.get(name, torch.zeros_like(value)) + value.detach()
        steps += 1
        if time.monotonic() - reported > REPORT_S:
            reported = time.monotonic()
            line = {"step": state.step, "seconds": reported - started, "made": memory.made, "rate": rate}
            line |= {name: float(value) / steps for name, value in sums.items()}
            sums, steps = {}, 0
            print(json.dumps({name: round(value, 5) for name, value in line.items()}), flush=True)
            state.save()


def _make(maker: Maker, memory: Memory, keys: queue.Queue[PlannedKey]) -> float:
    """Make samples if there are key frames for them; how long it took, in seconds."""
    maker.take(keys)
    _finish(maker.device)
    began = time.monotonic()
    made = maker.make()
    if made is None:
        return 0.0
    memory.add(made)
    _finish(maker.device)
    return time.monotonic() - began


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
