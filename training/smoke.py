"""`python -m training smoke`: rooms, key frames, samples, three stages, calibration, export and evaluation, all tiny.

It shows that the parts fit together, not that a network of any use comes out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from blur_imu_ros import cli
from blur_imu_ros.errors import ConfigurationError
from training import __main__ as training
from training.learn.batches import Shards
from training.learn.compute import compute_device
from training.learn.configuration import TrainingConfig
from training.learn.real_frames import RealFrames
from training.learn.run import Run
from training.learn.weights import load_network
from training.network import NetworkConfig
from training.pictures import draw_samples
from training.room.renderer import Renderer
from training.smoke_assets import KINDS, write_collage_sequence, write_pack
from training.stage3 import stage3_loss
from training.train import batch_loss

WIDTH, HEIGHT, FOCAL_PX = 128, 64, 100.0
CAMERA = (128, 96)
CLIPS, CLIP_FRAMES = 3, 4


def command(*words: object) -> None:
    """Run one `python -m training` command in this process; end with its name where it fails."""
    print(f"-- {' '.join(str(word) for word in words)}", flush=True)
    if training.main([str(word) for word in words]):
        raise ConfigurationError(f"smoke: `python -m training {words[0]}` failed")


def can_render() -> bool:
    """Whether there is an EGL context; says why not."""
    try:
        Renderer()
    except ConfigurationError as error:
        print(f"smoke: rooms are skipped, collages stand in: {error}", flush=True)
        return False
    return True


@torch.no_grad()
def loss(checkpoint: Path | None, samples: Path, with_velocity: bool) -> float:
    """The loss of stage 1, or 2, on some of the training samples, the same ones every time; None: before any training."""
    state = Run(samples.parent / "untrained", TrainingConfig(), NetworkConfig(), compute_device(), FOCAL_PX)
    if checkpoint:
        state.start_from(checkpoint)
    else:
        state.begin()
    batch = draw_samples(Shards([samples]), 48).to(state.device)
    # In training mode, for the batch's own statistics: the running ones of a few steps are not worth much yet.
    return batch_loss(state.model.train(), batch, TrainingConfig(), with_velocity)["total"].item()


@torch.no_grad()
def velocity_loss_on(sequence: Path, checkpoint: Path) -> float:
    """The velocity loss of stage 3 on all frames of a sequence folder."""
    frames = RealFrames([sequence], (WIDTH, HEIGHT), FOCAL_PX)
    batch = frames.batch(np.arange(len(frames.items)), np.zeros(len(frames.items), bool))
    outputs = load_network(checkpoint)(batch.image)
    labels = frames.labels(batch, outputs[2])
    return stage3_loss(labels, batch, outputs, outputs, keep=0.0)["velocity"].item()


def make_samples(out: Path, pack: Path, rooms: bool) -> None:
    """Shards of training and of validation samples."""
    for split, count, seed in (("train", 96, 1), ("val", 16, 2)):
        key_frames = out / "keyframes" / split
        if rooms:
            command(
                "keyframes", "--pack", pack, "--split", split, "--rooms", 1, "--views", 3, "--out", key_frames
            )
        photographs = [pack / "textures" / split / kind for kind in KINDS]
        command(
            "samples", "--out", out / "samples" / split, "--keyframes", *([key_frames] if rooms else []),
            "--photos", *photographs, "--shards", 1, "--shard-size", count, "--size", WIDTH, HEIGHT,
            "--focal-px", FOCAL_PX, "--seed", seed,
        )  # fmt: skip


def make_sequence(folder: Path, pack: Path, split: str, rooms: bool) -> None:
    """A sequence folder with true velocity, and nothing of flow or depth."""
    if rooms:
        command(
            "sequences", "--pack", pack, "--out", folder, "--split", split, "--clips", CLIPS, "--clip-frames", CLIP_FRAMES,
            "--size", *CAMERA, "--no-depth",
        )  # fmt: skip
    else:
        photographs = sorted((pack / "textures" / split).glob("*/*.jpg"))
        write_collage_sequence(folder, photographs, CAMERA, CLIPS * CLIP_FRAMES, seed=len(split))


def train_stages(out: Path, steps: int) -> dict[str, tuple[float, float]]:
    """The three stages, each from the one before; returns the first and last loss of each."""
    samples = out / "samples/train"
    common = ("--steps", steps, "--every", steps, "--threads", 1)
    shared = (
        "--samples",
        samples,
        "--validation",
        out / "samples/val",
        *common,
        "--batch",
        8,
        "--crop",
        HEIGHT,
        WIDTH,
        "--learning-rate",
        0.02,
    )
    command("train", "--run", out / "stage1", *shared, "--velocity-from", 2)
    command(
        "train",
        "--run",
        out / "stage2",
        "--start-from",
        out / "stage1/last.pt",
        *shared,
        "--velocity-from",
        0,
    )
    # What so few steps have taught is hardly worth keeping.
    command(
        "stage3", "--run", out / "stage3", "--start-from", out / "stage2/last.pt", "--sequences", out / "sequences/train",
        "--size", WIDTH, HEIGHT, "--focal-px", FOCAL_PX, "--learning-rate", 0.005, "--keep", 0.01,
        "--steps", steps, "--every", max(1, steps // 4), "--threads", 1,
    )  # fmt: skip
    first, second, third = (out / name / "last.pt" for name in ("stage1", "stage2", "stage3"))
    sequence = out / "sequences/train"
    return {
        "stage 1": (loss(None, samples, False), loss(first, samples, False)),
        "stage 2": (loss(first, samples, True), loss(second, samples, True)),
        "stage 3": (velocity_loss_on(sequence, second), velocity_loss_on(sequence, third)),
    }


def export(out: Path) -> Path:
    """The ONNX file with its calibration; the exporter itself refuses one that differs from the network."""
    size, model = ("--size", WIDTH, HEIGHT, "--focal-px", FOCAL_PX), out / "smoke.onnx"
    command("export", out / "stage3/last.pt", "--output", model, *size)
    command("calibrate", model, "--sequences", out / "sequences/val", "--output", out / "calibration.json")
    command(
        "export", out / "stage3/last.pt", "--output", model, *size, "--calibration", out / "calibration.json",
        "--training-run", "smoke", "--manifest", "small",
    )  # fmt: skip
    return model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training smoke`."""
    parser.add_argument("--out", type=Path, required=True, help="empty folder")
    parser.add_argument("--steps", type=int, default=40, help="of each stage")


def run(arguments: argparse.Namespace) -> int:
    """Run the chain; 1 where a loss did not fall."""
    out, pack = arguments.out, arguments.out / "pack"
    rooms = can_render()
    write_pack(pack)
    make_samples(out, pack, rooms)
    for split in ("train", "val", "test"):
        make_sequence(out / "sequences" / split, pack, split, rooms)
    fallen = train_stages(out, arguments.steps)
    model = export(out)
    evaluation = [
        "evaluate",
        str(out / "sequences/test"),
        "--model",
        str(model),
        "--json",
        str(out / "evaluation.json"),
    ]
    if cli.main(evaluation):
        raise ConfigurationError("smoke: `blur_imu evaluate` failed")
    command(
        "pictures", out / "stage3/last.pt", "--samples", out / "samples/val", "--output", out / "sheet.png"
    )
    for name, (first, last) in fallen.items():
        print(f"{name}: {first:.3f} -> {last:.3f}{'' if last < first else ', DID NOT FALL'}")
    return 0 if all(last < first for first, last in fallen.values()) else 1
