"""The sign of motion from the neighbouring frame: right, robust to brightness, and silent where it cannot know."""

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from moving_camera import INTERVAL_NS, TWIST, photograph

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.canonical_view import CanonicalView
from blur_imu_ros.contrast_view import ContrastView, ContrastViews
from blur_imu_ros.direction import (
    DirectionDecision,
    DirectionOptions,
    Geometry,
    SignedVelocity,
    choose_direction,
)
from blur_imu_ros.motion_field import grid_points, interaction_matrix
from blur_imu_ros.rigid_motion import displacement

WIDTH, HEIGHT, FOCAL_PX = 320, 240, 260.0
X, Y = grid_points(WIDTH, HEIGHT, 4)
# The scene is 1.6 to 4 m away: a rough depth is enough.
GEOMETRY = Geometry(X, Y, np.full(X.size, 0.35), np.full(X.size, 0.1), FOCAL_PX)
COVARIANCE = np.diag([0.1, 0.1, 0.1, 0.1, 0.1, 0.1]) ** 2
# Of a sign: log-odds of 6.
SUREST = 1 / (1 + np.exp(-6))
VIEWS = ContrastViews(np.ones((HEIGHT, WIDTH), bool))
REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "tum_fr1_rpy_dev"


def view(twist: np.ndarray, time_ns: int, brightness: float = 1.0, offset: float = 0.0) -> ContrastView:
    grey = photograph(*displacement(twist, time_ns * 1e-9))
    grey = np.clip(brightness * grey.astype(float) + offset, 0, 255).astype(np.uint8)
    return VIEWS.of(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), time_ns)


def decide(twist: np.ndarray, current: ContrastView, *others: ContrastView, **changes) -> DirectionDecision:
    arguments = {"covariance": COVARIANCE, "previous": None, "options": DirectionOptions()} | changes
    return choose_direction(current, list(others), GEOMETRY, twist, **arguments)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("neighbour", [-1, 1])
def test_finds_the_sign_from_the_frame_before_or_after(seed: int, neighbour: int) -> None:
    rng = np.random.default_rng(seed)
    twist = rng.normal(size=6) * [1, 1, 1, 0.5, 0.5, 0.5]
    before, now = view(twist, neighbour * INTERVAL_NS), view(twist, 0)
    for sign in (1, -1):
        decision = decide(sign * twist, now, before)
        assert decision.sign == sign
        assert decision.probability > 0.9


def test_brightness_and_contrast_may_change_between_frames() -> None:
    now, usual = view(TWIST, 0), view(TWIST, -INTERVAL_NS)
    before = view(TWIST, -INTERVAL_NS, brightness=0.5, offset=60)
    for sign in (1, -1):
        decision = decide(sign * TWIST, now, before)
        assert decision.sign == sign
        assert decision.probability == pytest.approx(decide(TWIST, now, usual).probability, abs=0.01)


def test_motion_of_a_third_of_the_view_between_frames() -> None:
    # 0.4 rad at a focal length of 260 px: 110 px, beyond what a linear flow would predict.
    twist = np.array([0.5, 12, -1, 0.2, 0, 0.1])
    now, before = view(twist, INTERVAL_NS // 2), view(twist, -INTERVAL_NS // 2)
    for sign in (1, -1):
        assert decide(sign * twist, now, before).sign == sign


def test_undecided_when_nothing_stays_in_view() -> None:
    twist = np.array([0, 40.0, 0, 0, 0, 0])
    assert decide(twist, view(0 * twist, 0), view(0 * twist, -INTERVAL_NS)).probability == 0.5


def test_less_in_view_tells_less() -> None:
    def probability(degrees: float) -> float:
        twist = np.array([0, np.radians(degrees) / (INTERVAL_NS * 1e-9), 0, 0, 0, 0])
        now, before = view(twist, INTERVAL_NS // 2), view(twist, INTERVAL_NS // 2 - INTERVAL_NS)
        return decide(twist, now, before).probability

    # The view is 63 degrees across.
    assert probability(20) == pytest.approx(SUREST)
    assert 0.85 < probability(58) < 0.999 * SUREST
    assert probability(60) == 0.5


def test_undecided_without_a_frame_to_compare() -> None:
    now = view(TWIST, 10**9)
    for others in ([], [view(TWIST, 10**9 - 10**9)], [now]):
        assert decide(TWIST, now, *others).probability == 0.5


def test_undecided_on_a_blank_wall_and_at_rest() -> None:
    blank = VIEWS.of(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), 0)
    earlier = replace(blank, stamp_ns=-INTERVAL_NS)
    assert decide(TWIST, blank, earlier).probability == pytest.approx(0.5)
    still = np.zeros(6)
    assert decide(still, view(still, 0), view(still, -INTERVAL_NS)).probability == pytest.approx(0.5)


def test_pixels_the_camera_does_not_see_are_not_compared() -> None:
    valid = np.ones((HEIGHT, WIDTH), bool)
    valid[:, :160] = False
    rgb = cv2.cvtColor(photograph(*displacement(TWIST, 0)), cv2.COLOR_GRAY2RGB)
    decisions = []
    for unseen in (114, np.random.default_rng(0).integers(0, 255, (HEIGHT, 160, 1))):
        rgb[:, :160] = unseen
        decisions.append(decide(TWIST, ContrastViews(valid).of(rgb, 0), view(TWIST, -INTERVAL_NS)))
    assert decisions[0].sign == 1
    assert decisions[1].sign == 1
    assert decisions[1].probability == pytest.approx(decisions[0].probability, abs=0.02)


def test_both_neighbours_are_surer_than_one() -> None:
    twist = 0.02 * TWIST
    now, before, after = (view(twist, i * INTERVAL_NS) for i in (0, -1, 1))
    one, other, both = (decide(twist, now, *seen) for seen in ((before,), (after,), (before, after)))
    assert both.sign == one.sign == other.sign == 1
    assert both.probability > max(one.probability, other.probability)


def test_continuity_carries_the_sign_and_its_doubt() -> None:
    twist = np.array([1.5, 0.5, 0, 0.3, 0, 0])
    now = view(twist, 0)
    sure = SignedVelocity(twist, COVARIANCE, 0.99, -INTERVAL_NS)
    opposite = replace(sure, twist=-twist)
    doubtful = replace(sure, probability=0.5)
    assert decide(twist, now, previous=sure).sign == 1
    assert decide(twist, now, previous=sure).probability > 0.7
    # However fast it goes on, it does not make the sign as sure as a look at the neighbouring frame.
    assert decide(30 * twist, now, previous=replace(sure, twist=30 * twist)).probability < 0.975
    assert decide(twist, now, previous=opposite).sign == -1
    agreed, contested = (decide(twist, now, view(twist, -INTERVAL_NS), previous=p) for p in (sure, opposite))
    assert agreed.sign == contested.sign == 1
    assert agreed.probability == pytest.approx(SUREST)
    assert 0.8 < contested.probability < 0.95
    assert decide(twist, now, previous=doubtful).probability == pytest.approx(0.5)
    vague = replace(sure, covariance=1e3 * COVARIANCE)
    for unsure in (
        decide(twist, now, previous=vague),
        decide(twist, now, previous=sure, covariance=vague.covariance),
    ):
        assert unsure.sign == 1
        assert 0.5 < unsure.probability < 0.65
    assert decide(twist, now, previous=replace(sure, stamp_ns=-(10**9))).probability == 0.5


@pytest.mark.parametrize(("axis", "acceleration"), [(1, 20.0), (3, 5.0)])
def test_continuity_by_hand(axis: int, acceleration: float) -> None:
    """The odds of two Gaussians about plus and minus the velocity before, as wide as both are and as it may have changed."""
    twist = 0.3 * np.eye(6)[axis]
    before = SignedVelocity(twist, COVARIANCE, 1.0, -INTERVAL_NS)
    spread = 0.1**2 + 0.1**2 + (acceleration * INTERVAL_NS * 1e-9) ** 2
    odds = np.exp((0.3 + 0.3) ** 2 / 2 / spread)
    decision = decide(twist, view(0 * twist, 0), previous=before)
    assert decision.probability == pytest.approx(odds / (1 + odds))


@pytest.fixture(scope="module")
def real_frames() -> list[tuple[float, bool, float]]:
    """Blur at 13 ms (px), sign right, probability, for true velocities in error by a third, of unknown sign."""
    if not REAL.exists():
        pytest.skip("the recorded sequence is not here")
    view_ = CanonicalView(CameraModel.from_yaml(REAL / "camera.yaml"), 320, 224, 260.0)
    rows = list(csv.DictReader((REAL / "frames.csv").open()))
    truth = np.genfromtxt(REAL / "truth.csv", delimiter=",", skip_header=1)
    x, y = grid_points(320, 224, 4)
    geometry = Geometry(x, y, np.full(x.size, 1 / 1.5), np.full(x.size, 0.3), view_.focal_px)
    matrix = interaction_matrix(x, y, view_.focal_px, geometry.inverse_depth)
    views = ContrastViews(view_.valid)
    rng = np.random.default_rng(0)
    earlier, previous, results = None, None, []
    for row in rows:
        stamp_s = float(row["stamp_s"])
        true = truth[np.abs(truth[:, 0] - stamp_s).argmin(), 1:]
        guess = rng.choice([-1, 1]) * (true * (1 + 0.3 * rng.normal(size=6)) + 0.1 * rng.normal(size=6))
        covariance = np.diag((0.3 * np.abs(true) + 0.1) ** 2)
        rgb = view_.warp(cv2.imread(str(REAL / row["image"])))
        now = views.of(rgb, round(stamp_s * 1e9))
        if earlier is not None:
            decision = choose_direction(
                now, [earlier], geometry, guess, covariance, previous, DirectionOptions()
            )
            flow, signed = matrix @ true, matrix @ (decision.sign * guess)
            blur = float(np.median(np.hypot(*flow.T))) * 0.013
            results.append((blur, float(np.sum(flow * signed)) > 0, decision.probability))
            previous = SignedVelocity(decision.sign * guess, covariance, decision.probability, now.stamp_ns)
        earlier = now
    return results


def test_real_frames_with_more_than_a_pixel_of_blur(real_frames: list[tuple[float, bool, float]]) -> None:
    right = [right for blur, right, _ in real_frames if blur > 1]
    assert len(right) > 250
    assert np.mean(right) > 0.98


def test_probability_agrees_with_frequency_on_real_frames(
    real_frames: list[tuple[float, bool, float]],
) -> None:
    right, probability = (np.array(column) for column in list(zip(*real_frames, strict=True))[1:])
    assert right.mean() == pytest.approx(probability.mean(), abs=0.02)
    doubtful = probability < 0.97
    assert right[doubtful].mean() == pytest.approx(probability[doubtful].mean(), abs=0.12)
