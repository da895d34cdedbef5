"""Plots of estimates beside what is known: rates per axis with their 2-sigma band, speed, blur and sign, and a picture.

matplotlib is imported only when something is drawn, without a display.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from .offline.series import EstimateSeries

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = ("x", "y", "z")
ESTIMATE_COLOUR, REFERENCE_COLOUR = "#d1495b", "#30343f"


@dataclass(frozen=True)
class Reference:
    """Known velocities in the camera optical frame: stamps int64 [m] ns; angular and linear [m, 3], NaN unknown."""

    label: str
    stamps_ns: np.ndarray
    angular: np.ndarray
    linear: np.ndarray | None = None


def draw_velocities(series: EstimateSeries, reference: Reference | None, folder: Path) -> list[Path]:
    """Write angular.png and linear.png into the folder and return their paths."""
    angular = draw_rates(series, reference, slice(0, 3), "angular velocity", "rad/s")
    linear = draw_rates(series, reference, slice(3, 6), "linear velocity", "m/s")
    return [_save(angular, folder / "angular.png"), _save(linear, folder / "linear.png")]


def draw_all(series: EstimateSeries, reference: Reference | None, folder: Path) -> list[Path]:
    """Write angular.png, linear.png and confidence.png into the folder and return their paths."""
    confidence = _save(draw_confidence(series), folder / "confidence.png")
    return [*draw_velocities(series, reference, folder), confidence]


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    return path


def draw_rates(
    series: EstimateSeries, reference: Reference | None, part: slice, title: str, unit: str
) -> Figure:
    """Three axes of a velocity and its length against time, each axis with its 2-sigma band and the reference."""
    figure, rows = _rows(4)
    start = int(series.stamps_ns[0])
    known = None if reference is None else reference.angular if part.start == 0 else reference.linear
    value = series.twist[:, part]
    estimated, true = _with_length(value), [None] * 4 if known is None else _with_length(known)
    sigma = np.sqrt(np.diagonal(series.covariance, axis1=1, axis2=2)[:, part])
    for i, axes in enumerate(rows[:3]):
        axes.fill_between(
            _seconds(series.stamps_ns, start),
            value[:, i] - 2 * sigma[:, i],
            value[:, i] + 2 * sigma[:, i],
            color=ESTIMATE_COLOUR,
            alpha=0.25,
            linewidth=0,
            label="2 sigma",
        )
        axes.set_ylabel(f"{AXES[i]} [{unit}]")
    for axes, column, other in zip(rows, estimated, true, strict=True):
        if reference is not None and other is not None:
            axes.plot(
                _seconds(reference.stamps_ns, start),
                other,
                color=REFERENCE_COLOUR,
                lw=1,
                label=reference.label,
            )
        axes.plot(_seconds(series.stamps_ns, start), column, color=ESTIMATE_COLOUR, lw=1, label="blur_imu")
        _fit_height(axes, column, other)
    rows[0].legend(loc="upper right", ncol=3, fontsize="small")
    rows[0].set_title(f"{title}, camera optical frame")
    rows[3].set_ylim(bottom=0)
    rows[3].set_ylabel(f"length [{unit}]")
    rows[3].set_xlabel("time [s]")
    return figure


def _with_length(vectors: np.ndarray) -> list[np.ndarray]:
    """The three columns of vectors [n, 3], and their length."""
    return [*vectors.T, np.linalg.norm(vectors, axis=1)]


def draw_confidence(series: EstimateSeries) -> Figure:
    """Blur length, probability of the sign, and exposure against time."""
    figure, rows = _rows(3)
    t = _seconds(series.stamps_ns, int(series.stamps_ns[0]))
    for axes, column, label in zip(
        rows,
        (series.blur_px, series.sign_probability, series.exposure_s * 1e3),
        ("blur [px of the network's input]", "probability of the sign", "exposure [ms]"),
        strict=True,
    ):
        axes.plot(t, column, color=ESTIMATE_COLOUR, lw=1)
        axes.set_ylabel(label)
    rows[0].set_title("how much there was to measure, and how sure its direction is")
    rows[1].set_ylim(0.45, 1.02)
    rows[2].set_ylim(bottom=0)
    rows[2].set_xlabel("time [s]")
    return figure


def draw_picture(
    image: np.ndarray,
    flow: np.ndarray,
    inverse_depth: np.ndarray,
    twist: np.ndarray,
    truth: np.ndarray | None = None,
) -> Figure:
    """One blurred frame explained: input, predicted flow, predicted depth, measured velocity.

    image: canonical view uint8 [H, W, 3]; flow [2, h, w] px per exposure, signed; inverse_depth [h, w] 1/m;
    twist and truth [6] rad/s and m/s.
    """
    figure, axes = panels(1, 4, (16, 3.1))
    stride = image.shape[0] / flow.shape[1]
    axes[0].imshow(image)
    axes[0].set_title("one blurred frame")
    axes[1].imshow((image.astype(np.float32) * 0.55).astype(np.uint8))
    step = max(1, flow.shape[2] // 20)
    y, x = np.mgrid[step // 2 : flow.shape[1] : step, step // 2 : flow.shape[2] : step]
    length = np.linalg.norm(flow, axis=0)
    u, v = flow[:, y, x]
    arrows = axes[1].quiver(
        (x + 0.5) * stride,
        (y + 0.5) * stride,
        u,
        v,
        length[y, x],
        angles="xy",
        scale_units="xy",
        scale=0.6,
        cmap="plasma",
    )
    figure.colorbar(arrows, ax=axes[1], label="px per exposure", fraction=0.04)
    axes[1].set_title("predicted flow")
    depth = cv2.resize(
        1 / np.maximum(inverse_depth, 1e-3), image.shape[1::-1], interpolation=cv2.INTER_LINEAR
    )
    shown = axes[2].imshow(
        depth, cmap="viridis_r", vmin=np.percentile(depth, 2), vmax=np.percentile(depth, 98)
    )
    figure.colorbar(shown, ax=axes[2], label="m", fraction=0.04)
    axes[2].set_title("predicted depth")
    for panel in axes[:3]:
        panel.set_xticks([])
        panel.set_yticks([])
    _velocity_bars(axes[3], twist, truth)
    return figure


def _velocity_bars(axes: Axes, twist: np.ndarray, truth: np.ndarray | None) -> None:
    places = np.arange(6)
    axes.bar(places - (0.2 if truth is not None else 0), twist, 0.4, color=ESTIMATE_COLOUR, label="measured")
    if truth is not None:
        axes.bar(places + 0.2, truth, 0.4, color=REFERENCE_COLOUR, label="true")
        axes.legend(fontsize="small")
    axes.set_xticks(places, [rf"${kind}_{axis}$" for kind in (r"\omega", "v") for axis in AXES])
    axes.axhline(0, color="grey", lw=0.5)
    axes.set_title("measured velocity [rad/s, m/s]")


def _rows(count: int) -> tuple[Figure, Any]:
    return panels(count, 1, (11, 1.9 * count), sharex=True)


def panels(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Figure, Any]:
    """A figure of so many inches, drawn without a display, and the axes in it; options: of Figure.subplots."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **options)


def _seconds(stamps_ns: np.ndarray, start_ns: int) -> np.ndarray:
    return (stamps_ns - start_ns) * 1e-9


def _fit_height(axes: Axes, estimate: np.ndarray, known: np.ndarray | None) -> None:
    """Limit the axis to the values: a wide band of an unobserved axis would squeeze everything else."""
    values = estimate if known is None else np.concatenate([estimate, known])
    values = values[np.isfinite(values)]
    if values.size:
        low, high = np.percentile(values, [0.5, 99.5])
        margin = 0.25 * max(high - low, 1e-3)
        axes.set_ylim(low - margin, high + margin)
