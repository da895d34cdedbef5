"""The measures as Markdown tables and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .baselines import TITLES, Baseline
from .stopwatch import STAGES

Cells = dict[str, Callable[[dict[str, Any]], Any]]

METHOD_COLUMNS: Cells = {
    "Method": lambda s: s["method"],
    "Frames answered": lambda s: _percent(s["answered"]),
    "Angular ratio": lambda s: _number(s["angular_ratio"]),
    "Linear ratio": lambda s: _number(s["linear_ratio"]),
    "Both on the frames it answers": lambda s: (
        f"{_number(s['angular_ratio_answered'])} / {_number(s['linear_ratio_answered'])}"
    ),
    "Ours on these": lambda s: (
        f"{_number(s['reference_angular_ratio_answered'])} / {_number(s['reference_linear_ratio_answered'])}"
    ),
    "RMSE wx, wy, wz [rad/s]": lambda s: _list(s["angular_rmse"]),
    "RMSE vx, vy, vz [m/s]": lambda s: _list(s["linear_rmse"]),
    "Sign right": lambda s: _percent(s["sign_accuracy"]),
    "Inside 50, 90, 95 % (w and v together)": lambda s: _coverage(s["coverage"]["all"]),
    "s per frame": lambda s: _number(s["seconds_per_frame"]),
}
RATIOS = {"Angular velocity": "angular_ratio", "Linear velocity": "linear_ratio"}


def method_table(scores: Iterable[dict[str, Any]]) -> str:
    """One row per method."""
    return markdown(METHOD_COLUMNS.keys(), [[cell(s) for cell in METHOD_COLUMNS.values()] for s in scores])


def failure_list(scores: Iterable[dict[str, Any]]) -> str:
    """One line per method and sequence that it could not answer; empty where there is none."""
    failures = [(s["method"], *item) for s in scores for item in s["failures"].items()]
    return "\n".join(f"- {method} on {sequence}: {reason}" for method, sequence, reason in failures)


def sequence_table(sequences: list[dict[str, Any]], ratio: str) -> str:
    """One row per sequence, one column per method; the best in bold."""
    methods = [s["method"] for s in sequences[0]["methods"]]
    rows = [[q["name"], str(q["frames"]), *_best([s[ratio] for s in q["methods"]])] for q in sequences]
    return markdown(["Sequence", "Frames", *methods], rows)


def blur_table(by_blur: list[list[dict[str, Any]]], ratio: str) -> str:
    """One row per bin of blur, one column per method; the best in bold."""
    methods = [bins[0]["method"] for bins in by_blur]
    rows = []
    for bins in zip(*by_blur, strict=True):
        rows.append([_range(bins[0]["bin_px"]), str(bins[0]["frames"]), *_best([b[ratio] for b in bins])])
    return markdown(["Blur [px]", "Frames", *methods], rows)


def answered_table(baselines: list[list[dict[str, Any]]]) -> str:
    """One row per bin of blur, one column per baseline: its angular ratio on what it answers, ours there, and the share."""
    rows = []
    for bins in zip(*baselines, strict=True):
        rows.append([_range(bins[0]["bin_px"]), *(_answered(b) for b in bins)])
    return markdown(["Blur [px]", *(bins[0]["method"] for bins in baselines)], rows)


def accuracy_tables(result: dict[str, Any]) -> dict[str, str]:
    """All tables of the accuracy benchmark by their title."""
    tables = {"All sequences together": method_table(result["pooled"])}
    for name, ratio in RATIOS.items():
        tables[f"{name} by sequence: error over that of predicting zero"] = sequence_table(
            result["sequences"], ratio
        )
    for name, ratio in RATIOS.items():
        tables[f"{name} by length of blur: error over that of predicting zero"] = blur_table(
            result["by_blur"], ratio
        )
    baselines = [bins for bins in result["by_blur"][1:] if bins[0]["method"] != TITLES[Baseline.ZERO]]
    if baselines:
        title = "Angular velocity on the frames that a method answers: its ratio, ours on the same frames, their share"
        tables[title] = answered_table(baselines)
    return tables


def write_csv(result: dict[str, Any], path: Path) -> None:
    """One row per sequence and method, and per bin of blur and method, with every scalar measure."""
    groups = [(q["name"], s) for q in result["sequences"] for s in q["methods"]]
    groups += [("pooled", s) for s in result["pooled"]]
    groups += [(f"blur {_range(s['bin_px'])} px", s) for bins in result["by_blur"] for s in bins]
    rows = [{"group": name, **_flat(s)} for name, s in groups]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table, its first column to the left and the others to the right."""
    names = list(header)
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            flat |= {f"{prefix}{key}.{i}": item for i, item in enumerate(value)}
        else:
            flat[prefix + key] = value
    return flat


def _best(values: list[float | None]) -> list[str]:
    known = [value for value in values if value is not None]
    return [f"**{_number(v)}**" if known and v == min(known) else _number(v) for v in values]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def _answered(score: dict[str, Any]) -> str:
    theirs, ours = score["angular_ratio_answered"], score["reference_angular_ratio_answered"]
    return f"{_number(theirs)}, {_number(ours)}, {_percent(score['answered'])}"


def _list(values: list[float | None]) -> str:
    return ", ".join(_number(value) for value in values)


def _coverage(shares: dict[str, float | None]) -> str:
    known = [f"{100 * share:.0f}" for share in shares.values() if share is not None]
    return ", ".join(known) + " %" if known else "-"


def _range(bounds: list[float | None]) -> str:
    low, high = bounds
    return f"{low:g}+" if high is None else f"{low:g}-{high:g}"


def provider_table(measured: list[dict[str, Any]]) -> str:
    """One row per quantity, one column per network and provider: median / 99th percentile in ms."""
    quantities: Cells = {
        "image to estimate [ms]": lambda m: _spread(m["image_to_estimate_ms"]),
        "all but the network [ms]": lambda m: _spread(m["all_but_network_ms"]),
        **{f"{stage.replace('_', ' ')} [ms]": _stage(stage) for stage in STAGES},
        "frames per second": lambda m: f"{m['frames_per_second']:.0f}",
        "processor use": lambda m: f"{m['processor_percent']:.0f} %",
        "peak memory [MB]": lambda m: f"{m['peak_memory_mb']:.0f}",
        "published network [ms]": lambda m: _number(m["published_network_ms"]),
        "times faster than it": lambda m: _number(m["speedup_vs_published"]),
        "times faster than it, processor time": lambda m: _number(m["processor_speedup_vs_published"]),
    }
    names = [f"{m['model']}, {m['provider']}, {m['threads'] or 'all'} threads" for m in measured]
    rows = [
        [name, *(cell(m) if "failure" not in m else "-" for m in measured)]
        for name, cell in quantities.items()
    ]
    return markdown(["Median / 99th percentile", *names], rows)


def scaling_table(measured: list[dict[str, Any]]) -> str:
    """One row per image size and number of threads."""
    rows = [
        [
            f"{m['width']}x{m['height']}",
            str(m["threads"] or "all"),
            _spread(m["image_to_estimate_ms"]),
            _spread(m["stages_ms"]["decode"]),
            _spread(m["stages_ms"]["remap"]),
            _spread(m["stages_ms"]["network"]),
        ]
        for m in measured
        if "failure" not in m
    ]
    return markdown(["Image", "Threads", "image to estimate [ms]", "decode", "remap", "network"], rows)


def _stage(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda m: _spread(m["stages_ms"][name])


def _spread(values: dict[str, float] | None) -> str:
    return "-" if values is None else f"{values['p50']:.2f} / {values['p99']:.2f}"
