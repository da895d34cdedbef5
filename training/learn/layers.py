"""Which layers of the network learn in a run; the others are held as they are, with the statistics of their batch norms."""

from __future__ import annotations

from enum import Enum

import torch
from torch import nn

from blur_imu_ros.errors import ConfigurationError
from training.network import FlowDepthNetwork


class Learning(Enum):
    """What learns; see `hold`."""

    EVERYTHING = "everything"
    LATE = "late"
    LOOKS = "looks"
    DEPTH = "depth"
    SIGMA = "sigma"


# Which output of a look's answer becomes its ln sigma.
SIGMA_OUTPUT = 2


def hold(network: FlowDepthNetwork, learns: Learning, norms: bool = False) -> None:
    """Let nothing learn but what `learns` names, once, before the first step.

    LATE: all from stride 16 on, so that the layers before it, which cost most of the time, need no gradient.
    LOOKS: the looks after the first. DEPTH: the reader of scenes. SIGMA: how sure the last look says it is, and nothing of
    what it says.
    norms: batch norms keep their statistics everywhere; what large batches found out is not unlearnt from small ones.
    Raises ConfigurationError where a network that looks once is asked for its further looks.
    """
    if learns in (Learning.LOOKS, Learning.SIGMA) and not network.further_looks:
        raise ConfigurationError(
            f"--learns {learns.value} wants a network that looks more than once: --looks 2 or 3"
        )
    early = [network.stem, network.products, network.structure, network.entries[0], network.stages[0]]
    parts = list(network.children())
    held: list[nn.Module] = {
        Learning.EVERYTHING: [],
        Learning.LATE: early,
        Learning.LOOKS: [part for part in parts if part is not network.further_looks],
        Learning.DEPTH: [part for part in parts if part is not network.scene],
        Learning.SIGMA: [network],
    }[learns]
    for module in held:
        module.requires_grad_(False)
    if learns is Learning.SIGMA:
        for parameter in network.further_looks[-1].answer.parameters():
            parameter.requires_grad_(True).register_hook(_sigma_alone)
    if norms:
        held = [network]
    network.in_evaluation = [
        norm for module in held for norm in module.modules() if isinstance(norm, nn.BatchNorm2d)
    ]


def _sigma_alone(gradient: torch.Tensor) -> torch.Tensor:
    kept = torch.zeros_like(gradient)
    kept[SIGMA_OUTPUT] = gradient[SIGMA_OUTPUT]
    return kept
