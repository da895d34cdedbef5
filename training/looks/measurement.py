"""From the mean of what a flow may be to a measurement of it: what likelihood teaches, and what a solve needs.

A mean over possible flows is shorter than they are, the more so the less is known of them. Least squares take its input for the
truth plus noise: fed with such means, it makes every motion too small, roll most of all. Made longer, and its sigma with it,
where little is known, the flow is what the solve believes it to be.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Sigma over length from which on flows are lengthened, the shortest length that counts, and by how much at most: what made the
# error of w on validation sequences smallest.
DOUBT, SHORTEST_PX, MOST = 0.3, 1.0, 4.0


def length_of(q: Tensor) -> Tensor:
    """Length [B,1,h,w] of q [B,2,h,w], never zero."""
    return torch.linalg.vector_norm(q, dim=1, keepdim=True).clamp(min=1e-3)


def lengthening(length: Tensor, sigma: Tensor) -> Tensor:
    """How many times longer than its mean the flow is taken to be."""
    doubt = sigma / length.clamp(min=SHORTEST_PX)
    return (doubt + (1 - DOUBT)).clamp(1.0, MOST)


def measurement(mean: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [B,2,h,w] px and ln sigma [B,1,h,w] of flow -> the measurement and its ln sigma."""
    longer = lengthening(length_of(mean), torch.exp(log_sigma))
    return longer * mean, log_sigma + torch.log(longer)
