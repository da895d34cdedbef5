"""Stage 3: labels from velocity alone, held near the network it starts from, resumable."""
# ruff: noqa: E402  the modules below need torch

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="requirements/training.txt is not installed")

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.errors import ExposureError, SequenceError
from blur_imu_ros.motion_field import grid_points, interaction_matrix
from blur_imu_ros.recordings.sequence_writer import SequenceWriter
from training.learn.configuration import TrainingConfig
from training.learn.real_frames import RealFrames
from training.learn.run import Run
from training.learn.weights import load_network
from training.network import NetworkConfig
from training.stage3 import stage3_loss, start_run, train

TINY = NetworkConfig(widths=(4, 8, 8, 8, 8), blocks=(1, 1, 1, 1))
SIZE, FOCAL_PX = (128, 64), 100.0
TWIST = np.array([0.5, -1.0, 2.0, 0.3, 0.2, -0.4])
EXPOSURE_S = 0.01
CONFIG = TrainingConfig(steps=6, batch=3, learning_rate=0.05)


def write_sequence(
    folder: Path, *, exposure_s: float | None = EXPOSURE_S, truth: bool = True, centre_px: float = 60.0
) -> Path:
    """Noise seen by a camera narrower than the canonical view, in constant motion."""
    camera = CameraModel(120, 90, np.array([[180.0, 0, centre_px], [0, 180, 44], [0, 0, 1]]))
    rng = np.random.default_rng(0)
    with SequenceWriter(folder, camera) as writer:
        for number in range(4):
            image = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
            writer.add(round(number / 30 * 1e9), image, exposure_s=exposure_s, twist=TWIST if truth else None)
    return folder


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    state = Run(tmp_path / "stage2", CONFIG, TINY, torch.device("cpu"))
    state.average.update_parameters(state.model)
    state.save()
    return state.checkpoint


def test_labels_are_the_motion_field_at_the_predicted_depth(tmp_path: Path):
    frames = RealFrames([write_sequence(tmp_path / "s")], SIZE, FOCAL_PX)
    batch = frames.batch(np.array([1]), np.array([False]))
    predicted = torch.full((1, 1, 4, 8), 0.7)  # what the network says at its canonical focal length
    labels = frames.labels(batch, predicted)
    np.testing.assert_allclose(labels.inverse_depth, 0.7, rtol=1e-6)
    focal_px = float(batch.focal_px[0])
    assert focal_px > 130  # zoomed: the camera sees less than the canonical view
    x, y = grid_points(*SIZE, 16)
    true_inverse_depth = 0.7 * frames.canonical_px / focal_px
    matrix = interaction_matrix(x, y, focal_px, np.full(32, true_inverse_depth))
    np.testing.assert_allclose(labels.flow[0].reshape(-1, 2), matrix @ TWIST * EXPOSURE_S, atol=1e-4)


def test_what_is_unseen_is_mirrored_with_the_picture(tmp_path: Path):
    frames = RealFrames([write_sequence(tmp_path / "s", centre_px=30.0)], SIZE, FOCAL_PX)
    plain, mirrored = (frames.batch(np.array([0]), np.array([swap])) for swap in (False, True))
    assert plain.unseen[..., 0].all()
    assert not plain.unseen[..., -1].any()
    torch.testing.assert_close(mirrored.unseen, plain.unseen.flip(3))
    torch.testing.assert_close(mirrored.image, plain.image.flip(3))


def test_at_the_start_nothing_has_drifted(tmp_path: Path, checkpoint: Path):
    frames, start = (
        RealFrames([write_sequence(tmp_path / "s")], SIZE, FOCAL_PX),
        load_network(checkpoint, FOCAL_PX),
    )
    batch = frames.batch(np.array([0, 1]), np.array([False, True]))
    with torch.no_grad():
        outputs = start(batch.image)
    losses = stage3_loss(frames.labels(batch, outputs[2]), batch, outputs, outputs, keep=1.0)
    assert losses["drift"].item() == pytest.approx(0, abs=1e-6)
    assert losses["total"].item() == losses["velocity"].item() > 0
    for moved in (2, 4, 6, 8):  # depth, and the flow of each look
        elsewhere = tuple(part + 2 * (k == moved) for k, part in enumerate(outputs))
        drift = stage3_loss(frames.labels(batch, outputs[2]), batch, elsewhere, outputs, keep=1.0)["drift"]
        assert drift > 0.1, moved
    # Depth and its sigma by the same factor: as sure as before, so that depth alone has drifted.
    farther = (*outputs[:2], outputs[2] * np.e, outputs[3] + 1, *outputs[4:])
    drift = stage3_loss(frames.labels(batch, outputs[2]), batch, farther, outputs, keep=1.0)["drift"]
    assert drift.item() == pytest.approx(0.5, abs=1e-5)


def test_velocity_teaches_features_and_the_last_look_and_all_else_is_held(tmp_path: Path, checkpoint: Path):
    frames, start = (
        RealFrames([write_sequence(tmp_path / "s")], SIZE, FOCAL_PX),
        load_network(checkpoint, FOCAL_PX),
    )
    batch = frames.batch(np.array([0, 1]), np.array([False, True]))
    model = start_run(tmp_path / "stage3", CONFIG, checkpoint, FOCAL_PX).model.eval()
    with torch.no_grad():  # An answer that has learnt nothing yet weighs no feature.
        for parameter in model.further_looks.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    outputs = model(batch.image)
    stage3_loss(frames.labels(batch, outputs[2].detach()), batch, outputs, outputs, 0.0)[
        "velocity"
    ].backward()
    taught = {
        name: parameter.grad is not None and parameter.grad.abs().max().item() > 1e-6
        for name, parameter in model.named_parameters()
    }
    assert taught["stem.0.weight"]
    assert taught["further_looks.1.answer.weight"]
    assert not taught["flow_head.2.weight"]
    assert not taught["further_looks.0.answer.weight"]
    with torch.no_grad():
        before = start(batch.image)
    model.zero_grad()
    stage3_loss(
        frames.labels(batch, before[2]), batch, model(batch.image), tuple(part + 0.5 for part in before), 1.0
    )["drift"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
        if "_head.2.weight" in name or "answer.weight" in name:
            assert parameter.grad.abs().max() > 1e-6, name


def test_it_learns_goes_on_and_leaves_its_start_alone(tmp_path: Path, checkpoint: Path):
    frames, start = (
        RealFrames([write_sequence(tmp_path / "s")], SIZE, FOCAL_PX),
        load_network(checkpoint, FOCAL_PX),
    )
    before = [parameter.clone() for parameter in start.parameters()]
    state = start_run(tmp_path / "stage3", CONFIG, checkpoint, FOCAL_PX)
    statistics = {name: value.clone() for name, value in state.model.named_buffers()}
    train(state, start, frames, keep=1.0, every=2, over=lambda: state.step >= 4)
    assert state.step == 4
    for name, value in state.model.named_buffers():
        torch.testing.assert_close(value, statistics[name], msg=f"{name}: real frames are few")
    again = start_run(tmp_path / "stage3", CONFIG, checkpoint, FOCAL_PX)
    assert again.step == 4
    train(again, start, frames, keep=1.0, every=2, over=lambda: False)
    assert again.step == CONFIG.steps
    assert len((tmp_path / "stage3/log.jsonl").read_text().splitlines()) == 3
    for parameter, old in zip(start.parameters(), before, strict=True):
        torch.testing.assert_close(parameter, old, rtol=0, atol=0)
    first = torch.load(checkpoint, weights_only=True)["average"]
    last = torch.load(tmp_path / "stage3/last.pt", weights_only=True)["average"]
    assert any(not torch.equal(first[key], last[key]) for key in first if key.startswith("module."))


def test_a_loss_that_is_no_number_stays_out_of_the_log(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
):
    frames = RealFrames([write_sequence(tmp_path / "s")], SIZE, FOCAL_PX)
    factors, draw = iter([1.0, math.nan]), frames.draw

    def second_is_no_number(rng: np.random.Generator, size: int):
        batch = draw(rng, size)
        return replace(batch, twist=batch.twist * next(factors, 1.0))

    monkeypatch.setattr(frames, "draw", second_is_no_number)
    state = start_run(tmp_path / "stage3", replace(CONFIG, steps=3), checkpoint, FOCAL_PX)
    train(state, load_network(checkpoint, FOCAL_PX), frames, keep=1.0, every=1, over=lambda: False)
    lines = [json.loads(line) for line in (tmp_path / "stage3/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all(math.isfinite(value) for line in lines for value in line.values())


def test_frames_without_exposure_need_one_to_be_given(tmp_path: Path):
    folder = write_sequence(tmp_path / "s", exposure_s=None)
    with pytest.raises(SequenceError, match="give --exposure"):
        RealFrames([folder], SIZE)
    assert len(RealFrames([folder], SIZE, exposure_s=0.02).items) == 4
    with pytest.raises(SequenceError, match="no frame has a velocity"):
        RealFrames([write_sequence(tmp_path / "t", truth=False)], SIZE)


@pytest.mark.parametrize(
    ("exposure_s", "words"), [(0.0, "positive"), (-0.01, "positive"), (10.0, "write seconds")]
)
def test_an_exposure_that_cannot_be_is_refused(tmp_path: Path, exposure_s: float, words: str):
    with pytest.raises(ExposureError, match=words):
        RealFrames([write_sequence(tmp_path / "s")], SIZE, FOCAL_PX, exposure_s)
