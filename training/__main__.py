"""`python -m training COMMAND`: from raw assets to an ONNX network, one command a step."""

from __future__ import annotations

import argparse
import copy
import importlib
import math
import sys

from blur_imu_ros.errors import BlurImuError, file_fault

COMMANDS = {
    "assets": "build the asset pack: furniture, surfaces, photographs",
    "keyframes": "render sharp RGB-D key frames of random rooms",
    "samples": "blur key frames into training samples",
    "posed": "blur posed RGB-D recordings (TUM, ScanNet++) into training samples",
    "recorded": "turn a TUM RGB-D recording into a sequence with true velocity, to evaluate on",
    "train": "train, or go on training, the network",
    "live": "train on a GPU with samples made on it meanwhile",
    "stage3": "go on with real sequences that have velocity truth only",
    "calibrate": "fit the covariance calibration on validation sequences",
    "export": "write the ONNX file of the model contract",
    "quantise": "make the eight-bit copy for CPUs",
    "sequences": "render sequences with exact truth: validation, the test split, benchmarks",
    "blurcheck": "compare warped exposures with rendered ones",
    "demo": "render the recording that ships",
    "pictures": "one sheet: input, predicted flow and depth, truth",
    "smoke": "the whole chain on tiny sizes",
}


class HelpWithDefaults(argparse.HelpFormatter):
    """Help that ends, for every option that has a default, with it."""

    def add_argument(self, action: argparse.Action) -> None:
        """One option or argument of the command."""
        values = action.default if isinstance(action.default, (list, tuple)) else [action.default]
        telling = [
            v for v in values if v not in (None, argparse.SUPPRESS, math.inf) and not isinstance(v, bool)
        ]
        said = action.help or ""
        if telling and "default" not in said:
            action = copy.copy(action)
            action.help = f"{said} (default {' '.join(map(str, telling))})".lstrip()
        super().add_argument(action)


def main(argv: list[str] | None = None) -> int:
    """Run one command; only the chosen one is imported."""
    arguments = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((name for name in arguments if name in COMMANDS), None)
    for name, text in COMMANDS.items():
        command = commands.add_parser(
            name, help=text, description=f"{text}.", formatter_class=HelpWithDefaults
        )
        if name == chosen:
            module = importlib.import_module(f"training.{name}")
            module.add_arguments(command)
            command.set_defaults(start=module.run)
    parsed = parser.parse_args(arguments)
    try:
        return parsed.start(parsed)
    except BlurImuError as error:
        print(f"training {parsed.command}: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"training {parsed.command}: error: {file_fault(error)}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
