"""The whole training chain on tiny sizes: it runs, its loss falls, and what comes out is a model the package accepts."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="requirements/training.txt is not installed")

from blur_imu_ros.network import FlowDepthNetwork, Provider
from training import __main__ as training
from training import smoke
from training.export import parity
from training.learn.weights import load_network, round_weights
from training.smoke_assets import KINDS, write_collage_sequence, write_pack


@pytest.mark.timeout(900)
def test_from_rooms_to_evaluation(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert training.main(["smoke", "--out", str(tmp_path)]) == 0
    printed = capfd.readouterr().out
    assert "DID NOT FALL" not in printed
    assert printed.count("->") == 3  # one fallen loss per stage

    image = np.random.default_rng(1).integers(0, 256, (smoke.HEIGHT, smoke.WIDTH, 3), dtype=np.uint8)
    kept = load_network(tmp_path / "stage3/last.pt")
    round_weights(kept)  # a file holds them in 16 bits, which a checkpoint of a run does not
    flow_px, depth = parity(kept, tmp_path / "smoke.onnx", image)
    assert flow_px < 1e-3
    assert depth < 1e-3

    network = FlowDepthNetwork(tmp_path / "smoke.onnx", provider=Provider.CPU)
    calibration = json.loads((tmp_path / "calibration.json").read_text())
    assert (network.spec.width, network.spec.height) == (smoke.WIDTH, smoke.HEIGHT)
    assert network.spec.independent_fraction == pytest.approx(calibration["independent_fraction"])
    assert np.allclose(network.spec.covariance_scale, calibration["covariance_scale"])

    (sequence,) = json.loads((tmp_path / "evaluation.json").read_text())["sequences"]
    assert sequence["frames"] == smoke.CLIPS * smoke.CLIP_FRAMES
    assert math.isfinite(sequence["angular_ratio"])
    assert not (tmp_path / "sequences/train/depth").exists()  # stage 3 sees velocity only
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None


def test_collages_stand_in_where_nothing_can_be_rendered(tmp_path: Path):
    write_pack(tmp_path)
    photographs = sorted((tmp_path / "textures/train").glob("*/*.jpg"))
    assert len(photographs) == len(KINDS)
    write_collage_sequence(tmp_path / "sequence", photographs, smoke.CAMERA, 3, seed=1)
    from training.learn.real_frames import RealFrames

    frames = RealFrames([tmp_path / "sequence"], (smoke.WIDTH, smoke.HEIGHT), smoke.FOCAL_PX)
    assert len(frames.items) == 3
    plain, mirrored = (frames.batch(np.array([0]), np.array([swap])) for swap in (False, True))
    np.testing.assert_array_equal(plain.image.numpy()[..., ::-1], mirrored.image.numpy())
    np.testing.assert_allclose(plain.twist.numpy() * [[1, -1, -1, -1, 1, 1]], mirrored.twist.numpy())
