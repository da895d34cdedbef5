"""Estimates of a sequence folder beside its truth: what `blur_imu evaluate` and the benchmark measure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from ..direction import DirectionDecision
from ..errors import ExposureError, ImageError
from ..estimate import Estimate, Frame
from ..estimator import BlurImuEstimator, SeenFrame
from ..network import FlowDepthNetwork, Prediction
from ..options import EstimatorOptions
from ..sequence import Sequence, read_image
from .exposure_fit import fit_exposure, limit_note
from .metrics import EvaluatedFrames, true_sign
from .progress import Progress
from .sequence_solver import SequenceSolver, Solver

BLOCK_FRAMES = 30
WARM_UP_FRAMES = 5


class Direction(Enum):
    """Where the sign comes from: the neighbouring frame, the truth, or nowhere (the solver's arbitrary one)."""

    PHOTOMETRIC = "photometric"
    ORACLE = "oracle"
    NONE = "none"


@dataclass(frozen=True)
class EvaluationOptions:
    """How to evaluate; fit_exposure only matters where exposure is unknown."""

    direction: Direction = Direction.PHOTOMETRIC
    solver: Solver = Solver.DEFAULT
    fit_exposure: bool = False
    estimator: EstimatorOptions = field(default_factory=EstimatorOptions)

    @property
    def as_the_node(self) -> bool:
        """Whether the node's estimator answers, told its sign or not; else the steps apart, of each image alone."""
        return self.direction is not Direction.NONE and self.solver is Solver.DEFAULT


@dataclass(frozen=True)
class SequenceEvaluation:
    """Per-frame results of one sequence, in its order; exposure_s_fitted None where nothing was fitted; note: why not to
    trust that, empty otherwise."""

    name: str
    frames: EvaluatedFrames
    exposure_s_fitted: float | None
    note: str


@dataclass(frozen=True)
class Measurement:
    """One frame: twist [6], covariance [6, 6], probability of its sign, time from the image in memory, prediction; revised:
    the frame before, its sign decided again with this one's help."""

    twist: np.ndarray
    covariance: np.ndarray
    sign_probability: float
    latency_ms: float
    prediction: Prediction
    revised: Estimate | None = None


def evaluate_sequence(
    sequence: Sequence, network: FlowDepthNetwork, options: EvaluationOptions, progress: Progress[int] = iter
) -> SequenceEvaluation:
    """Estimate every reported frame of a sequence and put its truth beside it.

    Raises what `check` does, and ImageError or ExposureError where a frame cannot be used.
    """
    check(sequence, options)
    try:
        return _evaluated(sequence, network, options, progress)
    except (ImageError, ExposureError) as error:
        raise type(error)(f"{sequence.folder}: {error}") from error


def check(sequence: Sequence, options: EvaluationOptions) -> None:
    """Raise SequenceError without truth, ExposureError where exposure is unknown and is not or cannot be fitted."""
    sequence.require_truth()
    missing = [i for i, frame in enumerate(sequence.frames) if frame.exposure_s is None]
    if not missing:
        return
    if not options.fit_exposure:
        raise ExposureError(
            f"{sequence.folder / 'frames.csv'}: exposure_s of frame {missing[0]} is unknown; fill it in, or fit one for "
            "the sequence with --fit-exposure"
        )
    if len(sequence.frames) <= BLOCK_FRAMES:
        raise ExposureError(
            f"{sequence.folder}: {len(sequence.frames)} frames are too few to fit the exposure on even blocks of "
            f"{BLOCK_FRAMES} and report the odd ones; use a longer sequence or fill in exposure_s"
        )


def _evaluated(
    sequence: Sequence, network: FlowDepthNetwork, options: EvaluationOptions, progress: Progress[int]
) -> SequenceEvaluation:
    solver = SequenceSolver(sequence.camera, network, options.solver, options.estimator)
    exposure_s, fitted = np.array([f.exposure_s or np.nan for f in sequence.frames]), None
    reported = np.arange(len(sequence.frames))
    if np.isnan(exposure_s).any():
        fitted = _fit(sequence, solver, np.isnan(exposure_s), progress)
        exposure_s = np.where(np.isnan(exposure_s), fitted, exposure_s)
        reported = reported[_odd(reported)]
    if options.as_the_node:
        measure = _as_the_node(sequence, network, options, exposure_s, reported, progress)
    else:
        measure = _taken_apart(sequence, solver, options, exposure_s, reported, progress)
    rows: list[dict[str, Any]] = []
    for i, measurement in measure:
        revised = measurement.revised
        if revised is not None and rows and rows[-1]["stamps_ns"] == revised.stamp_ns:
            rows[-1] |= _answer(revised)
        rows.append(_row(sequence, solver, i, float(exposure_s[i]), measurement))
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    note = "" if fitted is None else limit_note(fitted, sequence.frame_interval_s)
    return SequenceEvaluation(sequence.name, EvaluatedFrames(**columns), fitted, note)


def _odd(frames: np.ndarray) -> np.ndarray:
    """Whether frames belong to odd blocks of 30."""
    return frames // BLOCK_FRAMES % 2 == 1


def _fit(sequence: Sequence, solver: SequenceSolver, unknown: np.ndarray, progress: Progress[int]) -> float:
    """Fit the exposure on the even blocks, where it is unknown; the network runs once per frame, only the solve is repeated."""
    frames = np.arange(len(sequence.frames))
    # What is known of other frames says nothing of these.
    fitting = frames[~_odd(frames) & unknown & np.isfinite(sequence.truth[:, :3]).all(axis=1)]
    images = (read_image(sequence.frames[i].image) for i in progress(fitting))
    prepared = [solver.prepare(solver.predict(image), for_fit=True) for image in images]

    def solve(k: int, exposure_s: float) -> np.ndarray:
        return solver.solve(prepared[k], exposure_s).twist[:3]

    return fit_exposure(solve, sequence.truth[fitting, :3], sequence.frame_interval_s)


def _as_the_node(
    sequence: Sequence,
    network: FlowDepthNetwork,
    options: EvaluationOptions,
    exposure_s: np.ndarray,
    reported: np.ndarray,
    progress: Progress[int],
) -> Iterator[tuple[int, Measurement]]:
    """The estimator as the node runs it, frame after frame."""
    estimator = BlurImuEstimator(network, options.estimator)
    if options.direction is Direction.ORACLE:
        estimator = _TruthfulEstimator(network, options.estimator, sequence)
    for i, starts, wanted in _in_order(reported, WARM_UP_FRAMES, progress):
        if starts:
            estimator.reset()
        entry = sequence.frames[i]
        frame = Frame(read_image(entry.image), sequence.camera, entry.stamp_ns, float(exposure_s[i]))
        start = time.perf_counter()
        estimate = estimator.estimate(frame)
        latency_ms = (time.perf_counter() - start) * 1e3
        prediction = estimator.last_prediction
        if wanted and prediction is not None:
            revised = estimator.revised()
            answer = _answer(estimate)
            yield i, Measurement(**answer, latency_ms=latency_ms, prediction=prediction, revised=revised)


def _answer(estimate: Estimate) -> dict[str, Any]:
    """What a sign decided again changes of a frame."""
    return {name: getattr(estimate, name) for name in ("twist", "covariance", "sign_probability")}


class _TruthfulEstimator(BlurImuEstimator):
    """Told by the truth which sign is right, so that only the size of an error counts."""

    def __init__(self, network: FlowDepthNetwork, options: EstimatorOptions, sequence: Sequence) -> None:
        super().__init__(network, options)
        self._truth = dict(zip(sequence.stamps_ns.tolist(), sequence.truth, strict=True))

    def decide(self, seen: SeenFrame) -> DirectionDecision:
        return _told_by(self._truth[seen.view.stamp_ns], seen.solution.twist)


def _told_by(truth: np.ndarray, twist: np.ndarray) -> DirectionDecision:
    sign = true_sign(twist[None], truth[None])[0]
    return DirectionDecision(1, 0.5) if np.isnan(sign) else DirectionDecision(int(sign), 1.0)


def _taken_apart(
    sequence: Sequence,
    solver: SequenceSolver,
    options: EvaluationOptions,
    exposure_s: np.ndarray,
    reported: np.ndarray,
    progress: Progress[int],
) -> Iterator[tuple[int, Measurement]]:
    """Without a sign, or with another solve than the node's."""
    earlier = None
    for i, starts, wanted in _in_order(reported, options.direction is Direction.PHOTOMETRIC, progress):
        entry = sequence.frames[i]
        image = read_image(entry.image)
        start = time.perf_counter()
        prediction = solver.predict(image)
        solved = solver.solve(solver.prepare(prediction), float(exposure_s[i]))
        decision = DirectionDecision(1, 0.5)
        if options.direction is Direction.PHOTOMETRIC:
            before = None if starts else earlier
            decision, earlier = solver.decide(prediction, solved, entry.stamp_ns, before)
        latency_ms = (time.perf_counter() - start) * 1e3
        if options.direction is Direction.ORACLE:
            decision = _told_by(sequence.truth[i], solved.twist)
        if wanted:
            twist = decision.sign * solved.twist
            yield i, Measurement(twist, solved.covariance, decision.probability, latency_ms, prediction)


def _in_order(
    reported: np.ndarray, history: int, progress: Progress[int]
) -> Iterator[tuple[int, bool, bool]]:
    """Reported frames, each run preceded by `history` frames: (frame, whether a run starts, whether reported)."""
    wanted = set(reported.tolist())
    needed = sorted({j for i in wanted for j in range(max(0, i - history), i + 1)})
    before = -2
    for i in progress(needed):
        yield i, i != before + 1, i in wanted
        before = i


def _row(
    sequence: Sequence, solver: SequenceSolver, i: int, exposure_s: float, measurement: Measurement
) -> dict[str, np.ndarray | float | int]:
    """One frame in the columns of EvaluatedFrames; must run before the next prediction."""
    frame, prediction = sequence.frames[i], measurement.prediction
    depth = sequence.depth_of(frame)
    depth_error = np.nan if depth is None else solver.inverse_depth_error(prediction, depth)
    return {
        "stamps_ns": frame.stamp_ns,
        "twist": measurement.twist,
        "covariance": measurement.covariance,
        "sign_probability": measurement.sign_probability,
        "truth": sequence.truth[i],
        "truth_sigma": sequence.truth_sigma,
        "blur_px": solver.true_blur_px(prediction, sequence.truth[i], exposure_s),
        "pixel_rate": solver.view.focal_px * solver.report_scale * exposure_s,
        "inverse_depth_error": depth_error,
        "exposure_s": exposure_s,
        "latency_ms": measurement.latency_ms,
    }
