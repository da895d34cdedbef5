"""What a neighbouring frame adds to the velocity of a blur: the step told from the turn, as much as acceleration allows."""

from dataclasses import replace

import numpy as np
import pytest
from model_specs import spec_of
from moving_camera import CAMERA, FOCAL_PX, HEIGHT, INTERVAL_NS, TWIST, WIDTH, photograph
from two_frames import true_geometry, view

from blur_imu_ros.between_frames import SignedEstimate, with_neighbours
from blur_imu_ros.contrast_view import ContrastView
from blur_imu_ros.direction import DirectionDecision, DirectionOptions, SignedVelocity
from blur_imu_ros.estimate import Frame
from blur_imu_ros.estimator import BlurImuEstimator
from blur_imu_ros.model.spec import ModelSpec
from blur_imu_ros.motion_field import double_angle, interaction_matrix
from blur_imu_ros.network import Prediction
from blur_imu_ros.options import EstimatorOptions
from blur_imu_ros.rigid_motion import displacement
from blur_imu_ros.solve import neighbour_ways
from blur_imu_ros.solve.in_place import or_in_place
from blur_imu_ros.solve.lever_arm import camera_of_centre
from blur_imu_ros.solve.registration import Registration
from blur_imu_ros.solve.way import Way
from blur_imu_ros.velocity import SolverOptions, VelocitySolution

INTERVAL_S = INTERVAL_NS * 1e-9
GEOMETRY = true_geometry()
STILL = np.zeros(6)
HERE, THERE = view(STILL, 0), view(TWIST, INTERVAL_NS)
SPEC = spec_of(WIDTH, HEIGHT, 4, FOCAL_PX)
# A turn about y and a step along x that look alike at the depth of most of the view.
ALIKE = np.array([0, 0.25, 0, -1.0, 0, 0])
COVARIANCE = 0.05**2 * np.eye(6) + np.outer(ALIKE, ALIKE)
SLOW, FAST = 0.1, 5.0
STEADY = EstimatorOptions(direction=DirectionOptions(acceleration_rad_s2=1.0, acceleration_m_s2=1.0))


def combined(
    twist: np.ndarray,
    *neighbours: ContrastView,
    covariance: np.ndarray = COVARIANCE,
    options: EstimatorOptions = STEADY,
    spec: ModelSpec = SPEC,
    blur_px: float = FAST,
    sign: int = 1,
    probability: float = 0.9,
    previous: SignedVelocity | None = None,
) -> SignedEstimate:
    solution = VelocitySolution(twist, covariance, np.ones(6), 1.0, 1000, 0.1, blur_px)
    decision = DirectionDecision(sign, probability)
    return with_neighbours(solution, decision, HERE, list(neighbours), GEOMETRY, previous, options, spec)


def assert_same(one: SignedEstimate, other: SignedEstimate) -> None:
    np.testing.assert_allclose(one.twist, other.twist, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-9, atol=1e-12)
    assert (one.probability, one.overlap) == pytest.approx((other.probability, other.overlap))


def widest(covariance: np.ndarray, reference: np.ndarray) -> float:
    """The largest variance along any direction, in units of the reference's."""
    return float(np.linalg.eigvals(np.linalg.solve(reference, covariance)).real.max())


@pytest.mark.parametrize("neighbour", [-1, 1])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("twist", [TWIST, np.array([0, 0.8, 0, 0, 0, 0]), np.array([0, 0, 0, 1.0, 0, 0])])
def test_a_step_that_was_taken_for_a_turn_is_put_right(twist: np.ndarray, sign: int, neighbour: int) -> None:
    there = view(twist, neighbour * INTERVAL_NS)
    for share in (0.7, -0.7):
        blur = twist + share * ALIKE
        estimate = combined(sign * blur, there, sign=sign)
        assert np.linalg.norm(estimate.twist - twist) < 0.25 * np.linalg.norm(blur - twist)
        assert ALIKE @ estimate.covariance @ ALIKE < 0.1 * ALIKE @ COVARIANCE @ ALIKE
        # What was found between frames as expected has the right sign 20 times as surely.
        assert estimate.probability == pytest.approx(180 / 181, abs=1e-3)
        assert estimate.overlap > 0.7


def test_a_wrong_sign_is_put_right_where_only_the_other_is_found() -> None:
    twist = np.array([0.5, 1.5, -1.0, 0, 0, 0])
    there, sure = view(twist, INTERVAL_NS), 0.05**2 * np.eye(6)
    right, wrong = (combined(twist, there, covariance=sure, sign=sign) for sign in (1, -1))
    np.testing.assert_allclose(wrong.twist, right.twist, atol=0.02)
    assert 0.5 < wrong.probability < right.probability
    # However sure the sign was before: surer than looks can make it by what was found, and no more.
    certain = [combined(twist, there, covariance=sure, sign=s, probability=1.0).probability for s in (1, -1)]
    assert certain[0] == pytest.approx(1 / (1 + np.exp(-9)))
    elsewhere = view(np.array([0, 40.0, 0, 0, 0, 0]), INTERVAL_NS)
    # A neighbour that shows quite another motion makes the blur's own answer doubtful.
    assert_same(combined(twist, elsewhere, covariance=sure), SignedEstimate(twist, 6 * sure, 0.9))


def test_the_opposite_is_as_likely_as_the_sign_is_unsure() -> None:
    """What the estimator widens the covariance by: only of a small blur found between frames is it covered already."""
    there, slow = view(TWIST, INTERVAL_NS), view(0.3 * TWIST, INTERVAL_NS)
    for neighbours in ((), (there,)):
        estimate = combined(TWIST, *neighbours, probability=0.8)
        assert estimate.mirrored == pytest.approx(1 - estimate.probability, rel=1e-9)
    assert combined(TWIST, blur_px=SLOW).mirrored == 0.5
    assert combined(0.3 * TWIST, slow, blur_px=SLOW).mirrored == 0


@pytest.mark.parametrize("sign", [-1, 1])
def test_where_the_blur_leads_nowhere_the_search_goes_on_from_the_frame_before(sign: int) -> None:
    twist, misread = np.array([0, 3.0, 0, 0, 0, 0]), np.array([0, -0.5, -3.0, 0, 0, 0])
    there, vague = view(twist, INTERVAL_NS), 2.0**2 * np.eye(6)
    lost = combined(sign * misread, there, covariance=vague)
    assert lost.overlap == 0
    previous = SignedVelocity(twist + 0.2, COVARIANCE, 0.9, -INTERVAL_NS)
    found = combined(sign * misread, there, covariance=vague, previous=previous)
    assert found.overlap > 0.7
    np.testing.assert_allclose(found.twist, twist, atol=0.3)


def test_where_the_way_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the blur tells with either sign, drawn towards the frame before as far as acceleration lets it; then from that alone."""
    tried = []
    monkeypatch.setattr(neighbour_ways, "register", lambda *arguments: tried.append(arguments[3::2]))
    for sign in (1, -1):
        previous = SignedVelocity(sign * TWIST + 0.1, 0.2**2 * np.eye(6), 1.0, -INTERVAL_NS)
        tried.clear()
        combined(TWIST, THERE, covariance=0.3**2 * np.eye(6), previous=previous)
        weights = 1 / 0.3**2, 1 / (0.2**2 + INTERVAL_S**2)
        for expected, (twist, start) in zip((TWIST, -TWIST), tried, strict=False):
            np.testing.assert_allclose(twist, expected)
            np.testing.assert_allclose(start, np.average([expected, previous.twist], axis=0, weights=weights))
        np.testing.assert_allclose(tried[2:], [[sign * TWIST, previous.twist]])
    tried.clear()
    combined(TWIST, THERE, previous=previous, blur_px=SLOW)
    assert len(tried) == 2
    assert not np.any(tried[1])


def test_without_a_neighbour_that_counts_it_is_what_the_blur_told() -> None:
    twist, beside = TWIST + 0.5 * ALIKE, view(TWIST, INTERVAL_NS)
    alone = SignedEstimate(-twist, COVARIANCE, 0.9)
    spec = replace(SPEC, depth_scale_sigma=0.2)
    covariance = COVARIANCE + np.outer([*3 * [0], *twist[3:]], [*3 * [0], *twist[3:]])
    far = STEADY.direction.max_interval_s * 1e9
    unseen = tuple(np.full_like(level, np.nan) for level in HERE.levels)
    for neighbours, options in (
        ([beside], replace(STEADY, between_frames=False)),
        ([], STEADY),
        ([replace(beside, stamp_ns=int(1.01 * far)), replace(beside, stamp_ns=int(-1.01 * far))], STEADY),
        ([replace(beside, stamp_ns=0)], STEADY),
        ([ContrastView(unseen, INTERVAL_NS)], STEADY),
    ):
        assert_same(combined(twist, *neighbours, options=options, sign=-1), alone)
        scaled = combined(twist, *neighbours, options=options, sign=-1, spec=spec, covariance=covariance)
        assert_same(scaled, replace(alone, covariance=covariance))
        slow = combined(twist, *neighbours, options=options, sign=-1, blur_px=SLOW)
        assert_same(slow, replace(alone, probability=0.5))
    assert np.linalg.norm(combined(twist, beside).twist - twist) > 0.1


def test_one_neighbour_that_counts_is_enough_and_the_others_are_left_out() -> None:
    beside, far = view(TWIST, INTERVAL_NS), view(TWIST, 10 * INTERVAL_NS)
    unseen = ContrastView(tuple(np.full_like(level, np.nan) for level in HERE.levels), -INTERVAL_NS)
    assert_same(combined(TWIST + 0.5 * ALIKE, unseen, far, beside), combined(TWIST + 0.5 * ALIKE, beside))


@pytest.mark.parametrize("indices", [(-1,), (1,), (-1, 1)])
@pytest.mark.parametrize("blur_px", [SLOW, FAST])
@pytest.mark.parametrize("arm", [(0.0, 0.0, 0.0), (0.1, -0.2, 0.4)])
def test_covariance_is_one_and_hardly_wider_than_that_of_the_blur(
    indices: tuple[int, ...], blur_px: float, arm: tuple[float, float, float]
) -> None:
    rng = np.random.default_rng(0)
    options = replace(STEADY, solver=SolverOptions(lever_arm_m=arm))
    for width in (0.01, 0.1, 1.0, 10.0):
        root = rng.normal(size=(6, 6)) * width / 3
        covariance = root @ root.T + 1e-6 * np.eye(6)
        neighbours = [view(TWIST, index * INTERVAL_NS) for index in indices]
        estimate = combined(TWIST, *neighbours, covariance=covariance, options=options, blur_px=blur_px)
        assert estimate.overlap > 0
        np.testing.assert_allclose(estimate.covariance, estimate.covariance.T, rtol=1e-6, atol=1e-12)
        assert np.linalg.eigvalsh(estimate.covariance).min() > 0
        told = covariance + np.outer(TWIST, TWIST) * (blur_px == SLOW)
        # Where a frame says as little as was known, its shared errors make the sum of both wider by a third, two by more.
        assert widest(estimate.covariance, told) < (1.34, 2.29)[len(indices) - 1]


@pytest.mark.parametrize("arm", [(0.0, 0.0, 0.0), (0.1, -0.2, 0.4)])
@pytest.mark.parametrize("blur_px", [SLOW, FAST])
def test_the_error_of_depths_scale_goes_with_the_step_that_is_found(
    arm: tuple[float, float, float], blur_px: float
) -> None:
    """Neither frame knows it better than the other: it makes the result no different, and its covariance as much wider."""

    def scaled(twist: np.ndarray) -> np.ndarray:
        centre = np.linalg.inv(camera_of_centre(arm)) @ twist
        return 0.3**2 * np.outer([0, 0, 0, *centre[3:]], [0, 0, 0, *centre[3:]])

    options = replace(STEADY, solver=SolverOptions(lever_arm_m=arm))
    blur, there = TWIST + 0.7 * ALIKE, view(TWIST, -INTERVAL_NS)
    plain = combined(blur, there, options=options, blur_px=blur_px)
    unsure = combined(
        blur,
        there,
        options=options,
        blur_px=blur_px,
        spec=replace(SPEC, depth_scale_sigma=0.3),
        covariance=COVARIANCE + scaled(blur),
    )
    np.testing.assert_allclose(unsure.twist, plain.twist, atol=1e-6)
    np.testing.assert_allclose(unsure.covariance - plain.covariance, scaled(plain.twist), atol=1e-6)


def test_what_acceleration_may_change_meanwhile_a_neighbour_does_not_tell() -> None:
    blur, there = TWIST + 0.7 * ALIKE, view(TWIST, INTERVAL_NS)
    moved, spread = [], []
    for acceleration in (1.0, 30.0, 100.0, 1e5):
        options = EstimatorOptions(direction=DirectionOptions(0.25, acceleration, acceleration))
        estimate = combined(blur, there, options=options)
        moved.append(np.linalg.norm(estimate.twist - blur))
        spread.append(ALIKE @ estimate.covariance @ ALIKE)
    assert moved[0] > 1.2 * moved[1] > 1.5 * moved[2] > 10 * moved[3]
    assert spread[0] < spread[1] < spread[2] < spread[3]
    assert moved[3] < 1e-3
    np.testing.assert_allclose(estimate.covariance, COVARIANCE, atol=1e-3)


def test_acceleration_of_a_turn_and_of_a_step_are_told_apart() -> None:
    """A step that may change at will leaves the turn as well known, and the other way about."""
    blur, there = TWIST + np.array([0.3, 0, 0, 0, 0, 0.3]), view(TWIST, INTERVAL_NS)
    turning = EstimatorOptions(direction=DirectionOptions(0.25, 1e5, 0.1))
    stepping = EstimatorOptions(direction=DirectionOptions(0.25, 0.1, 1e5))
    wide = 0.3**2 * np.eye(6)
    turn, step = (combined(blur, there, covariance=wide, options=options) for options in (turning, stepping))
    np.testing.assert_allclose(turn.twist[:3], blur[:3], atol=1e-2)
    np.testing.assert_allclose(step.twist[3:], blur[3:], atol=1e-2)
    assert abs(step.twist[0] - TWIST[0]) < 0.15
    assert abs(turn.twist[5] - TWIST[5]) < 0.15


def test_stamps_that_jitter_leave_the_length_of_the_way_less_sure() -> None:
    steps = replace(STEADY, solver=SolverOptions(prior_linear_m_s=np.inf))
    exact, rough = (
        combined(
            TWIST,
            view(TWIST, -INTERVAL_NS),
            covariance=10 * np.eye(6),
            options=replace(steps, direction=replace(STEADY.direction, stamp_sigma_s=sigma_s)),
        ).covariance
        for sigma_s in (0.0, 0.004)
    )
    # Two stamps are off, relative to the time between them.
    gained = TWIST @ (rough - exact) @ TWIST / (TWIST @ TWIST) ** 2
    assert 0.75 < gained / (2 * (0.004 / INTERVAL_S) ** 2) < 1.05


@pytest.mark.parametrize("arm", [(0.0, 0.0, 0.0), (0.1, -0.2, 0.4)])
def test_a_centre_that_hardly_steps_between_frames_is_taken_to_turn_in_place(
    arm: tuple[float, float, float],
) -> None:
    twist = camera_of_centre(arm) @ [0.3, 1.0, -0.5, 0.03, -0.02, 0.01]
    there, wide = view(twist, INTERVAL_NS), COVARIANCE + 0.1**2 * np.eye(6)
    found, free = (
        combined(
            twist,
            there,
            covariance=wide,
            options=replace(STEADY, solver=SolverOptions(prior_linear_m_s=sigma_m_s, lever_arm_m=arm)),
        )
        for sigma_m_s in (0.7, np.inf)
    )
    mean, covariance = or_in_place(free.twist, free.covariance, np.full(3, 0.7), arm)
    np.testing.assert_allclose(found.twist, mean, atol=1e-9)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-9)
    assert np.abs(mean - free.twist).max() > 0.005


def test_of_a_motion_that_grows_two_neighbours_tell_the_middle() -> None:
    change = np.array([3.0, -6.0, 3.0, 3.0, 2.0, -3.0])
    before = view(TWIST - change * INTERVAL_S / 2, -INTERVAL_NS)
    after = view(TWIST + change * INTERVAL_S / 2, INTERVAL_NS)
    options = EstimatorOptions(direction=DirectionOptions(0.25, 10.0, 5.0))
    blur, wide = TWIST + 0.7 * ALIKE, COVARIANCE + 0.3**2 * np.eye(6)
    one, other, both = (
        np.linalg.norm(combined(blur, *seen, covariance=wide, options=options).twist - TWIST)
        for seen in ((before,), (after,), (before, after))
    )
    assert both < 0.7 * min(one, other)
    assert both < 0.12


def test_velocity_covariance_and_acceleration_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """One axis at a time, against the least squares of a number and its rate; what both get wrong counts for each."""
    blur, sigma, acceleration = 1.0, 0.4, 3.0
    information, mean, factor = 30.0, 2.0, 5.0
    options = EstimatorOptions(
        solver=SolverOptions(prior_linear_m_s=np.inf),
        direction=DirectionOptions(0.25, acceleration, acceleration),
    )
    for intervals in ((0.1,), (-0.1,), (-0.1, 0.1), (-0.05, 0.2)):

        def found(current, neighbour, geometry, twist, covariance, start):
            np.testing.assert_array_equal(start, twist)
            np.testing.assert_allclose(twist, blur)
            interval_s = neighbour.stamp_ns * 1e-9
            # Known beforehand of the mean: the blur's, and half of what is gained or lost by then.
            expected = sigma**2 + (acceleration * interval_s / 2) ** 2
            np.testing.assert_allclose(covariance, expected * np.eye(6))
            said = information * np.eye(6)
            return Registration(said, said @ np.full(6, mean), interval_s, abs(interval_s), factor)

        monkeypatch.setattr(neighbour_ways, "register", found)
        neighbours = [replace(THERE, stamp_ns=round(interval_s * 1e9)) for interval_s in intervals]
        estimate = combined(
            np.full(6, blur), *neighbours, covariance=sigma**2 * np.eye(6), options=options, sign=1
        )
        total, variance = (np.diag([1 / sigma**2, 1 / acceleration**2]) for _ in range(2))
        weighted = np.array([blur / sigma**2, 0.0])
        for interval_s in intervals:
            way = np.array([1.0, interval_s / 2])
            total += information * np.outer(way, way)
            variance += len(intervals) * factor * information * np.outer(way, way)
            weighted += information * mean * way
        inverse = np.linalg.inv(total)
        np.testing.assert_allclose(estimate.twist, (inverse @ weighted)[0])
        expected = (inverse @ variance @ inverse)[0, 0]
        if len(intervals) == 2:
            # From one way to the next a quarter of what an acceleration may be, of which the middle keeps a sixth.
            expected += (0.25 * acceleration * np.mean(np.abs(intervals)) / 6) ** 2
        np.testing.assert_allclose(estimate.covariance, expected * np.eye(6), atol=1e-12)
        assert estimate.overlap == pytest.approx(max(np.abs(intervals)))


def test_what_moves_by_itself_and_a_rolling_shutter_make_the_result_less_sure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = 100 * np.eye(6)

    def result(doubt: float, bend_rad_s: float, *intervals_s: float) -> SignedEstimate:
        def found(current, neighbour, geometry, twist, covariance, start):
            bend = np.full(3, bend_rad_s)
            interval_s = neighbour.stamp_ns * 1e-9
            return Registration(
                said, said @ TWIST, interval_s, 1.0, bend=bend, believed=1 - doubt, doubt=doubt
            )

        monkeypatch.setattr(neighbour_ways, "register", found)
        neighbours = [replace(THERE, stamp_ns=round(interval_s * 1e9)) for interval_s in intervals_s]
        # So wide that nothing but the ways counts.
        anything = replace(STEADY, solver=SolverOptions(prior_linear_m_s=np.inf))
        return combined(TWIST, *neighbours, covariance=1e6 * np.eye(6), options=anything, probability=0.99)

    for intervals_s in ((-0.03,), (-0.03, 0.03)):
        plain, moving = (result(doubt, 0.0, *intervals_s) for doubt in (0.0, 0.5))
        np.testing.assert_allclose(moving.covariance, 3.5 * plain.covariance, rtol=1e-3)
        assert 0.99 < moving.probability < plain.probability
    one, both = (result(0.0, 0.0, *intervals_s) for intervals_s in ((-0.03,), (-0.03, 0.03)))
    # Of one way alone, what acceleration may do covers it.
    assert_same(result(0.0, 0.1, -0.03), one)
    assert_same(result(0.0, 0.02, -0.03, 0.03), both)
    bent = result(0.0, 0.1, -0.03, 0.03).covariance - both.covariance
    np.testing.assert_allclose(bent, 1.5**2 * (0.1**2 - 0.02**2) * np.eye(6), rtol=1e-6, atol=1e-12)


def test_the_way_before_counts_where_it_led_here() -> None:
    there, options = view(TWIST, -INTERVAL_NS), EstimatorOptions()
    wide = COVARIANCE + 0.3**2 * np.eye(6)
    earlier = Way(TWIST - [0, 1.0, 0, 0, 0, 0], 1e-4 * np.eye(6), -INTERVAL_NS * 3 // 2)
    previous = SignedVelocity(TWIST, COVARIANCE, 0.99, -INTERVAL_NS, earlier)
    long_ago = round(-1.01e9 * options.direction.max_interval_s)
    alone, growing, late = (
        combined(TWIST, there, previous=one, options=options, covariance=wide)
        for one in (replace(previous, way=None), previous, replace(previous, stamp_ns=long_ago))
    )
    assert growing.twist[1] > alone.twist[1] + 0.02
    assert_same(late, alone)
    # It is told to the next frame: the mean of what lies between the two.
    assert alone.way is not None
    assert alone.way.middle_ns == pytest.approx(-INTERVAL_NS / 2, abs=1)
    np.testing.assert_allclose(alone.way.twist, TWIST, atol=0.15)
    assert growing.way is not None
    assert alone.way.acceleration is None
    gained = (growing.way.twist - earlier.twist)[:3] / ((growing.way.middle_ns - earlier.middle_ns) * 1e-9)
    np.testing.assert_allclose(growing.way.acceleration, gained)
    assert combined(TWIST, view(TWIST, INTERVAL_NS)).way is None


@pytest.mark.parametrize("neighbour", [-1, 1])
def test_of_a_blur_too_small_for_it_the_sign_does_not_matter(neighbour: int) -> None:
    twist, there = 0.3 * TWIST, view(0.3 * TWIST, neighbour * INTERVAL_NS)
    spec = replace(SPEC, depth_scale_sigma=0.2)
    estimates = [
        combined(sign * twist, there, spec=spec, blur_px=SLOW, sign=decided, covariance=0.08**2 * np.eye(6))
        for sign in (1, -1)
        for decided in (1, -1)
    ]
    for estimate in estimates:
        assert_same(estimate, estimates[0])
    np.testing.assert_allclose(estimates[0].twist, twist, atol=0.1)
    assert estimates[0].probability > 0.95


def test_the_probability_of_a_small_blur_is_that_of_the_result() -> None:
    rng = np.random.default_rng(0)
    there = view(0.05 * TWIST, INTERVAL_NS)
    sure = []
    for speed, width in ((0.02, 0.1), (0.05, 0.2), (0.2, 0.2)):
        estimate = combined(
            speed * TWIST, there, blur_px=SLOW, covariance=width**2 * np.eye(6), options=EstimatorOptions()
        )
        draws = rng.multivariate_normal(estimate.twist, estimate.covariance, size=40000)
        forward = draws @ np.linalg.solve(estimate.covariance, estimate.twist) > 0
        assert estimate.probability == pytest.approx(forward.mean(), abs=0.01)
        sure.append(estimate.probability)
    assert 0.5 < min(sure) < max(sure) < 0.99
    resting = combined(STILL, view(STILL, INTERVAL_NS), blur_px=SLOW)
    assert resting.probability == pytest.approx(0.5, abs=0.2)
    np.testing.assert_allclose(resting.twist, 0, atol=0.05)


def test_what_counts_as_a_small_blur_is_the_models_or_as_chosen() -> None:
    twist, there = 0.3 * TWIST, view(0.3 * TWIST, INTERVAL_NS)
    for blur_px, chosen, kept in ((0.4, None, False), (0.6, None, True), (0.6, 0.7, False), (0.4, 0.3, True)):
        options = replace(STEADY, min_blur_px=chosen)
        estimate = combined(twist, there, blur_px=blur_px, options=options, probability=0.6)
        assert (estimate.probability == pytest.approx(30 / 31, abs=1e-3)) is kept


def test_overlap_is_that_of_the_neighbour_that_shows_more() -> None:
    near, far = view(4 * TWIST, INTERVAL_NS), view(4 * TWIST, -4 * INTERVAL_NS)
    one, other, both = (combined(4 * TWIST, *seen).overlap for seen in ((near,), (far,), (near, far)))
    assert 0.15 < other < one - 0.1
    assert both == pytest.approx(one)


def test_a_surely_known_velocity_stays() -> None:
    sure = 1e-4**2 * np.eye(6)
    estimate = combined(TWIST + 0.5 * ALIKE, view(TWIST, INTERVAL_NS), covariance=sure)
    np.testing.assert_allclose(estimate.twist, TWIST + 0.5 * ALIKE, atol=1e-3)
    assert widest(estimate.covariance, sure) < 1.05


def test_a_frame_is_answered_again_by_the_options_it_was_solved_by() -> None:
    """Another lever arm meanwhile would take from its covariance what it never had."""

    class Network:
        spec = replace(SPEC, depth_scale_sigma=0.3)

        def predict(self, image: np.ndarray) -> Prediction:
            flow = interaction_matrix(GEOMETRY.x, GEOMETRY.y, FOCAL_PX, GEOMETRY.inverse_depth) @ turn * 0.01
            grid = (HEIGHT // 4, WIDTH // 4)
            return Prediction(
                flow=double_angle(flow).T.reshape(2, *grid).astype(np.float32),
                inverse_depth=GEOMETRY.inverse_depth.reshape(grid).astype(np.float32),
                flow_log_sigma=np.full(grid, np.log(0.5), np.float32),
                inverse_depth_log_sigma=np.full(grid, np.log(0.02), np.float32),
                representation=self.spec.representation,
            )

    turn = np.array([0.2, -2.5, 0.3, 0.8, -0.3, 0.4])
    answers = []
    for later in (SolverOptions(), SolverOptions(lever_arm_m=(0.0, 0.0, 1.0))):
        estimator = BlurImuEstimator(Network())
        for index, options in enumerate((EstimatorOptions(), EstimatorOptions(solver=later))):
            estimator.options = options
            image = photograph(*displacement(turn, index * INTERVAL_S))
            estimator.estimate(Frame(image, CAMERA, 10**18 + index * INTERVAL_NS, exposure_s=0.01))
        answers.append(estimator.revised())
    first, again = answers
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(again.twist, first.twist)
    np.testing.assert_array_equal(again.covariance, first.covariance)
