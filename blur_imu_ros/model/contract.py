"""What an ONNX file must be to run as the network: the model contract (docs/models.md), and what to mend where it is not kept."""

from pathlib import Path
from typing import Any

import onnxruntime

from ..errors import ModelError
from .onnx_file import OnnxFile
from .spec import REMEDY, ModelSpec, make_spec

MIN_OPSET = 11
MAX_SIDE_PX = 4096
# Outputs, with the channels of each.
CHANNELS = {"flow": 2, "flow_log_sigma": 1, "inverse_depth": 1, "inverse_depth_log_sigma": 1}
_REQUIRED = ("flow", "inverse_depth")


def check_file(file: OnnxFile) -> None:
    """Raise ModelError for a file that could run what is not of the ONNX standard, or whose weights lie elsewhere."""
    foreign = sorted(set(file.opsets) - {"", "ai.onnx"})
    if foreign or file.functions:
        raise ModelError(
            f"operators outside the ONNX standard ({', '.join(foreign) or 'own functions'}) are refused; {REMEDY}"
        )
    opset = max(file.opsets.values())
    if opset < MIN_OPSET:
        raise ModelError(f"operator set {opset} is older than {MIN_OPSET}; {REMEDY}")
    if file.external_data:
        raise ModelError(
            f"its weights lie in another file, which no hash covers; save it as one file: {REMEDY}"
        )


def read_spec(session: onnxruntime.InferenceSession, path: Path, sha256: str, notes: list[str]) -> ModelSpec:
    """What a loaded network says of itself. Raises ModelError where its inputs or outputs are not those of the contract."""
    inputs, outputs = session.get_inputs(), {output.name: output for output in session.get_outputs()}
    if [tensor.name for tensor in inputs] != ["image"]:
        raise ModelError(f"inputs are {[tensor.name for tensor in inputs]} instead of ['image']; {REMEDY}")
    shape, kind = inputs[0].shape, inputs[0].type
    if kind != "tensor(uint8)" or not _is_fixed(shape) or (shape[0], shape[3]) != (1, 3):
        raise ModelError(
            f"input 'image' is {kind} {shape} instead of tensor(uint8) [1, H, W, 3] of fixed size; {REMEDY}"
        )
    missing = [name for name in _REQUIRED if name not in outputs]
    unknown = sorted(set(outputs) - set(CHANNELS))
    if missing or unknown:
        raise ModelError(f"outputs are {sorted(outputs)}: missing {missing}, unknown {unknown}; {REMEDY}")
    grid = outputs["flow"].shape[-2:]
    for name, tensor in outputs.items():
        wanted = [1, CHANNELS[name], *grid]
        if tensor.type != "tensor(float)" or not _is_fixed(tensor.shape) or tensor.shape != wanted:
            raise ModelError(
                f"output '{name}' is {tensor.type} {tensor.shape} instead of "
                f"tensor(float) [1, {CHANNELS[name]}, H/s, W/s] of fixed size; {REMEDY}"
            )
    entries = session.get_modelmeta().custom_metadata_map
    size = (shape[2], shape[1])
    return make_spec(path, sha256, size, (grid[1], grid[0]), set(outputs), entries, notes)


def _is_fixed(shape: list[Any]) -> bool:
    return len(shape) == 4 and all(isinstance(side, int) and 0 < side <= MAX_SIDE_PX for side in shape)
