"""What the network is taught: likelihood of flow and inverse depth, and velocity through a differentiable solve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from training.looks.measurement import length_of

BETA = 0.4
# Share of the points that count as independent: about what calibration finds, since their errors are common to the image.
INDEPENDENT = 1 / 1000
PRIOR_SIGMA = (0.10, 0.03)
# Of the error of depth's shape in its loss, and of that of its edges, over so many cells of the grid.
SHAPE_WEIGHT, EDGE_WEIGHT, EDGE_CELLS = 5.0, 2.0, (1, 2, 4)
# About the usual error: below it the velocity loss grows with the square, above in proportion.
FELT_PX = 5.0


@dataclass(frozen=True)
class Labels:
    """twist [B,6] per exposure (rad, m); focal_px [B]; inverse_depth [B,h,w] in 1/m at the canonical focal length; metric bool
    [B]; rotation and translation [B,h,w,2,3]: the two halves of the interaction matrix in px, for an inverse depth of one."""

    twist: Tensor
    focal_px: Tensor
    inverse_depth: Tensor
    metric: Tensor
    rotation: Tensor
    translation: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> Labels:
        """The labels with `change` applied to every tensor."""
        return Labels(*(change(getattr(self, field.name)) for field in fields(self)))

    @property
    def flow(self) -> Tensor:
        """True flow [B,h,w,2] in pixels per exposure."""
        return predicted_flow(self, self.inverse_depth, self.twist)


def make_labels(
    twist: Tensor, inverse_depth: Tensor, metric: Tensor, focal_px: Tensor, canonical_px: float, stride: int
) -> Labels:
    """Labels for views of focal length focal_px [B]; inverse depth [B,h,w] in 1/m is scaled to the canonical focal length."""
    batch, rows, columns = inverse_depth.shape
    x = (torch.arange(columns, device=twist.device) + 0.5) * stride - columns * stride / 2
    y = (torch.arange(rows, device=twist.device) + 0.5) * stride - rows * stride / 2
    y, x = torch.meshgrid(y, x, indexing="ij")
    x, y, f = (
        x.expand(batch, -1, -1),
        y.expand(batch, -1, -1),
        focal_px.view(-1, 1, 1).expand(-1, rows, columns),
    )
    zero = torch.zeros_like(x)
    rotation = torch.stack((x * y / f, -(f + x * x / f), y, f + y * y / f, -x * y / f, -x), dim=-1)
    translation = torch.stack((-f, zero, x, zero, -f, y), dim=-1) * (canonical_px / f)[..., None]
    shape = (batch, rows, columns, 2, 3)
    scaled = inverse_depth * (focal_px / canonical_px).view(-1, 1, 1)
    return Labels(twist, focal_px, scaled, metric, rotation.view(shape), translation.view(shape))


def predicted_flow(labels: Labels, inverse_depth: Tensor, twist: Tensor) -> Tensor:
    """Flow [B,h,w,2] of twist [B,6] at inverse depth [B,h,w] (canonical focal length)."""
    turn = torch.einsum("bhwij,bj->bhwi", labels.rotation, twist[:, :3])
    shift = torch.einsum("bhwij,bj->bhwi", labels.translation, twist[:, 3:])
    return turn + inverse_depth[..., None] * shift


def double_angle(flow: Tensor) -> Tensor:
    """q = |f| (cos 2t, sin 2t) of flow [...,2]; the same for f and -f."""
    u, v = flow.unbind(-1)
    length = torch.sqrt(u * u + v * v + 1e-12)
    return torch.stack(((u * u - v * v) / length, 2 * u * v / length), dim=-1)


def laplace(error: Tensor, log_sigma: Tensor) -> Tensor:
    """Beta-weighted Laplace likelihood: poor regions keep teaching, certain ones do not drown the rest."""
    scale = torch.exp(log_sigma) / 2**0.5
    return (error.abs() / scale + log_sigma) * scale.detach() ** BETA


def gaussian(error: Tensor, log_sigma: Tensor) -> Tensor:
    """Beta-weighted Gaussian likelihood with linear tails beyond 3 sigma.

    Its optimum is the mean: weak evidence in many places adds up in the solve, where a median would have said nothing at all.
    """
    ratio = error * torch.exp(-log_sigma)
    cost = F.huber_loss(ratio, torch.zeros_like(ratio), reduction="none", delta=3.0) + log_sigma
    return cost * torch.exp(log_sigma.detach()) ** BETA


def compress(q: Tensor) -> Tensor:
    """q [B,2,h,w] with its length replaced by ln(1 + length): errors count relative to the blur, as they are felt."""
    length = length_of(q)
    return q * (torch.log1p(length) / length)


def flow_loss(labels: Labels, q: Tensor, log_sigma: Tensor, likelihood: bool) -> Tensor:
    """q [B,2,h,w] px, log_sigma [B,1,h,w], one for both components.

    First the compressed error teaches q, and the likelihood only sigma: a likelihood alone starts slowly, being content with
    q = 0 and a wide sigma. Later (`likelihood`) both learn from the likelihood, in pixels, too.
    """
    target = double_angle(labels.flow).permute(0, 3, 1, 2)
    shape = F.smooth_l1_loss(compress(q), compress(target))
    if likelihood:
        return gaussian(target - q, log_sigma).mean() + 2 * shape
    return 4 * shape + 0.2 * gaussian((target - q).detach(), log_sigma).mean()


def depth_loss(labels: Labels, inverse_depth: Tensor, log_sigma: Tensor) -> Tensor:
    """Likelihood of ln inverse depth [B,1,h,w] over samples with metric depth, and the error of its shape, which costs turns and
    steps more than that of its scale; log_sigma is that of the inverse depth."""
    relative = log_sigma - torch.log(inverse_depth)
    error = torch.log(labels.inverse_depth[:, None].clamp(min=0.02)) - torch.log(inverse_depth)
    each = laplace(error, relative).mean(dim=(1, 2, 3)) + shape_error(error)
    weight = labels.metric.float()
    return (each * weight).sum() / weight.sum().clamp(min=1)


def shape_error(error: Tensor) -> Tensor:
    """What is left [B] of an error of ln depth [B,1,h,w] without that of its scale, and what neighbours err differently."""
    over = (1, 2, 3)
    shape = (error - error.mean(dim=over, keepdim=True)).abs().mean(dim=over)
    edges = torch.zeros_like(shape)
    for cells in (one for one in EDGE_CELLS if one < min(error.shape[-2:])):
        across, down = (
            error[..., cells:] - error[..., :-cells],
            error[..., cells:, :] - error[..., :-cells, :],
        )
        edges = edges + across.abs().mean(dim=over) + down.abs().mean(dim=over)
    return SHAPE_WEIGHT * shape + EDGE_WEIGHT * edges


def solve_at_truth(
    labels: Labels, q: Tensor, q_log_sigma: Tensor, inverse_depth: Tensor, depth_log_sigma: Tensor
) -> tuple[Tensor, Tensor]:
    """Error [B,6] of the maximum a posteriori solve, linearised at the truth: one Gauss-Newton step away from it; and the
    information [B,6,6] that the solve states, the inverse of its covariance.

    The weights are those of the product's solve: isotropic flow variance plus depth variance along the translational flow. No
    gradient reaches depth: with the truth in the linearisation, points put absurdly near would seem to know its direction.
    """
    rho, batch = inverse_depth[:, 0].detach(), q.shape[0]
    flow = predicted_flow(labels, rho, labels.twist)
    u, v = flow.unbind(-1)
    length = torch.sqrt(u * u + v * v + 0.04)
    cos, sin = u / length, v / length
    c3 = torch.stack((cos * (1 + 2 * sin * sin), -sin * (1 + 2 * cos * cos)), dim=-1)
    s3 = torch.stack((2 * sin**3, 2 * cos**3), dim=-1)
    slope = torch.stack((c3, s3), dim=-2)
    design = torch.cat((labels.rotation, rho[..., None, None] * labels.translation), dim=-1)
    design = slope @ design
    along = slope @ torch.einsum("bhwij,bj->bhwi", labels.translation, labels.twist[:, 3:])[..., None]
    along = (along * torch.exp(depth_log_sigma[:, 0].detach())[..., None, None])[..., 0]
    variance = torch.exp(2 * q_log_sigma[:, 0])[..., None]
    residual = q.permute(0, 2, 3, 1) - double_angle(flow)
    share = along / (variance + (along * along).sum(-1, keepdim=True))
    across = design - share[..., None] * (along[..., None, :] @ design)
    weighted = (across / variance[..., None]).flatten(1, 3)
    normal = INDEPENDENT * weighted.transpose(1, 2) @ design.flatten(1, 3)
    right = INDEPENDENT * weighted.transpose(1, 2) @ residual.flatten(1, 3)[..., None]
    prior = torch.diag(torch.tensor([PRIOR_SIGMA[0]] * 3 + [PRIOR_SIGMA[1]] * 3) ** -2.0).to(q.device)
    information = normal + prior
    error = torch.linalg.solve(information, right - prior @ labels.twist[..., None])
    return error.view(batch, 6), information


def velocity_loss(labels: Labels, error: Tensor) -> Tensor:
    """Of the errors [B,6]: length of the rotation times the focal length, and mean length of the flow that the translation would
    draw; in units of FELT_PX and squared below it.

    Large errors weigh most, as they do in a root mean square: of a picture that hardly tells, the mean is learnt, not a guess.
    And all axes weigh the same, though roll draws less than half of the flow that pitch and yaw do.
    """
    turn = labels.focal_px * error[:, :3].norm(dim=-1)
    shift = torch.einsum("bhwij,bj->bhwi", labels.translation, error[:, 3:])
    shift = (labels.inverse_depth[..., None] * shift).norm(dim=-1).mean((1, 2))
    turn, shift = (torch.sqrt(1 + (length / FELT_PX) ** 2) - 1 for length in (turn, shift))
    return (turn + 0.5 * shift * labels.metric.float()).mean()


def covariance_loss(labels: Labels, error: Tensor, information: Tensor) -> Tensor:
    """Likelihood per axis of the errors [B,6] under the stated information [B,6,6], with linear tails beyond 2 sigma per axis;
    over samples with metric depth.

    It teaches sigma what all points of an image get wrong together, which no likelihood of single points sees.
    """
    error = error.detach()[..., None]
    length = torch.sqrt((error.transpose(1, 2) @ information @ error)[:, 0, 0] / 6 + 1e-6)
    distance = F.huber_loss(length, torch.zeros_like(length), reduction="none", delta=2.0)
    weight = labels.metric.float()
    return ((distance - torch.logdet(information) / 12) * weight).sum() / weight.sum().clamp(min=1)
