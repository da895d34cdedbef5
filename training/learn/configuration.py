"""What a training run may be told, and how its learning rate goes."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from blur_imu_ros.errors import ConfigurationError
from training import canonical
from training.learn.layers import Learning

# What each field of TrainingConfig is, as `--help` says it.
MEANINGS = {
    "steps": "length of the run",
    "batch": "samples per step",
    "crop": "window cut from each sample, at most the whole",
    "velocity_from": "share of the steps after which velocity is taught as well",
    "velocity_weight": "weight of the velocity loss",
    "covariance_weight": "weight of the covariance's likelihood",
    "depth_weight": "weight of the depth loss",
    "learns": "what learns; the rest is held",
    "hold_norms": "batch norms keep their statistics",
    "looks_teach_features": "the features learn from the further looks too",
    "blurred_share": "share of the samples with more than 3 px of blur that is learnt from",
    "learning_rate": "its peak",
    "warm_up": "steps until the peak",
    "weight_decay": "of AdamW",
    "seed": "of everything random",
}


@dataclass(frozen=True)
class TrainingConfig:
    """One run. Stage 1 teaches flow and depth, stage 2 (from `velocity_from` of the steps on) velocity as well.

    What `learns` leaves out is held, and with `hold_norms` all batch norms keep their statistics (layers.py): either wants
    weights to start from. Where `looks_teach_features`, the features learn from the further looks too, not from the first alone.
    Of samples with more than three pixels of blur a `blurred_share` is learnt from: sharp ones teach how sure a sharp image is.
    """

    steps: int = 20000
    batch: int = 16
    crop: tuple[int, int] = canonical.WINDOW[::-1]
    velocity_from: float = 0.15
    velocity_weight: float = 1.75
    covariance_weight: float = 0.2
    depth_weight: float = 2.0
    learns: Learning = Learning.EVERYTHING
    hold_norms: bool = False
    looks_teach_features: bool = False
    blurred_share: float = 1.0
    learning_rate: float = 1.5e-3
    warm_up: int = 300
    weight_decay: float = 1e-3
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "warm_up"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"--{name.replace('_', '-')} {getattr(self, name)}: give at least 1")
        if not 0 < self.blurred_share <= 1:
            raise ConfigurationError(f"--blurred-share {self.blurred_share:g}: give more than 0, at most 1")
        if not self.learning_rate > 0 or self.seed < 0:
            raise ConfigurationError("--learning-rate is positive, and --seed 0 or more")


def learning_rate(config: TrainingConfig, step: int, progress: float | None = None) -> float:
    """Linear warm-up, then a cosine down to 2 % over the run; progress: how much of it is over, if not by steps."""
    progress = min(step / config.steps if progress is None else progress, 1.0)
    return (
        config.learning_rate
        * min(1.0, (step + 1) / config.warm_up)
        * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
    )


def add_fields(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Arguments for fields of TrainingConfig, with their defaults."""
    defaults = TrainingConfig()
    for name in names:
        value, option = getattr(defaults, name), "--" + name.replace("_", "-")
        if isinstance(value, tuple):
            parser.add_argument(
                option,
                type=type(value[0]),
                nargs=len(value),
                default=value,
                metavar=("HEIGHT", "WIDTH"),
                help=MEANINGS[name],
            )
        elif isinstance(value, Enum):
            choices = [choice.value for choice in type(value)]
            parser.add_argument(option, type=str, choices=choices, default=value.value, help=MEANINGS[name])
        elif isinstance(value, bool):
            parser.add_argument(
                option, action=argparse.BooleanOptionalAction, default=value, help=MEANINGS[name]
            )
        else:
            parser.add_argument(option, type=type(value), default=value, metavar="N", help=MEANINGS[name])
