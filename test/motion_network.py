"""A real ONNX network that reads the motion off the image: six grey blocks carry the six numbers, exactly.

With it a recording of any motion can be made without rendering, and the whole path be tested against the truth.
"""
# ruff: noqa: E402  what uses it needs onnx

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra [test] is not installed")

from onnx import TensorProto, helper, numpy_helper
from onnx_models import METADATA

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.motion_field import grid_points, interaction_matrix

WIDTH, HEIGHT, STRIDE, FOCAL = 160, 112, 8, 125.4
CAMERA = CameraModel(WIDTH, HEIGHT, np.array([[FOCAL, 0, 79.5], [0, FOCAL, 55.5], [0, 0, 1]]))
# Motion over the exposure of one grey level: rad and m.
UNIT = np.array([4e-4] * 3 + [2e-4] * 3)
ROW, COLUMNS = 56, 40 + 12 * np.arange(6)


def inverse_depth() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.3, 1.5, (HEIGHT // STRIDE, WIDTH // STRIDE))


def image_of(motion: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] that carries a motion [6] (rad, m), rounded to UNIT.

    Before stripes, since nothing is believed of a blank image; of a period that averages out where signs are decided.
    """
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    image[:] = np.array([125, 125, 131, 131])[np.arange(HEIGHT) % 4, None, None]
    for column, level in zip(COLUMNS, np.rint(motion / UNIT) + 128, strict=True):
        assert 0 <= level <= 255, "motion too fast for this network"
        image[ROW - 4 : ROW + 5, column - 4 : column + 5] = level
    return image


def write_motion_network(path: Path) -> Path:
    """Write the network: signed flow of the motion in the image, known depth, small sigmas."""
    rows, columns = HEIGHT // STRIDE, WIDTH // STRIDE
    x, y = grid_points(WIDTH, HEIGHT, STRIDE)
    matrix = interaction_matrix(x, y, FOCAL, inverse_depth().ravel()) * UNIT
    grid = (1, 1, rows, columns)
    constants = {
        "row": np.int64([ROW]),
        "columns": np.int64(COLUMNS),
        "zero": np.int64([0]),
        "level": np.float32(128),
        "matrix": matrix.transpose(2, 1, 0).reshape(6, -1).astype(np.float32),
        "shape": np.int64([1, 2, rows, columns]),
        "six": np.int64([1, 6]),
        "inverse_depth_field": inverse_depth().reshape(grid).astype(np.float32),
        "flow_log_sigma_field": np.full(grid, -3, np.float32),
        "inverse_depth_log_sigma_field": np.full(grid, -4, np.float32),
    }
    fields = ("inverse_depth", "flow_log_sigma", "inverse_depth_log_sigma")
    nodes = [
        helper.make_node("Gather", ["image", "row"], ["line"], axis=1),
        helper.make_node("Gather", ["line", "columns"], ["blocks"], axis=2),
        helper.make_node("Gather", ["blocks", "zero"], ["grey"], axis=3),
        helper.make_node("Cast", ["grey"], ["float_grey"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["float_grey", "level"], ["levels"]),
        helper.make_node("Reshape", ["levels", "six"], ["motion"]),
        helper.make_node("MatMul", ["motion", "matrix"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["flow"]),
        *(helper.make_node("Identity", [f"{name}_field"], [name]) for name in fields),
    ]
    outputs = [helper.make_tensor_value_info("flow", TensorProto.FLOAT, [1, 2, rows, columns])]
    outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(grid)) for name in fields]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3])
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "motion", [image], outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    entries = {**METADATA, "focal_px": str(FOCAL), "stride": str(STRIDE), "flow_representation": "signed"}
    helper.set_model_props(model, entries)
    onnx.save_model(model, str(path))
    return path
