"""`blur_imu benchmark accuracy` and `blur_imu benchmark speed`."""

from __future__ import annotations

import argparse
import importlib

COMMANDS = {
    "accuracy": "this package and the alternatives on the same frames: tables, plots, report",
    "speed": "time per stage, and against the published architecture on the same machine",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of both; only their own modules are imported, and what a baseline needs when it runs."""
    commands = parser.add_subparsers(dest="benchmark", required=True, metavar="WHAT")
    for name, text in COMMANDS.items():
        module = importlib.import_module(f"{__package__}.{name}")
        command = commands.add_parser(name, help=text, description=f"{text}.")
        module.add_arguments(command)
        command.set_defaults(run_benchmark=module.run)


def run(args: argparse.Namespace) -> int:
    """Run the one that was chosen."""
    return int(args.run_benchmark(args))
