"""`blur_imu evaluate SEQUENCE...`: the errors of the estimates against the truth, as a table and as JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .command_arguments import (
    add_estimator_arguments,
    add_network_arguments,
    chosen_estimator,
    open_network,
)
from .errors import ConfigurationError
from .offline.evaluation import (
    Direction,
    EvaluationOptions,
    SequenceEvaluation,
    Solver,
    check,
    evaluate_sequence,
)
from .offline.metrics import EvaluatedFrames, summary
from .offline.progress import frame_bar
from .output_files import check_output_file, write_json
from .sequence import Sequence as SequenceFolder
from .velocity import SolverOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("sequence", nargs="+", type=Path, help="sequence folder with truth.csv")
    add_network_arguments(parser)
    parser.add_argument(
        "--direction",
        choices=[d.value for d in Direction],
        default=Direction.PHOTOMETRIC.value,
        help="where the sign comes from (default photometric; oracle: from the truth)",
    )
    parser.add_argument(
        "--use-next-frame",
        action="store_true",
        help="estimate every frame with the next one too, as the node does with use_next_frame",
    )
    parser.add_argument(
        "--fit-exposure",
        action="store_true",
        help="where exposure is unknown, fit one on the even blocks of 30 frames and report the odd blocks",
    )
    parser.add_argument(
        "--solver",
        choices=[s.value for s in Solver],
        default=Solver.DEFAULT.value,
        help="default, or published: plain least squares of the published code (signed flow only)",
    )
    add_estimator_arguments(parser)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every figure to this file")


def run(args: argparse.Namespace) -> int:
    """Evaluate, write, print; returns the exit code."""
    check_output_file(args.json)
    sequences = [SequenceFolder.load(folder) for folder in args.sequence]
    as_the_node = args.direction == Direction.PHOTOMETRIC.value and args.solver == Solver.DEFAULT.value
    if args.use_next_frame and not as_the_node:
        raise ConfigurationError(
            "--use-next-frame decides the photometric sign of the default solver: leave it out, or --direction and --solver"
        )
    estimator = replace(chosen_estimator(args), use_next_frame=args.use_next_frame)
    if estimator.solver != SolverOptions() and args.solver != Solver.DEFAULT.value:
        raise ConfigurationError(
            f"--solver {args.solver} has no prior: leave --prior-... and --lever-arm-m out, or --solver"
        )
    options = EvaluationOptions(Direction(args.direction), Solver(args.solver), args.fit_exposure, estimator)
    for sequence in sequences:
        check(sequence, options)
    network = open_network(args)
    evaluations = []
    for sequence in sequences:
        evaluation = evaluate_sequence(sequence, network, options, frame_bar(sequence.name))
        evaluations.append(evaluation)
        if evaluation.note:
            print(f"{sequence.name}: {evaluation.note}", file=sys.stderr)
    network.close()
    result = report(network.spec.name, evaluations, options)
    if args.json:
        write_json(args.json, result)
    print(table(result))
    return 0


def report(
    model: str, evaluations: Sequence[SequenceEvaluation], options: EvaluationOptions
) -> dict[str, Any]:
    """The JSON document: every measure per sequence, and pooled over all frames."""
    sequences = [
        {"name": e.name, **summary(e.frames), "exposure_s_fitted": e.exposure_s_fitted} for e in evaluations
    ]
    pooled = summary(EvaluatedFrames.concatenate([e.frames for e in evaluations]))
    return {
        "model": model,
        "direction": options.direction.value,
        "solver": options.solver.value,
        "between_frames": options.as_the_node and options.estimator.between_frames,
        "sequences": sequences,
        "pooled": pooled,
    }


COLUMNS = (
    ("frames", lambda s: s["frames"], "{:d}"),
    ("|w| ratio", lambda s: s["angular_ratio"], "{:.3f}"),
    ("|v| ratio", lambda s: s["linear_ratio"], "{:.3f}"),
    ("w rmse [rad/s]", lambda s: s["angular_rmse"], "{:.2f}"),
    ("zero", lambda s: s["angular_zero_rmse"], "{:.2f}"),
    ("v rmse [m/s]", lambda s: s["linear_rmse"], "{:.2f}"),
    ("zero", lambda s: s["linear_zero_rmse"], "{:.2f}"),
    ("med |w|", lambda s: s["angular_median_error"], "{:.3f}"),
    ("sign", lambda s: s["sign_accuracy"], "{:.3f}"),
    ("cover w", lambda s: s["nees_coverage_95"]["w"], "{:.2f}"),
    ("all", lambda s: s["nees_coverage_95"]["all"], "{:.2f}"),
    ("depth", lambda s: s["inverse_depth_abs_rel"], "{:.2f}"),
    ("exposure [ms]", lambda s: s.get("exposure_s_fitted") and s["exposure_s_fitted"] * 1e3, "{:.2f}"),
    ("ms p50", lambda s: s["latency_ms"]["p50"], "{:.1f}"),
)


def table(result: dict[str, Any]) -> str:
    """The document as an aligned table, one row per sequence and one for all of them together."""
    rows = [(s["name"], s) for s in result["sequences"]]
    if len(rows) > 1:
        rows.append(("pooled", result["pooled"]))
    lines = [["sequence", *(name for name, _, _ in COLUMNS)]]
    lines += [[name, *(_cell(value(s), form) for _, value, form in COLUMNS)] for name, s in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)


def _cell(value: Any, form: str) -> str:
    if isinstance(value, list):
        return " ".join(_cell(item, form) for item in value)
    return "-" if value is None else form.format(value)
