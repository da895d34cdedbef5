"""Arguments that several commands share: the network and what is known of a camera's motion."""

from __future__ import annotations

import argparse
import sys

from .direction import DirectionOptions
from .network import FlowDepthNetwork, Provider
from .options import EstimatorOptions
from .solve.prior import PerAxis
from .velocity import SolverOptions


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that choose and run the network, shared by all commands that load one."""
    parser.add_argument(
        "--model", default="auto", help="small, large, a name, or the path of an ONNX file (default auto)"
    )
    parser.add_argument(
        "--provider", choices=[p.value for p in Provider], default="auto", help="default auto"
    )
    parser.add_argument(
        "--threads", type=int, default=0, help="CPU threads of the network (default 0: its runtime chooses)"
    )


def add_estimator_arguments(parser: argparse.ArgumentParser) -> None:
    """What is known of a camera's motion, and whether to look between frames: the node's parameters of the same names."""
    for name, unit, axis in (
        ("prior_angular_rad_s", "RAD_S", "angular"),
        ("prior_linear_m_s", "M_S", "linear"),
    ):
        default = getattr(SolverOptions, name)
        text = f"usual {axis} speed, sigma of the prior: one for all axes or X,Y,Z (default {default:g}; inf: no prior)"
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=_per_axis, default=default, metavar=unit, help=text)
    parser.add_argument(
        "--lever-arm-m",
        type=float,
        nargs=3,
        default=SolverOptions.lever_arm_m,
        metavar=("X", "Y", "Z"),
        help="where the camera is, seen from the point that it turns about, in its optical frame (default 0 0 0)",
    )
    parser.add_argument(
        "--stamp-sigma-s",
        type=float,
        default=DirectionOptions.stamp_sigma_s,
        metavar="S",
        help="standard deviation of a stamp's error (default 0)",
    )
    parser.add_argument(
        "--no-between-frames",
        dest="between_frames",
        action="store_false",
        help="estimate from the blur of one image alone, its neighbour telling the sign, as in the paper",
    )


def _per_axis(text: str) -> PerAxis:
    """One number, or three with commas between them. Raises ArgumentTypeError for anything else."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3):
        raise argparse.ArgumentTypeError(f"'{text}' is neither one number nor three with commas between them")
    return (numbers[0], numbers[1], numbers[2]) if len(numbers) == 3 else numbers[0]


def chosen_estimator(args: argparse.Namespace) -> EstimatorOptions:
    """What `add_estimator_arguments` asked for. Raises ConfigurationError for priors that are none."""
    solver = SolverOptions(
        prior_angular_rad_s=args.prior_angular_rad_s,
        prior_linear_m_s=args.prior_linear_m_s,
        lever_arm_m=tuple(args.lever_arm_m),
    )
    direction = DirectionOptions(stamp_sigma_s=args.stamp_sigma_s)
    return EstimatorOptions(solver=solver, direction=direction, between_frames=args.between_frames)


def open_network(args: argparse.Namespace) -> FlowDepthNetwork:
    """The network that `add_network_arguments` chose; says on stderr what it runs on and which defaults apply."""
    network = FlowDepthNetwork(args.model, provider=Provider(args.provider), threads=args.threads)
    for line in (f"model {network.spec.name}: {network.provider_message}", *network.spec.notes):
        print(line, file=sys.stderr)
    return network
