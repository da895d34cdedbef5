"""Steps of a run: none without a finite gradient; several processes take them together and end together."""
# ruff: noqa: E402  the modules below need torch

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ros_rig import ROOT

torch = pytest.importorskip("torch", reason="requirements/training.txt is not installed")

from blur_imu_ros.errors import ConfigurationError
from training import __main__ as training
from training.canonical import STRIDE
from training.learn.configuration import TrainingConfig, learning_rate
from training.learn.layers import Learning
from training.learn.run import Run, follow
from training.network import NetworkConfig
from training.samples import SampleConfig, write_shard

WIDTH, HEIGHT, FOCAL_PX = 128, 64, 100.0


def test_a_loss_that_is_no_number_leaves_the_weights_as_they_are(tmp_path: Path):
    network = NetworkConfig(widths=(4, 8, 8, 8, 8), blocks=(1, 1, 1, 1))
    state = Run(tmp_path, TrainingConfig(), network, torch.device("cpu"), FOCAL_PX)
    image = torch.rand(2, 3, HEIGHT, WIDTH) * 255
    for factor, changes in ((1.0, True), (float("nan"), False), (float("inf"), False), (1.0, True)):
        before = state.model.stem[0].weight.detach().clone()
        loss = factor * sum(output.square().mean() for output in state.model(image))
        state.descend(loss, 1e-3, longest=5.0)
        assert torch.equal(before, state.model.stem[0].weight) != changes
        assert all(torch.isfinite(part).all() for part in state.average.module.parameters())
    assert state.step == 4


def test_averaged_weights_follow_within_as_many_steps_as_there_were(tmp_path: Path):
    state = Run(tmp_path, TrainingConfig(), TINY, torch.device("cpu"), FOCAL_PX)
    weight, mean = state.model.stem[0].weight, state.average.module.stem[0].weight
    for steps, share in ((0, 1.0), (5, 0.5), (10**6, 0.002)):
        state.average.n_averaged.fill_(steps)
        with torch.no_grad():
            weight.add_(torch.randn_like(weight))
        expected = mean + share * (weight - mean)
        follow(state.average, state.model)
        torch.testing.assert_close(mean, expected)
        assert int(state.average.n_averaged) == steps + 1


def test_the_learning_rate_rises_to_its_peak_and_falls_to_a_fiftieth():
    config = TrainingConfig(steps=1000, warm_up=10, learning_rate=0.01)
    assert learning_rate(config, 0) == pytest.approx(0.001)
    assert learning_rate(config, 9) == pytest.approx(0.01, rel=1e-3)
    assert learning_rate(config, 500) == pytest.approx(0.51 * 0.01)
    assert learning_rate(config, 1000) == learning_rate(config, 2000) == pytest.approx(0.0002)
    assert learning_rate(config, 10, progress=0.5) == pytest.approx(0.51 * 0.01)


def write_samples(folder: Path) -> None:
    rng = np.random.default_rng(0)
    samples = (
        (
            rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
            np.full((HEIGHT // STRIDE, WIDTH // STRIDE), 0.5, np.float16),
            (rng.normal(0, 0.01, 6).astype(np.float32), FOCAL_PX, FOCAL_PX, True),
        )
        for _ in range(8)
    )
    write_shard(folder, samples, SampleConfig(WIDTH, HEIGHT, FOCAL_PX, shard_size=8))


def test_two_processes_learn_the_same_and_end_together(tmp_path: Path):
    write_samples(tmp_path / "samples/shard_0")
    samples = tmp_path / "samples"
    words = [
        "--samples",
        samples,
        "--validation",
        samples,
        "--run",
        tmp_path / "run",
        "--steps",
        4,
        "--every",
        2,
    ]
    words += ["--batch", 2, "--crop", HEIGHT, WIDTH, "--velocity-from", 0, "--threads", 1]
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--", "training"]
    done = subprocess.run(
        [sys.executable, "-m", *launcher, "train", *map(str, words)],
        cwd=ROOT, timeout=240, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert torch.load(tmp_path / "run/last.pt", weights_only=True)["step"] == 4


TINY = NetworkConfig(widths=(4, 8, 8, 8, 8), blocks=(1, 1, 1, 1))


@pytest.mark.parametrize(
    ("network", "config", "focal_px", "words"),
    [
        (replace(TINY, looks=2), TrainingConfig(), FOCAL_PX, "begun with network"),
        (TINY, TrainingConfig(learns=Learning.SIGMA), FOCAL_PX, "learns everything, not sigma"),
        (TINY, TrainingConfig(), FOCAL_PX / 2, r"canonical_px 100\.0, not 50\.0"),
    ],
)
def test_a_run_begun_with_other_words_is_not_gone_on_with(
    tmp_path: Path, network: NetworkConfig, config: TrainingConfig, focal_px: float, words: str
):
    Run(tmp_path, TrainingConfig(), TINY, torch.device("cpu"), FOCAL_PX).save()
    other = Run(tmp_path, config, network, torch.device("cpu"), focal_px)
    with pytest.raises(ConfigurationError, match=words):
        other.resume(other.checkpoint)


@pytest.mark.parametrize("content", [None, b"half a file"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, content: bytes | None):
    file = tmp_path / "file.pt"
    if content is not None:
        file.write_bytes(content)
    state = Run(tmp_path, TrainingConfig(), TINY, torch.device("cpu"), FOCAL_PX)
    with pytest.raises(ConfigurationError, match=r"file\.pt"):
        state.start_from(file)


def test_a_run_that_is_over_takes_no_further_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_samples(tmp_path / "samples/shard_0")
    state = Run(tmp_path / "run", TrainingConfig(), NetworkConfig(), torch.device("cpu"), FOCAL_PX)
    state.step = 3
    state.save()
    before = state.checkpoint.read_bytes()
    samples = tmp_path / "samples"
    words = ["--samples", samples, "--validation", samples, "--run", tmp_path / "run", "--steps", 3]
    assert training.main(["train", *map(str, words)]) == 0
    assert "3 steps" in capsys.readouterr().out
    assert state.checkpoint.read_bytes() == before


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"steps": 0}, "--steps 0"),
        ({"batch": 0}, "--batch 0"),
        ({"warm_up": 0}, "--warm-up 0"),
        ({"blurred_share": 0.0}, "--blurred-share 0"),
        ({"learning_rate": float("nan")}, "--learning-rate"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_what_no_run_can_be_told_is_refused(wrong: dict, words: str):
    with pytest.raises(ConfigurationError, match=words):
        TrainingConfig(**wrong)
