"""A recording through the estimator, frame by frame, as the node would answer it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..errors import BlurImuError, CameraError, ExposureError, ImageError
from ..estimate import Estimate, Frame
from ..estimator import BlurImuEstimator
from ..exposure_check import ExposureCheck
from ..exposure_field import check_exposure
from ..network import FlowDepthNetwork
from ..options import EstimatorOptions
from ..recordings.recording import RecordedFrame, Recording
from ..timing import Admission, Epochs, FrameInterval
from .progress import Progress

TIME_JUMP_S = 1.0


@dataclass(frozen=True)
class ReplayRun:
    """One entry per recorded frame, None where it gave no estimate; `skipped` counts those by cause; reason: of the first."""

    estimates: list[Estimate | None]
    skipped: dict[str, int]
    reason: str

    @property
    def answered(self) -> list[Estimate]:
        return [estimate for estimate in self.estimates if estimate is not None]

    @property
    def exposure(self) -> ExposureCheck:
        """Whether the exposure time can be right."""
        check = ExposureCheck(newest=None)
        for estimate in self.answered:
            check.add(estimate.exposure_ratio)
        return check


def run_all(
    recording: Recording,
    network: FlowDepthNetwork,
    options: EstimatorOptions,
    exposure_s: float | None,
    progress: Progress[RecordedFrame],
) -> ReplayRun:
    """Estimate every frame in order as the node would; exposure_s stands in where a frame's own is unknown.

    A frame that cannot be used is skipped and counted; when most are, the first cause is raised instead.
    """
    replayer = _Replayer(recording, BlurImuEstimator(network, options), exposure_s)
    estimates: list[Estimate | None] = []
    skipped: Counter[str] = Counter()
    first: BlurImuError | None = None
    waiting = -1
    for recorded in progress(recording.frames()):
        try:
            estimate = replayer.estimate(recorded)
            if revised := replayer.estimator.revised():
                estimates[waiting] = revised
            waiting = len(estimates)
            estimates.append(estimate)
        except (ImageError, ExposureError, CameraError) as error:
            first = first or error
            skipped[type(error).__name__] += 1
            estimates.append(None)
    if first is not None and 2 * skipped.total() > len(estimates):
        raise first
    if not estimates:
        raise ImageError(f"{recording.name}: holds no image; record it again")
    return ReplayRun(estimates, dict(skipped), "" if first is None else str(first))


class _Replayer:
    """What the node does to a frame between its arrival and its estimate."""

    def __init__(self, recording: Recording, estimator: BlurImuEstimator, exposure_s: float | None) -> None:
        self._recording = recording
        self.estimator = estimator
        self._exposure_s = exposure_s
        self._epochs = Epochs(TIME_JUMP_S)
        self._interval = FrameInterval()

    def estimate(self, recorded: RecordedFrame) -> Estimate:
        """Estimate one frame. Raises ImageError, ExposureError, CameraError."""
        name, stamp = self._recording.name, recorded.stamp_ns
        if stamp is None:
            raise ImageError(f"{name}: the stamp of an image is malformed; check the driver's clock")
        taken_s = recorded.exposure_s if recorded.exposure_s is not None else self._exposure_s
        if taken_s is None:
            raise ExposureError(
                f"{name}: the exposure of the image at {stamp} ns is unknown{recorded.exposure_note}; give --exposure-s, "
                "--exposure-topic, or --fit-exposure where a real Imu was recorded"
            )
        self._interval.observe(stamp, TIME_JUMP_S)
        check_exposure(taken_s, self._interval.longest_exposure_s)
        t_mid = self._recording.timing.mid_ns(stamp, taken_s)
        if t_mid < 0:
            raise ImageError(
                f"{name}: the middle of the exposure of the image at {stamp} ns lies before time zero; check --stamp-reference"
            )
        admission = self._epochs.admit(t_mid)
        if admission is Admission.LATE:
            raise ImageError(f"{name}: the image at {stamp} ns is not later than the one before it")
        if admission is Admission.NEW_EPOCH:
            self.estimator.reset()
        readout_s = self._recording.timing.readout_s
        return self.estimator.estimate(Frame(recorded.image(), recorded.camera, t_mid, taken_s, readout_s))
