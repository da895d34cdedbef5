"""Tiny ONNX networks that obey the model contract (or break it in one chosen way), made without torch."""
# ruff: noqa: E402  what uses them needs onnx

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra [test] is not installed")

from onnx import NodeProto, TensorProto, helper, numpy_helper

METADATA = {
    "focal_px": "250.8",
    "stride": "4",
    "flow_representation": "signed",
    "flow_unit": "canonical_pixels_per_exposure",
    "independent_fraction": "0.01",
    "covariance_scale": "1,1,1,1,1,1",
    "depth_scale_sigma": "0.1",
    "min_blur_px": "0.5",
    "training_run": "made by a test",
    "licence": "Apache-2.0",
}


def write_model(
    path: Path,
    *,
    width: int = 320,
    height: int = 224,
    stride: int = 4,
    flow: np.ndarray | tuple[float, float] = (3.0, -1.0),
    inverse_depth: np.ndarray | float = 0.5,
    flow_log_sigma: np.ndarray | float | None = -1.0,
    inverse_depth_log_sigma: np.ndarray | float | None = -2.0,
    brightness_gain: float = 0.0,
    slow_channels: int = 0,
    metadata: Mapping[str, str | None] | None = None,
    opset: int = 17,
    domain: str | None = None,
    rename: Mapping[str, str] | None = None,
    channels_first: bool = False,
    float_input: bool = False,
    dynamic: bool = False,
    external_data: bool = False,
) -> Path:
    """Write a network that answers every image with the given fields.

    `flow` is [2,h,w] or one vector for all points, in the emitted representation (q for double_angle); the
    other fields are [h,w] or one number, and a sigma that is None is left out of the network.
    `brightness_gain` adds gain * mean(image block) / 255 to both flow components, so that a test can see that
    the image arrived. `slow_channels` adds a convolution of so many channels that takes its time and changes
    nothing. `metadata` overrides entries; None removes one. The remaining arguments break the
    contract: another opset, a custom operator domain, renamed tensors, a channels-first, float or dynamic
    input, weights in a file beside the model.
    """
    rows, columns = height // stride, width // stride
    fields = {
        "flow": _field(flow, 2, rows, columns),
        "flow_log_sigma": _field(flow_log_sigma, 1, rows, columns),
        "inverse_depth": _field(inverse_depth, 1, rows, columns),
        "inverse_depth_log_sigma": _field(inverse_depth_log_sigma, 1, rows, columns),
    }
    names = dict(rename or {})
    image = names.get("image", "image")
    nodes = [
        helper.make_node("Cast", [image], ["float_image"], to=TensorProto.FLOAT),
        helper.make_node(
            "Transpose", ["float_image"], ["planes"], perm=[0, 1, 2, 3] if channels_first else [0, 3, 1, 2]
        ),
        helper.make_node("ReduceMean", ["planes"], ["grey"], axes=[1], keepdims=1),
        helper.make_node(
            "AveragePool", ["slow_grey"], ["blocks"], kernel_shape=[stride] * 2, strides=[stride] * 2
        ),
    ]
    slow_nodes, constants = _slowed("grey", "slow_grey", slow_channels)
    nodes[-1:-1] = slow_nodes
    outputs = []
    for name, values in fields.items():
        if values is None:
            continue
        gain = brightness_gain / 255 if name == "flow" else 0.0
        output = names.get(name, name)
        constants += [numpy_helper.from_array(values, f"{name}_field"), _scalar(gain, f"{name}_gain")]
        nodes.append(helper.make_node("Mul", ["blocks", f"{name}_gain"], [f"{name}_brightness"]))
        nodes.append(helper.make_node("Add", [f"{name}_brightness", f"{name}_field"], [output]))
        outputs.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, list(values.shape)))
    if domain is not None:
        nodes.append(helper.make_node("Mystery", ["blocks"], ["unused"], domain=domain))
    batch: int | str = "batch" if dynamic else 1
    shape = [batch, 3, height, width] if channels_first else [batch, height, width, 3]
    kind = TensorProto.FLOAT if float_input else TensorProto.UINT8
    graph = helper.make_graph(
        nodes, "tiny", [helper.make_tensor_value_info(image, kind, shape)], outputs, constants
    )
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    entries = {**METADATA, "stride": str(stride), **(metadata or {})}
    helper.set_model_props(model, {key: value for key, value in entries.items() if value is not None})
    if external_data:
        onnx.save_model(
            model, str(path), save_as_external_data=True, location=f"{path.name}.data", size_threshold=0
        )
    else:
        onnx.save_model(model, str(path))
    return path


def _field(
    values: np.ndarray | tuple[float, float] | float | None, channels: int, rows: int, columns: int
) -> np.ndarray | None:
    if values is None:
        return None
    array = np.asarray(values, np.float32)
    if array.ndim < 2:
        array = array.reshape(channels, 1, 1)
    return np.ascontiguousarray(np.broadcast_to(array, (1, channels, rows, columns)))


def _slowed(source: str, target: str, channels: int) -> tuple[list[NodeProto], list[TensorProto]]:
    """Nodes that hand a plane on, having convolved so many copies of it meanwhile, and their constants."""
    if channels == 0:
        return [helper.make_node("Identity", [source], [target])], []
    kernel = np.zeros((channels, channels, 15, 15), np.float32)
    nodes = [
        helper.make_node("Concat", [source] * channels, ["copies"], axis=1),
        helper.make_node("Conv", ["copies", "kernel"], ["convolved"], pads=[7] * 4),
        helper.make_node("ReduceMean", ["convolved"], ["nothing"], axes=[1], keepdims=1),
        helper.make_node("Add", [source, "nothing"], [target]),
    ]
    return nodes, [numpy_helper.from_array(kernel, "kernel")]


def _scalar(value: float, name: str) -> TensorProto:
    return numpy_helper.from_array(np.float32(value), name)
