"""Writing the network as an ONNX file of the model contract, and checking the file against the torch network."""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch

from ..errors import ModelError
from ..model.spec import FLOW_UNIT, FlowRepresentation
from ..network import FlowDepthNetwork, Provider
from .grid import GridNetwork, inverse_depth, sample
from .published import FOCAL_PX, HEIGHT, WIDTH, PublishedNetwork

_FLOW_TOLERANCE_PX = 1e-3
_RELATIVE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Agreement:
    """Largest difference between torch and ONNX Runtime: flow in pixels, inverse depth relative."""

    flow_px: float
    inverse_depth: float


def write_onnx(
    network: PublishedNetwork, path: Path, *, stride: int, opset: int = 17, notes: Mapping[str, str]
) -> None:
    """Export a network with frozen bases to one ONNX file with the metadata of the model contract plus `notes`."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.inference_mode(), warnings.catch_warnings():
        # The tracing exporter is deprecated but writes the smaller graph; torch says so on every call.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            GridNetwork(network, stride).eval(),
            (torch.zeros(1, HEIGHT, WIDTH, 3, dtype=torch.uint8),),
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=["image"],
            output_names=["flow", "inverse_depth"],
        )
    model = onnx.load(str(path))
    entries = {
        "focal_px": f"{FOCAL_PX:g}",
        "stride": str(stride),
        "flow_representation": FlowRepresentation.SIGNED.value,
        "flow_unit": FLOW_UNIT,
        **notes,
    }
    onnx.helper.set_model_props(model, entries)
    onnx.save(model, str(path))


def write_architecture(path: Path, *, stride: int = 1, seed: int = 0) -> None:
    """The published architecture with random weights as an ONNX file, as large and as slow as with trained ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PublishedNetwork().eval()
    network.freeze_bases(seed)
    write_onnx(network, path, stride=stride, notes={"training_run": "none: random weights, for timing only"})


def check_onnx(network: PublishedNetwork, path: Path) -> Agreement:
    """Run the file as the node does and compare it with the full-resolution torch network on one image.

    Raises ModelError when they disagree, when the output is not finite, or when the file breaks the contract.
    """
    converted = FlowDepthNetwork(path, provider=Provider.CPU, verify_hash=False)
    image = _test_image()
    prediction = converted.predict(image)
    with torch.inference_mode():
        flow, log_depth = network(torch.from_numpy(image).permute(2, 0, 1)[None].float())
    stride = converted.spec.stride
    expected_flow = sample(flow, stride)[0].numpy()
    expected_inverse = inverse_depth(sample(log_depth, stride))[0, 0].numpy()
    agreement = Agreement(
        float(np.abs(prediction.flow - expected_flow).max()),
        float(np.abs(prediction.inverse_depth / expected_inverse - 1).max()),
    )
    converted.close()
    if not (agreement.flow_px < _FLOW_TOLERANCE_PX and agreement.inverse_depth < _RELATIVE_TOLERANCE):
        raise ModelError(
            f"the exported network differs from the checkpoint by {agreement.flow_px:.2g} px of flow and "
            f"{agreement.inverse_depth:.2g} of inverse depth; nothing was written: try another --opset"
        )
    return agreement


def _test_image() -> np.ndarray:
    """Coarse coloured patches with a gradient, uint8 [H,W,3]: every part of the network has something to see."""
    patches = np.random.default_rng(0).integers(0, 192, (HEIGHT // 16, WIDTH // 16, 3), dtype=np.uint8)
    gradient = np.linspace(0, 63, WIDTH, dtype=np.uint8)[None, :, None]
    return patches.repeat(16, axis=0).repeat(16, axis=1) + gradient
