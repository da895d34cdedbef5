"""The search for the motion that explains a field of flow best: many starts, Gauss-Newton with redescending weights on each."""

from typing import NamedTuple

import numpy as np

from ..motion_field import Array
from .linearise import linearise, squared
from .motion_points import MotionPoints
from .robust import likelihood_cost, median, residual_scale, tukey_weight
from .start import start_motions

# Steps below this share of a standard deviation, squared, change nothing.
_CONVERGED = 1e-2
SCALE_FLOOR = 1e-9
_TINY = float(np.finfo(np.float64).tiny)


class _Stage(NamedTuple):
    """A round of the search: points, iterations, and how many of the motions go on."""

    points: int
    iterations: int
    survivors: int


_SEARCH = (_Stage(100, 2, 5), _Stage(250, 2, 3))
# Where points share their errors many of them say little more than a few, and all of them are asked next.
_SHARED_SEARCH = (_Stage(100, 1, 1),)
_SEARCH_TUKEY = 3.0
_WITHIN_REACH = 20.0
_SAME = 0.5
_CLEAR_FLOW2 = 16.0
_MAXIMUM_EFFORT = 8.0


def search(points: MotionPoints, prior: Array, fraction: float) -> Array:
    """The best [H, 6] of many starts, refined on ever more points as they grow fewer: one, rarely more, and exactly zero
    where standing still explains the field better."""
    # Where the noise is independent and longer than the flow, only more points can tell the starts apart.
    effort = np.clip(
        fraction * _CLEAR_FLOW2 / max(float(median(squared(points.q))[0]), 1.0), 1, _MAXIMUM_EFFORT
    )
    stages, per_region = (_SEARCH, 2) if points.precision is None else (_SHARED_SEARCH, 1)
    motions = start_motions(points.first(int(effort * stages[0].points)), per_region)
    for stage in stages:
        few = points.first(int(effort * stage.points))
        share = min(1.0, fraction * points.count / few.count)
        motions = np.vstack(
            [refine(few, motions, prior, share, _SEARCH_TUKEY, stage.iterations), np.zeros(6)]
        )
        costs = costs_of(few, motions, prior, share) / share
        order = np.argsort(costs)
        costs = costs[order]
        # Starts that arrived at the same place have the same cost.
        fresh = np.concatenate([[True], costs[1:] - costs[:-1] > _SAME])
        motions, costs = motions[order[fresh]][: stage.survivors], costs[fresh][: stage.survivors]
    # A sample that holds all the evidence there is decides; otherwise those within its reach wait for all points.
    return motions[costs < costs[0] + _WITHIN_REACH] if share == 1 else motions[:1]


def costs_of(points: MotionPoints, motions: Array, prior: Array, fraction: float) -> Array:
    """Robust negative log posterior [H] (times two) of motions [H, 6], at the residual scale of the best of them."""
    model = linearise(points, motions)
    moving = motions.any(axis=1, keepdims=True)
    distance2 = np.where(moving, model.distance2, squared(points.q))
    scale2 = max(float(residual_scale(distance2).min()), SCALE_FLOOR) ** 2
    spread2 = float(np.mean(squared(points.q))) / 2
    log_det = np.log(model.determinant) + model.surprise
    return fraction * likelihood_cost(distance2, log_det, scale2, spread2) + motions**2 @ prior


def refine(
    points: MotionPoints, motion: Array, prior: Array, fraction: float, tukey: float, iterations: int
) -> Array:
    """Gauss-Newton with redescending weights on each of the motions [H, 6]."""
    scale = np.ones((len(motion), 1))
    for _ in range(iterations):
        model = linearise(points, motion, np.minimum(scale, 1.0))
        scale = np.maximum(residual_scale(model.distance2), SCALE_FLOOR)
        robust = tukey_weight(model.distance2, scale * scale, tukey)
        # The prior weighs as much as scale^2 / fraction points of unit sigma.
        weight = scale * scale / fraction * prior
        gradient = model.gradient(points.rows, robust) - weight * motion
        step = solve_normal(model.information(points.rows, robust), weight, gradient)
        motion = motion + step
        if np.all(np.sum(step * gradient, axis=1) < _CONVERGED / fraction * scale[:, 0] ** 2):
            break
    return motion


def solve_normal(information: Array, weight: Array, gradient: Array) -> Array:
    """Solve ([H, 6, 6] + diag([H, 6])) x = [H, 6], columns scaled to one, with a ridge that only matters where nothing is
    observed."""
    diagonal = information.reshape(-1, 36)[:, ::7] + weight
    scale = 1 / np.sqrt(np.maximum(diagonal, _TINY))
    scaled = information * scale[:, :, None] * scale[:, None]
    scaled.reshape(-1, 36)[:, ::7] = diagonal * scale * scale + 1e-13
    return np.linalg.solve(scaled, (gradient * scale)[..., None])[..., 0] * scale
