"""The motion between two frames: the one that lays what this image shows upon what its neighbour shows.

Gauss-Newton on contrast, coarse before fine, from what the blur tells and never far from it (Lucas & Kanade 1981; Baker &
Matthews 2004). The more a wrong depth would change what is seen at a point, the less the point says. A rolling shutter shows
every row at another moment: how a turn that changes meanwhile bends the picture is solved along, and so is how the depth is wrong
over the view.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from ..contrast_view import COARSE, LEVELS, ContrastView
from ..direction import Geometry
from ..motion_field import Array, interaction_rows
from ..rigid_motion import projected, rays_of
from .agreement import agreement, disagreement
from .depth_field import FIELD_PRECISION, FIELD_SIZE, field_of
from .robust import median, tukey_weight

# Less of a view that is found again says nothing.
_MINIMUM_OVERLAP = 0.15
# A motion so unlike what was known, in its standard deviations, squared, is an accident: repeated texture, something that moves,
# wrong times. Of right ones hardly one in a thousand came to 12, one to 20: a blur that had been read as none.
_FARTHEST = 36.0
_MAXIMUM_POINTS = 1120
_ITERATIONS = 4
# A step of less than this many standard deviations, squared, is the last at its level.
_SETTLED = 0.5
_TUKEY = 4.0
_NORMAL_MEDIAN = 0.6745
# What all points of a view say is worth so many that err independently: they see the same edges. The errors are wider still than
# even that tells, since the depth is wrong for many at once. Both found on validation.
_INDEPENDENT, _SHARED_VARIANCE = 160.0, 1.8
# Of a rolling shutter no point is taken to be seen earlier or later by more than so much of the time between the frames.
_LATEST = 1 / 3
# How much a turn changes from the middle row to the last, standard deviation in rad/s.
_BEND_RAD_S = 0.1
_RELATIVE_DEPTH_SIGMA = (0.1, 2.0)
# So much of what a network says of its depth's sigma is each point's own; the rest they share, and the frames tell of it. What is
# still open then makes a step too long, by so much of what it would were all noise each point's own. Found on validation, and so
# that what real frames tell of a slow camera's steps stays as it was.
_OWN_SIGMA, _TOO_LONG = 0.6, 0.04
# Nothing is taken for so many times nearer or farther than was said, in ln.
_NEARER = 1.0
# In 1/m: what a network takes for nearer would outweigh all else, and leave matrices that cannot be inverted.
_NEAREST = 20.0
# What the rounding of grey levels does to the contrast, squared: a picture shown twice is not known to be the same any better.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Registration:
    """What two frames say of the mean twist [6] between them, apart from what was known before.

    information: [6, 6] of a least-squares fit; weighted: [6] that times the likeliest twist; interval_s: from the frame to its
    neighbour, negative where that was before; overlap: share of the points that the neighbour shows; variance: of `weighted`,
    in units of the information; nearer: by how much in ln things were found to be nearer than was said, at the places of
    depth_field.py; bend: [3] by how much the turn changed from the middle row to the last, in rad/s; believed: how far they are
    of one scene that moves as one, 0 to 1, which is in all of that already; doubt: how far they are not, as they show something
    that moves by itself, or quite another motion than was known.
    """

    information: Array
    weighted: Array
    interval_s: float
    overlap: float
    variance: float = _SHARED_VARIANCE
    nearer: Array = field(default_factory=lambda: np.zeros(FIELD_SIZE))
    bend: Array = field(default_factory=lambda: np.zeros(3))
    believed: float = 1.0
    doubt: float = 0.0


def register(
    current: ContrastView,
    neighbour: ContrastView,
    geometry: Geometry,
    twist: Array,
    covariance: Array,
    start: Array | None = None,
) -> Registration | None:
    """Find the mean motion between two frames, known beforehand to be about `twist` [6] with `covariance` [6, 6].

    start: [6] where the search begins, None for that twist. Returns None where the neighbour shows too little of what this frame
    does; where it shows that too differently, or by quite another motion, nothing of the result is believed.
    """
    search = _Search(current, neighbour, geometry, twist, covariance, twist if start is None else start)
    for level in range(len(LEVELS)):
        if not search.settle(level):
            return None
    return search.result()


class _Search:
    """One search: for the motion [9], which is the twist and the turn's change from the middle row to the last, and for the error
    of depth [FIELD_SIZE]."""

    def __init__(
        self,
        current: ContrastView,
        neighbour: ContrastView,
        geometry: Geometry,
        twist: Array,
        covariance: Array,
        start: Array,
    ) -> None:
        self._current, self._neighbour = current, neighbour
        self._interval_s = (neighbour.stamp_ns - current.stamp_ns) * 1e-9
        at = geometry.thinned(_MAXIMUM_POINTS)
        self._at = at = replace(at, inverse_depth=np.minimum(at.inverse_depth, _NEAREST))
        self._expected, self._motion = (np.pad(mean, (0, 3)) for mean in (twist, start))
        self._prior = np.diag(np.repeat([0.0, _BEND_RAD_S**-2], [6, 3]))
        self._prior[:6, :6] = np.linalg.inv(covariance)
        self._field, self._depth_error = field_of(*at.shape), np.zeros(FIELD_SIZE)
        rows = interaction_rows(at.x, at.y, at.focal_px, at.inverse_depth)
        self._here = np.stack([at.x, at.y])[:, None]
        self._rays = rays_of(at.x, at.y, at.focal_px)
        # The last row is half the view's height below the middle one.
        last_row = current.levels[COARSE].shape[0] * LEVELS[COARSE] / 2
        bend = rows[:, :3] * (at.y / last_row)
        # Displacement in the neighbour per unit of motion: across and down, [9, N] each.
        self._across, self._down = self._interval_s * np.concatenate([rows, bend], axis=1)
        relative = at.inverse_depth_sigma / np.maximum(at.inverse_depth, 1e-3)
        self._depth_sigma = np.clip(_OWN_SIGMA * relative, *_RELATIVE_DEPTH_SIGMA)

    def settle(self, level: int) -> bool:
        """Improve the motion on one level; False where too little of the view is found again."""
        here = self._current.at(self._here, level)[:, 0]
        for _ in range(_ITERATIONS):
            there = self._neighbour.at(self._places(), level)[:, 0]
            residual = there[0] - here[0]
            seen = np.isfinite(residual)
            self._overlap = np.count_nonzero(seen) / seen.size
            if self._overlap < _MINIMUM_OVERLAP:
                return False
            residual = np.where(seen, residual, 0)
            change = self._changes(*(0.5 * np.where(seen, here[1:] + there[1:], 0)))
            by_depth = self._motion[3:6] @ change[3:6]
            trusted, variance = self._trusted(residual, seen, by_depth)
            weight = _INDEPENDENT / seen.size * trusted / variance
            if self._step(change, by_depth, residual, weight) < _SETTLED:
                break
        self._found = here[0], there[0], seen
        return True

    def result(self) -> Registration:
        """What the frames say, the bend left open within its prior."""
        information, prior = self._information, self._prior
        off = self._motion - self._expected
        accident = off @ prior @ off > _FARTHEST
        doubt, rest = (1.0, 0.0) if accident else disagreement(*self._found, self._at.shape)
        alike = agreement(*self._found)
        believed = rest * alike**2
        shared = information[:6, 6:] @ np.linalg.inv(information[6:, 6:] + prior[6:, 6:])
        alone = believed * (information[:6, :6] - shared @ information[6:, :6])
        # At the optimum what pulls towards the expected twist is balanced by what the frames say.
        weighted = alone @ self._motion[:6] + believed * prior[:6, :6] @ off[:6]
        nearer = (1 - doubt) * alike * self._depth_error
        return Registration(
            alone,
            weighted,
            self._interval_s,
            self._overlap,
            nearer=nearer,
            bend=self._motion[6:],
            believed=believed,
            doubt=doubt,
        )

    def _places(self) -> Array:
        """Where the neighbour shows the points, [2, 1, N] px from the principal point."""
        at, twist, bend = self._at, self._motion[:6], self._motion[6:]
        self._nearer = np.exp(np.clip(self._field.at_points(self._depth_error), -_NEARER, _NEARER))
        inverse_depth = at.inverse_depth * self._nearer
        places = projected(self._rays, at.focal_px, inverse_depth, twist, self._interval_s)
        places[0] += bend @ self._across[6:]
        places[1] += bend @ self._down[6:]
        if at.row_s:
            moved = places - self._here[:, 0]
            # What is seen some rows farther down is seen so much later, and has moved on meanwhile.
            later = (moved[1] * (at.row_s / self._interval_s)).clip(-_LATEST, _LATEST)
            places += moved * (later / (1 - later))
        return places[:, None]

    def _changes(self, across: Array, down: Array) -> Array:
        """How the contrast [N] at the points changes with the motion [9, N], by its slopes [N] there."""
        change = across * self._across
        change += down * self._down
        change[3:6] *= self._nearer
        return change

    def _trusted(self, residual: Array, seen: Array, by_depth: Array) -> tuple[Array, Array]:
        """Trust [N] in each point by how far its residual is from what noise and a wrong depth explain, and that variance [N]."""
        by_depth = by_depth * self._depth_sigma
        noise = float(median(np.abs(residual[seen]))[0]) / _NORMAL_MEDIAN
        variance = noise * noise + by_depth * by_depth + _ROUNDING
        return tukey_weight(residual * residual, variance, _TUKEY), variance

    def _step(self, change: Array, by_depth: Array, residual: Array, weight: Array) -> float:
        """One step of Gauss-Newton; how far it went in standard deviations, squared.

        change [9, N], by_depth [N]: of the contrast with the motion and with depth, in ln; residual, weight: [N].
        """
        field, weighted, depth_weighted = self._field, change * weight, by_depth * weight
        both = field.at_places(weighted * by_depth)
        # Covariance of the error of depth, were the motion known.
        left = np.asarray(np.linalg.inv(field.squares(depth_weighted * by_depth) + FIELD_PRECISION))
        information = weighted @ change.T
        too_long = _TOO_LONG * field.mean_of(left) * information[3:6, 3:6]
        information[3:6, 3:6] += too_long
        gradient = weighted @ residual + self._prior @ (self._motion - self._expected)
        gradient[3:6] += too_long @ self._motion[3:6]
        depth_gradient = field.at_places(depth_weighted * residual) + FIELD_PRECISION @ self._depth_error
        shared = both @ left
        self._information = information - shared @ both.T
        step = np.linalg.solve(self._information + self._prior, gradient - shared @ depth_gradient)
        depth_step = left @ (depth_gradient - both.T @ step)
        self._motion = self._motion - step
        self._depth_error = self._depth_error - depth_step
        return float(step @ gradient + depth_step @ depth_gradient)
