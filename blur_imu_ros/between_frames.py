"""What the neighbouring frames add to a velocity that one blur told: between frames the same motion goes many times as far.

A step and a turn look alike over the few pixels of a blur; over the way from one frame to the next they are told apart. The
velocity is that of the frame still: it may differ from the mean velocity on the way by what a camera's acceleration allows.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from .contrast_view import ContrastView
from .direction import DirectionDecision, DirectionOptions, Geometry, SignedVelocity, probability_of
from .model.spec import ModelSpec
from .motion_field import Array
from .options import EstimatorOptions
from .solve.in_place import or_in_place
from .solve.lever_arm import step_of_centre
from .solve.mean_motion import velocity, way_here
from .solve.neighbour_ways import acceleration_of, change_of, find_ways, seconds_between
from .solve.prior import each_axis
from .solve.registration import Registration
from .solve.way import Way
from .velocity import VelocitySolution

# The right sign is found between frames in 99 of 100 of them, the wrong one in 5.
_FOUND_LOG_ODDS, _NOT_FOUND_LOG_ODDS = 3.0, 4.0
# So many times more variance the blur is given, at most, where the frames show that something moves by itself, and then what
# both tell together.
_DOUBTED = 5.0
# Where a rolling shutter shows each row at another moment, a velocity is off by so many rad/s and m/s, standard deviation, for
# each rad/s by which the turn changed from the middle row to the last. Without such a shutter that many are found, by noise.
_BENT = 1.5
_STRAIGHT = 0.02
# A way in less doubt tells by itself how far the camera moved. So much of all its information is none.
_UNDOUBTED, _NOTHING = 0.2, 1e-6


@dataclass(frozen=True)
class SignedEstimate:
    """A velocity with its sign: twist [6], covariance [6, 6] given the sign, probability of that, and overlap, the share of the
    points that a neighbouring frame shows too; 0 where none added anything. Where the frame before was found, the way from it,
    and by how much in ln things were nearer, at the places of solve/depth_field.py; doubt: see Estimate; mirrored: how likely
    the opposite twist is as far as the covariance does not cover it already; moved: the mean twist [6] on the way from the frame
    before by what the frames alone show, None where that is in doubt."""

    twist: Array
    covariance: Array
    probability: float
    overlap: float = 0.0
    way: Way | None = None
    nearer: Array | None = None
    doubt: float = 0.0
    mirrored: float = 0.5
    moved: Array | None = None


def counts(neighbour: ContrastView, current: ContrastView, options: DirectionOptions) -> bool:
    """Whether a neighbour is near enough in time, and not the same picture."""
    return options.comparable(seconds_between(current, neighbour)) and not neighbour.same_picture(current)


def with_neighbours(
    solution: VelocitySolution,
    decision: DirectionDecision,
    current: ContrastView,
    neighbours: list[ContrastView],
    geometry: Geometry,
    previous: SignedVelocity | None,
    options: EstimatorOptions,
    spec: ModelSpec,
    one_before: ContrastView | None = None,
) -> SignedEstimate:
    """The velocity at the moment of `current` by its blur, the sign of that, and the way to the neighbouring frames.

    previous: the velocity of the frame before; the search goes on from there where the blur leads nowhere; one_before: the frame
    before that, looked at where the neighbours show no way. Returns what the blur told where options ask for that, and where no
    neighbour is near enough in time and shows enough of the same, anew.
    """
    slow = solution.blur_px < options.min_blur_px_of(spec)
    signed = decision.sign * solution.twist
    probability = 0.5 if slow else decision.probability
    alone = SignedEstimate(signed, solution.covariance, probability, mirrored=1 - probability)
    if not options.between_frames:
        return alone
    beside = [view for view in neighbours if counts(view, current, options.direction)]
    beyond = [one_before] if one_before and counts(one_before, current, options.direction) else []
    if not beside and not beyond:
        return alone
    # All frames share the error of depth's scale: it is put aside, and taken up again with the step that is found.
    blur = solution.covariance - _depth_scale(signed, options, spec)
    if slow:
        blur = blur + np.outer(signed, signed)
    doubt = 1.0
    for near in filter(None, (beside, beyond)):
        expected, found, of_these = find_ways(
            current, near, geometry, signed, blur, slow, previous, options.direction
        )
        doubt = min(doubt, of_these)
        if found:
            break
    # Where the frames are not of one scene that moves as one, the blur is not of one either.
    doubted = 1 + _DOUBTED * doubt
    blur = doubted * blur
    if not found:
        return replace(alone, covariance=doubted * alone.covariance, doubt=doubt)
    twist, covariance, way = _put_together(expected, blur, found, previous, current, options.direction)
    solver = options.solver
    twist, covariance = or_in_place(
        twist, doubted * covariance, each_axis(solver.prior_linear_m_s), solver.lever_arm_m
    )
    covariance = covariance + _depth_scale(twist, options, spec) + _bent(found)
    if slow:
        probability, mirrored = _surely_forward(twist, covariance), 0.0
    else:
        probability = _surer(decision.probability, expected is signed, doubt)
        mirrored = 1 - probability
    overlap, before = max(one.overlap for one in found), _before(found)
    nearer = before.nearer if before else None
    moved = _moved(before) if before and doubt < _UNDOUBTED else None
    return SignedEstimate(twist, covariance, probability, overlap, way, nearer, doubt, mirrored, moved)


def _put_together(
    expected: Array,
    blur: Array,
    found: list[Registration],
    previous: SignedVelocity | None,
    current: ContrastView,
    options: DirectionOptions,
) -> tuple[Array, Array, Way | None]:
    """Twist [6] and covariance [6, 6] of what blur and ways tell together, and the way from the frame before, where found."""
    earlier, way, before = _way_before(previous, current, options), None, _before(found)
    if before:
        known = blur + change_of(before.interval_s, options)
        way = way_here(expected, known, before, current.stamp_ns).after(earlier)
    acceleration = acceleration_of(options)
    return *velocity(expected, blur, found, acceleration, earlier, way, current.stamp_ns), way


def _moved(found: Registration) -> Array:
    """The mean twist [6] that one way alone tells; of what it does not tell, none."""
    least = _NOTHING * np.trace(found.information) * np.eye(6)
    return np.asarray(np.linalg.solve(found.information + least, found.weighted))


def _before(found: list[Registration]) -> Registration | None:
    """What was found of the frame before."""
    return next((one for one in found if one.interval_s < 0), None)


def _way_before(
    previous: SignedVelocity | None, current: ContrastView, options: DirectionOptions
) -> Way | None:
    """The way to the frame before, where that is near enough in time."""
    if previous is None or not options.comparable((current.stamp_ns - previous.stamp_ns) * 1e-9):
        return None
    return previous.way


def _depth_scale(twist: Array, options: EstimatorOptions, spec: ModelSpec) -> Array:
    """Covariance [6, 6] of the error of depth's scale, as the solve has it."""
    step = spec.depth_scale_sigma * step_of_centre(twist, options.solver.lever_arm_m)
    return np.outer(step, step)


def _bent(found: list[Registration]) -> Array:
    """Covariance [6, 6] of a velocity that is not the same for all rows. With one neighbour alone, what acceleration may do
    covers that."""
    if len(found) == 1:
        return np.zeros((6, 6))
    bend2 = float(np.mean([one.bend @ one.bend for one in found])) / 3
    return _BENT**2 * max(bend2 - _STRAIGHT**2, 0.0) * np.eye(6)


def _surely_forward(twist: Array, covariance: Array) -> float:
    """Probability that a Gaussian with this mean and covariance has the sign of its mean."""
    return 0.5 * (1 + math.erf(math.sqrt(float(twist @ np.linalg.solve(covariance, twist)) / 2)))


def _surer(probability: float, found_at_once: bool, doubt: float) -> float:
    """Probability of the sign that was found between frames, after that which was found likelier before."""
    log_odds = math.log(probability / max(1 - probability, 1e-9))
    believed = 1 - doubt
    log_odds = believed * _FOUND_LOG_ODDS + (
        log_odds if found_at_once else believed * _NOT_FOUND_LOG_ODDS - log_odds
    )
    return probability_of(max(log_odds, 0.0), believed * _FOUND_LOG_ODDS)
