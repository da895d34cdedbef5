"""Sequence folders: what is written is read back exactly, and what is malformed is named with file, line and remedy."""

from pathlib import Path

import numpy as np
import pytest

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.distortion import DistortionModel
from blur_imu_ros.errors import BlurImuError, CameraError, SequenceError
from blur_imu_ros.recordings.csv_rows import nanoseconds, seconds
from blur_imu_ros.recordings.sequence_writer import SequenceWriter
from blur_imu_ros.sequence import Sequence, read_depth, read_image

TUM = Path(__file__).parents[2] / "shared" / "data" / "tum_fr1_rpy_dev"
CAMERA = CameraModel(
    64,
    48,
    np.array([[50.0, 0, 31], [0, 51.0, 24], [0, 0, 1]]),
    (0.1, -0.05, 0.001, 0.0, 0.0),
    DistortionModel.PLUMB_BOB,
)
START_NS = 1_305_031_229_528_748_001


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "walk"
    with SequenceWriter(target, CAMERA, truth_sigma=(0.1, 0.05)) as writer:
        for i in range(4):
            depth = np.full((48, 64), 1.5 + i) if i % 2 == 0 else None
            twist = np.arange(6) * 0.1 + i if i < 3 else None
            writer.add(START_NS + i * 33_000_000, image(i), exposure_s=0.01, depth_m=depth, twist=twist)
    return target


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_what_is_written_is_read_back(folder: Path) -> None:
    sequence = Sequence.load(folder)
    assert sequence.name == "walk"
    assert sequence.camera == CAMERA
    assert sequence.stamps_ns.tolist() == [START_NS + i * 33_000_000 for i in range(4)]
    assert sequence.frame_interval_s == pytest.approx(0.033)
    assert [f.exposure_s for f in sequence.frames] == [0.01] * 4
    assert np.array_equal(read_image(sequence.frames[1].image), image(1))
    np.testing.assert_allclose(sequence.truth[2], np.arange(6) * 0.1 + 2)
    np.testing.assert_allclose(sequence.truth_sigma, [0.1] * 3 + [0.05] * 3)
    assert sequence.frames[0].depth is not None
    assert sequence.frames[1].depth is None
    np.testing.assert_allclose(read_depth(sequence.frames[2].depth), 3.5, atol=1e-4)


def test_mono_images_and_unknown_depth(tmp_path: Path) -> None:
    grey = image(0)[..., 0]
    depth = np.full((48, 64), 2.0)
    depth[:10] = np.nan
    depth[10:20] = 14.0  # farther than 16 bits reach
    with SequenceWriter(tmp_path / "s", CAMERA) as writer:
        writer.add(0, grey, depth_m=depth)
    sequence = Sequence.load(tmp_path / "s")
    assert np.array_equal(read_image(sequence.frames[0].image), grey)
    np.testing.assert_array_equal(
        np.isnan(read_depth(sequence.frames[0].depth)).all(axis=1), np.arange(48) < 20
    )
    assert sequence.frame_interval_s == 0
    assert sequence.frames[0].exposure_s is None
    assert np.isnan(sequence.truth).all()
    assert not sequence.truth_sigma.any()
    with pytest.raises(SequenceError, match=r"truth\.csv"):
        sequence.require_truth()


def test_truth_is_the_nearest_stamp_within_reach(folder: Path) -> None:
    seconds = [
        f"{(START_NS + d) // 10**9}.{(START_NS + d) % 10**9:09d}"
        for d in (-4_000_000, 30_000_000, 40_000_000)
    ]
    rows = [f"{s},{k},,0,0,0,0" for k, s in enumerate(seconds)]
    (folder / "truth.csv").write_text("\n".join(["stamp_s,wx,wy,wz,vx,vy,vz", *rows]) + "\n")
    truth = Sequence.load(folder).truth
    np.testing.assert_allclose(truth[:, 0], [0, 1, 2, np.nan])
    assert np.isnan(truth[:, 1]).all()
    (folder / "truth.csv").write_text("\n".join(["stamp_s,wx,wy,wz,vx,vy,vz", rows[1]]) + "\n")
    np.testing.assert_allclose(Sequence.load(folder).truth[:, 0], [1, 1, 1, np.nan])


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("frames.csv", "stamp_s,image", "stamp,image", r"frames\.csv, line 1: header.*write stamp_s,image\["),
        (
            "frames.csv",
            "images/000001.png",
            "images/no.png",
            r"frames\.csv, line 3: image .*no\.png does not exist",
        ),
        ("frames.csv", "images/000001.png", "", r"line 3: no image named"),
        ("frames.csv", "depth/000002.png", "depth/no.png", r"line 4: depth .*does not exist"),
        (
            "frames.csv",
            "0.01,depth/000000.png",
            "10,depth/000000.png",
            r"line 3: an exposure_s of 10 is longer",
        ),
        (
            "frames.csv",
            ",0.01,\n",
            ",10,\n",
            r"line 3: an exposure_s of 10 is longer than the 0\.033 s.*write seconds",
        ),
        ("frames.csv", ",0.01,\n", ",-0.01,\n", r"line 3: exposure_s is -0\.01; write positive"),
        ("frames.csv", ",0.01,\n", ",fast,\n", r"line 3: exposure_s is 'fast'; write a number"),
        ("frames.csv", ",0.01,\n", ",nan,\n", r"line 3: exposure_s is nan; write a finite"),
        ("frames.csv", ",0.01,\n", ",0.01,,9\n", r"line 3: 5 fields where the header has 4"),
        (
            "frames.csv",
            "1305031229.561748001",
            "1305031229.0",
            r"line 3: stamp_s .* not later than the line before",
        ),
        ("frames.csv", "1305031229.561748001", "noon", r"line 3: stamp_s 'noon' is no time; write seconds"),
        ("frames.csv", "1305031229.561748001", "inf", r"line 3: stamp_s 'inf' is no time"),
        ("frames.csv", "1305031229.561748001", "1e999999999", r"line 3: stamp_s '1e999999999' is no time"),
        ("frames.csv", "1305031229.561748001", "1305031229561748001", r"line 3: .*is it in nanoseconds\?"),
        ("frames.csv", "1305031229.561748001", "-0.5", r"line 3: stamp_s -0.5 is negative"),
        ("truth.csv", "stamp_s,wx", "stamp_s,rx", r"truth\.csv, line 1: header"),
        ("truth.csv", "0.1,0.2", "x,0.2", r"truth\.csv, line 2: wy is 'x'"),
        ("truth.csv", "0.1,0.2", "inf,0.2", r"truth\.csv, line 2: wy is inf"),
        ("camera.yaml", "w: 0.1", "w: -1", r"truth_sigma"),
        ("camera.yaml", "{w: 0.1, v: 0.05}", "3", r"truth_sigma is 3; write"),
    ],
)
def test_malformed_files_are_named(folder: Path, file: str, old: str, new: str, says: str) -> None:
    replace(folder / file, old, new)
    with pytest.raises(SequenceError, match=says):
        Sequence.load(folder)


def test_missing_parts_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SequenceError, match="no such folder"):
        Sequence.load(tmp_path / "nowhere")
    (folder / "truth.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SequenceError, match="not UTF-8"):
        Sequence.load(folder)
    (folder / "truth.csv").unlink()
    (folder / "frames.csv").write_text("stamp_s,image\n")
    with pytest.raises(SequenceError, match="no frames"):
        Sequence.load(folder)
    (folder / "frames.csv").unlink()
    with pytest.raises(SequenceError, match=r"frames\.csv: no such file"):
        Sequence.load(folder)
    replace(folder / "camera.yaml", "50.0", "0.0")
    (folder / "frames.csv").write_text("stamp_s,image\n1.0,images/000000.png\n")
    with pytest.raises(CameraError, match=r"camera\.yaml"):
        Sequence.load(folder)
    (folder / "camera.yaml").unlink()
    with pytest.raises(SequenceError, match=r"camera\.yaml: no such file"):
        Sequence.load(folder)


def test_a_quotation_mark_left_open_is_named(folder: Path) -> None:
    path = folder / "truth.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, '"' + rows[0], *rows * 3000]))
    with pytest.raises(SequenceError, match=r"truth\.csv, line \d+: .*quotation mark"):
        Sequence.load(folder)


def test_unreadable_images_are_named(folder: Path) -> None:
    path = folder / "images" / "000001.png"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(SequenceError, match=r"000001\.png"):
        read_image(path)
    path.write_bytes(b"")
    with pytest.raises(SequenceError, match=r"000001\.png"):
        read_image(path)
    with pytest.raises(SequenceError, match="16-bit"):
        read_depth(folder / "images" / "000000.png")


def test_the_writer_refuses_to_overwrite_and_wrong_sizes(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SequenceError, match="already holds a sequence"):
        SequenceWriter(folder, CAMERA)
    with pytest.raises(BlurImuError, match="image 32x48"):
        SequenceWriter(tmp_path / "t", CAMERA).add(0, image(0)[:, :32])


@pytest.mark.skipif(not TUM.is_dir(), reason="real data not at hand")
def test_real_data_loads() -> None:
    sequence = Sequence.load(TUM)
    assert len(sequence.frames) == 360
    assert sequence.truth.shape == (360, 6)
    assert np.isfinite(sequence.truth).all(axis=1).sum() > 340
    assert read_image(sequence.frames[0].image).shape == (480, 640, 3)
    assert 0.3 < np.nanmedian(read_depth(sequence.frames[0].depth)) < 5


@pytest.mark.parametrize("stamp_ns", [0, 1, 10**18 + 1, -6_000_000, -(10**9)])
def test_seconds_are_read_back_exactly(stamp_ns: int) -> None:
    assert nanoseconds(seconds(stamp_ns)) == stamp_ns
