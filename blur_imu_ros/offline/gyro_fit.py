"""An unknown exposure time, fitted to the gyro of the recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..camera import CameraModel
from ..errors import BlurImuError, CameraError, ConfigurationError, ExposureError, ImageError
from ..network import FlowDepthNetwork
from ..options import EstimatorOptions
from ..recordings.recording import RecordedFrame, Recording
from .alignment import align
from .exposure_fit import fit_exposure
from .progress import Progress
from .sequence_solver import Prepared, SequenceSolver, Solver

FIT_FRAMES = 400
FIT_ROUNDS = 2


@dataclass(frozen=True)
class ExposureFit:
    """An exposure time in seconds; interval_s: that between frames, which it cannot exceed; stated: whether every frame of the
    recording states its own, so that the fit serves to compare with."""

    exposure_s: float
    interval_s: float
    stated: bool


@dataclass(frozen=True)
class _FitFrames:
    """Frames prepared once to be solved for many exposures; stamps int64 [n] ns as recorded; stated: whether all of them state
    an exposure of their own."""

    stamps_ns: np.ndarray
    prepared: list[Prepared]
    solvers: list[SequenceSolver]
    interval_s: float
    stated: bool

    def solve(self, k: int, exposure_s: float) -> np.ndarray:
        return self.solvers[k].solve(self.prepared[k], exposure_s).twist[:3]


def fit_to_gyro(
    recording: Recording,
    network: FlowDepthNetwork,
    options: EstimatorOptions,
    progress: Progress[RecordedFrame],
) -> ExposureFit:
    """The exposure that makes camera and gyro agree, on the frames that state none, or on all where every one does.

    Which way the gyro is mounted and when it is stamped need not be known: the alignment does not depend on the scale
    of the camera's velocities. Raises ConfigurationError without a gyro, ExposureError where the two do not agree.
    """
    gyro = recording.gyro
    if gyro is None:
        raise ConfigurationError(
            f"{recording.name}: --fit-exposure needs a real Imu in the recording (--imu-topic); or give --exposure-s"
        )
    frames = _prepare(recording, network, options, progress)
    exposure_s = frames.interval_s / 3
    for _ in range(FIT_ROUNDS):
        w = np.array([frames.solve(k, exposure_s) for k in range(len(frames.prepared))])
        stamps = np.array([recording.timing.mid_ns(int(s), exposure_s) for s in frames.stamps_ns])
        window = np.full(len(stamps), exposure_s)
        alignment = align(stamps, w, np.full(len(w), 0.1), window, gyro)
        if not alignment.usable:
            raise ExposureError(
                f"{recording.name}: exposure cannot be fitted to {recording.gyro_label}: {alignment.problem.value}"
            )
        truth = gyro.mean_rates(stamps, window, alignment.offset_s) @ alignment.rotation.T
        exposure_s = fit_exposure(frames.solve, truth, frames.interval_s)
    return ExposureFit(exposure_s, frames.interval_s, frames.stated)


def _prepare(
    recording: Recording,
    network: FlowDepthNetwork,
    options: EstimatorOptions,
    progress: Progress[RecordedFrame],
) -> _FitFrames:
    """Network outputs of at most FIT_FRAMES frames, evenly spread over the recording."""
    every = -(-recording.frame_count // FIT_FRAMES)
    stamps: list[int] = []
    all_stamps: list[int] = []
    prepared: list[Prepared] = []
    solvers: list[SequenceSolver] = []
    stated: list[bool] = []
    camera: CameraModel | None = None
    first: BlurImuError | None = None
    for recorded in progress(recording.frames()):
        if recorded.stamp_ns is None:
            continue
        all_stamps.append(recorded.stamp_ns)
        if (len(all_stamps) - 1) % every:
            continue
        try:
            if camera is None or not recorded.camera.resembles(camera):
                solver = SequenceSolver(recorded.camera, network, Solver.DEFAULT, options)
                camera = recorded.camera
            prepared.append(solver.prepare(solver.predict(recorded.image()), for_fit=True))
        except (ImageError, CameraError) as error:
            first = first or error
            continue
        solvers.append(solver)
        stamps.append(recorded.stamp_ns)
        stated.append(recorded.exposure_s is not None)
    if first is not None and not prepared:
        raise first
    interval_s = float(np.median(np.diff(all_stamps))) * 1e-9 if len(all_stamps) > 1 else 0.0
    # What is known of other frames says nothing of those that state no exposure.
    all_stated = all(stated)
    fitting = [k for k, known in enumerate(stated) if all_stated or not known]
    return _FitFrames(
        np.array([stamps[k] for k in fitting], dtype=np.int64),
        [prepared[k] for k in fitting],
        [solvers[k] for k in fitting],
        interval_s,
        all_stated,
    )
