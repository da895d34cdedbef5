"""From a checkpoint to the model contract: one ONNX file with its metadata, checked against the network it came from."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from blur_imu_ros.errors import ConfigurationError
from blur_imu_ros.output_files import check_output_file
from training import canonical
from training.learn.weights import load_network, round_weights, write_weights
from training.metadata import UNCALIBRATED, contract_metadata, read_calibration, write_manifest_entry
from training.network import FlowDepthNetwork
from training.onnx_graph import fold_constants, pack, shorten

OUTPUTS = ("flow", "flow_log_sigma", "inverse_depth", "inverse_depth_log_sigma")
OPSET = 17
MAX_FLOW_DIFFERENCE_PX, MAX_DEPTH_DIFFERENCE = 1e-3, 1e-3


class ContractNetwork(nn.Module):
    """The network behind the contract's input: uint8 [1,H,W,3] RGB."""

    def __init__(self, network: FlowDepthNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.network(image.permute(0, 3, 1, 2).float())[: len(OUTPUTS)]


def export_onnx(
    network: FlowDepthNetwork, path: Path, size: tuple[int, int], entries: dict[str, str]
) -> None:
    """Write the ONNX file for `size` (width, height) with these metadata entries, whole or not at all."""
    example = torch.zeros((1, size[1], size[0], 3), dtype=torch.uint8)
    temporary = path.with_suffix(".tmp")
    torch.onnx.export(
        ContractNetwork(network).eval(), (example,), str(temporary), input_names=["image"], output_names=list(OUTPUTS),
        opset_version=OPSET, dynamo=False,
    )  # fmt: skip
    model = fold_constants(temporary)
    shorten(model.graph)
    pack(model.graph)
    onnx.helper.set_model_props(model, entries)
    onnx.save(model, temporary)
    os.replace(temporary, path)


def parity(network: FlowDepthNetwork, path: Path, image: np.ndarray) -> tuple[float, float]:
    """Largest difference between torch and onnxruntime on a uint8 image [H,W,3]: flow in px, inverse depth relative."""
    with torch.no_grad():
        expected = [
            output.numpy() for output in ContractNetwork(network).eval()(torch.from_numpy(image[None]))
        ]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    actual = session.run(list(OUTPUTS), {"image": image[None]})
    flow = float(np.abs(actual[0] - expected[0]).max())
    return flow, float(np.abs(actual[2] / expected[2] - 1).max())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training export`."""
    parser.add_argument("checkpoint", type=Path, help="such as RUN/last.pt")
    parser.add_argument("--output", type=Path, required=True, help="the .onnx file, usually in models/")
    canonical.add_arguments(parser)
    parser.add_argument("--calibration", type=Path, help="JSON written by `python -m training calibrate`")
    parser.add_argument("--training-run", default="unnamed", help="identifies the run in the metadata")
    parser.add_argument("--weights", type=Path, help="also keep the averaged weights here, to go on from")
    parser.add_argument(
        "--looks", type=int, help="how often to look, if not as often as in training (from 2 on)"
    )
    parser.add_argument(
        "--manifest", choices=("small", "large"), help="also enter the file into the manifest beside it"
    )


def run(arguments: argparse.Namespace) -> int:
    """Export, check parity, and enter into the manifest."""
    torch.set_num_threads(2)
    size = tuple(arguments.size)
    canonical.check_size(*size)
    check_output_file(arguments.output)
    calibration = dict(UNCALIBRATED)
    if arguments.calibration:
        calibration |= read_calibration(arguments.calibration)
    network = load_network(arguments.checkpoint, arguments.focal_px, arguments.looks)
    round_weights(network)
    entries = contract_metadata(arguments.focal_px, calibration, arguments.training_run)
    draft = arguments.output.with_suffix(".draft")
    export_onnx(network, draft, size, entries)
    image = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    flow, depth = parity(network, draft, image)
    megabytes = draft.stat().st_size / 1e6
    print(
        f"{arguments.output}: {megabytes:.1f} MB, torch against onnxruntime: flow {flow:.1e} px, depth {depth:.1e} relative"
    )
    if flow > MAX_FLOW_DIFFERENCE_PX or depth > MAX_DEPTH_DIFFERENCE:
        draft.unlink()
        raise ConfigurationError("the exported network differs from the trained one; it was not kept")
    os.replace(draft, arguments.output)
    if arguments.weights:
        write_weights(arguments.checkpoint, arguments.weights)
    if arguments.manifest:
        write_manifest_entry(arguments.output, size, arguments.manifest, bits=32)
    return 0
