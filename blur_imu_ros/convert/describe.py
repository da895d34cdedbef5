"""What an ONNX model costs: parameters, multiply-accumulates, file size and time per image on the CPU."""

import time
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from ..errors import ModelError

THREADS = 2
_RUNS = 20


@dataclass(frozen=True)
class ModelCost:
    """Cost of one image: `parameters` counts the weights of the graph, `gmac` 1e9 multiply-accumulates."""

    name: str
    grid: str
    parameters: int
    gmac: float
    size_mb: float
    latency_ms: float


def measure(path: Path) -> ModelCost:
    """Cost of a model of the contract; latency is the median of 20 runs of ONNX Runtime on 2 threads, after 3 unmeasured."""
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load(str(path)), data_prop=True)
        session = _session(path)
    except Exception as error:  # neither library's errors share another base
        raise ModelError(f"model {path} cannot be read: {str(error).strip().splitlines()[0]}") from error
    shapes = _shapes(model.graph)
    macs = sum(_macs(node, shapes) for node in model.graph.node)
    # Integer tensors are shapes and indices, not weights.
    weights = [item for item in model.graph.initializer if item.data_type != onnx.TensorProto.INT64]
    rows, columns = shapes["flow"][2:]
    return ModelCost(
        path.stem,
        f"{columns}x{rows}",
        sum(prod(item.dims) for item in weights),
        macs / 1e9,
        path.stat().st_size / 1e6,
        _latency_ms(session),
    )


def table(costs: list[ModelCost]) -> str:
    """The costs as a Markdown table."""
    lines = [
        "| Model | Grid | Parameters (M) | GMAC | File (MB) | CPU, 2 threads (ms) |",
        "|---|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {cost.name} | {cost.grid} | {cost.parameters / 1e6:.2f} | {cost.gmac:.1f} | {cost.size_mb:.1f} "
        f"| {cost.latency_ms:.0f} |"
        for cost in costs
    ]
    return "\n".join(lines)


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _latency_ms(session: onnxruntime.InferenceSession) -> float:
    image = np.random.default_rng(0).integers(0, 256, session.get_inputs()[0].shape, dtype=np.uint8)
    times = []
    for _ in range(3 + _RUNS):
        start = time.perf_counter()
        session.run(None, {"image": image})
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times[3:]))


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
