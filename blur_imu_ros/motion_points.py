"""The points a velocity is solved from: the network's grids reduced to flat arrays of usable measurements."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ImageError
from .model_spec import FlowRepresentation
from .motion_field import Array, double_angle, flow_up_to_sign, rotation_rows, translation_rows

MINIMUM_POINTS = 12
_MINIMUM_SIGMA_PX = 1e-6


@dataclass(frozen=True)
class MotionPoints:
    """N measurements of one image; pixels of the canonical view, metres.

    q: [2, N] sign-free flow (px); flow: [2, N] the same as a flow whose sign is arbitrary; sigma: [N] px per component of
    the emitted representation; noise_on_flow: True where the network emitted signed flow, so that the noise sits on f
    and not on q; matrix: [2, 6, N] interaction rows; depth_slope: [2, 3, N]
    change of the flow per standard deviation of the inverse depth and per metre of translation; grid_count: usable
    points of the grid before thinning, >= N.
    """

    q: Array
    flow: Array
    sigma: Array
    noise_on_flow: bool
    matrix: Array
    depth_slope: Array
    grid_count: int

    @property
    def count(self) -> int:
        return int(self.q.shape[1])

    def thinned(self, target: int) -> "MotionPoints":
        """About `target` of the points, spread evenly over the image; self where there are no more than that."""
        step = self.count / max(target, 1)
        if step <= 1:
            return self
        keep = (np.arange(target) * step).astype(np.intp)
        return MotionPoints(
            self.q[:, keep],
            self.flow[:, keep],
            self.sigma[keep],
            self.noise_on_flow,
            np.ascontiguousarray(self.matrix[:, :, keep]),
            np.ascontiguousarray(self.depth_slope[:, :, keep]),
            self.grid_count,
        )


def motion_points(
    flow: ArrayLike,
    flow_sigma: ArrayLike,
    inverse_depth: ArrayLike,
    inverse_depth_sigma: ArrayLike,
    *,
    representation: FlowRepresentation,
    x: Array,
    y: Array,
    focal_px: float,
    valid: NDArray[np.bool_] | None = None,
    maximum: int | None = None,
) -> MotionPoints:
    """Select the usable points of the network's grids.

    flow: [2, h, w] or [2, N] px, signed or double-angle; flow_sigma: [h, w] px per component of that representation;
    inverse_depth and its sigma: [h, w] 1/m; x, y: [N] px from the principal point; focal_px: of the view; valid: points
    to use; maximum: thin evenly to this many. Points that are not finite are dropped.
    Raises ImageError when fewer than 12 points are left.
    """
    flow = np.asarray(flow, dtype=np.float64).reshape(2, -1)
    sigma = np.asarray(flow_sigma, dtype=np.float64).ravel()
    depth = np.asarray(inverse_depth, dtype=np.float64).ravel()
    depth_sigma = np.asarray(inverse_depth_sigma, dtype=np.float64).ravel()
    usable = np.isfinite(flow[0] + flow[1] + sigma + depth + depth_sigma) & (depth >= 0)
    if valid is not None:
        usable &= valid.ravel()
    index = np.flatnonzero(usable)
    if index.size < MINIMUM_POINTS:
        raise ImageError(
            f"only {index.size} of {usable.size} points of the flow grid are usable (inside the view, finite, depth not "
            f"negative) and {MINIMUM_POINTS} are needed: check the intrinsics, the border and the model"
        )
    grid_count = index.size
    if maximum is not None and grid_count > maximum:
        index = index[(np.arange(maximum) * (grid_count / maximum)).astype(np.intp)]
    signed = representation is FlowRepresentation.SIGNED
    chosen = flow[:, index]
    rotation, translation = rotation_rows(x[index], y[index], focal_px), translation_rows(x[index], y[index], focal_px)
    return MotionPoints(
        q=np.ascontiguousarray(double_angle(chosen.T).T) if signed else chosen,
        flow=chosen if signed else np.ascontiguousarray(flow_up_to_sign(chosen.T).T),
        sigma=np.maximum(sigma[index], _MINIMUM_SIGMA_PX),
        noise_on_flow=signed,
        matrix=np.concatenate([rotation, translation * depth[index]], axis=1),
        depth_slope=translation * depth_sigma[index],
        grid_count=grid_count,
    )
