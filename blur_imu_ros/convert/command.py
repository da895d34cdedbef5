"""`blur_imu convert`: a published checkpoint in, a checked ONNX model with card and manifest entry out."""

import argparse
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import ConfigurationError

STRIDES = (1, 4, 8)
_LICENCE = "not stated; that of the checkpoint, see where it came from"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand; torch is not needed for them."""
    parser.add_argument("checkpoint", nargs="?", type=Path, help="the authors' weights, .pth or .safetensors")
    parser.add_argument("--output", type=Path, help="ONNX file to write, e.g. models/published.onnx")
    parser.add_argument(
        "--stride", type=int, default=4, choices=STRIDES, help="output grid, pixels (default 4)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="random seed of the decoders' starting bases (default 0)"
    )
    parser.add_argument(
        "--opset", type=int, default=17, choices=range(17, 21), help="ONNX operator set (default 17)"
    )
    parser.add_argument("--licence", default=_LICENCE, help="licence of the weights, for the model card")
    parser.add_argument(
        "--describe",
        nargs="*",
        type=Path,
        metavar="MODEL",
        help="convert nothing; tabulate the cost of ONNX models (default: the published network at strides 1, 4, 8)",
    )


def run(args: argparse.Namespace) -> int:
    """Convert or describe; raises BlurImuError, and ModuleNotFoundError without the extra `[convert]`."""
    if args.describe is not None:
        if args.checkpoint or args.output:
            raise ConfigurationError("--describe converts nothing; leave out CHECKPOINT and --output")
        return _describe(args.describe, args.seed)
    if args.checkpoint is None or args.output is None:
        raise ConfigurationError("name the checkpoint and --output NAME.onnx, or use --describe")
    if args.seed < 0:
        raise ConfigurationError(f"--seed {args.seed} is negative; use 0 or more")
    return _convert(args)


def _convert(args: argparse.Namespace) -> int:
    from ..output_files import replace_file
    from .checkpoint import load_checkpoint
    from .export import Agreement, check_onnx, write_onnx
    from .install import InstalledModel, check_output, record
    from .published import HEIGHT, WIDTH

    output = args.output.expanduser()
    check_output(output)
    network = load_checkpoint(args.checkpoint)
    network.freeze_bases(args.seed)
    notes = {
        "training_run": f"published checkpoint {args.checkpoint.name}",
        "checkpoint_sha256": hashlib.sha256(args.checkpoint.read_bytes()).hexdigest(),
        "factorisation_seed": str(args.seed),
        "licence": args.licence,
    }
    agreements: list[Agreement] = []

    def write(draft: Path) -> None:
        write_onnx(network, draft, stride=args.stride, opset=args.opset, notes=notes)
        agreements.append(check_onnx(network, draft))

    replace_file(output, write)
    record(InstalledModel(output, "large", WIDTH, HEIGHT), _card(output.stem, args.stride, notes))
    difference = agreements[0]
    print(
        f"{output}: grid {WIDTH // args.stride}x{HEIGHT // args.stride}, {output.stat().st_size / 1e6:.0f} MB; "
        f"torch and onnxruntime differ by {difference.flow_px:.1g} px of flow, {difference.inverse_depth:.1g} of depth"
    )
    return 0


def _describe(models: list[Path], seed: int) -> int:
    from .describe import table

    with tempfile.TemporaryDirectory() as folder:
        for line in table(models or _published_models(Path(folder), seed)):
            print(line, flush=True)
    return 0


def _published_models(folder: Path, seed: int) -> Iterator[Path]:
    """The published architecture with random weights as ONNX files, one per stride."""
    from .export import write_architecture

    for stride in STRIDES:
        path = folder / f"published, stride {stride}.onnx"
        write_architecture(path, stride=stride, seed=seed)
        yield path


def _card(name: str, stride: int, notes: dict[str, str]) -> str:
    return f"""# {name}

The published flow-and-depth network (Chen & Clark, "Image as an IMU", ICCV 2025), converted by `blur_imu convert`.

- Weights: {notes["training_run"]}, SHA-256 {notes["checkpoint_sha256"]}
- Licence of the weights: {notes["licence"]}
- Input: uint8 RGB 320x224, focal length 250.8 px; output: signed flow and inverse depth at stride {stride}
- Factorisation bases: fixed, seed {notes["factorisation_seed"]} (the published code draws them on every image)
- No error estimates of its own: the defaults of `blur_imu_ros` apply
"""
