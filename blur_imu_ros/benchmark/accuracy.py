"""`blur_imu benchmark accuracy SEQUENCE...`: this package and the alternatives on the same frames, in one run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..errors import ConfigurationError
from ..evaluate import add_network_arguments, open_network
from ..evaluation import EvaluationOptions, evaluate_sequence
from ..metrics import EvaluatedFrames
from ..network import FlowDepthNetwork
from ..sequence import Sequence
from .baselines import TITLES, Answers, Baseline, External, answer
from .cache import TrajectoryCache, default_folder
from .charts import accuracy_charts
from .html import write_html
from .machine import describe_machine
from .markdown import write_section
from .scores import MethodFrames, by_blur, score
from .tables import accuracy_tables, write_csv

OURS = "blur_imu"
NOTES = (
    "Ratio: error over that of predicting zero, 1.00 means nothing was learnt; an unanswered frame counts as a "
    "prediction of zero. Trajectories get their scale from the truth, ours does not. Sign right: frames with more "
    "than 1 px of blur. Inside: share of the frames within the stated covariance's 50, 90 and 95 % ellipsoid. "
    "Seconds per frame: the baselines' when they were run, reading images included; ours without reading."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("sequence", nargs="+", type=Path, help="sequence folder with truth.csv")
    add_network_arguments(parser)
    parser.add_argument(
        "--baselines",
        nargs="*",
        choices=[b.value for b in Baseline],
        default=[b.value for b in Baseline],
        help="default: all of them",
    )
    parser.add_argument(
        "--trajectory",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="results of another program in the TUM format; {sequence} in PATH stands for the sequence's name",
    )
    parser.add_argument(
        "--cache", type=Path, default=default_folder(), help="where baselines' results are kept"
    )
    for name, what in (
        ("json", "every figure"),
        ("csv", "one row per group and method"),
        ("html", "a report to send on"),
    ):
        parser.add_argument(f"--{name}", type=Path, metavar="OUT", help=f"write {what} to this file")
    parser.add_argument(
        "--markdown", type=Path, metavar="OUT", help="write the tables into this file's accuracy section"
    )
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="write the plots here as PNG")


def run(args: argparse.Namespace) -> int:
    """Measure, print, write; returns the exit code."""
    for path in (args.json, args.csv, args.html, args.markdown, args.plots):
        if path and not path.resolve().parent.is_dir():
            raise ConfigurationError(f"{path}: its folder does not exist; create it first")
    sequences = [Sequence.load(folder) for folder in args.sequence]
    if len({sequence.name for sequence in sequences}) < len(sequences):
        raise ConfigurationError("two sequences have the same name; rename one of their folders")
    methods: list[Baseline | External] = [Baseline(name) for name in args.baselines]
    methods += [External.parse(text) for text in args.trajectory]
    network = open_network(args)
    entries = [_measure(sequence, network, methods, TrajectoryCache(args.cache)) for sequence in sequences]
    network.close()
    result = report(network.spec.name, [sequence.name for sequence in sequences], entries)
    tables = accuracy_tables(result)
    print("\n\n".join(f"{title}\n\n{table}" for title, table in tables.items()))
    _write(args, result, tables, entries)
    return 0


def report(model: str, names: list[str], entries: list[list[MethodFrames]]) -> dict[str, Any]:
    """The JSON document from the methods' frames [sequence][method], ours first."""
    sequences = [
        {
            "name": name,
            "frames": len(methods[0].frames),
            "exposure_s": float(np.median(methods[0].frames.exposure_s)),
            "methods": [score(method, methods[0].frames) for method in methods],
        }
        for name, methods in zip(names, entries, strict=True)
    ]
    pooled = [MethodFrames.pool(list(parts)) for parts in zip(*entries, strict=True)]
    return {
        "model": model,
        "date": date.today().isoformat(),
        "machine": describe_machine(),
        "sequences": sequences,
        "pooled": [score(method, pooled[0].frames) for method in pooled],
        "by_blur": [by_blur(method, pooled[0].frames) for method in pooled],
    }


def _measure(
    sequence: Sequence, network: FlowDepthNetwork, methods: list[Baseline | External], cache: TrajectoryCache
) -> list[MethodFrames]:
    """Ours and every alternative on the frames that `blur_imu evaluate --fit-exposure` reports."""

    def progress(what: str) -> Any:
        def show(frames: Iterable[int]) -> Iterable[int]:
            return tqdm(
                frames,
                desc=f"{sequence.name}: {what}",
                unit="frame",
                leave=False,
                disable=not sys.stderr.isatty(),
            )

        return show

    frames = evaluate_sequence(sequence, network, EvaluationOptions(fit_exposure=True), progress(OURS)).frames
    entries = [MethodFrames(OURS, frames, float(np.mean(frames.latency_ms)) / 1e3, {})]
    reported = np.searchsorted(sequence.stamps_ns, frames.stamps_ns)
    for method in methods:
        title = method.name if isinstance(method, External) else TITLES[method]
        print(f"{sequence.name}: {title}", file=sys.stderr)
        entries.append(
            _beside(frames, title, sequence, answer(sequence, method, cache, progress(title)), reported)
        )
    return entries


def _beside(
    frames: EvaluatedFrames, title: str, sequence: Sequence, answers: Answers, reported: np.ndarray
) -> MethodFrames:
    """A method's answers in the place of ours."""
    if answers.failure:
        print(f"{sequence.name}: {title} failed: {answers.failure}", file=sys.stderr)
    unknown = np.full_like(frames.covariance, np.nan)
    theirs = replace(frames, twist=answers.twist[reported], covariance=unknown)
    failures = {sequence.name: answers.failure} if answers.failure else {}
    return MethodFrames(title, theirs, answers.seconds / len(sequence.frames), failures)


def _write(
    args: argparse.Namespace,
    result: dict[str, Any],
    tables: dict[str, str],
    entries: list[list[MethodFrames]],
) -> None:
    if args.json:
        args.json.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if args.csv:
        write_csv(result, args.csv)
    text = "\n\n".join(f"### {title}\n\n{table}" for title, table in tables.items())
    about = f"Model `{result['model']}`, {result['date']}, {result['machine']['summary']}."
    if args.markdown:
        write_section(args.markdown, "accuracy", f"{about} {NOTES}\n\n{text}")
    if args.plots or args.html:
        charts = accuracy_charts([sequence["name"] for sequence in result["sequences"]], entries)
        if args.plots:
            args.plots.mkdir(exist_ok=True)
            for name, figure in charts.items():
                figure.savefig(args.plots / f"{name}.png", dpi=90)
        if args.html:
            write_html(
                args.html, "Accuracy of blur_imu and the alternatives", f"{about} {NOTES}", tables, charts
            )
