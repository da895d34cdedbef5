"""Trajectories become velocities exactly; the classical baselines recover those of a camera whose path is known."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from moving_camera import CAMERA, INTERVAL_NS, TWIST, WALLS, photograph, poses, write_sequence

from blur_imu_ros.benchmark.colmap import camera_of
from blur_imu_ros.benchmark.trajectory import Trajectory, aligned_velocities, read_tum, velocities, write_tum
from blur_imu_ros.benchmark.visual_odometry import relative_motion, track_sequence
from blur_imu_ros.camera import CameraModel
from blur_imu_ros.distortion import DistortionModel
from blur_imu_ros.errors import SequenceError
from blur_imu_ros.recordings.sequence_writer import SequenceWriter
from blur_imu_ros.rigid_motion import displacement
from blur_imu_ros.sequence import Sequence

STAMPS = 10**18 + np.arange(8) * INTERVAL_NS
TRUTH = np.tile(TWIST, (8, 1))


def path_of(twist: np.ndarray, scale: float = 1.0, kept: slice = slice(None)) -> Trajectory:
    to_camera = poses(twist, 8)
    rotation = np.array([r.T for r, _ in to_camera])
    position = scale * np.array([-r.T @ t for r, t in to_camera])
    return Trajectory(STAMPS[kept], rotation[kept], position[kept])


def test_velocities_of_a_constant_twist_are_that_twist() -> None:
    # Central differences of a path that bends are second order in the interval.
    np.testing.assert_allclose(velocities(path_of(TWIST), STAMPS)[1:-1], TRUTH[1:-1], atol=2e-3)
    np.testing.assert_allclose(velocities(path_of(TWIST), STAMPS)[[0, -1]], TRUTH[[0, -1]], atol=2e-2)


def test_the_scale_comes_from_the_truth_and_the_direction_does_not() -> None:
    twist = aligned_velocities([path_of(TWIST, scale=0.01)], STAMPS, TRUTH)
    np.testing.assert_allclose(twist, TRUTH, atol=2e-2)
    backwards = np.concatenate([TRUTH[:, :3], -TRUTH[:, 3:]], axis=1)
    np.testing.assert_allclose(aligned_velocities([path_of(TWIST)], STAMPS, backwards)[:, 3:], 0)
    standing = aligned_velocities([path_of(TWIST, scale=0.0)], STAMPS, TRUTH)
    assert np.isnan(standing[:, 3:]).all(), "nothing has no scale"
    np.testing.assert_allclose(standing[:, :3], TRUTH[:, :3], atol=2e-2)


def test_a_frame_without_a_pose_or_a_neighbour_is_unanswered() -> None:
    answered = np.isfinite(velocities(path_of(TWIST, kept=slice(2, 5)), STAMPS)).all(axis=1)
    assert answered.tolist() == [False, False, True, True, True, False, False, False]
    stamps = STAMPS.copy()
    stamps[4:] += 10**9
    shifted = Trajectory(stamps, path_of(TWIST).rotation, path_of(TWIST).position)
    across = velocities(shifted, stamps)
    np.testing.assert_allclose(across[3:5, :3], TRUTH[3:5, :3], atol=2e-2)


def test_several_trajectories_answer_together_each_with_its_own_scale() -> None:
    parts = [path_of(TWIST, 5.0, slice(0, 4)), path_of(TWIST, 0.2, slice(4, 8))]
    np.testing.assert_allclose(aligned_velocities(parts, STAMPS, TRUTH), TRUTH, atol=2e-2)
    trusted_less = path_of(-TWIST)
    np.testing.assert_allclose(aligned_velocities([*parts, trusted_less], STAMPS, TRUTH), TRUTH, atol=2e-2)


def test_a_tum_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_tum(path_of(TWIST), tmp_path / "t.txt")
    back = read_tum(tmp_path / "t.txt")
    assert back.stamps_ns.tolist() == STAMPS.tolist()
    np.testing.assert_allclose(back.rotation, path_of(TWIST).rotation, atol=1e-7)
    np.testing.assert_allclose(back.position, path_of(TWIST).position, atol=1e-7)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1.0 0 0 0 0 0 0", "line 1.*unit quaternion"),
        ("1.0 0 0 0 0 0 0 2", "line 1.*unit quaternion"),
        ("1.0 0 0 nan 0 0 0 1", "line 1.*unit quaternion"),
        ("1.0,0,0,0,0,0,0,1", "line 1: .* is no time.*write timestamp tx"),
        ("# nothing", "holds no pose"),
    ],
)
def test_a_bad_tum_file_is_refused_with_its_line(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "t.txt").write_text(line + "\n")
    with pytest.raises(SequenceError, match=says):
        read_tum(tmp_path / "t.txt")


def test_visual_odometry_follows_a_sharp_camera(tmp_path: Path) -> None:
    sequence = Sequence.load(write_sequence(tmp_path / "s"))
    twist = aligned_velocities(track_sequence(sequence), sequence.stamps_ns, sequence.truth)
    np.testing.assert_allclose(twist[:, :3], sequence.truth[:, :3], atol=0.05)
    np.testing.assert_allclose(twist[:, 3:], sequence.truth[:, 3:], atol=0.12)


def test_visual_odometry_tells_longer_steps_from_shorter_ones(tmp_path: Path) -> None:
    with SequenceWriter(tmp_path / "s", CAMERA) as writer:
        for i, intervals in enumerate((0, 1, 2, 4, 6, 7)):
            image = photograph(*displacement(TWIST, intervals * INTERVAL_NS * 1e-9))
            writer.add(10**18 + i * INTERVAL_NS, image)
    (trajectory,) = track_sequence(Sequence.load(tmp_path / "s"))
    steps = np.linalg.norm(np.diff(trajectory.position, axis=0), axis=1)
    np.testing.assert_allclose(steps / steps[0], [1, 1, 2, 2, 1], rtol=0.15)


@pytest.mark.parametrize(
    ("model", "coefficients", "name", "parameters"),
    [
        (DistortionModel.NONE, (), "PINHOLE", []),
        (DistortionModel.EQUIDISTANT, (0.1, 0.2, 0.3, 0.4), "OPENCV_FISHEYE", [0.1, 0.2, 0.3, 0.4]),
        (
            DistortionModel.PLUMB_BOB,
            (0.1, 0.2, 0.3, 0.4, 0.5),
            "FULL_OPENCV",
            [0.1, 0.2, 0.3, 0.4, 0.5, 0, 0, 0],
        ),
    ],
)
def test_colmap_gets_the_camera_in_its_own_terms(
    model: DistortionModel, coefficients: tuple[float, ...], name: str, parameters: list[float]
) -> None:
    matrix = np.array([[260.0, 0, 150.0], [0, 250.0, 110.0], [0, 0, 1]])
    # From the corner of the first pixel, not its centre.
    expected = [260.0, 250.0, 150.5, 110.5, *parameters]
    assert camera_of(CameraModel(320, 240, matrix, coefficients, model)) == (name, expected)


def test_visual_odometry_knows_the_depth_of_its_corners_in_steps() -> None:
    rotation, translation = poses(TWIST, 4)[3]
    step = relative_motion(photograph(np.eye(3), np.zeros(3)), photograph(rotation, translation), CAMERA)
    assert step is not None
    length = np.linalg.norm(translation)
    np.testing.assert_allclose(step.rotation, rotation, atol=0.01)
    np.testing.assert_allclose(step.translation, translation / length, atol=0.1)
    depth, walls = step.depth_before * length, np.array([wall[1] for wall in WALLS])
    assert np.median(np.abs(depth[:, None] / walls - 1).min(axis=1)) < 0.05
    rays = np.column_stack([(step.before - CAMERA.matrix[:2, 2]) / CAMERA.matrix[0, 0], np.ones(len(depth))])
    after = (depth[:, None] * rays @ rotation.T + translation)[:, 2]
    np.testing.assert_allclose(step.depth_after * length, after, rtol=0.02)


def test_visual_odometry_sees_through_a_fisheye() -> None:
    lens = (-0.1, 0.02, 0.0, 0.0)
    fisheye = CameraModel(CAMERA.width, CAMERA.height, CAMERA.matrix, lens, DistortionModel.EQUIDISTANT)
    pixels = np.stack(np.meshgrid(np.arange(CAMERA.width), np.arange(CAMERA.height)), axis=2)
    rays = cv2.fisheye.undistortPoints(pixels.reshape(-1, 1, 2).astype(float), CAMERA.matrix, np.array(lens))
    seen = CAMERA.project(rays[:, 0]).astype(np.float32).reshape(pixels.shape)
    turned = displacement(TWIST, 0.1)
    before, after = (
        cv2.remap(photograph(*pose), seen, None, cv2.INTER_LINEAR)
        for pose in ((np.eye(3), np.zeros(3)), turned)
    )
    step = relative_motion(before, after, fisheye)
    assert step is not None
    np.testing.assert_allclose(step.rotation, turned[0], atol=0.015)
    np.testing.assert_allclose(step.translation, turned[1] / np.linalg.norm(turned[1]), atol=0.15)


def test_visual_odometry_of_nothing_to_see_is_no_trajectory(tmp_path: Path) -> None:
    sequence = Sequence.load(write_sequence(tmp_path / "s", frames=3))
    for frame in sequence.frames:
        frame.image.write_bytes(blank_png())
    assert track_sequence(sequence) == []


def test_colmap_follows_a_sharp_camera(tmp_path: Path) -> None:
    pytest.importorskip("pycolmap")
    from blur_imu_ros.benchmark.colmap import reconstruct

    sequence = Sequence.load(write_sequence(tmp_path / "s"))
    trajectories = reconstruct(sequence)
    twist = aligned_velocities(trajectories, sequence.stamps_ns, sequence.truth)
    answered = np.isfinite(twist).all(axis=1)
    assert answered.sum() >= 8
    np.testing.assert_allclose(twist[answered, :3], sequence.truth[answered, :3], atol=0.1)
    np.testing.assert_allclose(twist[answered, 3:], sequence.truth[answered, 3:], atol=0.2)


def blank_png() -> bytes:
    return cv2.imencode(".png", np.full((240, 320), 90, np.uint8))[1].tobytes()
