"""The points a velocity is solved from: the network's grids reduced to flat arrays of usable measurements.

Inside the solver a flow (u, v) is the complex number u + iv. Turning into the frame of another flow is then one product,
and the sign-free form of a flow is Q(f) = f^2 / |f|.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ImageError
from ..model.spec import UNKNOWN_FLOW_SIGMA_PX, FlowRepresentation
from ..motion_field import Array, rotation_rows, translation_rows

ComplexArray = NDArray[np.complex128]

MINIMUM_POINTS = 12
_MINIMUM_SIGMA_PX = 1e-6
_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class MotionPoints:
    """N measurements of one image, in random order and in units of each point's sigma.

    q: [N] sign-free flow; flow: [N] the same as a flow of arbitrary sign; noise_on_flow: the network emitted signed flow,
    so the noise sits on f and not on q; rows: [6, N] flow per rad or m of motion; depth_rows: [6, N] change of that per
    standard deviation of the inverse depth; place: [N] x + iy, px from the principal point; sigma: [N] px per component of
    the emitted representation; grid_count: usable points of the grid before thinning, >= N; precision: [N, N] inverse
    correlation of the points' errors, None where each errs for itself.
    """

    q: ComplexArray
    flow: ComplexArray
    noise_on_flow: bool
    rows: ComplexArray
    depth_rows: ComplexArray
    place: ComplexArray
    sigma: Array
    grid_count: int
    precision: NDArray[np.float32] | None = None

    @property
    def count(self) -> int:
        return self.q.size

    def first(self, count: int) -> "MotionPoints":
        """A random sample of the points."""
        return MotionPoints(
            self.q[:count],
            self.flow[:count],
            self.noise_on_flow,
            np.ascontiguousarray(self.rows[:, :count]),
            np.ascontiguousarray(self.depth_rows[:, :count]),
            self.place[:count],
            self.sigma[:count],
            self.grid_count,
        )

    def in_terms_of(self, change: Array) -> "MotionPoints":
        """The same points for other motions, which `change` [6, 6] turns into those of the camera."""
        return replace(self, rows=change.T @ self.rows, depth_rows=change.T @ self.depth_rows)


class PointGeometry:
    """What of the points depends on the camera alone: which cells of the grid are used, and where they look.

    x, y: [N] px from the principal point; focal_px: of the view; valid: cells to use; maximum: a random sample of this
    many is kept; correlation_px: how far apart points of double-angle flow still share their errors, 0: not at all. Raises
    ImageError when fewer than 12 cells are left.
    """

    def __init__(
        self,
        x: Array,
        y: Array,
        focal_px: float,
        valid: NDArray[np.bool_] | None = None,
        maximum: int | None = None,
        correlation_px: float = 0.0,
    ) -> None:
        index = np.arange(x.size) if valid is None else np.flatnonzero(valid)
        _check_count(index.size, x.size)
        self._grid_count = index.size
        self._index = np.random.default_rng(0).permutation(index)[:maximum]
        x, y = x[self._index], y[self._index]
        self._place = x + 1j * y
        self._rotation = _complex_rows(rotation_rows(x, y, focal_px))
        self._translation = _complex_rows(translation_rows(x, y, focal_px))
        # What a wrong depth does to the flow of a turn.
        self._still = np.zeros_like(self._rotation)
        self._correlation = _shared(x, y, correlation_px) if correlation_px else None
        self._precision = None if self._correlation is None else _inverse(self._correlation)

    def points(
        self,
        flow: ArrayLike,
        flow_sigma: ArrayLike,
        inverse_depth: ArrayLike,
        inverse_depth_sigma: ArrayLike,
        representation: FlowRepresentation,
    ) -> MotionPoints:
        """Select the usable points of the network's grids.

        flow: [2, h, w] px, signed or double-angle; flow_sigma: [h, w] px per component of that representation; inverse_depth
        and its sigma: [h, w] 1/m. Points that are not finite or of negative depth are dropped, and those of a sigma of
        UNKNOWN_FLOW_SIGMA_PX where others are left. Raises ImageError when fewer than 12 points are left.
        """
        measured = np.asarray(flow, dtype=np.float64).reshape(2, -1)[:, self._index]
        sigma = np.maximum(self._pick(flow_sigma), _MINIMUM_SIGMA_PX)
        depth, depth_sigma = self._pick(inverse_depth), self._pick(inverse_depth_sigma)
        emitted = (measured[0] + 1j * measured[1]) / sigma
        length = np.abs(emitted)
        if representation is FlowRepresentation.SIGNED:
            with np.errstate(invalid="ignore", over="ignore"):
                q, half = emitted * emitted / np.maximum(length, _TINY), emitted
        else:
            # The bisector of q and the positive u axis; it vanishes only where q points straight along -u.
            q, half = emitted, emitted + length
            size, least = np.abs(half), 1e-9 * length + _TINY
            half = np.where(size > least, half * (length / np.maximum(size, least)), 1j * length)
        points = MotionPoints(
            q=q,
            flow=half,
            noise_on_flow=representation is FlowRepresentation.SIGNED,
            rows=np.concatenate([self._rotation / sigma, self._translation * (depth / sigma)]),
            depth_rows=np.concatenate([self._still, self._translation * (depth_sigma / sigma)]),
            place=self._place,
            sigma=sigma,
            grid_count=self._grid_count,
        )
        usable = np.isfinite(length + sigma + depth + depth_sigma) & (depth >= 0)
        # With points that say nothing among them, the median residual would too; but all of such are an answer: the prior.
        # Slightly below, since sigma comes back from a logarithm in 32 bits.
        telling = usable & (sigma < 0.99 * UNKNOWN_FLOW_SIGMA_PX)
        if np.count_nonzero(telling) >= MINIMUM_POINTS:
            usable = telling
        precision = self._precision
        if not usable.all():
            points = _only(points, usable)
            precision = self._precision_of(usable)
        return points if points.noise_on_flow else replace(points, precision=precision)

    def _precision_of(self, usable: NDArray[np.bool_]) -> NDArray[np.float32] | None:
        """Inverse correlation of some of the points: by inverting what is smaller, they or the others (Schur's complement)."""
        if self._correlation is None or self._precision is None:
            return None
        if 2 * np.count_nonzero(usable) <= usable.size:
            return _inverse(self._correlation[np.ix_(usable, usable)])
        between = self._precision[np.ix_(usable, ~usable)]
        others = self._precision[np.ix_(~usable, ~usable)]
        return self._precision[np.ix_(usable, usable)] - between @ np.linalg.solve(others, between.T)

    def _pick(self, grid: ArrayLike) -> Array:
        return np.asarray(grid, dtype=np.float64).ravel()[self._index]


def _shared(x: Array, y: Array, correlation_px: float) -> Array:
    """Correlation [N, N] of errors half of which are a field that falls off exponentially and half each point's own; a row sums
    to one on average, so that all points together are worth what they would be without it."""
    smooth = np.exp(-np.hypot(x[:, None] - x, y[:, None] - y) / correlation_px)
    return np.asarray((smooth + np.eye(x.size)) / (smooth.sum(axis=1).mean() + 1))


def _inverse(matrix: Array) -> NDArray[np.float32]:
    # Read anew for each image, mostly from memory: half the bytes are half the time.
    return np.asarray(np.linalg.inv(matrix), dtype=np.float32)


def _complex_rows(rows: Array) -> ComplexArray:
    return rows[0] + 1j * rows[1]


def _only(points: MotionPoints, usable: NDArray[np.bool_]) -> MotionPoints:
    count = int(np.count_nonzero(usable))
    _check_count(count, usable.size)
    return MotionPoints(
        points.q[usable],
        points.flow[usable],
        points.noise_on_flow,
        np.ascontiguousarray(points.rows[:, usable]),
        np.ascontiguousarray(points.depth_rows[:, usable]),
        points.place[usable],
        points.sigma[usable],
        points.grid_count * count // usable.size,
    )


def _check_count(count: int, total: int) -> None:
    if count < MINIMUM_POINTS:
        raise ImageError(
            f"only {count} of {total} points of the flow grid are usable (inside the view, finite, depth not negative) and "
            f"{MINIMUM_POINTS} are needed: check the intrinsics, the border and the model"
        )
