"""From a checkpoint to the model contract: one ONNX file with its metadata, checked against the network it came from."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import yaml
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training import canonical
from training.network import FlowDepthNetwork, NetworkConfig, averaged_weights

OUTPUTS = ("flow", "flow_log_sigma", "inverse_depth", "inverse_depth_log_sigma")
OPSET = 17
MAX_FLOW_DIFFERENCE_PX, MAX_DEPTH_DIFFERENCE = 1e-3, 1e-3
# Weights of so many values are kept in 16 bits.
LARGE = 4096
UNCALIBRATED = {
    "independent_fraction": 0.003,
    "covariance_scale": [1.0] * 6,
    "depth_scale_sigma": 0.15,
    "min_blur_px": 1.0,
}


class ContractNetwork(nn.Module):
    """The network behind the contract's input: uint8 [1,H,W,3] RGB."""

    def __init__(self, network: FlowDepthNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.network(image.permute(0, 3, 1, 2).float())[: len(OUTPUTS)]


def load_network(
    checkpoint: Path, focal_px: float | None = None, looks: int | None = None
) -> FlowDepthNetwork:
    """The averaged network of a checkpoint, in evaluation mode with its batch norms folded into the convolutions; for views of
    `focal_px`, None for those it learnt from; looking so many times, at most as often as it did then (None)."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    config = NetworkConfig(**state["network"])
    network = FlowDepthNetwork(config)
    network.load_state_dict(averaged_weights(state, focal_px))
    if looks is not None:
        if not 2 <= looks <= config.looks:
            raise SystemExit(
                f"--looks {looks}: {checkpoint} has learnt to look {config.looks} times; give 2 to that"
            )
        del network.further_looks[looks - 1 :]
    fold_batch_norms(network.eval())
    return network


@torch.no_grad()
def round_weights(network: nn.Module) -> None:
    """Round large weights to what 16 bits hold, so that the file may keep them so."""
    for weights in network.parameters():
        if weights.numel() >= LARGE:
            weights.copy_(weights.half())


def write_weights(checkpoint: Path, path: Path) -> None:
    """The averaged weights of a checkpoint in half precision: small enough to keep, and what `train --start-from` takes."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    average = {
        key: value.half() if value.is_floating_point() else value for key, value in state["average"].items()
    }
    kept = {key: state[key] for key in ("step", "network", "canonical_px") if key in state}
    torch.save(kept | {"average": average}, path)


def fold_batch_norms(module: nn.Module) -> None:
    """Replace every (Conv2d, BatchNorm2d) pair by one convolution, in place."""
    for child in module.modules():
        if isinstance(child, nn.Sequential) and len(child) == 2 and isinstance(child[1], nn.BatchNorm2d):
            child[0], child[1] = fuse_conv_bn_eval(child[0], child[1]), nn.Identity()


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


def contract_metadata(focal_px: float, calibration: dict, training_run: str) -> dict[str, str]:
    """Metadata of the model contract for our own networks."""
    return {
        "focal_px": str(focal_px),
        "stride": str(canonical.STRIDE),
        "flow_representation": "double_angle",
        "flow_unit": "canonical_pixels_per_exposure",
        **calibration_entries(calibration),
        "training_run": training_run,
        "licence": "Apache-2.0",
    }


def calibration_entries(calibration: dict) -> dict[str, str]:
    """The metadata entries that `python -m training calibrate` fits."""
    return {
        "independent_fraction": str(calibration["independent_fraction"]),
        "covariance_scale": ",".join(str(value) for value in calibration["covariance_scale"]),
        "depth_scale_sigma": str(calibration["depth_scale_sigma"]),
        "min_blur_px": str(calibration["min_blur_px"]),
        "error_correlation_px": str(calibration.get("error_correlation_px", 0.0)),
    }


def write_calibration(path: Path, calibration: dict) -> None:
    """Replace the calibration in an exported file, its weights as they are, and its hash in the manifest beside it."""
    model = onnx.load(path)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, entries | calibration_entries(calibration))
    temporary = path.with_suffix(".tmp")
    onnx.save(model, temporary)
    os.replace(temporary, path)
    if entry := manifest_models(path.with_name("manifest.yaml")).get(path.stem):
        write_manifest_entry(path, (entry["width"], entry["height"]), entry["size"], entry.get("bits", 32))


def manifest_models(manifest: Path) -> dict[str, dict]:
    """Entries of a manifest by name; none where there is no manifest yet."""
    content = yaml.safe_load(manifest.read_text()) if manifest.exists() else None
    return (content or {}).get("models") or {}


def write_manifest_entry(path: Path, size: tuple[int, int], size_name: str, bits: int) -> None:
    """Add or replace the file's entry, with its SHA-256, in the manifest beside it."""
    manifest = path.with_name("manifest.yaml")
    models = manifest_models(manifest)
    models[path.stem] = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size": size_name,
        "width": size[0],
        "height": size[1],
        "bits": bits,
    }
    manifest.write_text(yaml.safe_dump({"models": models}, sort_keys=False))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training export`."""
    parser.add_argument("checkpoint", type=Path)
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
    calibration = dict(UNCALIBRATED)
    if arguments.calibration:
        calibration |= json.loads(arguments.calibration.read_text())
    network = load_network(arguments.checkpoint, arguments.focal_px, arguments.looks)
    round_weights(network)
    entries = contract_metadata(arguments.focal_px, calibration, arguments.training_run)
    export_onnx(network, arguments.output, size, entries)
    image = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    flow, depth = parity(network, arguments.output, image)
    megabytes = arguments.output.stat().st_size / 1e6
    print(
        f"{arguments.output}: {megabytes:.1f} MB, torch against onnxruntime: flow {flow:.1e} px, depth {depth:.1e} relative"
    )
    if flow > MAX_FLOW_DIFFERENCE_PX or depth > MAX_DEPTH_DIFFERENCE:
        arguments.output.unlink()
        raise SystemExit("the exported network differs from the trained one; nothing was kept")
    if arguments.weights:
        write_weights(arguments.checkpoint, arguments.weights)
    if arguments.manifest:
        write_manifest_entry(arguments.output, size, arguments.manifest, bits=32)
    return 0
