"""An exported graph made small: constants computed, kept once, and in half precision where that loses nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from training.learn.weights import LARGE


def fold_constants(path: Path) -> onnx.ModelProto:
    """The model with everything computed that does not depend on the image; in place. TensorRT wants no computed paddings."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    model = onnx.load(path)
    # The runtime lists every operator set it knows, used or not.
    used = {node.domain for node in model.graph.node}
    unused = [known for known in model.opset_import if known.domain not in used]
    for known in unused:
        model.opset_import.remove(known)
    return model


def shorten(graph: onnx.GraphProto) -> None:
    """Keep equal constants once, leave shapes to the runtime, and number what no parameter has named: every look repeats them."""
    first: dict[tuple, str] = {}
    names: dict[str, str] = {}
    for constant in list(graph.initializer):
        value = onnx.numpy_helper.to_array(constant)
        key = (value.dtype, value.shape, value.tobytes())
        if key in first:
            graph.initializer.remove(constant)
        names[constant.name] = first.setdefault(
            key, f"c{len(first)}" if constant.name.startswith("/") else constant.name
        )
    for constant in graph.initializer:
        constant.name = names[constant.name]
    outputs = {output.name for output in graph.output}
    for node in graph.node:
        for name in node.output:
            if name not in outputs:
                names[name] = f"v{len(names)}"
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    del graph.value_info[:]


def pack(graph: onnx.GraphProto) -> None:
    """Keep large constants in 16 bits where that changes none of their values: half the file. Runtimes widen them once, as they
    load it."""
    widened = []
    for constant in graph.initializer:
        value = onnx.numpy_helper.to_array(constant)
        if value.dtype == np.float32 and value.size >= LARGE:
            with np.errstate(over="ignore"):
                half = value.astype(np.float16)
            if np.array_equal(half.astype(np.float32), value):
                packed = f"{constant.name}.half"
                widened.append(
                    onnx.helper.make_node("Cast", [packed], [constant.name], to=onnx.TensorProto.FLOAT)
                )
                constant.CopyFrom(onnx.numpy_helper.from_array(half, packed))
    nodes = [*widened, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
