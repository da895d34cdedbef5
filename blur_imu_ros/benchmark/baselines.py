"""What people would use instead: each answers a sequence with the twists it finds, or says why it cannot."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from ..errors import BlurImuError, ConfigurationError
from ..offline.progress import Progress
from ..sequence import Sequence
from .cache import TrajectoryCache
from .trajectory import Trajectory, aligned_velocities, read_tum


class Baseline(Enum):
    """The built-in alternatives."""

    ZERO = "zero"
    ODOMETRY = "odometry"
    COLMAP = "colmap"


TITLES = {
    Baseline.ZERO: "predicting zero",
    Baseline.ODOMETRY: "visual odometry (KLT + essential matrix)",
    Baseline.COLMAP: "COLMAP (SIFT)",
}


@dataclass(frozen=True)
class Answers:
    """twist [n, 6] per frame of the sequence, NaN without an answer; seconds it took, NaN unknown; why it failed."""

    twist: np.ndarray
    seconds: float = float("nan")
    failure: str = ""


@dataclass(frozen=True)
class External:
    """Trajectories of another program in the TUM format; `{sequence}` in the path stands for the sequence's name."""

    name: str
    path: str

    @classmethod
    def parse(cls, text: str) -> External:
        """Read NAME=PATH. Raises ConfigurationError."""
        name, found, path = text.partition("=")
        if not (name and found and path):
            raise ConfigurationError(
                f"--trajectory {text!r}: write NAME=PATH, e.g. DROID-SLAM=droid/{{sequence}}.txt"
            )
        return cls(name, path)


def answer(
    sequence: Sequence, method: Baseline | External, cache: TrajectoryCache, progress: Progress[int]
) -> Answers:
    """Run one method on a whole sequence; what goes wrong is its failure, not the benchmark's."""
    if method is Baseline.ZERO:
        return Answers(np.zeros((len(sequence.frames), 6)))
    try:
        trajectories, seconds = _trajectories(sequence, method, cache, progress)
    except ModuleNotFoundError as error:
        reason = f"needs the Python package {error.name}: pip install 'blur_imu_ros[benchmark]'"
        return Answers(np.full((len(sequence.frames), 6), np.nan), failure=reason)
    except (BlurImuError, ImportError, RuntimeError, OSError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Answers(np.full((len(sequence.frames), 6), np.nan), failure=reason)
    twist = aligned_velocities(trajectories, sequence.stamps_ns, sequence.truth)
    failure = "" if trajectories else "no frames could be connected"
    if trajectories and np.isnan(twist).all():
        failure = "no two neighbouring frames have poses of these stamps"
    return Answers(twist, seconds, failure)


def _trajectories(
    sequence: Sequence, method: Baseline | External, cache: TrajectoryCache, progress: Progress[int]
) -> tuple[list[Trajectory], float]:
    if isinstance(method, External):
        return [read_tum(Path(method.path.replace("{sequence}", sequence.name)))], float("nan")
    kept = cache.find(sequence, method.value)
    if kept is not None:
        return kept
    start = time.perf_counter()
    if method is Baseline.COLMAP:
        from .colmap import reconstruct

        trajectories = reconstruct(sequence)
    else:
        from .visual_odometry import track_sequence

        trajectories = track_sequence(sequence, progress)
    seconds = time.perf_counter() - start
    try:
        cache.keep(sequence, method.value, trajectories, seconds)
    except OSError as error:
        print(f"{cache.folder} cannot be written ({error.strerror}): result used, not kept", file=sys.stderr)
    return trajectories, seconds
