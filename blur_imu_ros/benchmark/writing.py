"""Where the accuracy benchmark's results go: JSON, CSV, pictures, a section of a document, and a report in one file."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from ..errors import ConfigurationError
from ..output_files import check_output_file, write_json
from .charts import Drawing
from .html import write_html
from .markdown import write_section
from .tables import failure_list, write_csv

TITLE = "Accuracy of blur_imu and the alternatives"
NOTES = (
    "Ratio: error over that of predicting zero, 1.00 is no better than that; an unanswered frame counts as a "
    "prediction of zero. Trajectories get their scale from the truth, ours does not. Sign right: frames with more "
    "than 1 px of blur. Inside: share of the frames within the stated covariance's 50, 90 and 95 % ellipsoid. "
    "Seconds per frame: the baselines' when they were run, reading images included; ours without reading. "
    "Blur: median over the image, in pixels at width 320."
)


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """One option per kind of output."""
    for name, meta, text in (
        ("json", "OUT", "write every figure to this file"),
        ("csv", "OUT", "write one row per group and method to this file"),
        ("html", "OUT", "write a report with tables and plots, in one file to send on"),
        ("markdown", "OUT", "write tables, and plots of --plots, into the accuracy section of this file"),
        ("plots", "FOLDER", "write plots and the worst frames here"),
    ):
        parser.add_argument(f"--{name}", type=Path, metavar=meta, help=text)


def check_outputs(args: argparse.Namespace) -> None:
    """Raise ConfigurationError for an output that could not be written, before anything is measured."""
    for path in (args.json, args.csv, args.html, args.markdown):
        check_output_file(path)
    if args.plots:
        _check_plots(args.plots)


def _check_plots(folder: Path) -> None:
    new = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: plots cannot be written there ({error.strerror}); name another folder"
        ) from error
    if new:
        folder.rmdir()


def write_outputs(
    args: argparse.Namespace, result: dict[str, Any], tables: dict[str, str], drawings: list[Drawing]
) -> None:
    """Write all that was asked for."""
    about = f"Model `{result['model']}`, {result['date']}, {result['machine']['summary']}. {NOTES}"
    if args.json:
        write_json(args.json, result)
    if args.csv:
        write_csv(result, args.csv)
    if args.plots:
        args.plots.mkdir(exist_ok=True)
        for drawing in drawings:
            drawing.figure.savefig(args.plots / drawing.file, dpi=80)
    failures = failure_list(result["pooled"])
    if args.markdown:
        parts = [about, *(f"### {title}\n\n{table}" for title, table in tables.items())]
        if failures:
            parts.append(f"Failures:\n\n{failures}")
        if args.plots:
            folder = Path(os.path.relpath(args.plots, args.markdown.resolve().parent)).as_posix()
            parts += [
                f"{drawing.caption}:\n\n![{drawing.caption}]({folder}/{drawing.file})" for drawing in drawings
            ]
        write_section(args.markdown, "accuracy", "\n\n".join(parts))
    if args.html:
        write_html(args.html, TITLE, about, tables, failures, drawings)
