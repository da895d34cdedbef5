"""The measures of one method on one set of frames: those of `blur_imu evaluate`, and what comparing methods needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ..offline.metrics import EvaluatedFrames, plain, sign_accuracy, velocity_errors
from .reliability import coverage

BIN_EDGES_PX = (0.0, 1.0, 3.0, 8.0, 16.0, np.inf)
BLURRED_PX = 3.0


@dataclass(frozen=True)
class MethodFrames:
    """One method's answers on the frames of one sequence or of several; twist NaN where it gave none.

    frames: truth and true blur with this method's twist, and its covariance (NaN where it states none);
    seconds_per_frame: NaN unknown; failures: what went wrong, per sequence; exposure_s_fitted: None where none was,
    or of several.
    """

    method: str
    frames: EvaluatedFrames
    seconds_per_frame: float
    failures: dict[str, str]
    exposure_s_fitted: float | None = None

    @property
    def answered(self) -> np.ndarray:
        """bool [n]"""
        return np.isfinite(self.frames.twist[:, :3]).all(axis=1)

    @classmethod
    def pool(cls, parts: list[MethodFrames]) -> MethodFrames:
        """The same method's frames of several sequences together."""
        frames = EvaluatedFrames.concatenate([part.frames for part in parts])
        weights = np.array([len(part.frames) for part in parts], float)
        seconds = float(np.array([part.seconds_per_frame for part in parts]) @ weights / weights.sum())
        failures = {name: text for part in parts for name, text in part.failures.items()}
        return cls(parts[0].method, frames, seconds, failures)


def select(frames: EvaluatedFrames, chosen: np.ndarray) -> EvaluatedFrames:
    """The frames where `chosen` [n] is true."""
    return EvaluatedFrames(**{name: getattr(frames, name)[chosen] for name in frames.__dataclass_fields__})


def score(entry: MethodFrames, reference: EvaluatedFrames) -> dict[str, Any]:
    """All measures, JSON-ready; `reference` is ours on the same frames.

    angular_ratio and linear_ratio count an unanswered frame as a prediction of zero; *_ratio_answered leave it out, and
    reference_*_ratio_answered are ours on the frames this method answered.
    """
    frames, answered = entry.frames, entry.answered
    filled = velocity_errors(replace(frames, twist=np.nan_to_num(frames.twist)))
    on_answered = velocity_errors(select(frames, answered))
    ours = velocity_errors(select(reference, answered))
    moves = bool(np.any(np.nan_to_num(frames.twist)))
    return plain(
        {
            "method": entry.method,
            "frames": len(frames),
            "answered": float(np.mean(answered)) if len(frames) else np.nan,
            **{
                name: filled[name]
                for name in ("angular_ratio", "linear_ratio", "angular_rmse", "linear_rmse")
            },
            **{name: filled[name] for name in ("angular_zero_rmse", "linear_zero_rmse", "axis_ratio")},
            "angular_ratio_answered": on_answered["angular_ratio"],
            "linear_ratio_answered": on_answered["linear_ratio"],
            "reference_angular_ratio_answered": ours["angular_ratio"],
            "reference_linear_ratio_answered": ours["linear_ratio"],
            "angular_median_error": on_answered["angular_median_error"],
            "linear_median_error": on_answered["linear_median_error"],
            "sign_accuracy": sign_accuracy(select(frames, answered)) if moves else np.nan,
            "coverage": coverage(frames),
            "seconds_per_frame": entry.seconds_per_frame,
            "failures": entry.failures,
        }
    )


def by_blur(entry: MethodFrames, reference: EvaluatedFrames) -> list[dict[str, Any]]:
    """Measures per bin of true blur, and of all frames with more than BLURRED_PX."""
    bounds = [*pairwise(BIN_EDGES_PX), (BLURRED_PX, np.inf)]
    rows = []
    for low, high in bounds:
        chosen = (entry.frames.blur_px >= low) & (entry.frames.blur_px < high)
        part = replace(entry, frames=select(entry.frames, chosen))
        rows.append(
            {"bin_px": [low, None if np.isinf(high) else high], **score(part, select(reference, chosen))}
        )
    return rows
