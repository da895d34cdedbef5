"""Batches from shards on disk: of one size each, mirrored with their truth, and labels that stay with their pixels."""
# ruff: noqa: E402  the modules below need torch

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="requirements/training.txt is not installed")

from training.batches import Shards, draw_batch
from training.canonical import STRIDE
from training.samples import SampleConfig, write_shard

TWIST = np.array([0.01, -0.02, 0.03, 0.002, 0.001, -0.003], np.float32)
FOCAL_PX = 100.0


def write(folder: Path, width: int, height: int, count: int = 4, twist: np.ndarray = TWIST) -> Path:
    """A shard of flat images, each with its number as inverse depth and as grey level."""
    config = SampleConfig(width=width, height=height, canonical_px=FOCAL_PX, shard_size=count)
    grid = (height // STRIDE, width // STRIDE)
    samples = (
        (
            np.full((height, width, 3), 10 * k + 10, np.uint8),
            np.full(grid, k + 1, np.float16),
            (twist, FOCAL_PX, FOCAL_PX, True),
        )
        for k in range(count)
    )
    write_shard(folder, samples, config)
    return folder


def test_windows_and_whole_views_take_turns_and_fill_the_same_pixels(tmp_path: Path):
    write(tmp_path / "windows" / "shard_0", 64, 32)
    write(tmp_path / "views" / "shard_0", 128, 64)
    shards = Shards([tmp_path / "windows", tmp_path / "views"])
    assert shards.sizes() == [(32, 64), (64, 128)]
    rng = np.random.default_rng(0)
    seen = {tuple(draw_batch(rng, shards, 3, (64, 128)).image.shape) for _ in range(20)}
    assert seen == {(3, 3, 64, 128), (12, 3, 32, 64)}


def test_labels_stay_with_their_image(tmp_path: Path):
    write(tmp_path / "shard_0", 128, 64)
    batch = draw_batch(np.random.default_rng(1), Shards([tmp_path]), 8, (32, 64))
    assert batch.image.shape == (8, 3, 32, 64)
    grey = batch.image[:, 0, 0, 0]
    torch.testing.assert_close(batch.labels.inverse_depth[:, 0, 0], grey / 10)
    assert (batch.labels.twist.abs() == torch.from_numpy(np.abs(TWIST))).all()


def test_sharp_images_come_more_often_where_fewer_of_the_blurred_are_learnt_from(tmp_path: Path):
    write(tmp_path / "blurred" / "shard_0", 64, 32)
    write(tmp_path / "sharp" / "shard_0", 64, 32, twist=TWIST / 100)
    shards = Shards([tmp_path / "blurred", tmp_path / "sharp"])

    def sharp(blurred_share: float) -> float:
        batch = draw_batch(np.random.default_rng(2), shards, 400, (32, 64), blurred_share)
        return float((batch.labels.twist.abs().amax(dim=1) < 0.001).float().mean())

    assert sharp(1.0) == pytest.approx(0.5, abs=0.1)
    assert sharp(0.25) == pytest.approx(0.8, abs=0.1)


def test_a_folder_without_shards_says_what_makes_them(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="training samples"):
        Shards([tmp_path])
