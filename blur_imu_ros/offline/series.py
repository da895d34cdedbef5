"""The estimates of a recording as arrays, and as a CSV table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..estimate import Estimate
from ..recordings.csv_rows import seconds

TWIST_NAMES = ("wx", "wy", "wz", "vx", "vy", "vz")


@dataclass(frozen=True)
class EstimateSeries:
    """n estimates in order of time.

    stamps_ns int64 [n] (middle of the exposure); twist [n, 6] rad/s and m/s, camera optical frame;
    covariance [n, 6, 6]; sign_probability, blur_px (the network's pixels), exposure_s, residual_px, points_used [n];
    overlap [n], see Estimate; observability [n, 6], see VelocitySolution.
    """

    stamps_ns: np.ndarray
    twist: np.ndarray
    covariance: np.ndarray
    sign_probability: np.ndarray
    blur_px: np.ndarray
    exposure_s: np.ndarray
    residual_px: np.ndarray
    points_used: np.ndarray
    overlap: np.ndarray
    observability: np.ndarray

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @classmethod
    def from_estimates(cls, estimates: Sequence[Estimate]) -> EstimateSeries:
        n = len(estimates)
        return cls(
            stamps_ns=np.array([e.stamp_ns for e in estimates], dtype=np.int64),
            twist=np.array([e.twist for e in estimates], dtype=np.float64).reshape(n, 6),
            covariance=np.array([e.covariance for e in estimates], dtype=np.float64).reshape(n, 6, 6),
            sign_probability=np.array([e.sign_probability for e in estimates], dtype=np.float64),
            blur_px=np.array([e.blur_px for e in estimates], dtype=np.float64),
            exposure_s=np.array([e.exposure_s for e in estimates], dtype=np.float64),
            residual_px=np.array([e.residual_px for e in estimates], dtype=np.float64),
            points_used=np.array([e.points_used for e in estimates], dtype=np.int64),
            overlap=np.array([e.overlap for e in estimates], dtype=np.float64),
            observability=np.array([e.observability for e in estimates], dtype=np.float64).reshape(n, 6),
        )

    def write_csv(self, path: Path) -> None:
        """One row per estimate: stamp, twist, one sigma per axis, probability of the sign, blur, exposure, fit, the view
        shared with a neighbouring frame, and what the image told of each axis."""
        sigma = np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))
        header = ["stamp_s", *TWIST_NAMES, *(f"sigma_{name}" for name in TWIST_NAMES)]
        header += ["sign_probability", "blur_px", "exposure_s", "residual_px", "points_used", "overlap"]
        header += [f"observability_{name}" for name in TWIST_NAMES]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            for i, stamp_ns in enumerate(self.stamps_ns.tolist()):
                numbers = [*self.twist[i], *sigma[i], self.sign_probability[i], self.blur_px[i]]
                numbers += [self.exposure_s[i], self.residual_px[i]]
                told = (f"{share:.3f}" for share in (self.overlap[i], *self.observability[i]))
                fit = (f"{number:.7g}" for number in numbers)
                writer.writerow([seconds(stamp_ns), *fit, int(self.points_used[i]), *told])
