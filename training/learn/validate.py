"""Figures on held-out shards while training: flow, depth, and velocity by the linearised solve."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from training.learn.batches import Shards, assemble
from training.learn.compute import mixed_precision
from training.learn.losses import covariance_loss, double_angle, solve_at_truth, velocity_loss


@torch.no_grad()
def validate(
    model: nn.Module, shards: Shards, device: torch.device, batches: int = 8, size: int = 16
) -> dict[str, float]:
    """Median |q error| px, relative inverse-depth error (metric samples), error over motion of w and v, and sigma calibration."""
    model.eval()
    rng = np.random.default_rng(0)
    flow_error, spread, depth_error, errors, truth, costs = [], [], [], [], [], []
    sizes = shards.sizes()
    for number in range(batches):
        whole = sizes[number % len(sizes)]
        batch = assemble([shards.pick(rng, whole) for _ in range(size)], (0, 0), whole).to(device)
        with mixed_precision(device):
            q, q_log_sigma, inverse_depth, depth_log_sigma, *_ = model(batch.image)
        labels = batch.labels
        error = (double_angle(labels.flow).permute(0, 3, 1, 2) - q).norm(dim=1)
        flow_error.append(error.flatten(1).median(1).values)
        spread.append((error**2 / 2 / torch.exp(2 * q_log_sigma[:, 0])).flatten(1).mean(1))
        relative = (inverse_depth[:, 0] / labels.inverse_depth.clamp(min=0.02) - 1).abs().flatten(1).mean(1)
        depth_error.append(relative[labels.metric])
        solved, information = solve_at_truth(labels, q, q_log_sigma, inverse_depth, depth_log_sigma)
        errors.append(solved)
        costs.append((velocity_loss(labels, solved), covariance_loss(labels, solved, information)))
        truth.append(labels.twist)
    error, twist = torch.cat(errors), torch.cat(truth)
    depth = torch.cat(depth_error)
    return {
        "q_error_px": torch.cat(flow_error).mean().item(),
        "q_variance_ratio": torch.cat(spread).median().item(),
        "depth_error": depth.mean().item() if len(depth) else 0.0,
        "velocity_loss": torch.stack([cost for cost, _ in costs]).mean().item(),
        "covariance_loss": torch.stack([cost for _, cost in costs]).mean().item(),
        "w_ratio": (error[:, :3].norm() / twist[:, :3].norm()).item(),
        "v_ratio": (error[:, 3:].norm() / twist[:, 3:].norm()).item(),
    }
