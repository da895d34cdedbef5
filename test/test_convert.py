"""`blur_imu convert` as a user runs it: accepted files, and the model at work in `evaluate` and in the live node."""
# ruff: noqa: E402  the modules below need torch

import hashlib
import json

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch", reason="the extra [convert] is not installed")

import onnx
from onnx_models import write_model
from published_weights import deterministic_state
from safetensors.torch import save_file

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.cli import main
from blur_imu_ros.convert.checkpoint import load_checkpoint
from blur_imu_ros.convert.describe import count
from blur_imu_ros.convert.export import check_onnx
from blur_imu_ros.errors import ModelError
from blur_imu_ros.network import FlowDepthNetwork, FlowRepresentation, Provider
from blur_imu_ros.recordings.sequence_writer import SequenceWriter


@pytest.fixture(scope="module")
def state():
    torch.set_num_threads(1)
    return deterministic_state()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def model(state, folder):
    """Converted from a wrapped and prefixed .pth."""
    checkpoint = folder / "wrapped.pth"
    torch.save(
        {"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 3}, checkpoint
    )
    output = folder / "first.onnx"
    assert main(["convert", str(checkpoint), "--output", str(output), "--licence", "a test"]) == 0
    return output


def predict(path):
    image = np.random.default_rng(1).integers(0, 256, (224, 320, 3), dtype=np.uint8)
    network = FlowDepthNetwork(path, provider=Provider.CPU, threads=1)
    prediction = network.predict(image)
    return network.spec, prediction.flow.copy(), prediction.inverse_depth.copy()


def test_converted_model_obeys_the_contract(model):
    spec, flow, inverse_depth = predict(model)
    assert (spec.width, spec.height, spec.stride, spec.focal_px) == (320, 224, 4, 250.8)
    assert spec.representation is FlowRepresentation.SIGNED
    assert not spec.has_depth_sigma
    assert (spec.training_run, spec.licence) == ("published checkpoint wrapped.pth", "a test")
    assert flow.shape == (2, 56, 80)
    assert np.isfinite(flow).all()
    assert (inverse_depth > 0).all()


def test_manifest_vouches_for_the_model_and_the_card_names_the_weights(model):
    entry = yaml.safe_load((model.parent / "manifest.yaml").read_text())["models"]["first"]
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    assert entry == {"file": "first.onnx", "sha256": digest, "size": "large", "width": 320, "height": 224}
    card = model.with_suffix(".md").read_text()
    assert hashlib.sha256((model.parent / "wrapped.pth").read_bytes()).hexdigest() in card
    assert "seed 0" in card


def test_second_run_from_safetensors_gives_identical_output(model, state):
    checkpoint, output = model.parent / "plain.safetensors", model.parent / "second.onnx"
    save_file(state, checkpoint)
    assert main(["convert", str(checkpoint), "--output", str(output)]) == 0
    _, flow, inverse_depth = predict(model)
    _, second_flow, second_inverse_depth = predict(output)
    assert np.array_equal(flow, second_flow)
    assert np.array_equal(inverse_depth, second_inverse_depth)
    assert set(yaml.safe_load((model.parent / "manifest.yaml").read_text())["models"]) == {"first", "second"}


def test_model_that_differs_from_its_checkpoint_is_refused(model, state):
    network = load_checkpoint(model.parent / "wrapped.pth")
    network.freeze_bases(0)
    with torch.no_grad():
        network.flow_decoder.linear_pred_flow.bias += 0.002
    with pytest.raises(ModelError, match=r"differs from the checkpoint by 0\.002 px"):
        check_onnx(network, model)


def test_evaluate_runs_the_model_with_both_solvers_and_repeats_itself(model, tmp_path):
    rng = np.random.default_rng(5)
    camera = CameraModel(320, 224, np.array([[250.8, 0, 159.5], [0, 250.8, 111.5], [0, 0, 1]]))
    with SequenceWriter(tmp_path / "sequence", camera) as writer:
        for index in range(2):
            image = rng.integers(0, 256, (224, 320, 3), dtype=np.uint8)
            writer.add(index * 33_000_000, image, exposure_s=0.01, twist=rng.normal(size=6))
    reports = []
    for solver in ("default", "default", "published"):
        out = tmp_path / "report.json"
        arguments = ["--model", str(model), "--provider", "cpu", "--solver", solver, "--json", str(out)]
        assert main(["evaluate", str(tmp_path / "sequence"), *arguments]) == 0
        reports.append(json.loads(out.read_text())["sequences"][0])
        del reports[-1]["latency_ms"]
    assert reports[0] == reports[1]
    assert reports[0]["frames"] == reports[2]["frames"] == 2
    assert np.isfinite(reports[2]["angular_rmse"]).all()
    assert reports[0]["angular_rmse"] != reports[2]["angular_rmse"]


def test_live_node_answers_with_the_model(model, tmp_path):
    pytest.importorskip("rclpy", reason="needs ROS 2")
    from ros_rig import EXPOSURE_S, NodeProcess, Rig, values

    rig = Rig()
    node = NodeProcess(
        tmp_path / "node.log", model=model, provider="cpu", threads=1, exposure_s=EXPOSURE_S, stale_after_s=60
    )
    try:
        rig.wait_until_listened(node, timeout_s=120)
        rig.stream_until_answered(2, timeout_s=120)
        status = rig.wait_for_status(lambda status: values(status).get("images answered") not in (None, "0"))
        assert values(status)["model"] == "first"
        assert "no output flow_log_sigma: 1 px assumed" in node.log
    finally:
        node.kill()
        rig.close()


def test_half_precision_and_nested_prefixes_load(state, tmp_path):
    halves = {
        f"model.module.{name}": value.half() for name, value in state.items() if value.is_floating_point()
    }
    counters = {
        f"model.module.{name}": value for name, value in state.items() if not value.is_floating_point()
    }
    torch.save({"model_state_dict": halves | counters}, tmp_path / "half.pth")
    network = load_checkpoint(tmp_path / "half.pth")
    weight = network.ll_enc.conv1.conv.weight
    assert weight.dtype == torch.float32
    assert not network.training
    torch.testing.assert_close(weight, state["ll_enc.conv1.conv.weight"], atol=1e-3, rtol=1e-3)


def test_describe_counts_the_work_of_any_model(tmp_path, capsys):
    path = write_model(tmp_path / "tiny.onnx", stride=4)
    model = onnx.load(str(path))
    weight = np.ones((2, 3, 3, 3), np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "weight"))
    model.graph.node.append(onnx.helper.make_node("Conv", ["planes", "weight"], ["more"], pads=[1, 1, 1, 1]))
    model.graph.output.append(onnx.helper.make_tensor_value_info("more", 1, [1, 2, 224, 320]))
    onnx.save(model, str(path))
    assert main(["convert", "--describe", str(path)]) == 0
    row = [cell.strip() for cell in capsys.readouterr().out.splitlines()[2].strip("|").split("|")]
    assert row[:2] == ["tiny", "80x56"]
    assert count(path).macs == 2 * 224 * 320 * 27
    assert count(path).parameters == count(write_model(tmp_path / "plain.onnx", stride=4)).parameters + 54
    assert float(row[5]) > 0
