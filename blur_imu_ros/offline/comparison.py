"""Velocities measured by a running node beside the true ones: a live table, a summary, and the series for plots."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..sequence import Sequence
from .series import EstimateSeries

HEADER = (
    "        angular velocity of the camera, rad/s       linear velocity of the camera, m/s\n"
    "time s  measured             true                   measured             true\n"
    "        x      y      z      x      y      z        x      y      z      x      y      z"
)


@dataclass
class Comparison:
    """Measurements that arrive in any order, matched to the frames of a sequence by their exact stamp."""

    sequence: Sequence
    _twists: dict[int, np.ndarray] = field(default_factory=dict)
    _covariances: dict[int, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._frame_of = {int(stamp): i for i, stamp in enumerate(self.sequence.stamps_ns)}

    def __len__(self) -> int:
        return len(self._twists)

    def add(self, stamp_ns: int, twist: np.ndarray, covariance: np.ndarray) -> bool:
        """Keep a measurement, twist [6] and covariance [6, 6]; False where no frame has this stamp."""
        if stamp_ns not in self._frame_of:
            return False
        self._twists[stamp_ns] = twist
        self._covariances[stamp_ns] = covariance
        return True

    def row(self, stamp_ns: int) -> str:
        """One line of the table, for a measurement that was kept."""
        twist = self._twists[stamp_ns]
        truth = self.sequence.truth[self._frame_of[stamp_ns]]
        seconds = (stamp_ns - self.sequence.frames[0].stamp_ns) * 1e-9
        groups = (twist[:3], truth[:3], twist[3:], truth[3:])
        numbers = "  ".join("".join(f"{value:+7.2f}" for value in group) for group in groups)
        return f"{seconds:6.2f}{numbers}{'  ?' if self._is_open(stamp_ns) else ''}"

    def summary(self) -> str:
        """Frames answered, and the root-mean-square error beside that of always saying zero."""
        twist, truth = self._answered()
        frames = len(self.sequence.frames)
        lines = [f"{len(self)} of {frames} frames answered"]
        if len(self) < 0.9 * frames:
            lines[0] += (
                ": this computer is slower than the recording, and the node skips frames rather than lag"
            )
        if count := sum(self._is_open(stamp) for stamp in self._twists):
            lines.append(
                f"{count} of them so unsure that they may as well be backwards, by their covariance (?)"
            )
        for name, unit, part in (("angular", "rad/s", slice(0, 3)), ("linear", "m/s", slice(3, 6))):
            known = np.isfinite(truth[:, part]).all(axis=1)
            if not known.any():
                continue
            error, zero = _rms((twist - truth)[known, part]), _rms(truth[known, part])
            lines.append(
                f"{name:8s} error {error:6.3f} {unit:5s} rms, where the motion itself is {zero:6.3f}"
            )
        return "\n".join(lines)

    def series(self) -> EstimateSeries:
        """The measurements for plots; what the twist topic does not carry is NaN."""
        stamps = sorted(self._twists)
        unknown = np.full(len(stamps), np.nan)
        return EstimateSeries(
            stamps_ns=np.array(stamps, np.int64),
            twist=np.array([self._twists[stamp] for stamp in stamps]).reshape(-1, 6),
            covariance=np.array([self._covariances[stamp] for stamp in stamps]).reshape(-1, 6, 6),
            sign_probability=unknown,
            blur_px=unknown,
            exposure_s=unknown,
            residual_px=unknown,
            points_used=np.zeros(len(stamps), np.int64),
            overlap=unknown,
            observability=np.full((len(stamps), 6), np.nan),
        )

    def _is_open(self, stamp_ns: int) -> bool:
        """Whether the opposite of a measurement is within three standard deviations of it."""
        twist, covariance = self._twists[stamp_ns], self._covariances[stamp_ns]
        return bool(4 * twist @ np.linalg.solve(covariance, twist) < 3**2)

    def _answered(self) -> tuple[np.ndarray, np.ndarray]:
        stamps = sorted(self._twists)
        truth = self.sequence.truth[[self._frame_of[stamp] for stamp in stamps]]
        return np.array([self._twists[stamp] for stamp in stamps]).reshape(-1, 6), truth


def _rms(vectors: np.ndarray) -> float:
    """Root mean square length of the rows; NaN without rows."""
    return float(np.sqrt(np.mean(np.sum(vectors**2, axis=1)))) if len(vectors) else float("nan")
