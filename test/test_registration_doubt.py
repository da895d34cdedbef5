"""When the way between two frames is not to be believed: noise, and much of the view that moves on its own."""

import numpy as np
import pytest
from moving_camera import FOCAL_PX, HEIGHT, INTERVAL_NS, TWIST, WIDTH, photograph, texture
from two_frames import view_of

from blur_imu_ros.direction import Geometry
from blur_imu_ros.motion_field import grid_points
from blur_imu_ros.rigid_motion import displacement
from blur_imu_ros.solve.agreement import disagreement
from blur_imu_ros.solve.registration import Registration, register

X, Y = grid_points(WIDTH, HEIGHT, 8)
# The scene is 1.6 to 4 m away.
GEOMETRY = Geometry(X, Y, np.full(X.size, 0.35), np.full(X.size, 0.1), FOCAL_PX)
COVARIANCE = np.diag([0.2, 0.2, 0.2, 0.3, 0.3, 0.3]) ** 2


def scene(time_ns: int) -> np.ndarray:
    return photograph(*displacement(TWIST, time_ns * 1e-9))


def registered(before: np.ndarray, now: np.ndarray) -> Registration | None:
    return register(view_of(now, INTERVAL_NS), view_of(before, 0), GEOMETRY, TWIST, COVARIANCE)


def informed(found: Registration | None) -> float:
    return float(np.trace(found.information)) if found else 0.0


@pytest.mark.parametrize("seed", range(4))
def test_noise_says_nothing(seed: int) -> None:
    dark = np.random.default_rng(seed).normal(20, 8, (2, HEIGHT, WIDTH)).clip(0, 255).astype(np.uint8)
    found = registered(*dark)
    assert found is not None
    assert found.believed == 0


@pytest.mark.parametrize("seed", range(3))
def test_little_is_believed_where_much_of_the_view_moves_on_its_own(seed: int) -> None:
    before, now = scene(0), scene(INTERVAL_NS)
    height, shift_px = 2 * HEIGHT // 5, 12
    moving = texture(seed, 2 * WIDTH)[:height]
    before[-height:], now[-height:] = moving[:, :WIDTH], moving[:, shift_px : shift_px + WIDTH]
    doubted, sure = registered(before, now), registered(scene(0), scene(INTERVAL_NS))
    assert informed(doubted) < 0.2 * informed(sure)
    assert doubted is not None
    assert sure is not None
    assert doubted.doubt > 0.8
    assert doubted.believed > 0
    assert sure.doubt == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_less_moves_the_more_is_believed(seed: int) -> None:
    told = []
    for share in (0.0, 0.1, 0.2, 0.4):
        before, now = scene(0), scene(INTERVAL_NS)
        height = round(share * HEIGHT)
        before[:height], now[:height] = texture(seed, 2 * WIDTH)[: 2 * height, :WIDTH].reshape(
            2, height, WIDTH
        )
        told.append(registered(before, now))
    doubts = [found.doubt for found in told if found]
    assert doubts == sorted(doubts)
    assert len(doubts) == 4
    assert (doubts[0], doubts[1] < 0.3, doubts[-1]) == (0, True, 1)


def test_only_what_is_seen_and_has_texture_can_disagree() -> None:
    grid = (40, 56)
    here, other = np.random.default_rng(0).normal(size=(2, *grid))
    rows = np.arange(40)[:, None] * np.ones(56)

    def told(one: np.ndarray, there: np.ndarray, seen: np.ndarray) -> tuple[float, float]:
        return disagreement(one.ravel(), there.ravel(), seen.ravel(), grid)

    # Noise upon a blank wall is of another scene in every picture.
    wall = np.where(rows < 16, 0.1, 1.0)
    assert told(wall * here, np.where(rows < 16, 0.1 * other, here), rows >= 0) == (0, 1)
    # What hides a blank wall does so in either frame.
    hidden = np.where(rows < 16, 0, here), np.where(rows < 16, other, here)
    assert told(*hidden, rows >= 0) == pytest.approx(told(*hidden[::-1], rows >= 0))
    assert told(*hidden, rows >= 0)[0] == 1
    # A tenth of the view is a fifth of what the neighbour shows of it.
    moved = np.where(rows < 8, other, here)
    assert told(here, moved, rows < 24)[0] == 1
    assert told(here, moved, rows >= 0)[0] < 1


def test_something_is_believed_until_the_whole_view_is_something_else() -> None:
    grid = (40, 56)
    here, other = np.random.default_rng(0).normal(size=(2, *grid))
    seen = np.ones(here.size, bool)

    def told(rows: int) -> tuple[float, float]:
        there = np.vstack([other[:rows], here[rows:]])
        return disagreement(here.ravel(), there.ravel(), seen, grid)

    assert told(0) == (0, 1)
    doubt, rest = told(16)
    assert doubt == 1
    assert 0.02 < rest < 0.1
    assert told(40) == (1, 0)
