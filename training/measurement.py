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
    return torch.sqrt((q * q).sum(dim=1, keepdim=True) + 1e-6)


def measurement(mean: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [B,2,h,w] px and ln sigma [B,1,h,w] of flow -> the measurement and its ln sigma."""
    doubt = torch.exp(log_sigma) / length_of(mean).clamp(min=SHORTEST_PX)
    longer = (1 + torch.relu(doubt - DOUBT)).clamp(max=MOST)
    return longer * mean, log_sigma + torch.log(longer)
