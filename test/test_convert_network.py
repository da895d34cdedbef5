"""The published architecture in our code: state entries, parity with the published results, exact reduced grids."""
# ruff: noqa: E402  the modules below need torch

import csv
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra [convert] is not installed")

from published_weights import deterministic_bases, deterministic_state

from blur_imu_ros.convert.describe import count
from blur_imu_ros.convert.export import write_architecture, write_onnx
from blur_imu_ros.convert.grid import GridNetwork, inverse_depth, sample
from blur_imu_ros.convert.hamburger import draw_bases
from blur_imu_ros.convert.published import PublishedNetwork
from blur_imu_ros.network import FlowDepthNetwork, Provider

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="module")
def network():
    torch.set_num_threads(1)
    network = PublishedNetwork().eval()
    network.load_state_dict(deterministic_state())
    network.flow_decoder.decoder.set_bases(deterministic_bases(7))
    network.depth_decoder.decoder.set_bases(deterministic_bases(8))
    return network


@pytest.fixture(scope="module")
def published():
    path = SHARED / "data" / "published_network_parity.npz"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    with np.load(path) as arrays:
        return dict(arrays)


def test_state_entries_are_the_published_ones(network):
    path = SHARED / "facts" / "published_state_dict.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    with path.open(newline="") as file:
        published = {row["name"]: row["shape"] for row in csv.DictReader(file)}
    ours = {name: "x".join(map(str, value.shape)) for name, value in network.state_dict().items()}
    assert len(published) == 883
    assert ours == published


def test_parameter_count_is_the_published_one(network):
    assert sum(parameter.numel() for parameter in network.parameters()) == 28_851_779
    assert len(network.state_dict()) == 883


def test_torch_reproduces_the_published_output(network, published):
    with torch.inference_mode():
        flow, log_depth = network(torch.from_numpy(published["image"]).permute(2, 0, 1)[None].float())
    assert np.abs(flow[0].numpy() - published["flow"]).max() < 1e-5
    assert np.abs(log_depth[0, 0].exp().numpy() / published["depth"] - 1).max() < 1e-5


def test_onnxruntime_reproduces_the_published_output_at_full_resolution(network, published, tmp_path):
    write_onnx(network, tmp_path / "full.onnx", stride=1, notes={})
    model = FlowDepthNetwork(tmp_path / "full.onnx", provider=Provider.CPU)
    prediction = model.predict(published["image"])
    assert count(tmp_path / "full.onnx").macs == pytest.approx(47.8e9, rel=0.01)
    assert (model.spec.stride, model.spec.focal_px) == (1, 250.8)
    assert np.abs(prediction.flow - published["flow"]).max() < 1e-4
    assert np.abs(prediction.inverse_depth * published["depth"] - 1).max() < 1e-4


def test_architecture_for_timing_is_a_model_of_the_contract(tmp_path):
    write_architecture(tmp_path / "random.onnx", stride=8, seed=3)
    prediction = FlowDepthNetwork(tmp_path / "random.onnx", provider=Provider.CPU).predict(
        np.full((224, 320, 3), 90, np.uint8)
    )
    assert prediction.flow.shape == (2, 28, 40)
    assert count(tmp_path / "random.onnx").parameters == pytest.approx(28.85e6, rel=0.01)


@pytest.mark.parametrize("stride", [4, 8])
def test_reduced_grid_equals_the_sampled_full_resolution(network, stride):
    image = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8))
    with torch.inference_mode():
        flow, log_depth = network(image.permute(0, 3, 1, 2).float())
        grid_flow, grid_inverse_depth = GridNetwork(network, stride)(image)
    assert grid_flow.shape == (1, 2, 64 // stride, 96 // stride)
    torch.testing.assert_close(grid_flow, sample(flow, stride), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        grid_inverse_depth, inverse_depth(sample(log_depth, stride)), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("stride", [1, 4, 8])
def test_grid_points_lie_in_the_middle_of_their_cells(stride):
    x = torch.arange(32.0).expand(1, 1, 16, 32)  # value: pixel index, so its centre is value + 0.5
    middles = (torch.arange(32 // stride) + 0.5) * stride - 0.5
    torch.testing.assert_close(sample(x, stride)[0, 0, 0], middles)


def test_inverse_depth_is_bounded_like_the_published_depth():
    inverse = inverse_depth(torch.tensor([-100.0, 0.0, 100.0]))
    assert inverse.tolist() == pytest.approx([1e8, 1.0, 0.0])


def test_bases_follow_the_seed_and_have_unit_columns():
    flow, depth = draw_bases(5)
    again, _ = draw_bases(5)
    other, _ = draw_bases(6)
    assert torch.equal(flow, again)
    assert not torch.equal(flow, other)
    assert not torch.equal(flow, depth)
    torch.testing.assert_close(flow.norm(dim=1), torch.ones(1, 64))
    assert flow.min() >= 0
