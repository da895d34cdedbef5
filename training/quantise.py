"""Eight-bit copy of an exported network for CPUs: most convolutions in int8, first and last layers in float."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from blur_imu_ros.errors import ConfigurationError
from blur_imu_ros.output_files import check_output_file
from training.export import OUTPUTS
from training.learn.batches import Shards
from training.metadata import write_manifest_entry
from training.onnx_graph import fold_constants

# Of the scene the layers up to stride 8: in eight bits they too, depth would differ by 8 % instead of 2 %.
FLOAT_LAYERS = (
    "/energies/",
    "/context/",
    "/stem/",
    "/products/",
    "/mix/",
    "/whole/",
    "/flow_head.2/",
    "/scene/stages.0/",
    "/scene/stages.1/",
    "/scene/stages.2/",
    "/answer/",
)


class SampleReader(CalibrationDataReader):
    """Training images, one by one, in the form the network takes."""

    def __init__(self, images: list[np.ndarray]) -> None:
        self._images: Iterator[np.ndarray] = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image[None]}


def quantise(source: Path, target: Path, images: list[np.ndarray]) -> None:
    """Write the eight-bit network; its metadata is that of the source."""
    with tempfile.TemporaryDirectory() as folder:
        widened, prepared = Path(folder) / "widened.onnx", Path(folder) / "prepared.onnx"
        shutil.copy(source, widened)
        onnx.save(fold_constants(widened), widened)
        quant_pre_process(str(widened), str(prepared), skip_optimization=True, skip_symbolic_shape=True)
        chosen = eight_bit_layers(onnx.load(prepared).graph)
        quantize_static(
            str(prepared), str(target), SampleReader(images), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_quantize=chosen,
            # Ranges are the mean over images: what the most extreme one needs leaves the others few of 256 steps.
            extra_options={"CalibMovingAverage": True},
        )  # fmt: skip
    model, original = onnx.load(target), onnx.load(source)
    onnx.helper.set_model_props(model, {entry.key: entry.value for entry in original.metadata_props})
    onnx.save(model, target)


def eight_bit_layers(graph: onnx.GraphProto) -> list[str]:
    """Names of the convolutions to quantise, and of what cuts off their negative half behind them: left out, that half would
    have to be told apart as well, and be rounded twice."""
    convolutions = {
        node.output[0]: node.name
        for node in graph.node
        if node.op_type == "Conv" and not any(part in node.name for part in FLOAT_LAYERS)
    }
    relus = [
        node.name for node in graph.node if node.op_type in ("Relu", "Clip") and node.input[0] in convolutions
    ]
    return [*convolutions.values(), *relus]


def difference(source: Path, target: Path, images: list[np.ndarray]) -> tuple[float, float]:
    """Mean difference of flow in px, and mean relative difference of inverse depth, over images."""
    sessions = [
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        for path in (source, target)
    ]
    pairs = [[session.run(list(OUTPUTS), {"image": image[None]}) for session in sessions] for image in images]
    flow = np.mean([np.abs(exact[0] - rough[0]).mean() for exact, rough in pairs])
    return float(flow), float(np.mean([np.abs(rough[2] / exact[2] - 1).mean() for exact, rough in pairs]))


def whole_views(shards: Shards, model: Path, count: int) -> list[np.ndarray]:
    """Random images [H,W,3] of the size that the network takes; ends with what to make where there are none."""
    shape = onnx.load(model).graph.input[0].type.tensor_type.shape.dim
    height, width = (dimension.dim_value for dimension in shape[1:3])
    if (height, width) not in shards.sizes():
        raise ConfigurationError(
            f"{', '.join(map(str, shards.folders))}: no images of {width}x{height}, which {model} takes; make them by "
            f"`python -m training samples --size {width} {height}`"
        )
    rng = np.random.default_rng(0)
    return [np.array(shards.pick(rng, (height, width))[0]) for _ in range(count)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training quantise`."""
    parser.add_argument("model", type=Path, help="float ONNX file of `python -m training export`")
    parser.add_argument(
        "--samples", type=Path, nargs="+", required=True, help="folders of shards of whole views"
    )
    parser.add_argument("--images", type=int, default=64, help="how many images set the ranges")
    parser.add_argument("--output", type=Path, required=True, help="the .onnx file in eight bits")
    parser.add_argument(
        "--manifest", choices=("small", "large"), help="also enter the file into the manifest beside it"
    )


def run(arguments: argparse.Namespace) -> int:
    """Quantise, say how far the result differs, and enter it into the manifest."""
    check_output_file(arguments.output)
    if arguments.output.resolve() == arguments.model.resolve():
        raise ConfigurationError(
            f"{arguments.output} is the network itself, which would be lost: give another --output"
        )
    if arguments.images < 1:
        raise ConfigurationError("--images: at least one sets the ranges")
    images = whole_views(Shards(arguments.samples), arguments.model, arguments.images)
    quantise(arguments.model, arguments.output, images)
    flow, depth = difference(arguments.model, arguments.output, images[:16])
    megabytes = arguments.output.stat().st_size / 1e6
    print(
        f"{arguments.output}: {megabytes:.1f} MB, differs by {flow:.3f} px of flow and {depth:.1%} of inverse depth"
    )
    if arguments.manifest:
        height, width = images[0].shape[:2]
        write_manifest_entry(arguments.output, (width, height), arguments.manifest, bits=8)
    return 0
