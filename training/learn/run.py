"""A training run: model, averaged model and optimiser, begun, saved and gone on with."""

from __future__ import annotations

import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from blur_imu_ros.errors import ConfigurationError
from training import canonical
from training.learn.configuration import TrainingConfig
from training.learn.layers import Learning, hold
from training.learn.weights import averaged_weights, read_checkpoint
from training.network import FlowDepthNetwork, NetworkConfig

# Where a network may have more layers than the one it starts from.
GROWN = "stages."
# A run's file in its folder.
CHECKPOINT = "last.pt"


def remember(means: dict[str, float], losses: dict[str, Tensor], share: float) -> None:
    """Move running means by a share towards the losses of a step. One that is not finite is left out: its step was not taken
    (Run.descend), and it would stay in the mean for ever."""
    for name, loss in losses.items():
        if math.isfinite(found := loss.item()):
            means[name] = (1 - share) * means.get(name, found) + share * found


def follow(average: AveragedModel, model: nn.Module) -> None:
    """Move the averaged weights and statistics towards the model's: an exponential mean over about 500 steps, over fewer while
    there are fewer. As AveragedModel does it, but in a few operations and without waiting for a GPU."""
    share = max(0.002, 1 / (1 + 0.2 * int(average.n_averaged)))
    pairs = zip(average.module.state_dict().values(), model.state_dict().values(), strict=True)
    means, values = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
    torch._foreach_lerp_(means, values, share)
    average.n_averaged += 1


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
        hold(self.model, config.learns, config.hold_norms)
        self.model.looks_teach_features = config.looks_teach_features
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(),
            lr=1e-3,
            # Decay would move what has no gradient beside ln sigma.
            weight_decay=0.0 if config.learns is Learning.SIGMA else config.weight_decay,
            fused=True,
        )
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)

    def descend(self, loss: Tensor, rate: float, longest: float) -> None:
        """One step of the optimiser down a loss: at a learning rate, its gradient cut to a length, left out where that is not
        finite."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss.backward()
        length = nn.utils.clip_grad_norm_(self.model.parameters(), longest)
        # Read by the optimiser.
        self.optimiser.found_inf = (~torch.isfinite(length)).float()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        follow(self.average, self.model)
        self.step += 1

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT

    def over(self) -> bool:
        """Whether all steps have been taken, before this start; says so."""
        over = self.step >= self.config.steps
        if over:
            print(
                f"{self.checkpoint} has taken {self.step} steps, all of the {self.config.steps} asked for: give more --steps, or "
                "another --run to begin anew"
            )
        return over

    def _meaning(self) -> dict[str, Any]:
        """What of the run decides what its weights mean, as a checkpoint has it."""
        return {
            "network": asdict(self.network),
            "canonical_px": self.canonical_px,
            "learns": self.config.learns.value,
        }

    def save(self) -> None:
        """Write everything needed to go on, whole or not at all."""
        state = {
            "step": self.step,
            **self._meaning(),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of this run. Raises ConfigurationError where it was begun with other words that decide what
        its weights mean."""
        state = read_checkpoint(path, self.device)
        begun = state | {"network": asdict(NetworkConfig(**state["network"]))}
        for name, now in self._meaning().items():
            then = begun.get(name, now)
            if then != now and not (name == "canonical_px" and math.isclose(then, now, rel_tol=1e-4)):
                raise ConfigurationError(
                    f"{self.folder} was begun with {name} {then}, not {now}: start it again with the same words, or give another "
                    f"--run, and --start-from {path} to begin with its weights"
                )
        if "optimiser" not in state:
            raise ConfigurationError(
                f"{path} holds weights alone: give it as --start-from, and another --run"
            )
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def begin(self) -> None:
        """Begin from nothing but what photographs have taught the reader of scenes."""
        for model in (self.model, self.average.module):
            model.scene.load_imagenet()

    def start_from(self, path: Path) -> None:
        """Begin with the averaged weights of another run's checkpoint, or of `export --weights`.

        They may have learnt from views of another focal length. Layers that only this network has start as they are made,
        adding nothing to what passes them; looks that only it has, as the last one of those that learnt. Looks that it
        lacks are left out.
        """
        state = read_checkpoint(path, self.device)
        weights = averaged_weights(state, self.canonical_px)
        learnt = NetworkConfig(**state["network"]).looks - 1
        for key in [key for key in weights if key.startswith(f"further_looks.{learnt - 1}.")]:
            for number in range(learnt, self.network.looks - 1):
                weights[f"further_looks.{number}.{key.split('.', 2)[2]}"] = weights[key]
        lacking = tuple(f"further_looks.{number}." for number in range(self.network.looks - 1, learnt))
        weights = {key: value for key, value in weights.items() if not key.startswith(lacking)}
        added = {key: value for key, value in self.model.state_dict().items() if key.startswith(GROWN)}
        for model in (self.model, self.average.module):
            model.load_state_dict({**added, **weights})
