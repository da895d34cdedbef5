"""Samples made in batches, as on a GPU, are those made one by one; training from rooms that workers draw meanwhile."""
# ruff: noqa: E402  the modules below need torch

import argparse
import queue
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="requirements/training.txt is not installed")

from blur_imu_ros.errors import ConfigurationError
from training import __main__ as training
from training.imaging.blur import View, integrate_exposure
from training.imaging.collage import make_collage
from training.imaging.keyframe import FULL_SCALE, KeyFrame
from training.imaging.motion import ExposureMotion
from training.imaging.sensor import draw_sensor
from training.imaging.sensor import expose as expose_one
from training.learn.batches import MIRROR_X, MIRROR_Y, MOST_CLIPPED
from training.learn.configuration import TrainingConfig
from training.learn.run import Run
from training.live import add_arguments, train
from training.network import NetworkConfig
from training.on_gpu.batch_blur import BatchExposure, Exposures
from training.on_gpu.batch_sensor import Sensors, compressed, expose
from training.on_gpu.maker import Maker
from training.on_gpu.memory import Memory, Samples
from training.on_gpu.rooms import PlannedKey, Supply, draw_plans, read_keys, start_workers
from training.room.renderer import Renderer
from training.samples import SampleConfig
from training.smoke_assets import painted, write_pack

CONFIG = SampleConfig(128, 128, 100.0)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> KeyFrame:
    """A collage of painted pictures."""
    path = tmp_path_factory.mktemp("photographs") / "a.png"
    cv2.imwrite(str(path), painted(np.random.default_rng(1), 640, 480))
    return make_collage(np.random.default_rng(2), [path])


def tensor(values: list) -> torch.Tensor:
    return torch.from_numpy(np.array(values, np.float32))


@pytest.mark.parametrize("readout", [0.0, 1.5])
def test_a_batch_is_exposed_as_each_view_alone(key: KeyFrame, readout: float):
    rng = np.random.default_rng(5)
    turn = cv2.Rodrigues(np.array([0.05, -0.08, 0.1]))[0]
    view = View(128, 128, 250.0, turn)
    motions = [
        ExposureMotion(rng.normal(0, (0.03, 0.03, 0.06, 0.02, 0.02, 0.02)), rng.normal(0, 0.01, 6), readout)
        for _ in range(3)
    ]
    exposures = Exposures(
        tensor([key.colour * np.float32(FULL_SCALE / 65535)] * 3).permute(0, 3, 1, 2),
        tensor([key.inverse_depth] * 3)[:, None],
        tensor([key.focal_px] * 3),
        tensor([turn] * 3),
        tensor([view.focal_px] * 3),
        *(tensor([getattr(m, name) for m in motions]) for name in ("twist", "change", "readout")),
    )
    light, depth = BatchExposure(exposures, 128, 128).integrate(40)
    for index, motion in enumerate(motions):
        wanted, wanted_depth = integrate_exposure(key, view, motion, step_px=0.5)
        error = np.abs(light[index].permute(1, 2, 0).numpy() - wanted)
        assert error.mean() < 0.01 * wanted.mean()
        differs = np.abs(depth[index, 0].numpy() / wanted_depth - 1) > 1e-3
        assert differs.mean() < 0.01


def test_cameras_of_a_batch_look_as_each_alone(key: KeyFrame):
    light = cv2.resize(key.colour, (128, 128)).astype(np.float32) * np.float32(FULL_SCALE / 65535)
    rng = np.random.default_rng(0)
    sensors = [replace(draw_sensor(rng), shot=0.0, read=1e-6, jpeg_quality=0) for _ in range(4)]
    images = expose(Sensors.of(tensor([s.row() for s in sensors])), tensor([light] * 4).permute(0, 3, 1, 2))
    for sensor, image in zip(sensors, images, strict=True):
        wanted = expose_one(sensor, light, rng).astype(float)
        difference = image.permute(1, 2, 0).numpy() - wanted
        # Both round at random.
        assert abs(difference.mean()) < 0.1
        assert np.abs(difference).mean() < 1.0


def test_compression_is_that_of_jpeg(key: KeyFrame):
    image = painted(np.random.default_rng(4), 128, 128)
    for quality in (50, 90):
        coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        wanted = cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1].astype(float)
        ours = compressed(tensor([image]).permute(0, 3, 1, 2), torch.full((1, 1, 1, 1), float(quality)))
        ours = ours[0].permute(1, 2, 0).numpy()
        assert np.abs(ours - wanted).mean() < 0.5 * np.abs(wanted - image).mean()


def test_samples_are_made_from_plans_and_drawn_mirrored(key: KeyFrame):
    rng = np.random.default_rng(7)
    maker = Maker(CONFIG, 4, CPU, seed=0)
    assert maker.make() is None
    places = maker.waiting.setdefault(key.inverse_depth.shape, [])
    planned = PlannedKey(key, draw_plans(rng, key, CONFIG, 16))
    places += [(planned, number) for number in range(16)]
    samples = maker.make()
    assert len(places) == 12
    assert samples.images.shape == (4, 128, 128, 3)
    assert samples.images.dtype == torch.uint8
    labels = samples.labels(CONFIG.canonical_px)
    counts = {int(plan["count"]) for plan in planned.plans}
    assert min(counts) >= 3
    assert max(counts) <= 72

    memory = Memory(6, CONFIG, CPU)
    for _ in range(2):
        memory.add(samples)
    assert memory.made == 8
    # The second four in the two places that were free, and in those of the oldest two.
    torch.testing.assert_close(memory.samples.twist, samples.twist[[2, 3, 2, 3, 0, 1]])
    torch.manual_seed(0)
    batch = memory.draw(32)
    known = {tuple(np.round(twist, 6)) for twist in labels.twist.numpy()}
    seen = set()
    for twist, flow, depth in zip(
        batch.labels.twist.numpy(), batch.labels.flow, batch.labels.inverse_depth, strict=True
    ):
        for name, signs in {"no": 1, "x": MIRROR_X, "y": MIRROR_Y, "xy": MIRROR_X * MIRROR_Y}.items():
            if tuple(np.round(twist * signs, 6)) in known:
                seen.add(name)
                which = np.abs(labels.twist.numpy() - twist * signs).sum(axis=1).argmin()
                axes = [{"x": 1, "y": 0}[axis] for axis in name if axis in "xy"]
                unmirrored = flow.flip(axes) * torch.tensor(
                    [-1.0 if "x" in name else 1.0, -1.0 if "y" in name else 1.0]
                )
                assert torch.allclose(unmirrored, labels.flow[which], atol=0.05, rtol=2e-3)
                assert torch.allclose(depth.flip(axes), labels.inverse_depth[which], rtol=2e-3)
    assert {"no", "x", "y"} <= seen


def test_each_sample_is_of_the_key_frame_of_its_plan(key: KeyFrame):
    rng, maker = np.random.default_rng(3), Maker(CONFIG, 4, CPU, seed=0)
    keys: queue.Queue[PlannedKey] = queue.Queue()
    for inverse_depth, metric in ((2.0, True), (0.2, False)):
        one = replace(key, inverse_depth=np.full_like(key.inverse_depth, inverse_depth), metric=metric)
        keys.put(PlannedKey(one, draw_plans(rng, one, CONFIG, 8)))
    near = keys.queue[0].plans["twist"]
    maker.take(keys)
    samples = maker.make()
    for twist, depth, metric in zip(samples.twist, samples.inverse_depth, samples.metric, strict=True):
        is_near = bool(np.isclose(near, twist.numpy()).all(axis=1).any())
        assert is_near == bool(metric) == bool((depth > 0.6).all())
    assert set(samples.metric.tolist()) == {True, False}


def test_it_trains_on_rooms_that_workers_draw(tmp_path: Path):
    try:
        Renderer()
    except ConfigurationError as error:
        pytest.skip(str(error))
    write_pack(tmp_path / "pack")
    supply = Supply(tmp_path / "pack", tmp_path / "keys", CONFIG, workers=1, seed=3, views=2, exposures=4)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args(
        ["--pack", "pack", "--keys", "keys", "--run", "run", "--minutes", "1", "--first-samples", "2"]
    )
    state = Run(tmp_path / "run", TrainingConfig(batch=2, velocity_from=0.0), NetworkConfig(), CPU)
    before = next(state.model.parameters()).detach().clone()
    workers = start_workers(supply)
    try:
        maker, memory = Maker(CONFIG, 2, CPU, seed=0), Memory(8, CONFIG, CPU)
        train(state, maker, memory, read_keys(supply.folder), arguments, lambda: state.step / 2, lambda: True)
    finally:
        for worker in workers:
            worker.terminate()
    assert state.step == 2
    assert memory.made >= 2
    assert not torch.equal(before, next(state.model.parameters()))


def test_it_ends_when_no_worker_is_left_to_draw_anything(tmp_path: Path):
    arguments = argparse.Namespace(first_samples=2, making=0.3)
    state = Run(tmp_path / "run", TrainingConfig(batch=2), NetworkConfig(), CPU)
    maker, memory = Maker(CONFIG, 2, CPU, seed=0), Memory(8, CONFIG, CPU)
    with pytest.raises(ConfigurationError, match="every worker"):
        train(state, maker, memory, queue.Queue(), arguments, lambda: 0.0, lambda: False)


def test_some_of_the_images_drawn_are_overexposed():
    grey = torch.arange(128 * 128).reshape(1, 128, 128, 1).expand(64, -1, -1, 3) / (128 * 128) * 100
    count = len(grey)
    samples = Samples(
        grey.to(torch.uint8),
        torch.zeros(count, 6),
        torch.ones(count, 8, 8),
        torch.ones(count, dtype=torch.bool),
        torch.full((count,), 100.0),
    )
    memory = Memory(count, CONFIG, CPU)
    memory.add(samples)
    torch.manual_seed(1)
    clipped = (memory.draw(400).image >= 254.5).float().mean(dim=(1, 2, 3))
    assert 0.2 < float((clipped > 0).float().mean()) < 0.4
    # The limit is found on one pixel in 256.
    assert 0.35 < float(clipped.max()) <= MOST_CLIPPED + 0.15


def test_a_deeper_network_starts_from_a_shallower_one(tmp_path: Path):
    small = Run(tmp_path / "a", TrainingConfig(), NetworkConfig(blocks=(2, 2, 2, 2)), CPU)
    small.save()
    deep = Run(tmp_path / "b", TrainingConfig(), NetworkConfig(blocks=(2, 3, 4, 2)), CPU)
    deep.start_from(small.checkpoint)
    image = torch.rand(1, 3, 128, 128) * 255
    for one, other in zip(small.model.eval()(image), deep.model.eval()(image), strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_a_run_that_is_there_is_not_begun_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/last.pt").write_bytes(b"kept")
    words = [
        "--pack",
        tmp_path / "pack",
        "--keys",
        tmp_path / "keys",
        "--run",
        tmp_path / "run",
        "--minutes",
        1,
    ]
    assert training.main(["live", *map(str, words)]) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert (tmp_path / "run/last.pt").read_bytes() == b"kept"
