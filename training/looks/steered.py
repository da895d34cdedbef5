"""The second look, and further ones: patches laid along the one turn that agrees with what was read, in units of its flow.

Blurred along its flow, a picture has lost the waves that fit into the flow's length once, twice, three times. In a patch turned
into the flow's direction and scaled to its length those gaps lie in the same places for every motion: where they are found
instead tells by how much the reading was too long, too short or turned. All patches lie along the flow of one turn of the camera
(consistent.py), so that what few of them show can be held against all. What there is in a place, a lamp, an edge or a bare wall,
the features of the first look say.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.looks.consistent import consistent
from training.looks.measurement import length_of
from training.looks.patches import FlowPatches


def seen_along(vector: Tensor, direction: Tensor) -> Tensor:
    """Components of a double-angle vector [B,2,h,w] along a direction of unit length, [B,2,h,w] or [1,2,h,w], and across it."""
    u, v = vector.split(1, dim=1)
    cos, sin = direction.split(1, dim=1)
    return torch.cat((u * cos + v * sin, v * cos - u * sin), dim=1)


def about_centre(direction: Tensor) -> Tensor:
    """Double-angle direction [B,2,h,w] seen from the picture's middle, and how far from there [B,3,h,w]: roll goes around it."""
    rows, columns = (int(n) for n in direction.shape[-2:])
    y = torch.arange(rows, dtype=torch.float32, device=direction.device)[:, None] - (rows - 1) / 2
    x = torch.arange(columns, dtype=torch.float32, device=direction.device) - (columns - 1) / 2
    square = (x * x + y * y).clamp(min=1e-3)
    outward = torch.stack(((x * x - y * y) / square, 2 * x * y / square))[None]
    far = (torch.sqrt(square) / 8 - 1).expand_as(direction[:, :1])
    return torch.cat((seen_along(direction, outward), far), dim=1)


def silent(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer, adding nothing until it has learnt to."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def addition(width: int, size: int, dilation: int = 1) -> nn.Sequential:
    """Two convolutions whose result is added to what they read: nothing, before they learn."""
    first, second = (
        nn.Conv2d(width, width, size, padding=size // 2 * dilation, dilation=dilation) for _ in range(2)
    )
    return nn.Sequential(first, nn.ReLU(), silent(second))


class SteeredReader(nn.Module):
    """Luma's atlas (patches.half_sizes), a first q [B,2,h,w] px and its ln sigma [B,1,h,w] -> a better q and its ln sigma."""

    # Flows are taken to be this long, in pixels, where patches are laid.
    SHORTEST, LONGEST = 8.0, 112.0
    # A patch for each square of so many answers.
    CELLS = 2
    # Contrast below which a patch is weak, in grey levels, and energy that is nothing beside a patch's own of about 1.
    CONTRAST, FLOOR = 2.0, 1e-4
    # What was read differs from the one turn by no more than so many lengths.
    FARTHEST = 4.0

    def __init__(self, context: int, width: int = 128) -> None:
        super().__init__()
        self.patches = FlowPatches()
        self.projection = nn.Parameter(self.patches.waves())
        waves = self.projection.shape[1] // 2
        features = 3 * waves + 11
        self.norm = nn.BatchNorm2d(features, momentum=0.03)
        self.mix = nn.Sequential(nn.Conv2d(features, width, 1), nn.ReLU())
        self.context = silent(nn.Conv2d(context, width, 1))
        self.whole = addition(width, 1)
        self.around = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()
        )
        self.neighbours = addition(width, 3)
        self.whole_again = addition(width, 1)
        self.beyond = addition(width, 3, dilation=2)
        self.answer = silent(nn.Conv2d(width, 4, 1))

    def steering(self, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Length of q [B,1,h,w], the length that patches are scaled to, and the direction [B,2,h,w] they are turned to."""
        raw = length_of(q)
        return raw, raw.clamp(self.SHORTEST, self.LONGEST), q / raw

    def energies(self, atlas: Tensor, length: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Energies of the waves [B,waves,h,w] in patches of unit contrast, and the square of that contrast [B,1,h,w]."""
        shape = tuple(int(length.shape[k]) for k in (0, 2, 3))
        patches = self.patches(atlas, length, direction)
        mean, square = patches.mean(dim=2, keepdim=True), (patches * patches).mean(dim=2, keepdim=True)
        contrast2 = square - mean * mean + self.CONTRAST**2
        # Waves without a mean do not see that of a patch.
        cosines, sines = (patches @ (self.projection - self.projection.mean(dim=0))).chunk(2, dim=-1)
        energy = ((cosines * cosines + sines * sines) / contrast2).transpose(1, 2)
        return energy.reshape(shape[0], -1, *shape[1:]), contrast2.view(shape[0], 1, *shape[1:])

    def evidence(self, energy: Tensor, contrast2: Tensor) -> Tensor:
        """ln of the energies [B,waves,h,w] of a patch, of it with its neighbours, and of the whole image, in which patches weigh
        by their squared contrast [B,1,h,w]: one lamp says more than the wall around it."""
        near = F.avg_pool2d(energy, 3, 1, 1, count_include_pad=False)
        whole = (energy * contrast2).mean(dim=(2, 3), keepdim=True) / contrast2.mean(dim=(2, 3), keepdim=True)
        return torch.log(torch.cat((energy, near, whole.expand_as(energy)), dim=1) + self.FLOOR)

    def forward(self, atlas: Tensor, q: Tensor, log_sigma: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """seen [B,context,h,w]: features of the first look."""
        with torch.autocast(q.device.type, enabled=False):
            read, doubt = F.avg_pool2d(q, self.CELLS), F.avg_pool2d(log_sigma, self.CELLS)
            steer = consistent(read, doubt)
            raw, length, direction = self.steering(steer)
            energy, contrast2 = self.energies(atlas, length, direction)
            differing = seen_along((read - steer) / length, direction).clamp(-self.FARTHEST, self.FARTHEST)
            first = (0.5 * torch.log(contrast2), torch.log(length), torch.log(raw + 0.3), doubt, differing)
            features = (self.evidence(energy, contrast2), *first, direction, about_centre(direction))
            features = self.norm(torch.cat(features, dim=1))
        x = self.mix(features) + self.context(F.avg_pool2d(seen, self.CELLS))
        x = x + self.whole(x.mean(dim=(2, 3), keepdim=True))
        x = x + self.around(x)
        x = x + self.neighbours(F.relu(x))
        x = x + self.whole_again(x.mean(dim=(2, 3), keepdim=True))
        answer = self.answer(x + self.beyond(x)).float()
        # How far what was read in a place is believed rather than the turn that all agree on.
        local = torch.sigmoid(answer[:, 3:])
        across = torch.cat((-direction[:, 1:], direction[:, :1]), dim=1)
        change = length * (answer[:, :1] * direction + answer[:, 1:2] * across)
        sigma = torch.log(length) + answer[:, 2:3].clamp(-5, 2) - 1.5
        fine = F.interpolate(
            torch.cat((steer - local * steer + change, sigma, local), dim=1),
            scale_factor=self.CELLS, mode="bilinear", align_corners=False,
        )  # fmt: skip
        return fine[:, :2] + fine[:, 3:] * q, fine[:, 2:3]
