"""One turn of the camera for a whole picture: the flow of a rotation that agrees best with the flow that was read everywhere.

The square of a rotation's flow, taken as a complex number, is what flow of unknown sign has, and it is linear in the six products
of the three rates: least squares find them without knowing a sign, and a few clear places speak for a picture of bare walls.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from training import canonical
from training.looks.measurement import length_of, lengthening

# Share of the points that err independently, and how long flow is held possible at all: little, so as to divide by nothing.
INDEPENDENT, LONGEST_PX = 0.006, 40.0
# Variance, px^2, that no point is believed beyond.
FLOOR_PX2 = 1.0


@functools.lru_cache(maxsize=8)
def turn_fields(rows: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Squared flow [6, 2 * rows * columns] (all of its u, then all of its v) of six mixtures of products of two rates, each of
    unit size and at right angles to the others; and the information [6, 6] that hardly any flow is longer than LONGEST_PX."""
    # The canonical views' angles: focal length over width is the same for all of their sizes.
    pitch = canonical.WIDTH / canonical.FOCAL_PX / columns
    y = (torch.arange(rows, dtype=torch.float64) - (rows - 1) / 2) * pitch
    x = (torch.arange(columns, dtype=torch.float64) - (columns - 1) / 2) * pitch
    y, x = (axis.flatten() for axis in torch.meshgrid(y, x, indexing="ij"))
    turns = torch.complex(torch.stack((x * y, -1 - x * x, y)), torch.stack((1 + y * y, -x * y, -x)))
    first, second = torch.triu_indices(3, 3)
    products = turns[first] * turns[second]
    products = products / products.abs().square().mean(dim=1, keepdim=True).sqrt()
    fields, mixing = torch.linalg.qr(torch.cat((products.real, products.imag), dim=1).T)
    size = (rows * columns) ** 0.5
    information = torch.linalg.inv(mixing @ mixing.T) * size**2 / LONGEST_PX**4
    return (fields.T * size).float().to(device), information.float().to(device)


def consistent(q: Tensor, log_sigma: Tensor) -> Tensor:
    """The double-angle flow [B,2,h,w] px of the rotation that fits q [B,2,h,w] px and its ln sigma [B,1,h,w] best."""
    batch, _, rows, columns = (int(n) for n in q.shape)
    fields, information = turn_fields(rows, columns, q.device)
    mean, sigma = length_of(q), torch.exp(log_sigma)
    longer = lengthening(mean, sigma)
    length, variance = longer * mean, (longer * sigma) ** 2
    weight = INDEPENDENT / (variance * (length * length + variance + FLOOR_PX2))
    measured = (longer * length * q).reshape(batch, 1, 1, -1)
    weighted = fields[:, None] * torch.cat((weight, weight), dim=1).reshape(batch, 1, 1, -1)
    # The normal equations, their right side the last column.
    beside = torch.cat((fields.expand(batch, 1, -1, -1), measured), dim=2)
    system = (weighted * beside).sum(dim=3) + F.pad(information, (0, 1))
    square = (solve(system) * fields).sum(dim=1).view(batch, 2, rows, columns)
    return square / torch.sqrt(length_of(square))


def solve(system: Tensor) -> Tensor:
    """x [B,n,1] of normal [B,n,n] x = right [B,n,1], normal symmetric positive definite, given side by side as system [B,n,n+1].

    By elimination, in operations that every runtime has and, matrix products being rounded to ten bits on GPUs, that keep their
    precision.
    """
    size = int(system.shape[1])
    units = torch.eye(size, device=system.device)
    for pivot in range(size):
        row = system[:, pivot : pivot + 1]
        row = row / row[..., pivot : pivot + 1]
        system = system - (system[..., pivot : pivot + 1] - units[:, pivot : pivot + 1]) * row
    return system[..., size:]
