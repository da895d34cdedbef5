"""A checkpoint's averaged network: as it is used, and as its weights are kept."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from blur_imu_ros.errors import ConfigurationError
from training import canonical
from training.network import FlowDepthNetwork, NetworkConfig

# Weights of so many values are kept in 16 bits.
LARGE = 4096
# Of an averaged network's entries, and that which says how far away everything is.
PREFIX, DEPTH_BIAS = "module.", "scene.answer.bias"


def averaged_weights(state: dict, focal_px: float | None = None) -> dict[str, Tensor]:
    """State entries of the averaged network in a checkpoint, for views of `focal_px`, None for those it learnt from: what looks
    smaller through a shorter lens is no farther away."""
    average = {key[len(PREFIX) :]: value for key, value in state["average"].items() if key.startswith(PREFIX)}
    learnt_px = state.get("canonical_px", canonical.FOCAL_PX)
    nearer = torch.tensor(
        [math.log(learnt_px / (focal_px or learnt_px)), 0.0], device=average[DEPTH_BIAS].device
    )
    return average | {DEPTH_BIAS: average[DEPTH_BIAS] + nearer}


def read_checkpoint(path: Path, device: str | torch.device = "cpu") -> dict:
    """What a run's checkpoint, or a file of `export --weights`, holds. Raises ConfigurationError for any other file."""
    if not path.is_file():
        raise ConfigurationError(
            f"checkpoint {path} does not exist; give RUN/last.pt, or one of training/checkpoints"
        )
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ConfigurationError(f"checkpoint {path} is damaged or none of `python -m training`") from error
    if not isinstance(state, dict) or not {"network", "average"} <= state.keys():
        raise ConfigurationError(f"checkpoint {path} is none of `python -m training`; give RUN/last.pt")
    unknown = state["network"].keys() - {field.name for field in fields(NetworkConfig)}
    if unknown or PREFIX + DEPTH_BIAS not in state["average"]:
        lack = f"with {', '.join(sorted(unknown))}" if unknown else "with no reader of scenes"
        raise ConfigurationError(
            f"checkpoint {path} is of a network before 2026-11-30 {lack}: give one of training/checkpoints"
        )
    return state


def load_network(
    checkpoint: Path, focal_px: float | None = None, looks: int | None = None
) -> FlowDepthNetwork:
    """The averaged network of a checkpoint, in evaluation mode with its batch norms folded into the convolutions; for views of
    `focal_px`, None for those it learnt from; looking so many times, at most as often as it did then (None)."""
    state = read_checkpoint(checkpoint)
    config = NetworkConfig(**state["network"])
    network = FlowDepthNetwork(config)
    network.load_state_dict(averaged_weights(state, focal_px))
    if looks is not None:
        if not 2 <= looks <= config.looks:
            raise ConfigurationError(
                f"--looks {looks}: {checkpoint} has learnt to look {config.looks} times; give 2 to that"
            )
        del network.further_looks[looks - 1 :]
    fold_batch_norms(network.eval())
    return network


@torch.no_grad()
def round_weights(network: nn.Module) -> None:
    """Round large weights to what 16 bits hold, so that the file may keep them so."""
    for weights in network.parameters():
        if weights.numel() >= LARGE:
            weights.copy_(weights.half())


def write_weights(checkpoint: Path, path: Path) -> None:
    """The averaged weights of a checkpoint in half precision: small enough to keep, and what `train --start-from` takes."""
    state = read_checkpoint(checkpoint)
    average = {
        key: value.half() if value.is_floating_point() else value for key, value in state["average"].items()
    }
    kept = {key: state[key] for key in ("step", "network", "canonical_px") if key in state}
    torch.save(kept | {"average": average}, path)


def fold_batch_norms(module: nn.Module) -> None:
    """Replace every (Conv2d, BatchNorm2d) pair by one convolution, in place."""
    for child in module.modules():
        if isinstance(child, nn.Sequential) and len(child) == 2 and isinstance(child[1], nn.BatchNorm2d):
            child[0], child[1] = fuse_conv_bn_eval(child[0], child[1]), nn.Identity()
