"""Plots of the accuracy benchmark: velocities against time, error against blur, and whether the covariance is true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..plots import AXES, ESTIMATE_COLOUR, REFERENCE_COLOUR, panels
from .reliability import PARTS, inside_probability
from .scores import BIN_EDGES_PX, MethodFrames

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PARTS = (("angular velocity", "rad/s", slice(0, 3)), ("linear velocity", "m/s", slice(3, 6)))
_OTHERS = ("#00798c", "#edae49", "#66a182", "#8d6a9f", "#5c6672")


class Drawing(NamedTuple):
    """A figure, the name of its file, and what it shows."""

    file: str
    caption: str
    figure: Figure


def accuracy_charts(names: list[str], entries: list[list[MethodFrames]]) -> list[Drawing]:
    """All plots, from the methods' frames [sequence][method], ours first."""
    pooled = [MethodFrames.pool(list(parts)) for parts in zip(*entries, strict=True)]
    charts = [
        Drawing("error_against_blur.png", "Error against the length of the blur", error_against_blur(pooled)),
        Drawing(
            "reliability.png", "Share of frames inside the stated covariance", reliability(names, entries)
        ),
    ]
    for name, methods in zip(names, entries, strict=True):
        charts.append(Drawing(f"series_{name}.png", f"Velocities of {name}", series(name, methods)))
    return charts


def series(name: str, methods: list[MethodFrames]) -> Figure:
    """The six velocities of one sequence: truth, ours with its 2-sigma band, and the others."""
    figure, axes = panels(3, 2, (13, 6.5), sharex=True)
    frames = methods[0].frames
    seconds = (frames.stamps_ns - frames.stamps_ns[0]) * 1e-9
    # A line across frames that were not reported would show what nobody measured.
    gaps = (
        np.flatnonzero(np.diff(seconds) > 3 * np.median(np.diff(seconds))) + 1
        if len(seconds) > 1
        else np.zeros(0, int)
    )
    for column, (title, unit, part) in enumerate(_PARTS):
        for row in range(3):
            axis, panel = part.start + row, axes[row][column]
            sigma = np.sqrt(frames.covariance[:, axis, axis])
            low, high = frames.twist[:, axis] - 2 * sigma, frames.twist[:, axis] + 2 * sigma
            panel.fill_between(
                _split(seconds, gaps),
                _split(low, gaps),
                _split(high, gaps),
                color=ESTIMATE_COLOUR,
                alpha=0.2,
                lw=0,
            )
            panel.plot(
                _split(seconds, gaps),
                _split(frames.truth[:, axis], gaps),
                color=REFERENCE_COLOUR,
                lw=1.4,
                label="truth",
            )
            for colour, method in reversed([*zip(_colours(len(methods)), methods, strict=True)]):
                if np.any(np.nan_to_num(method.frames.twist)):
                    values = _split(method.frames.twist[:, axis], gaps)
                    panel.plot(
                        _split(seconds, gaps),
                        values,
                        color=colour,
                        lw=1,
                        marker=".",
                        ms=3,
                        label=method.method,
                    )
            reach = 1.6 * np.nanmax(np.abs([frames.truth[:, axis], np.full(len(seconds), 0.05)]))
            panel.set_ylim(-reach, reach)
            panel.set_ylabel(f"{AXES[row]} [{unit}]")
        axes[0][column].set_title(f"{name}: {title}")
        axes[2][column].set_xlabel("time [s]")
    axes[0][0].legend(loc="upper right", fontsize="x-small", ncol=2)
    return figure


def error_against_blur(methods: list[MethodFrames]) -> Figure:
    """Ours frame by frame, and each method's root mean square per bin of blur, unanswered frames counted as zero."""
    figure, axes = panels(1, 2, (12, 4.2))
    for panel, (title, unit, part) in zip(axes, _PARTS, strict=True):
        ours = methods[0].frames
        panel.plot(ours.blur_px, _length(methods[0], part), ".", color=ESTIMATE_COLOUR, alpha=0.35, ms=4)
        for colour, method in zip(_colours(len(methods)), methods, strict=True):
            error, blur = _length(method, part), method.frames.blur_px
            inside = np.digitize(blur, BIN_EDGES_PX) - 1
            bins = [b for b in range(len(BIN_EDGES_PX) - 1) if np.isfinite(error[inside == b]).any()]
            middle = [np.median(blur[inside == b]) for b in bins]
            panel.plot(
                middle, [_rms(error[inside == b]) for b in bins], "o-", color=colour, label=method.method
            )
        panel.set(
            xlabel="true blur [px at width 320]",
            ylabel=f"error [{unit}]",
            title=title,
            xscale="symlog",
            yscale="log",
        )
    axes[0].legend(fontsize="x-small")
    return figure


def reliability(names: list[str], entries: list[list[MethodFrames]]) -> Figure:
    """Share of the frames inside the ellipsoid of each stated probability; a true covariance follows the diagonal."""
    figure, axes = panels(1, len(PARTS), (13, 4.4))
    for panel, part in zip(axes, PARTS, strict=True):
        panel.plot([0, 1], [0, 1], color="grey", lw=0.8, ls="--")
        for i, (name, methods) in enumerate(zip(names, entries, strict=True)):
            inside = np.sort(inside_probability(methods[0].frames, part))
            share = np.arange(1, len(inside) + 1) / max(len(inside), 1)
            panel.step(inside, share, where="post", lw=1.2, label=name, color=f"C{i}")
        panel.set(
            xlabel="stated probability",
            title={"all": "(w, v)", "w": "w", "v": "v"}[part],
            xlim=(0, 1),
            ylim=(0, 1),
        )
    axes[0].set_ylabel("share of frames inside")
    axes[-1].legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _length(method: MethodFrames, part: slice) -> np.ndarray:
    return np.linalg.norm(np.nan_to_num(method.frames.twist[:, part]) - method.frames.truth[:, part], axis=1)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean(values**2)))


def _split(values: np.ndarray, gaps: Any) -> np.ndarray:
    return np.insert(values, gaps, np.nan)


def _colours(count: int) -> list[str]:
    return [ESTIMATE_COLOUR, *(_OTHERS[i % len(_OTHERS)] for i in range(count - 1))]
