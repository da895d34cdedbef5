"""`blur_imu benchmark accuracy SEQUENCE...`: this package and the alternatives on the same frames, in one run."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..command_arguments import add_network_arguments, open_network
from ..errors import ConfigurationError
from ..network import FlowDepthNetwork
from ..offline.evaluation import EvaluationOptions, check, evaluate_sequence
from ..offline.metrics import EvaluatedFrames
from ..offline.progress import frame_bar
from ..options import EstimatorOptions
from ..sequence import Sequence
from .baselines import TITLES, Answers, Baseline, External, answer
from .cache import TrajectoryCache, default_folder
from .charts import Drawing, accuracy_charts
from .failures import worst_frames
from .machine import describe_machine
from .scores import MethodFrames, by_blur, score
from .tables import accuracy_tables
from .writing import add_output_arguments, check_outputs, write_outputs

OURS, ONE_IMAGE = "blur_imu", "blur_imu, one image"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("sequence", nargs="+", type=Path, help="sequence folder with truth.csv")
    add_network_arguments(parser)
    parser.add_argument(
        "--baselines",
        nargs="*",
        choices=[b.value for b in Baseline],
        help="default: all of them, COLMAP where pycolmap is installed",
    )
    parser.add_argument(
        "--trajectory",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="results of another program in the TUM format; {sequence} in PATH stands for the sequence's name",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=default_folder(),
        help="where baselines' results are kept (default ~/.cache/blur_imu_ros/benchmark)",
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, write, print; returns the exit code."""
    check_outputs(args)
    sequences = [Sequence.load(folder) for folder in args.sequence]
    if len({sequence.name for sequence in sequences}) < len(sequences):
        raise ConfigurationError("two sequences have the same name; rename one of their folders")
    methods: list[Baseline | External] = [*_baselines(args.baselines)]
    methods += [External.parse(text) for text in args.trajectory]
    for sequence in sequences:
        check(sequence, EvaluationOptions(fit_exposure=True))
    network = open_network(args)
    entries = [_measure(sequence, network, methods, TrajectoryCache(args.cache)) for sequence in sequences]
    result = report(network.spec.name, [sequence.name for sequence in sequences], entries)
    drawings: list[Drawing] = []
    if args.plots or args.html:
        drawings = accuracy_charts([sequence.name for sequence in sequences], entries)
        drawings += worst_frames(sequences, network, [methods[0].frames for methods in entries])
    network.close()
    tables = accuracy_tables(result)
    write_outputs(args, result, tables, drawings)
    print("\n\n".join(f"{title}\n\n{table}" for title, table in tables.items()))
    return 0


def _baselines(names: list[str] | None) -> list[Baseline]:
    """Those named, or all that can be run."""
    if names is not None:
        return [Baseline(name) for name in names]
    chosen = list(Baseline)
    if find_spec("pycolmap") is None:
        print("COLMAP needs pycolmap, which the extra [benchmark] installs: left out", file=sys.stderr)
        chosen.remove(Baseline.COLMAP)
    return chosen


def report(model: str, names: list[str], entries: list[list[MethodFrames]]) -> dict[str, Any]:
    """The JSON document from the methods' frames [sequence][method], ours first."""
    sequences = [
        {
            "name": name,
            "frames": len(methods[0].frames),
            "exposure_s": float(np.median(methods[0].frames.exposure_s)),
            "exposure_s_fitted": methods[0].exposure_s_fitted,
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
    entries = [
        _ours(sequence, network, title, EstimatorOptions(between_frames=title == OURS))
        for title in (OURS, ONE_IMAGE)
    ]
    frames = entries[0].frames
    reported = np.searchsorted(sequence.stamps_ns, frames.stamps_ns)
    for method in methods:
        title = method.name if isinstance(method, External) else TITLES[method]
        print(f"{sequence.name}: {title}", file=sys.stderr)
        answers = answer(sequence, method, cache, frame_bar(f"{sequence.name}: {title}"))
        entries.append(_beside(frames, title, sequence, answers, reported))
    return entries


def _ours(
    sequence: Sequence, network: FlowDepthNetwork, title: str, options: EstimatorOptions
) -> MethodFrames:
    evaluation = evaluate_sequence(
        sequence,
        network,
        EvaluationOptions(fit_exposure=True, estimator=options),
        frame_bar(f"{sequence.name}: {title}"),
    )
    if evaluation.note:
        print(f"{sequence.name}: {evaluation.note}", file=sys.stderr)
    seconds = float(np.mean(evaluation.frames.latency_ms)) / 1e3
    return MethodFrames(title, evaluation.frames, seconds, {}, evaluation.exposure_s_fitted)


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
