"""Exposure integration against ground truth that does not come from it: a ray-traced plane, and rendered sub-frames."""
# ruff: noqa: E402  the modules below need torch

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="requirements/training.txt is not installed")

from blur_imu_ros.errors import ConfigurationError
from training import canonical
from training.asset_pack.pack import Pack
from training.asset_pack.split import Split
from training.blurcheck import compare_room, psnr
from training.imaging.blur import View, integrate_exposure, view_inverse_depth
from training.imaging.keyframe import FULL_SCALE, KeyFrame, encode_linear
from training.imaging.motion import ExposureMotion, draw_motion, median_blur_px
from training.learn.losses import make_labels
from training.room.renderer import Renderer
from training.room.rooms import build_room
from training.smoke_assets import write_pack

WIDTH, HEIGHT, FOCAL_PX = 160, 112, 125.0
VIEW = View(WIDTH, HEIGHT, FOCAL_PX, np.eye(3))
KEY_WIDTH, KEY_HEIGHT, KEY_FOCAL_PX = 256, 192, 150.0
NORMAL, DISTANCE_M = np.array([0.25, -0.15, 1.0]), 1.6
TEXELS_PER_M, TEXTURE_PX = 90.0, 1024
INNER = np.s_[20:-20, 20:-20]


def texture() -> np.ndarray:
    """Smooth random linear light, so that sampling it adds nothing to a comparison."""
    noise = np.random.default_rng(3).random((TEXTURE_PX, TEXTURE_PX, 3), dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return np.clip(0.4 + 2.5 * (smooth - smooth.mean()), 0.02, 2)


TEXTURE = texture()


def plane_seen_from(
    displacement: np.ndarray, width: int, height: int, focal_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Linear light [H,W,3] and inverse depth [H,W] of the plane NORMAL . X = DISTANCE_M, from a camera moved by a pose [6]."""
    turn = cv2.Rodrigues(displacement[:3])[0]
    x, y = np.meshgrid(
        (np.arange(width) - (width - 1) / 2) / focal_px, (np.arange(height) - (height - 1) / 2) / focal_px
    )
    rays = np.stack((x, y, np.ones_like(x)), axis=-1) @ turn.T
    depth = (DISTANCE_M - NORMAL @ displacement[3:]) / (rays @ NORMAL)
    points = displacement[3:] + depth[..., None] * rays
    place = (points[..., :2] * TEXELS_PER_M + TEXTURE_PX / 2).astype(np.float32)
    return cv2.remap(TEXTURE, place, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101), (
        1 / depth
    ).astype(np.float32)


@pytest.fixture(scope="module")
def key() -> KeyFrame:
    colour, inverse_depth = plane_seen_from(np.zeros(6), KEY_WIDTH, KEY_HEIGHT, KEY_FOCAL_PX)
    return KeyFrame(encode_linear(colour), inverse_depth, KEY_FOCAL_PX)


def sharp(displacement: np.ndarray) -> np.ndarray:
    return plane_seen_from(displacement, WIDTH, HEIGHT, FOCAL_PX)[0]


def image_shift(first: np.ndarray, second: np.ndarray, points: np.ndarray) -> np.ndarray:
    """How far (right, down) [N,2] the content at pixels [N,2] moves from one image to the other (Lucas-Kanade)."""
    grey = [np.clip(image.mean(axis=2) * 200, 0, 255).astype(np.uint8) for image in (first, second)]
    start = points.astype(np.float32)[:, None]
    stop = cv2.calcOpticalFlowPyrLK(*grey, start, None, winSize=(21, 21), maxLevel=2)[0]
    return (stop - start)[:, 0]


AXES = {
    "turn about x": (0.016, 0, 0, 0, 0, 0),
    "turn about y": (0, 0.016, 0, 0, 0, 0),
    "turn about z": (0, 0, 0.04, 0, 0, 0),
    "move along x": (0, 0, 0, 0.025, 0, 0),
    "move along y": (0, 0, 0, 0, 0.025, 0),
    "move along z": (0, 0, 0, 0, 0, 0.06),
    "everything": (0.01, -0.008, 0.03, -0.02, 0.01, 0.04),
}


@pytest.mark.parametrize("axis", AXES)
def test_labels_are_the_displacement_of_the_image_over_the_exposure(axis: str):
    twist = np.array(AXES[axis])
    motion = ExposureMotion(twist, np.zeros(6))
    begin, end = (sharp(motion.displacement(time)) for time in (-0.5, 0.5))
    inverse_depth = plane_seen_from(np.zeros(6), WIDTH, HEIGHT, FOCAL_PX)[1]
    grid = cv2.resize(inverse_depth, (WIDTH // 8, HEIGHT // 8), interpolation=cv2.INTER_AREA)
    one = torch.tensor([FOCAL_PX], dtype=torch.float32)
    label_twist = torch.from_numpy(twist[None].astype(np.float32))
    labels = make_labels(label_twist, torch.from_numpy(grid[None]), torch.tensor([True]), one, FOCAL_PX, 8)
    flow = labels.flow[0].numpy()
    # The point seen at a cell at mid exposure lies half its displacement further back at the begin.
    cells = np.array([(3, 4), (3, 14), (7, 10), (10, 4), (10, 15)])
    expected = flow[cells[:, 0], cells[:, 1]]
    centres = 8 * cells[:, ::-1] + 3.5
    np.testing.assert_allclose(image_shift(begin, end, centres - expected / 2), expected, atol=0.15)


def test_without_motion_the_exposure_is_the_sharp_view(key: KeyFrame):
    light, inverse_depth = integrate_exposure(key, VIEW, ExposureMotion(np.zeros(6), np.zeros(6)))
    truth, true_depth = plane_seen_from(np.zeros(6), WIDTH, HEIGHT, FOCAL_PX)
    assert psnr(light[INNER], truth[INNER]) > 40
    np.testing.assert_allclose(inverse_depth[INNER], true_depth[INNER], rtol=0.01)


@pytest.mark.parametrize("axis", AXES)
def test_the_exposure_is_the_mean_of_what_is_seen_on_the_way(key: KeyFrame, axis: str):
    motion = ExposureMotion(4 * np.array(AXES[axis]), 0.5 * np.array(AXES[axis]))
    light, _ = integrate_exposure(key, VIEW, motion)
    times = (np.arange(48) + 0.5) / 48 - 0.5
    truth = np.mean([sharp(motion.displacement(time)) for time in times], axis=0)
    found = psnr(light[INNER], truth[INNER])
    assert found > 40
    assert found > psnr(sharp(np.zeros(6))[INNER], truth[INNER]) + 6


def test_light_is_neither_lost_nor_gained(key: KeyFrame):
    """Over a level plane: blur moves light about, its mean stays."""
    level = KeyFrame(key.colour, np.full_like(key.inverse_depth, 0.5), key.focal_px)
    still, moved = (
        integrate_exposure(level, VIEW, ExposureMotion(scale * np.array(AXES["move along x"]), np.zeros(6)))[
            0
        ]
        for scale in (0, 4)
    )
    assert moved[INNER].mean() == pytest.approx(still[INNER].mean(), rel=0.01)
    flat = KeyFrame(np.full_like(key.colour, 20000), key.inverse_depth, key.focal_px)
    light, _ = integrate_exposure(flat, VIEW, ExposureMotion(np.array(AXES["everything"]), np.zeros(6)))
    np.testing.assert_allclose(light, 20000 * FULL_SCALE / 65535, rtol=1e-5)


def test_time_run_backwards_leaves_the_same_picture(key: KeyFrame):
    twist = 3 * np.array(AXES["everything"])
    forth, back = (integrate_exposure(key, VIEW, ExposureMotion(s * twist, np.zeros(6)))[0] for s in (1, -1))
    assert psnr(forth[INNER], back[INNER]) > 45


def test_rolling_shutter_shows_each_row_at_its_own_time(key: KeyFrame):
    """A turn about y while the rows are read: content moves left, more so the later its row."""
    twist = np.array([0, 0.008, 0, 0, 0, 0])
    readout = 10.0
    light, _ = integrate_exposure(key, VIEW, ExposureMotion(twist, np.zeros(6), readout))
    still = sharp(np.zeros(6))
    for centre in (28, 56, 84):
        time = readout * (centre - (HEIGHT - 1) / 2) / (HEIGHT - 1)
        right, down = image_shift(still, light, np.array([[(WIDTH - 1) / 2, centre]]))[0]
        assert right == pytest.approx(-FOCAL_PX * twist[1] * time, abs=0.3)
        assert abs(down) < 0.2


def test_a_turned_view_reads_the_key_frame_where_it_looks(key: KeyFrame):
    turn = np.array([0.05, -0.08, 0.1])
    view = View(WIDTH, HEIGHT, FOCAL_PX, cv2.Rodrigues(turn)[0])
    light, _ = integrate_exposure(key, view, ExposureMotion(np.zeros(6), np.zeros(6)))
    truth, inverse_depth = plane_seen_from(np.r_[turn, 0, 0, 0], WIDTH, HEIGHT, FOCAL_PX)
    assert psnr(light[INNER], truth[INNER]) > 40
    np.testing.assert_allclose(view_inverse_depth(key, view)[INNER], inverse_depth[INNER], rtol=0.01)


def test_drawn_motions_reach_every_length_and_none_too_long(key: KeyFrame):
    rng, coarse = np.random.default_rng(0), key.inverse_depth[2::4, 2::4]
    lengths = [
        median_blur_px(draw_motion(rng, coarse, FOCAL_PX, 20.0).twist, coarse, FOCAL_PX) for _ in range(300)
    ]
    assert max(lengths) < 20.01
    assert np.mean(np.array(lengths) < 0.5) > 0.03  # sharp images teach "zero"
    assert np.percentile(lengths, 95) > 8
    assert 1 < np.median(lengths) < 5


def test_everyday_motions_are_those_of_hand_and_drone(key: KeyFrame):
    """2 rad/s and 0.7 m/s per axis, times the root mean squares of exposure, vigour and of those that hardly turn."""
    rng, coarse = np.random.default_rng(0), key.inverse_depth[2::4, 2::4]
    drawn = [draw_motion(rng, coarse, FOCAL_PX, 20.0, everyday_share=1.0) for _ in range(4000)]
    strength = np.sqrt(np.mean([motion.twist**2 for motion in drawn], axis=0))
    np.testing.assert_allclose(strength, np.repeat([0.0307, 0.0114], 3), rtol=0.08)
    assert 0.2 < np.mean([motion.readout > 0 for motion in drawn]) < 0.3


def test_occlusion_is_as_if_every_instant_had_been_rendered(tmp_path: Path):
    """Exposures warped from one key frame, against the mean of real renderings with everything that hides and appears."""
    try:
        renderer = Renderer()
    except ConfigurationError as error:
        pytest.skip(str(error))
    write_pack(tmp_path)
    view = View(256, 176, canonical.FOCAL_PX / 2, np.eye(3))
    found = compare_room(build_room(Pack(tmp_path, Split.TRAIN), 0), renderer, 0, view, (4.0, 8.0))
    assert len(found) == 4
    assert np.median([one.warped_db for one in found]) > 38
    # Lamps and windows beyond an edge cost most: what the key frame does not see cannot come into view.
    assert all(one.warped_db > one.sharp_db + 3 for one in found)
