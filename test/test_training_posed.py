"""Posed RGB-D recordings: layouts, motion along the path, holes in the depth, and shards at the end."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="requirements/training.txt is not installed")

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.errors import SequenceError
from blur_imu_ros.sequence import Sequence, read_depth, read_image
from training import __main__ as training
from training.imaging.blur import View, integrate_exposure
from training.imaging.keyframe import FULL_SCALE
from training.imaging.motion import ExposureMotion
from training.imaging.posed_layouts import Layout, read_recording
from training.imaging.posed_rgbd import (
    CameraPath,
    PosedFrame,
    displacement,
    fill_holes,
    linear_light,
    read_key_frame,
    seen_from,
)
from training.posed import is_sharp

TWIST = np.array([0.02, -0.3, 0.1, 0.05, 0.01, -0.02])
REAL = Path(__file__).parents[2] / "shared/data/tum_fr1_rpy_dev"


def pose_of(twist: np.ndarray) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = cv2.Rodrigues(twist[:3])[0], twist[3:]
    return pose


def steady_path(rate_hz: float = 100.0, seconds: float = 0.4) -> CameraPath:
    """Constant twist in the camera's own frame."""
    poses = [np.diag([1.0, -1.0, -1.0, 1.0])]
    count = round(seconds * rate_hz)
    for _ in range(count):
        poses.append(poses[-1] @ pose_of(TWIST / rate_hz))
    return CameraPath(np.arange(count + 1) / rate_hz, np.array(poses))


def write_image(path: Path, size: tuple[int, int], seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC))


def write_depth(path: Path, size: tuple[int, int], units: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    depth = np.full((size[1], size[0]), units, np.uint16)
    depth[: size[1] // 10, : size[0] // 4] = 0
    assert cv2.imwrite(str(path), depth)


@pytest.fixture
def tum(tmp_path: Path) -> Path:
    folder, path = tmp_path / "rgbd_dataset_freiburg1_test", steady_path()
    for number in range(8):
        write_image(folder / f"rgb/{number}.png", (640, 480), number)
        write_depth(folder / f"depth/{number}.png", (640, 480), 2 * 5000)
    stamps = [0.05 + 0.04 * number for number in range(8)]
    (folder / "rgb.txt").write_text(
        "# colour\n" + "".join(f"{s:.4f} rgb/{k}.png\n" for k, s in enumerate(stamps))
    )
    late = "".join(f"{s + (0.01 if k < 6 else 0.5):.4f} depth/{k}.png\n" for k, s in enumerate(stamps))
    (folder / "depth.txt").write_text("# depth\n" + late)
    rows = []
    for stamp, pose in zip(path.stamps_s, path.poses, strict=True):
        turn = cv2.Rodrigues(pose[:3, :3])[0].ravel()
        angle = np.linalg.norm(turn)
        quaternion = [*(turn / angle * np.sin(angle / 2)), np.cos(angle / 2)]
        rows.append(" ".join(f"{x:.9f}" for x in (stamp, *pose[:3, 3], *quaternion)))
    (folder / "groundtruth.txt").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def dslr(tmp_path: Path) -> Path:
    folder = tmp_path / "scene" / "dslr"
    for name in ("DSC1", "DSC2", "DSC3"):
        write_image(folder / f"resized_images/{name}.JPG", (320, 216), 1)
        write_depth(folder / f"render_depth/{name}.png", (320, 216), 1500)
    (folder / "render_depth/DSC2.png").unlink()
    camera = {
        "fl_x": 150.0,
        "fl_y": 151.0,
        "cx": 160.0,
        "cy": 108.0,
        "w": 320,
        "h": 216,
        "camera_model": "OPENCV_FISHEYE",
    }
    camera |= {"k1": 0.03, "k2": -0.01, "k3": 0.002, "k4": 0.0}
    frames = [{"file_path": f"{name}.JPG", "is_bad": name == "DSC3"} for name in ("DSC1", "DSC2", "DSC3")]
    (folder / "nerfstudio").mkdir()
    (folder / "nerfstudio/transforms.json").write_text(
        json.dumps({**camera, "frames": frames, "test_frames": []})
    )
    return folder.parent


@pytest.fixture
def iphone(tmp_path: Path) -> Path:
    folder, path = tmp_path / "scene" / "iphone", steady_path(60.0, 0.5)
    matrix = [[500.0, 0, 318.0], [0, 500.0, 241.0], [0, 0, 1]]
    entries = {}
    for number, (stamp, pose) in enumerate(zip(path.stamps_s, path.poses, strict=True)):
        entries[f"frame_{number:06d}"] = {
            "timestamp": stamp,
            "aligned_pose": pose.tolist(),
            "intrinsic": matrix,
            "imu": {},
        }
        if number in (10, 20):
            write_image(folder / f"rgb/frame_{number:06d}.jpg", (640, 480), number)
            write_depth(folder / f"depth/frame_{number:06d}.png", (256, 192), 1200)
    (folder / "pose_intrinsic_imu.json").write_text(json.dumps(entries))
    return folder.parent


def test_the_path_gives_back_its_twist_over_the_exposure():
    path = steady_path()
    motion = path.motion(0.203, 0.02)
    np.testing.assert_allclose(motion.twist, TWIST * 0.02, rtol=2e-3, atol=2e-6)
    np.testing.assert_allclose(motion.change, 0, atol=2e-5)
    assert path.motion(0.5, 0.02) is None
    between = displacement(path.pose(0.1), path.pose(0.1051))
    np.testing.assert_allclose(between, TWIST * 0.0051, rtol=1e-3, atol=1e-7)
    beyond = displacement(path.pose(0.38), path.pose(0.42))
    np.testing.assert_allclose(beyond, TWIST * 0.04, rtol=2e-2, atol=1e-5)


def test_a_camera_that_speeds_up_does_so_over_the_exposure():
    """Velocity and its change are those of the time around it, not of the whole path."""
    stamps_s = np.arange(61) / 100
    since = stamps_s - 0.2
    # Turning about x and moving along it; from 0.3 s on the other way.
    turn = np.where(stamps_s < 0.3, 0.4 * since + 3.0 * since**2, -since)
    place = np.where(stamps_s < 0.3, 0.1 * since - 2.0 * since**2, since)
    twists = np.zeros((61, 6))
    twists[:, 0], twists[:, 3] = turn, place
    path = CameraPath(stamps_s, np.array([pose_of(twist) for twist in twists]))
    motion = path.motion(0.2, 0.02, 0.7)
    np.testing.assert_allclose(motion.twist[[0, 3]], [0.4 * 0.02, 0.1 * 0.02], rtol=1e-6)
    np.testing.assert_allclose(motion.change[[0, 3]], [6.0 * 0.02**2, -4.0 * 0.02**2], rtol=1e-6)
    assert motion.readout == 0.7
    np.testing.assert_allclose(path.velocity(0.2)[[0, 3]], [0.4, 0.1], rtol=1e-6)
    np.testing.assert_allclose(
        displacement(path.pose(0.2), path.pose(0.21)), motion.displacement(0.5), atol=1e-9
    )


def test_a_turned_view_sees_the_motion_in_its_own_axes():
    quarter = cv2.Rodrigues(np.array([0, 0, np.pi / 2]))[0]
    motion = seen_from(
        View(32, 24, 30.0, quarter), ExposureMotion(np.array([1.0, 0, 0, 0, 2.0, 0]), np.zeros(6), 0.5)
    )
    np.testing.assert_allclose(motion.twist, [0, -1, 0, 2, 0, 0], atol=1e-12)
    assert motion.readout == 0.5


def test_tum_layout(tum: Path):
    recording = read_recording(tum, Layout.TUM)
    assert [frame.image.name for frame in recording.frames] == [
        f"{k}.png" for k in range(6)
    ]  # two depths are too late
    key = read_key_frame(recording.frames[2], recording.depth_per_metre)
    np.testing.assert_allclose(key.inverse_depth, 0.5, rtol=1e-3)
    assert key.metric
    assert key.focal_px > 400  # narrower than the canonical key frame, so zoomed
    assert is_sharp(recording.path, recording.frames[2].stamp_s)


def test_a_recording_becomes_a_sequence_with_true_velocity(tum: Path, tmp_path: Path):
    out = tmp_path / "sequence"
    words = ["recorded", tum, "--out", out, "--frames", "5", "--depth-every", "2"]
    assert training.main([str(word) for word in words]) == 0
    sequence = Sequence.load(out)
    np.testing.assert_allclose(sequence.truth, np.tile(TWIST, (5, 1)), rtol=2e-3, atol=2e-4)
    assert list(sequence.truth_sigma) == [0.1] * 3 + [0.05] * 3
    assert [frame.depth is not None for frame in sequence.frames] == [True, False, True, False, True]
    assert sequence.frames[1].stamp_ns == 90_000_000
    assert float(np.nanmedian(read_depth(sequence.frames[2].depth))) == 2.0
    assert sequence.camera.matrix[0, 0] == 517.3


def test_motion_capture_that_lost_the_camera_leaves_velocity_unknown():
    path = steady_path()
    known = np.abs(path.stamps_s - 0.2) > 0.03
    gap = CameraPath(path.stamps_s[known], path.poses[known])
    assert np.isnan(gap.velocity(0.2)).all()
    np.testing.assert_allclose(gap.velocity(0.1), TWIST, rtol=2e-3, atol=2e-4)


def test_dslr_layout_has_photographs_without_a_path(dslr: Path):
    recording = read_recording(dslr, Layout.SCANNETPP_DSLR)
    assert recording.path is None
    assert [frame.image.stem for frame in recording.frames] == ["DSC1"]  # one without depth, one marked bad
    camera = recording.frames[0].camera
    assert (camera.width, camera.model.value, camera.matrix[0, 2]) == (320, "equidistant", 159.5)
    key = read_key_frame(recording.frames[0], recording.depth_per_metre)
    np.testing.assert_allclose(key.inverse_depth, 1 / 1.5, rtol=1e-3)


def test_iphone_layout_with_its_smaller_depth(iphone: Path):
    recording = read_recording(iphone, Layout.SCANNETPP_IPHONE)
    assert [frame.image.stem for frame in recording.frames] == ["frame_000010", "frame_000020"]
    assert (recording.frames[0].camera.width, recording.frames[0].camera.height) == (640, 480)
    key = read_key_frame(recording.frames[0], recording.depth_per_metre)
    np.testing.assert_allclose(key.inverse_depth, 1 / 1.2, rtol=1e-3)
    depth = np.full((192, 256), 1200, np.uint16)
    depth[:, 128:] = 2400
    cv2.imwrite(str(recording.frames[0].depth), depth)
    key = read_key_frame(recording.frames[0], recording.depth_per_metre)
    row = key.inverse_depth[key.inverse_depth.shape[0] // 2]
    # Between the columns 319 and 320 of the image, whose principal point is at 318.
    edge = (row.size - 1) / 2 + (319.5 - 318.0) * key.focal_px / 500.0
    assert np.flatnonzero(np.diff(row) < -0.2)[0] + 0.5 == pytest.approx(edge, abs=1.0)
    motion = recording.path.motion(recording.frames[0].stamp_s, 0.03)
    np.testing.assert_allclose(motion.twist, TWIST * 0.03, rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("layout", ["tum", "scannetpp_dslr", "scannetpp_iphone"])
def test_every_layout_ends_in_shards(layout: str, tmp_path: Path, request: pytest.FixtureRequest):
    folder = request.getfixturevalue(layout.rsplit("_", 1)[-1])
    arguments = [
        "posed",
        "--layout",
        layout,
        str(folder),
        "--out",
        str(tmp_path / "out"),
        "--shard-size",
        "6",
        "--size",
        "128",
        "64",
    ]
    assert training.main(arguments) == 0
    shard = tmp_path / "out" / "shard_00000"
    images, depths, records = (
        np.load(shard / f"{name}.npy") for name in ("images", "inverse_depth", "records")
    )
    assert images.shape == (6, 64, 128, 3)
    assert depths.shape == (6, 4, 8)
    assert records["metric"].all()
    assert (np.abs(records["twist"]).max(axis=1) > 0).all()
    assert images.std(axis=(1, 2, 3)).min() > 1


def test_holes_are_filled_from_behind_and_counted(tum: Path):
    frame = read_recording(tum, Layout.TUM).frames[0]
    depth = np.full((480, 640), 2 * 5000, np.uint16)
    depth[:, 320:] = 4 * 5000
    depth[:, 280:330] = 0
    cv2.imwrite(str(frame.depth), depth)
    key = read_key_frame(frame, 5000.0)
    assert key.metric
    middle = key.inverse_depth[key.inverse_depth.shape[0] // 2]
    assert set(np.round(middle[[10, -10]], 3)) == {0.5, 0.25}
    assert middle.min() >= 0.24
    assert middle.max() <= 0.51
    depth[:, 200:400] = 0
    cv2.imwrite(str(frame.depth), depth)
    assert not read_key_frame(frame, 5000.0).metric
    cv2.imwrite(str(frame.depth), np.zeros_like(depth))
    assert read_key_frame(frame, 5000.0) is None


def test_what_was_saturated_is_brighter_than_white():
    light = linear_light(np.array([0, 128, 230, 255], np.uint8)[None, :, None].repeat(3, axis=2))[0, :, 0]
    np.testing.assert_allclose(light[:3], (np.array([0, 128, 230]) / 255) ** 2.2, rtol=1e-5)
    assert light[3] == pytest.approx(4.0)


@pytest.mark.parametrize("depth", [np.zeros((480, 640), np.uint8), np.zeros((480, 640, 3), np.uint16)])
def test_depth_of_another_kind_is_named(tum: Path, depth: np.ndarray):
    frame = read_recording(tum, Layout.TUM).frames[0]
    cv2.imwrite(str(frame.depth), depth)
    with pytest.raises(SequenceError, match=r"one-channel 16-bit PNG \(5000 per metre\)"):
        read_key_frame(frame, 5000.0)


def test_filling_keeps_what_is_known():
    known = np.random.default_rng(0).uniform(0.2, 2, (30, 41)).astype(np.float32)
    missing = np.random.default_rng(1).random((30, 41)) < 0.5
    filled = fill_holes(np.where(missing, np.nan, known), missing)
    np.testing.assert_array_equal(filled[~missing], known[~missing])
    assert np.isfinite(filled).all()
    assert filled.min() > 0.15


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("groundtruth.txt", "1.0 2.0\n", "line 1: 2 words where the format has 8"),
        ("groundtruth.txt", "# nothing\n", "no rows"),
        ("rgb.txt", None, "the TUM layout needs this file"),
        ("rgb.txt", "99.0 rgb/0.png\n", "no frame has colour, depth and pose"),
    ],
)
def test_a_broken_recording_is_named(tum: Path, file: str, content: str | None, words: str):
    (tum / file).unlink() if content is None else (tum / file).write_text(content)
    with pytest.raises(SequenceError, match=words):
        read_recording(tum, Layout.TUM)


def test_a_calibration_of_another_size_is_named(tum: Path):
    frame = read_recording(tum, Layout.TUM).frames[0]
    other = CameraModel(320, 240, np.array([[260.0, 0, 160], [0, 260, 120], [0, 0, 1]]))
    with pytest.raises(SequenceError, match="640x480 px where the calibration says 320x240"):
        read_key_frame(PosedFrame(frame.image, frame.depth, other), 5000.0)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real recording is not here")
def test_real_depth_frames_render_their_own_picture():
    """Read and re-rendered only; nothing learns from this recording."""
    sequence = Sequence.load(REAL)
    frame = next(frame for frame in sequence.frames[40:] if frame.depth)
    key = read_key_frame(PosedFrame(frame.image, frame.depth, sequence.camera), 5000.0)
    assert 0.4 < np.median(1 / key.inverse_depth) < 5
    assert np.isfinite(key.inverse_depth).all()
    height, width = key.inverse_depth.shape
    view = View(width, height, key.focal_px, np.eye(3))
    still, _ = integrate_exposure(key, view, ExposureMotion(np.zeros(6), np.zeros(6)))
    np.testing.assert_allclose(still, key.colour * (FULL_SCALE / 65535), atol=2e-3)
    moved, _ = integrate_exposure(key, view, ExposureMotion(np.array([0, 0.02, 0, 0.02, 0, 0]), np.zeros(6)))
    inner = np.s_[40:-40, 40:-40]
    assert abs(moved[inner].mean() / still[inner].mean() - 1) < 0.02
    assert np.abs(np.diff(moved[inner], axis=1)).mean() < 0.7 * np.abs(np.diff(still[inner], axis=1)).mean()
    assert read_image(frame.image).shape == (480, 640, 3)
