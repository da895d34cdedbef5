"""What an ONNX model costs: parameters, multiply-accumulates, file size and time per image on the CPU."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from ..errors import ModelError, first_line

THREADS = 2
_RUNS = 10


@dataclass(frozen=True)
class ModelCost:
    """Cost of one image: `parameters` counts the weights in the graph, `macs` the multiply-accumulates."""

    name: str
    grid: str
    parameters: int
    macs: int
    size_bytes: int


def count(path: Path) -> ModelCost:
    """Cost of a model of the contract, read from its graph. Raises ModelError for a file that is no ONNX model."""
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load(str(path)), data_prop=True)
    except Exception as error:  # a file that is not there, no protocol buffer, or no valid graph
        raise ModelError(f"model {path} cannot be read: {first_line(error)}; name an ONNX model") from error
    shapes = _shapes(model.graph)
    if len(shapes.get("flow", ())) != 4:
        raise ModelError(f"model {path} has no output flow [1,2,h,w]; name a model of this package")
    # Integer tensors are shapes and indices, not weights.
    weights = [item for item in model.graph.initializer if item.data_type != onnx.TensorProto.INT64]
    rows, columns = shapes["flow"][2:]
    return ModelCost(
        path.stem,
        f"{columns}x{rows}",
        sum(prod(item.dims) for item in weights),
        sum(_macs(node, shapes) for node in model.graph.node),
        path.stat().st_size,
    )


def latency_ms(path: Path) -> float:
    """Median time of ONNX Runtime for one image on 2 threads, over 10 runs after 2 unmeasured ones."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).integers(0, 256, session.get_inputs()[0].shape, dtype=np.uint8)
    times = []
    for _ in range(2 + _RUNS):
        start = time.perf_counter()
        session.run(None, {"image": image})
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times[2:]))


def table(paths: Iterable[Path]) -> Iterator[str]:
    """The costs of models as the lines of a Markdown table, each as soon as it is measured."""
    yield f"| Model | Grid | Parameters (M) | GMAC | File (MB) | CPU, {THREADS} threads (ms) |"
    yield "|---|---|---:|---:|---:|---:|"
    for path in paths:
        cost = count(path)
        yield (
            f"| {cost.name} | {cost.grid} | {cost.parameters / 1e6:.2f} | {cost.macs / 1e9:.1f} "
            f"| {cost.size_bytes / 1e6:.1f} | {latency_ms(path):.1f} |"
        )


def _shapes(graph: onnx.GraphProto) -> dict[str, list[int]]:
    values = [*graph.value_info, *graph.input, *graph.output]
    shapes = {value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in values}
    return shapes | {item.name: list(item.dims) for item in graph.initializer}


def _macs(node: onnx.NodeProto, shapes: dict[str, list[int]]) -> int:
    """Multiply-accumulates of a node's products; everything else is small beside them."""
    if node.op_type == "Conv":
        return prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
    if node.op_type in ("MatMul", "Gemm"):
        return prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    return 0
