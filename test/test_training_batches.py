"""Samples and batches of them: views inside their key frame, labels that stay with their pixels, mirrored with their truth."""
# ruff: noqa: E402  the modules below need torch

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="requirements/training.txt is not installed")

from blur_imu_ros.errors import ConfigurationError
from training import __main__ as training
from training.canonical import STRIDE
from training.imaging.blur import View, view_inverse_depth
from training.imaging.collage import make_collage
from training.imaging.keyframe import KeyFrame, encode_linear
from training.imaging.motion import ExposureMotion
from training.learn import batches
from training.learn.batches import Shards, assemble, draw_batch, overexpose
from training.learn.validate import validate
from training.network import FlowDepthNetwork, NetworkConfig
from training.pictures import draw_samples
from training.samples import SAMPLE_DTYPE, SampleConfig, draw_view, make_sample, write_shard

TWIST = np.array([0.01, -0.02, 0.03, 0.002, 0.001, -0.003], np.float32)
FOCAL_PX = 100.0


def write(
    folder: Path,
    width: int,
    height: int,
    count: int = 4,
    twist: np.ndarray = TWIST,
    focal_px: float = FOCAL_PX,
) -> Path:
    """A shard of flat images, each with its number as inverse depth and as grey level."""
    config = SampleConfig(width=width, height=height, canonical_px=focal_px, shard_size=count)
    grid = (height // STRIDE, width // STRIDE)
    samples = (
        (
            np.full((height, width, 3), 10 * k + 10, np.uint8),
            np.full(grid, k + 1, np.float16),
            (twist, focal_px, focal_px, True),
        )
        for k in range(count)
    )
    write_shard(folder, samples, config)
    return folder


def key_of(width: int, height: int, focal_px: float, cell_px: int = 64) -> KeyFrame:
    """Squares at 1 m and at 4 m, the near ones bright."""
    cells = np.random.default_rng(0).random((-(-height // cell_px), -(-width // cell_px))) < 0.5
    near = cells.repeat(cell_px, axis=0).repeat(cell_px, axis=1)[:height, :width]
    colour = np.where(near, 0.8, 0.1)[..., None].repeat(3, axis=2)
    return KeyFrame(encode_linear(colour), np.where(near, 1.0, 0.25).astype(np.float32), focal_px)


@pytest.mark.parametrize(
    ("key", "config"),
    [
        (key_of(960, 720, 600.0), SampleConfig()),
        (
            key_of(512, 384, 520.0),
            SampleConfig(640, 448),
        ),  # narrower than the view at the canonical focal length
        (key_of(512, 384, 520.0), SampleConfig(256, 448)),
    ],
)
def test_a_view_lies_inside_its_key_frame(key: KeyFrame, config: SampleConfig):
    """But for corners that roll may take out, and wherever there is room it looks to all sides."""
    rng, half = np.random.default_rng(0), np.array(key.inverse_depth.shape[::-1]) / 2
    reach, turns = [], []
    for _ in range(200):
        view = draw_view(rng, key, config)
        assert view.focal_px >= 0.97 * config.canonical_px
        corners = view.rays()[[0, 0, -1, -1], [0, -1, 0, -1]] @ view.rotation.T
        reach.append((np.abs(corners[:, :2] / corners[:, 2:]) * key.focal_px / half).max())
        turns.append(view.rotation[:2, 2])
    assert max(reach) < 1.25
    assert np.median(reach) < 1.0
    assert np.median(reach) > 0.75
    assert np.abs(np.mean(turns, axis=0)).max() < 0.05
    if key.inverse_depth.shape == (720, 960):
        assert np.std(turns, axis=0).min() > 0.1


def test_what_stands_in_front_in_a_collage_is_seen_to(tmp_path: Path):
    """Where depth jumps, so does the colour: all photographs are of one colour each."""
    for number, colour in enumerate(((40, 90, 160), (200, 120, 60), (90, 200, 90))):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((480, 640, 3), colour, np.uint8))
    jumps = seen = 0
    for seed in range(12):
        key = make_collage(np.random.default_rng(seed), sorted(tmp_path.iterdir()))
        assert not key.metric
        assert key.inverse_depth.min() > 0
        jump = np.abs(np.diff(key.inverse_depth, axis=1)) > 0.1
        edge = np.abs(np.diff(key.colour.astype(int), axis=1)).max(axis=2) > 50
        jumps += jump.sum()
        seen += (jump & (cv2.dilate(edge.astype(np.uint8), np.ones((3, 3))) > 0)).sum()
    assert jumps > 2000
    assert seen > 0.85 * jumps


def test_a_sample_s_labels_are_of_its_own_view_and_motion():
    config, seen = SampleConfig(256, 192, 300.0), []
    key = key_of(640, 480, 320.0)

    def recorded(view: View, coarse: np.ndarray) -> ExposureMotion:
        seen.append((view, coarse))
        return ExposureMotion(np.array([0.0, 0.002, 0.0, 0.0, 0.0, 0.0]), np.zeros(6))

    for seed in range(6):
        image, label, (twist, focal_px, canonical_px, metric) = make_sample(
            np.random.default_rng(seed), key, config, recorded
        )
        view, coarse = seen[-1]
        whole = view_inverse_depth(key, view)
        assert (view.width, view.height) == (256, 192)
        assert (focal_px, canonical_px, metric) == (view.focal_px, 300.0, True)
        assert twist.tolist() == [0.0, 0.002, 0.0, 0.0, 0.0, 0.0]
        np.testing.assert_array_equal(coarse, whole[2::4, 2::4])
        cells = whole.reshape(192 // STRIDE, STRIDE, 256 // STRIDE, STRIDE)
        np.testing.assert_allclose(label, cells.mean(axis=(1, 3)), rtol=2e-3)
        # What is near is bright, and so are the pixels of its cell.
        pure = cells.std(axis=(1, 3)) < 0.05
        grey = image.mean(axis=2).reshape(cells.shape).mean(axis=(1, 3))[pure]
        assert np.corrcoef(grey, label[pure].astype(float))[0, 1] > 0.9


def test_windows_and_whole_views_take_turns_and_fill_the_same_pixels(tmp_path: Path):
    write(tmp_path / "windows" / "shard_0", 64, 32)
    write(tmp_path / "views" / "shard_0", 128, 64)
    shards = Shards([tmp_path / "windows", tmp_path / "views"])
    assert shards.sizes() == [(32, 64), (64, 128)]
    rng = np.random.default_rng(0)
    seen = {tuple(draw_batch(rng, shards, 3, (64, 128)).image.shape) for _ in range(20)}
    assert seen == {(3, 3, 64, 128), (12, 3, 32, 64)}


@pytest.fixture
def as_stored(monkeypatch: pytest.MonkeyPatch):
    """Grey levels stay those of the shard."""
    monkeypatch.setattr(batches, "OVEREXPOSED", 0.0)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_an_overexposed_image_is_clipped_to_the_share(share: float):
    image = np.random.default_rng(0).integers(0, 200, (448, 640, 1), np.uint8).repeat(3, axis=2)
    bright = overexpose(image, share)
    assert (bright == 255).mean() == pytest.approx(share, abs=0.05)
    assert (bright >= image).all()
    assert overexpose(image // 20, 0.9).max() < 255, "what is dark is not made of noise alone"


@pytest.mark.usefixtures("as_stored")
def test_labels_stay_with_their_image(tmp_path: Path):
    write(tmp_path / "shard_0", 128, 64)
    batch = draw_batch(np.random.default_rng(1), Shards([tmp_path]), 8, (32, 64))
    assert batch.image.shape == (8, 3, 32, 64)
    grey = batch.image[:, 0, 0, 0]
    torch.testing.assert_close(batch.labels.inverse_depth[:, 0, 0], grey / 10)
    assert (batch.labels.twist.abs() == torch.from_numpy(np.abs(TWIST))).all()


@pytest.mark.usefixtures("as_stored")
def test_mirrored_samples_are_mirrored_with_their_truth(tmp_path: Path):
    """The flow of every place is that of the unmirrored sample there, with the mirrored axis' sign."""
    height, width, grid = 64, 128, (4, 8)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    inverse_depth = rng.uniform(0.2, 1.0, grid).astype(np.float16)
    config = SampleConfig(width=width, height=height, canonical_px=FOCAL_PX, shard_size=1)
    write_shard(
        tmp_path / "shard_0", iter([(image, inverse_depth, (TWIST, FOCAL_PX, FOCAL_PX, True))]), config
    )
    shards = Shards([tmp_path])
    plain = assemble([shards.pick(rng)], (0, 0), (height, width))
    true_grey, true_flow = plain.image[0].sum(dim=0), plain.labels.flow[0]
    seen = set()
    for _ in range(6):
        batch = draw_batch(rng, shards, 8, (height, width))
        for grey, flow, depth in zip(
            batch.image.sum(dim=1), batch.labels.flow, batch.labels.inverse_depth, strict=True
        ):
            (axes,) = [a for a in ((), (0,), (1,), (0, 1)) if torch.equal(grey.flip(a), true_grey)]
            signs = torch.tensor([-1.0 if 1 in axes else 1.0, -1.0 if 0 in axes else 1.0])
            torch.testing.assert_close(flow.flip(axes) * signs, true_flow, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(depth.flip(axes), plain.labels.inverse_depth[0])
            seen.add(axes)
    assert len(seen) == 4


def test_a_crop_has_the_labels_of_its_place():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 128, 3), dtype=np.uint8)
    depth = rng.uniform(0.2, 1.0, (4, 8)).astype(np.float16)
    sample = (image, depth, np.array((TWIST, FOCAL_PX, FOCAL_PX, True), SAMPLE_DTYPE))
    whole, crop = assemble([sample], (0, 0), (64, 128)), assemble([sample], (16, 48), (32, 64))
    torch.testing.assert_close(crop.image, whole.image[:, :, 16:48, 48:112])
    torch.testing.assert_close(crop.labels.inverse_depth, whole.labels.inverse_depth[:, 1:3, 3:7])
    torch.testing.assert_close(crop.labels.flow, whole.labels.flow[:, 1:3, 3:7])


def test_shards_of_two_canonical_focal_lengths_are_refused(tmp_path: Path):
    write(tmp_path / "a" / "shard_0", 128, 64)
    write(tmp_path / "b" / "shard_0", 128, 64, focal_px=70.0)
    with pytest.raises(ConfigurationError, match=r"70 px \(.*b/shard_0\) and 100 px \(.*a/shard_0\)"):
        Shards([tmp_path / "a", tmp_path / "b"])


def test_shards_of_two_sizes_are_validated_and_drawn_one_size_at_a_time(tmp_path: Path):
    write(tmp_path / "windows" / "shard_0", 64, 64)
    write(tmp_path / "views" / "shard_0", 128, 64)
    shards = Shards([tmp_path / "windows", tmp_path / "views"])
    network = FlowDepthNetwork(NetworkConfig(widths=(4, 8, 8, 8, 8), blocks=(1, 1, 1, 1)))
    figures = validate(network, shards, torch.device("cpu"), batches=2, size=3)
    assert all(np.isfinite(value) for value in figures.values())
    assert draw_samples(shards, 3).image.shape == (3, 3, 64, 128)


def test_sharp_images_come_more_often_where_fewer_of_the_blurred_are_learnt_from(tmp_path: Path):
    write(tmp_path / "blurred" / "shard_0", 64, 32)
    write(tmp_path / "sharp" / "shard_0", 64, 32, twist=TWIST / 100)
    shards = Shards([tmp_path / "blurred", tmp_path / "sharp"])

    def sharp(blurred_share: float) -> float:
        batch = draw_batch(np.random.default_rng(2), shards, 400, (32, 64), blurred_share)
        return float((batch.labels.twist.abs().amax(dim=1) < 0.001).float().mean())

    assert sharp(1.0) == pytest.approx(0.5, abs=0.1)
    assert sharp(0.25) == pytest.approx(0.8, abs=0.1)


def test_blur_longer_than_cameras_mostly_see_is_made_rarer():
    shares = batches.keep_share(torch.tensor([0.0, 36.0, 48.0, 500.0]))
    torch.testing.assert_close(shares, torch.tensor([1.0, 1.0, 0.421875, 0.3]))


def test_a_folder_without_shards_says_what_makes_them(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="training samples"):
        Shards([tmp_path])


def test_shards_arrive_while_a_thread_goes_through_those_before(tmp_path: Path):
    write(tmp_path / "shard_0", 64, 32)
    shards = Shards([tmp_path])
    meanwhile = iter(shards.arrays.values())
    write(tmp_path / "shard_1", 64, 32)
    shards.refresh()
    assert len(list(meanwhile)) == 1
    assert len(shards.arrays) == 2


@pytest.mark.parametrize(
    "harm", [lambda file: file.unlink(), lambda file: file.write_bytes(file.read_bytes()[:200])]
)
def test_a_shard_that_is_still_copied_waits(tmp_path: Path, harm, capsys: pytest.CaptureFixture[str]):
    write(tmp_path / "shard_0", 64, 32)
    whole = (write(tmp_path / "shard_1", 64, 32) / "records.npy").read_bytes()
    harm(tmp_path / "shard_1/records.npy")
    shards = Shards([tmp_path])
    assert len(shards.arrays) == 1
    assert "shard_1 is left out" in capsys.readouterr().err
    (tmp_path / "shard_1/records.npy").write_bytes(whole)
    shards.refresh()
    assert len(shards.arrays) == 2


def test_samples_want_the_key_frames_that_they_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    photographs = tmp_path / "photos"
    photographs.mkdir()
    (photographs / "a.png").write_bytes(b"")
    words = [
        "samples",
        "--keyframes",
        str(tmp_path / "keys"),
        "--photos",
        str(photographs),
        "--out",
        str(tmp_path / "out"),
    ]
    assert training.main(words) == 2
    assert "no key frames" in capsys.readouterr().err
    write(tmp_path / "out/shard_00000", 64, 32)
    assert training.main([*words, "--size", "128", "64"]) == 2
    assert "holds views of 64x32" in capsys.readouterr().err
    assert training.main([*words, "--size", "640", "480"]) == 2
    assert "multiples of 64" in capsys.readouterr().err
