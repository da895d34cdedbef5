"""From a checkpoint to the ONNX file of the model contract, with a network small enough to be quick."""
# ruff: noqa: E402  the modules below need torch

from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch", reason="requirements/training.txt is not installed")

import onnx

from blur_imu_ros.errors import ConfigurationError
from blur_imu_ros.network import FlowDepthNetwork as DeployedNetwork
from blur_imu_ros.network import FlowRepresentation, Provider
from training import __main__ as training
from training import export
from training.canonical import STRIDE
from training.export import ContractNetwork, parity
from training.learn.batches import Shards
from training.learn.configuration import TrainingConfig
from training.learn.run import Run
from training.learn.weights import LARGE, load_network, round_weights
from training.metadata import read_calibration, write_calibration
from training.network import NetworkConfig
from training.quantise import FLOAT_LAYERS, quantise, whole_views
from training.samples import SampleConfig, write_shard

TINY = NetworkConfig(widths=(4, 8, 8, 8, 8), blocks=(1, 1, 1, 1))
WIDTH, HEIGHT = 256, 128


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A checkpoint whose batch norms have seen data and whose heads say something."""
    state = Run(tmp_path / "run", TrainingConfig(), TINY, torch.device("cpu"))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in state.model.named_parameters():
            # Looks that follow each other double differences of rounding where they answer wildly.
            size = 0.005 if name.startswith("further_looks") else 0.05
            parameter.add_(size * torch.randn_like(parameter))
        for seed in range(4):
            state.model(torch.from_numpy(noise(seed)[None]).permute(0, 3, 1, 2).float())
    state.average.update_parameters(state.model)
    state.save()
    return state


def test_the_exported_file_answers_as_the_network(run: Run, tmp_path: Path):
    model = tmp_path / "tiny.onnx"
    words = [
        "export",
        run.checkpoint,
        "--output",
        model,
        "--size",
        WIDTH,
        HEIGHT,
        "--manifest",
        "small",
        "--training-run",
        "t7",
    ]
    assert training.main([str(word) for word in words]) == 0
    network = load_network(run.checkpoint)
    round_weights(network)
    flow_px, depth = parity(network, model, noise(9))
    assert flow_px < 1e-3
    assert depth < 1e-3
    entry = yaml.safe_load((tmp_path / "manifest.yaml").read_text())["models"]["tiny"]
    assert (entry["file"], entry["size"], entry["width"], entry["height"]) == (
        "tiny.onnx",
        "small",
        WIDTH,
        HEIGHT,
    )

    deployed = DeployedNetwork(model, provider=Provider.CPU)  # checks the hash and the contract
    assert deployed.spec.representation is FlowRepresentation.DOUBLE_ANGLE
    assert (deployed.spec.training_run, deployed.spec.stride) == ("t7", 16)
    assert deployed.spec.focal_px == pytest.approx(501.6)
    prediction = deployed.predict(noise(9))
    with torch.no_grad():
        expected = ContractNetwork(network)(torch.from_numpy(noise(9)[None]))
    np.testing.assert_allclose(prediction.flow, expected[0][0], atol=1e-3)
    np.testing.assert_allclose(prediction.inverse_depth_log_sigma, expected[3][0, 0], atol=1e-3)


def test_weights_are_kept_in_half_the_bits(run: Run, tmp_path: Path):
    network, files = load_network(run.checkpoint), {}
    for name in ("whole", "half"):
        files[name] = tmp_path / f"{name}.onnx"
        export.export_onnx(network, files[name], (WIDTH, HEIGHT), {})
        assert max(parity(network, files[name], noise(9))) < 1e-3
        round_weights(network)
    arrays = [onnx.numpy_helper.to_array(item) for item in onnx.load(files["half"]).graph.initializer]
    weights = [array for array in arrays if array.ndim == 4 and array.size >= LARGE]
    assert weights
    assert all(array.dtype == np.float16 for array in weights)
    assert files["half"].stat().st_size < 0.8 * files["whole"].stat().st_size


def test_a_calibration_is_written_without_touching_the_weights(run: Run, tmp_path: Path):
    model = tmp_path / "tiny.onnx"
    words = ["export", run.checkpoint, "--output", model, "--size", WIDTH, HEIGHT, "--manifest", "small"]
    assert training.main([str(word) for word in words]) == 0
    before = DeployedNetwork(model, provider=Provider.CPU)
    expected = before.predict(noise(9)).flow.copy()
    calibration = {
        "independent_fraction": 0.02,
        "covariance_scale": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "depth_scale_sigma": 0.25,
        "min_blur_px": 0.7,
        "error_correlation_px": 60.0,
    }
    write_calibration(model, calibration)

    after = DeployedNetwork(model, provider=Provider.CPU)  # checks the hash anew
    assert after.spec.independent_fraction == 0.02
    assert after.spec.covariance_scale == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    assert (after.spec.depth_scale_sigma, after.spec.min_blur_px) == (0.25, 0.7)
    assert (before.spec.error_correlation_px, after.spec.error_correlation_px) == (0.0, 60.0)
    assert after.spec.training_run == before.spec.training_run
    np.testing.assert_array_equal(after.predict(noise(9)).flow, expected)


@pytest.mark.parametrize("text", ["no json", "[1, 2]", '{"covariance_scale": 1}'])
def test_a_calibration_that_is_none_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"calibration\.json is not what"):
        read_calibration(path)


def test_the_eight_bit_copy_keeps_contract_and_float_layers(run: Run, tmp_path: Path):
    source, target = tmp_path / "tiny.onnx", tmp_path / "tiny_int8.onnx"
    words = ["export", run.checkpoint, "--output", source, "--size", WIDTH, HEIGHT, "--training-run", "t8"]
    assert training.main([str(word) for word in words]) == 0
    quantise(source, target, [noise(seed) for seed in range(4)])
    copy = DeployedNetwork(target, provider=Provider.CPU)
    assert copy.spec.training_run == "t8"
    assert np.isfinite(copy.predict(noise(9)).flow).all()
    nodes = onnx.load(target).graph.node
    weighted = {node.input[1]: node.name for node in nodes if node.op_type == "Conv"}
    in_float = {name for weight, name in weighted.items() if not weight.endswith("DequantizeLinear_Output")}
    assert len(in_float) < len(weighted) / 2
    assert all(any(part in name for part in FLOAT_LAYERS) for name in in_float)
    # A ReLU behind eight bits is part of their range.
    made = {output: node.op_type for node in nodes for output in node.output}
    assert "DequantizeLinear" not in {made[node.input[0]] for node in nodes if node.op_type == "Relu"}


def test_ranges_come_from_images_of_the_size_that_the_network_takes(run: Run, tmp_path: Path):
    model = tmp_path / "tiny.onnx"
    words = ["export", run.checkpoint, "--output", model, "--size", WIDTH, HEIGHT]
    assert training.main([str(word) for word in words]) == 0
    for width in (WIDTH, WIDTH // 2):
        grid = np.ones((HEIGHT // STRIDE, width // STRIDE), np.float16)
        sample = (noise(0)[:, :width], grid, (np.zeros(6, np.float32), 100.0, 100.0, True))
        config = SampleConfig(width, HEIGHT, 100.0, shard_size=1)
        write_shard(tmp_path / str(width) / "shard_0", iter([sample]), config)
    views, windows = (tmp_path / str(width) for width in (WIDTH, WIDTH // 2))
    images = whole_views(Shards([windows, views]), model, 6)
    assert {image.shape for image in images} == {(HEIGHT, WIDTH, 3)}
    with pytest.raises(ConfigurationError, match=f"no images of {WIDTH}x{HEIGHT}.*--size {WIDTH} {HEIGHT}"):
        whole_views(Shards([windows]), model, 6)


def test_folding_batch_norms_changes_nothing(run: Run):
    image = torch.from_numpy(noise(5)[None]).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        folded, plain = load_network(run.checkpoint)(image), run.average.module.eval()(image)
    for one, other in zip(folded, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_a_file_that_differs_is_not_kept(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(export, "MAX_FLOW_DIFFERENCE_PX", -1.0)
    model = tmp_path / "tiny.onnx"
    model.write_bytes(b"the one before")
    words = ["export", str(run.checkpoint), "--output", str(model), "--size", str(WIDTH), str(HEIGHT)]
    assert training.main(words) == 2
    assert "differs from the trained one" in capsys.readouterr().err
    assert model.read_bytes() == b"the one before"
    assert list(tmp_path.glob("tiny.*")) == [model]


def test_a_run_goes_on_where_it_stopped(run: Run, tmp_path: Path):
    again = Run(tmp_path / "run", TrainingConfig(seed=5), TINY, torch.device("cpu"))
    run.step = 17
    run.save()
    again.resume(again.checkpoint)
    assert again.step == 17
    for one, other in zip(again.model.parameters(), run.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    fresh = Run(tmp_path / "other", TrainingConfig(), TINY, torch.device("cpu"))
    fresh.start_from(run.checkpoint)
    assert fresh.step == 0
    for one, other in zip(fresh.model.parameters(), run.average.module.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_views_of_another_focal_length_see_the_same_depth(run: Run, tmp_path: Path):
    """Half the focal length shows everything half as large, which is not twice as far: at export, and where learning starts."""
    image = torch.from_numpy(noise(5)[None]).permute(0, 3, 1, 2).float()
    shorter = Run(tmp_path / "shorter", TrainingConfig(), TINY, torch.device("cpu"), 501.6 / 2)
    shorter.start_from(run.checkpoint)
    shorter.save()
    with torch.no_grad():
        learnt = load_network(run.checkpoint)(image)
        for network in (load_network(run.checkpoint, 501.6 / 2), load_network(shorter.checkpoint)):
            seen = network(image)
            torch.testing.assert_close(seen[2], 2 * learnt[2])
            torch.testing.assert_close(seen[3], learnt[3] + np.log(2))
            torch.testing.assert_close(seen[0], learnt[0])


def test_an_export_may_look_fewer_times(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def export(looks: int, file: Path) -> int:
        size = ("--size", WIDTH, HEIGHT)
        words = ("export", run.checkpoint, "--looks", looks, "--output", file, *size)
        return training.main([str(word) for word in words])

    flows = {}
    for looks in (2, 3):
        file = tmp_path / f"{looks}.onnx"
        assert export(looks, file) == 0
        network = load_network(run.checkpoint, looks=looks)
        assert max(parity(network, file, noise(9))) < 1e-3
        with torch.no_grad():
            flows[looks] = network(torch.from_numpy(noise(9)[None]).permute(0, 3, 1, 2).float())[0]
        graph = onnx.load(file).graph
        assert sum(node.op_type == "GridSample" for node in graph.node) == looks - 1
        values = constants(graph)
        assert len(values) == len(set(values))
    assert float((flows[2] - flows[3]).abs().max()) > 0.01
    for looks in (1, 4):
        assert export(looks, tmp_path / "none.onnx") == 2
        assert "has learnt to look 3 times" in capsys.readouterr().err


def constants(graph: onnx.GraphProto) -> list[bytes]:
    """Type, shape and content of a graph's constants."""
    arrays = map(onnx.numpy_helper.to_array, graph.initializer)
    return [f"{array.dtype}{array.shape}".encode() + array.tobytes() for array in arrays]


def test_a_network_is_not_quantised_onto_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = tmp_path / "model.onnx"
    model.write_bytes(b"kept")
    assert training.main(["quantise", str(model), "--samples", str(tmp_path), "--output", str(model)]) == 2
    assert "would be lost" in capsys.readouterr().err
    assert model.read_bytes() == b"kept"


@pytest.mark.parametrize(
    "option",
    [("--fractions", "0"), ("--fractions", "2"), ("--min-blur-px", "-1"), ("--correlation-px", "-5")],
)
def test_a_calibration_is_not_fitted_to_what_cannot_be(
    tmp_path: Path, option: tuple[str, str], capsys: pytest.CaptureFixture[str]
):
    words = [
        "calibrate",
        "m.onnx",
        "--sequences",
        str(tmp_path),
        "--output",
        str(tmp_path / "c.json"),
        *option,
    ]
    assert training.main(words) == 2
    assert option[0] in capsys.readouterr().err
