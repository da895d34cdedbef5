"""What a replay measures: the estimates beside the truth, or beside the recording's gyro once both are aligned."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..plots import Reference
from ..recordings.recording import Recording
from ..rigid_motion import quaternion
from .alignment import Alignment, align
from .metrics import EvaluatedFrames, coverage_95, nees, plain, sign_accuracy, velocity_errors
from .replay_run import ReplayRun
from .sequence_solver import REPORT_WIDTH
from .series import EstimateSeries


def align_series(recording: Recording, series: EstimateSeries) -> Alignment | None:
    """The recording's gyro against the estimates; None where there is no gyro."""
    if recording.gyro is None:
        return None
    sigma = np.sqrt(np.trace(series.covariance[:, :3, :3], axis1=1, axis2=2) / 3)
    return align(series.stamps_ns, series.twist[:, :3], sigma, series.exposure_s, recording.gyro)


def describe(alignment: Alignment, label: str) -> str:
    """The alignment in one line for people."""
    if not alignment.usable:
        return f"camera against {label}: not aligned: {alignment.problem.value}"
    x, y, z, w = quaternion(alignment.rotation)
    return (
        f"camera against {label}: its time = camera's {alignment.offset_s:+.4f} +- {alignment.offset_sigma_s:.4f} s; "
        f"rotation into the camera's frame (quaternion x y z w) {x:.4f} {y:.4f} {z:.4f} {w:.4f} "
        f"+- {np.degrees(alignment.rotation_sigma_rad):.1f} deg; correlation {alignment.correlation:.3f}"
    )


def reference(recording: Recording, series: EstimateSeries, alignment: Alignment | None) -> Reference | None:
    """What the estimates can be compared with: the truth, else the gyro turned into the camera frame."""
    if recording.truth is not None:
        stamps, truth = recording.truth
        return Reference("true", stamps, truth[:, :3], truth[:, 3:])
    if recording.gyro is None or alignment is None or not alignment.usable:
        return None
    rates = recording.gyro.mean_rates(series.stamps_ns, series.exposure_s, alignment.offset_s)
    return Reference(f"gyro {recording.gyro_label}", series.stamps_ns, rates @ alignment.rotation.T)


def measures(
    recording: Recording,
    run: ReplayRun,
    series: EstimateSeries,
    alignment: Alignment | None,
    fitted_s: float | None,
    network_width: int,
) -> dict[str, Any]:
    """The content of metrics.json."""
    latency = np.array([sum(e.stages_ms.values()) for e in run.answered])
    blur = series.blur_px * REPORT_WIDTH / network_width
    result: dict[str, Any] = {
        "name": recording.name,
        "frames": len(run.estimates),
        "estimates": len(series),
        "skipped": run.skipped,
        "exposure_s": {
            "median": float(np.median(series.exposure_s)),
            "fitted": fitted_s,
            "by_images": run.exposure.ratio,
        },
        "blur_px": dict(zip(("p50", "p95"), np.percentile(blur, [50, 95]).tolist(), strict=True)),
        "sign_probability_p50": float(np.median(series.sign_probability)),
        "latency_ms": dict(zip(("p50", "p99"), np.percentile(latency, [50, 99]).tolist(), strict=True)),
        "alignment": None if alignment is None else _alignment_entry(alignment, recording.gyro_label),
        "against": None,
    }
    known = reference(recording, series, alignment)
    if known is not None:
        result["against"] = {"what": known.label, **_errors(series, known, blur)}
    return plain(result)


def _alignment_entry(alignment: Alignment, label: str) -> dict[str, Any]:
    return {
        "gyro": label,
        "usable": alignment.usable,
        "problem": alignment.problem.value,
        "offset_s": alignment.offset_s,
        "offset_sigma_s": alignment.offset_sigma_s,
        "rotation_gyro_to_camera": alignment.rotation,
        "quaternion_xyzw": quaternion(alignment.rotation) if alignment.usable else None,
        "rotation_sigma_rad": alignment.rotation_sigma_rad,
        "correlation": alignment.correlation,
        "scale": alignment.scale,
    }


def _errors(series: EstimateSeries, known: Reference, blur_px: np.ndarray) -> dict[str, Any]:
    """Errors of the estimates against a reference at the same stamps; its own noise is not known here."""
    n = len(series)
    nothing = np.full(n, np.nan)
    # Stamps go back where the clock was set.
    order = np.argsort(known.stamps_ns, kind="stable")
    place = order[
        np.searchsorted(known.stamps_ns[order], series.stamps_ns).clip(max=len(known.stamps_ns) - 1)
    ]
    truth = np.full((n, 6), np.nan)
    truth[:, :3] = known.angular[place]
    if known.linear is not None:
        truth[:, 3:] = known.linear[place]
    frames = EvaluatedFrames(
        stamps_ns=series.stamps_ns,
        twist=series.twist,
        covariance=series.covariance,
        sign_probability=series.sign_probability,
        truth=truth,
        truth_sigma=np.zeros((n, 6)),
        blur_px=blur_px,
        pixel_rate=nothing,
        inverse_depth_error=nothing,
        exposure_s=series.exposure_s,
        latency_ms=nothing,
    )
    covered = coverage_95(nees(frames, slice(0, 3)), 3)
    return {**velocity_errors(frames), "sign_accuracy": sign_accuracy(frames), "nees_coverage_95_w": covered}
