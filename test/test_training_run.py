"""Steps of a run: none without a finite gradient; several processes take them together and end together."""
# ruff: noqa: E402  the modules below need torch

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ros_rig import ROOT

torch = pytest.importorskip("torch", reason="requirements/training.txt is not installed")

from training.canonical import STRIDE
from training.learn.configuration import TrainingConfig
from training.learn.run import Run
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
