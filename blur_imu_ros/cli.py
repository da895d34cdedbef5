"""The `blur_imu` command: subcommands are imported only when asked for, errors are one line and exit code 2."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from .errors import BlurImuError, file_fault


class Command(NamedTuple):
    """Module with add_arguments(parser) and run(args) -> exit code, and one line of help."""

    module: str
    help: str


COMMANDS = {
    "replay": Command(
        "blur_imu_ros.replay", "run a recording or sequence folder through the estimator; CSV, MCAP, plots"
    ),
    "evaluate": Command(
        "blur_imu_ros.evaluate", "measure the estimates of sequence folders against their true velocities"
    ),
    "benchmark": Command(
        "blur_imu_ros.benchmark.command", "compare accuracy and speed with the alternatives"
    ),
    "convert": Command(
        "blur_imu_ros.convert.command", 'turn the checkpoint of the authors of "Image as an IMU" into a model'
    ),
    "play": Command(
        "blur_imu_ros.play", "publish a recording or sequence folder with /clock, without ros2bag"
    ),
    "demo": Command(
        "blur_imu_ros.demo", "play the shipped recording into the live node and show what it measures"
    ),
    "warm": Command(
        "blur_imu_ros.warm",
        "load, check and run a network once; build its TensorRT engine where that is asked for",
    ),
}

INSTALL = {
    "onnxruntime": "pip install 'blur_imu_ros[cpu]' (or [gpu])",
    "torch": "pip install 'blur_imu_ros[convert]'",
    "safetensors": "pip install 'blur_imu_ros[convert]'",
    "pycolmap": "pip install 'blur_imu_ros[benchmark]'",
    "rclpy": "source a ROS 2 installation, e.g. `. /opt/ros/jazzy/setup.sh`, or use the environment that `make` builds",
    "cv2": "pip install opencv-python-headless",
    "yaml": "pip install PyYAML",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for an error the user can mend, 130 when interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parser(arguments).parse_args(arguments)
        return int(args.run(args))
    except BlurImuError as error:
        return _fail(str(error))
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        if package in ("", "blur_imu_ros"):
            raise
        remedy = INSTALL.get(package, f"pip install --upgrade {package}")
        if not isinstance(error, ModuleNotFoundError):
            return _fail(f"{arguments[0]} cannot load the Python package {package} ({error}): {remedy}")
        return _fail(f"{arguments[0]} needs the Python package {package}: {remedy}")
    except OSError as error:
        return _fail(file_fault(error))
    except KeyboardInterrupt:
        return 130


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="blur_imu",
        description="Camera velocity from single motion-blurred images.",
        epilog="`blur_imu COMMAND --help` explains a command.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.help, description=f"{command.help}.")
        if arguments and arguments[0] == name:
            module = importlib.import_module(command.module)
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    return parser


def _fail(message: str) -> int:
    print(f"blur_imu: error: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
