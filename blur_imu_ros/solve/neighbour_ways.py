"""Where to look for the ways to the neighbouring frames, and what is found there."""

from collections.abc import Iterator

import numpy as np

from ..contrast_view import ContrastView
from ..direction import DirectionOptions, Geometry, SignedVelocity
from ..motion_field import Array
from .registration import Registration, register
from .stamps import with_unsure_stamps


def find_ways(
    current: ContrastView,
    near: list[ContrastView],
    geometry: Geometry,
    signed: Array,
    blur: Array,
    slow: bool,
    previous: SignedVelocity | None,
    options: DirectionOptions,
) -> tuple[Array, list[Registration], float]:
    """The twist [6] that was expected where the ways to neighbours were found, those ways, none where nothing was found, and how
    far all that was tried is to be doubted.

    signed, blur: [6] and its covariance [6, 6], as the blur tells with the likelier sign; slow: it is too short to have one;
    previous: the velocity of the frame before.
    """
    doubts: list[float] = []
    for expected, start in _ways(signed, blur, slow, previous, current, options):
        tried = _registered(current, near, geometry, expected, blur, start, options)
        doubts += [one.doubt for one in tried]
        found = [one for one in tried if one.believed > 0]
        if found:
            break
    return expected, found, min(doubts, default=0.0)


def _ways(
    signed: Array,
    covariance: Array,
    slow: bool,
    previous: SignedVelocity | None,
    current: ContrastView,
    options: DirectionOptions,
) -> Iterator[tuple[Array, Array]]:
    """Which twist [6] to expect and where to begin to look for it, until something is found: as the blur tells, with the other
    sign, each drawn towards the velocity of the frame before; then from that alone."""
    still = np.zeros(6)
    for expected in (still,) if slow else (signed, -signed):
        yield expected, _likeliest(expected, covariance, previous, current, options)
    if slow:
        yield still, still
    elif previous is not None:
        forward = signed @ np.linalg.solve(covariance, previous.twist) > 0
        yield signed if forward else -signed, previous.twist


def _likeliest(
    expected: Array,
    covariance: Array,
    previous: SignedVelocity | None,
    current: ContrastView,
    options: DirectionOptions,
) -> Array:
    """The twist [6] by what is expected and by the frame before, whose sign may be wrong, and the camera's acceleration since."""
    if previous is None:
        return expected
    since = (current.stamp_ns - previous.stamp_ns) * 1e-9
    doubt = 4 * (1 - previous.probability) * np.outer(previous.twist, previous.twist)
    before = np.linalg.inv(previous.covariance + doubt + change_of(2 * since, options))
    here = np.linalg.inv(covariance)
    return np.asarray(np.linalg.solve(here + before, here @ expected + before @ previous.twist))


def _registered(
    current: ContrastView,
    neighbours: list[ContrastView],
    geometry: Geometry,
    twist: Array,
    covariance: Array,
    start: Array,
    options: DirectionOptions,
) -> list[Registration]:
    found = []
    for neighbour in neighbours:
        about = covariance + change_of(seconds_between(current, neighbour), options)
        found.append(register(current, neighbour, geometry, twist, about, start))
    return [with_unsure_stamps(one, options.stamp_sigma_s) for one in found if one]


def change_of(interval_s: float, options: DirectionOptions) -> Array:
    """Covariance [6, 6] of what acceleration changes on half the way."""
    return np.diag((acceleration_of(options) * interval_s / 2) ** 2)


def acceleration_of(options: DirectionOptions) -> Array:
    return np.repeat(np.array([options.acceleration_rad_s2, options.acceleration_m_s2], np.float64), 3)


def seconds_between(current: ContrastView, neighbour: ContrastView) -> float:
    """From a frame to its neighbour, negative where that was before."""
    return (neighbour.stamp_ns - current.stamp_ns) * 1e-9
