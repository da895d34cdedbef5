"""Depth as the frames before told it too: what one picture gets wrong about it, the next one does only in part."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from .direction import SignedVelocity
from .network import Prediction
from .rigid_motion import carried
from .solve.camera_solver import CameraSolver
from .solve.depth_field import field_of
from .solve.robust import median, tukey_weight

# How far what was known before is believed, by validation; and the difference, in ln, from which it was another surface.
_KEPT, _ANOTHER = 0.8, 1.5
# Less of a view that was seen before says nothing.
_LEAST_OVERLAP = 0.15
# A frame that was surely less sure of depth, as one in the dark is by half, says the less: by the fourth power of that.
_UNSURE, _UNSURE_COUNTS = 0.1, 4.0


@dataclass(frozen=True)
class DepthBefore:
    """What is kept of a frame: ln of inverse depth float32 [h, w], NaN where the camera sees nothing, ln of its relative sigma in
    the median, and the velocity then."""

    log_inverse_depth: np.ndarray
    log_sigma: float
    velocity: SignedVelocity


def remembered(prediction: Prediction, solver: CameraSolver, velocity: SignedVelocity) -> DepthBefore:
    """What is to be known of this frame's depth when the next one comes."""
    seen = solver.seen.reshape(prediction.inverse_depth.shape)
    log_depth = np.where(seen, np.log(prediction.inverse_depth), np.float32(np.nan))
    return DepthBefore(log_depth, _log_sigma(prediction), velocity)


def with_depth_before(
    prediction: Prediction, solver: CameraSolver, before: DepthBefore, stamp_ns: int
) -> Prediction:
    """The prediction at `stamp_ns` with its depth drawn towards that of the frame before.

    What was not in view then changes as the rest does; where that is nearly all, nothing changes.
    """
    velocity, grid = before.velocity, prediction.inverse_depth.shape
    # The mean of both signs.
    twist = (2 * velocity.probability - 1) * velocity.twist
    interval_s = (velocity.stamp_ns - stamp_ns) * 1e-9
    then = carried(solver.rays, solver.inverse_depth(prediction).ravel(), twist, interval_s)
    places = then[:2] * (solver.view.focal_px / then[2]) - np.stack([solver.x[:1], solver.y[:1]])
    column, row = (places / (solver.x[1] - solver.x[0])).astype(np.float32).reshape(2, *grid)
    seen = cv2.remap(
        before.log_inverse_depth,
        column,
        row,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(np.nan,),
    )
    difference = seen + np.log(then[2]).reshape(grid) - np.log(prediction.inverse_depth)
    known = np.isfinite(difference)
    if np.count_nonzero(known) < _LEAST_OVERLAP * known.size:
        return prediction
    difference = np.where(known, difference, median(difference[known])[0])
    kept = _KEPT * math.exp(-_UNSURE_COUNTS * max(before.log_sigma - _log_sigma(prediction) - _UNSURE, 0.0))
    trust = kept * tukey_weight(difference * difference, np.ones(()), _ANOTHER)
    return _nearer(prediction, trust * difference)


def _log_sigma(prediction: Prediction) -> float:
    """ln of the relative sigma of depth, in the median."""
    sigma = prediction.inverse_depth_log_sigma - np.log(prediction.inverse_depth)
    return float(median(sigma.ravel())[0])


def with_depth_between(prediction: Prediction, nearer: np.ndarray | None) -> Prediction:
    """The prediction with what the way to its frame told of depth (solve/depth_field.py), None for nothing."""
    if nearer is None:
        return prediction
    return _nearer(prediction, field_of(*prediction.inverse_depth.shape).at_points(nearer))


def _nearer(prediction: Prediction, change: np.ndarray) -> Prediction:
    """Everything nearer by so much in ln, and its sigma with it."""
    change = change.reshape(prediction.inverse_depth.shape).astype(np.float32)
    return replace(
        prediction,
        inverse_depth=prediction.inverse_depth * np.exp(change),
        inverse_depth_log_sigma=prediction.inverse_depth_log_sigma + change,
    )
