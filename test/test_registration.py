"""The motion between two frames: found from afar, as sure as what is seen, and not deceived by depth or a rolling shutter."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from moving_camera import FOCAL_PX, HEIGHT, INTERVAL_NS, TWIST, WIDTH, photograph, rolling_photograph, texture
from two_frames import true_geometry, view, view_of

from blur_imu_ros.contrast_view import ContrastView
from blur_imu_ros.motion_field import interaction_matrix, interaction_rows
from blur_imu_ros.rigid_motion import displacement, reproject
from blur_imu_ros.solve import registration
from blur_imu_ros.solve.depth_field import FIELD_PRECISION, FIELD_SIZE, field_of
from blur_imu_ros.solve.registration import Registration, register

INTERVAL_S = INTERVAL_NS * 1e-9
GEOMETRY = true_geometry()
STILL = np.zeros(6)
HERE = view(STILL, 0)
# The same again: a camera that rests.
HERE_LATER = replace(HERE, stamp_ns=INTERVAL_NS)
COVARIANCE = 0.3**2 * np.eye(6)
YAW = np.array([0, 0.8, 0, 0, 0, 0])


def registered(
    neighbour: ContrastView,
    twist: np.ndarray,
    covariance: np.ndarray = COVARIANCE,
    geometry=GEOMETRY,
    here: ContrastView = HERE,
) -> Registration:
    found = register(here, neighbour, geometry, twist, covariance)
    assert found is not None
    return found


def mean_twist(found: Registration) -> np.ndarray:
    return np.linalg.solve(found.information, found.weighted)


def noisy(contrast: float, time_ns: int) -> ContrastView:
    """The usual view of TWIST, of less contrast, with the noise of a camera."""
    grey = 128 + contrast * (photograph(*displacement(TWIST, time_ns * 1e-9)) - 128.0)
    noise = np.random.default_rng(time_ns).normal(size=grey.shape)
    return view_of(np.rint(np.clip(grey + noise, 0, 255)).astype(np.uint8), time_ns)


def turned_row_by_row(image: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """An image every row of which is turned further by its share of `bend` [3] rad, none in the middle and all in the last."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    x, y = (columns - (WIDTH - 1) / 2).ravel(), (rows - (HEIGHT - 1) / 2).ravel()
    turns = interaction_rows(x, y, FOCAL_PX, np.zeros(x.size))[:, :3] * (2 * y / HEIGHT)
    across, down = np.einsum("can,a->cn", turns, bend).reshape(2, HEIGHT, WIDTH)
    source = (columns - across).astype(np.float32), (rows - down).astype(np.float32)
    return cv2.remap(image, *source, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("neighbour", [-1, 1])
@pytest.mark.parametrize("start", [0.7, 1.3])
@pytest.mark.parametrize(
    "twist",
    [
        [2.0, 0, 0, 0, 0, 0],
        [0, 2.0, 0, 0, 0, 0],
        [0, 0, 2.0, 0, 0, 0],
        [0, 0, 0, 1.5, 0, 0],
        [0, 0, 0, 0, 0, 1.5],
        TWIST,
        [1, -0.8, 0.5, 0.6, 0.4, -0.5],
    ],
)
def test_finds_the_motion_to_the_frame_before_or_after(twist, start: float, neighbour: int) -> None:
    twist = np.array(twist, float)
    covariance = np.diag((0.3 * np.abs(twist) + 0.2) ** 2)
    found = registered(view(twist, neighbour * INTERVAL_NS), start * twist, covariance)
    assert found.interval_s == pytest.approx(neighbour * INTERVAL_S)
    error = mean_twist(found) - twist
    np.testing.assert_allclose(error[:3], 0, atol=0.05)
    np.testing.assert_allclose(error[3:], 0, atol=0.1)
    at = interaction_matrix(GEOMETRY.x, GEOMETRY.y, FOCAL_PX, GEOMETRY.inverse_depth)
    lengths = [np.median(np.hypot(*(at @ motion).T)) for motion in (error, twist)]
    assert lengths[0] < 0.07 * lengths[1]


def test_a_turn_of_a_third_of_the_view_is_found_with_its_perspective() -> None:
    # 25 degrees between frames: far beyond what one straight line of flow would predict.
    twist = np.array([0, np.radians(25) / INTERVAL_S, 0, 0, 0, 0])
    found = registered(view(twist, INTERVAL_NS), 1.03 * twist, np.diag([0.5] * 6) ** 2)
    np.testing.assert_allclose(mean_twist(found), twist, atol=0.1)


def test_overlap_is_the_share_of_the_points_that_the_neighbour_shows() -> None:
    for degrees in (0, 20, 40):
        twist = np.array([0, np.radians(degrees) / INTERVAL_S, 0, 0, 0, 0])
        places = reproject(GEOMETRY.x, GEOMETRY.y, FOCAL_PX, GEOMETRY.inverse_depth, twist, INTERVAL_S)
        seen = np.mean((np.abs(places[0]) < WIDTH / 2) & (np.abs(places[1]) < HEIGHT / 2))
        assert registered(view(twist, INTERVAL_NS), twist).overlap == pytest.approx(seen, abs=0.05)


@pytest.mark.parametrize("degrees", [56, 70, 170])
def test_a_neighbour_that_shows_too_little_of_the_same_says_nothing(degrees: float) -> None:
    twist = np.array([0, np.radians(degrees) / INTERVAL_S, 0, 0, 0, 0])
    assert register(HERE, view(twist, INTERVAL_NS), GEOMETRY, twist, COVARIANCE) is None


def test_what_the_camera_does_not_see_says_nothing() -> None:
    unseen = tuple(np.where([True, False, False], np.float32(np.nan), level) for level in HERE.levels)
    dark = ContrastView(unseen, INTERVAL_NS)
    assert register(HERE, dark, GEOMETRY, STILL, COVARIANCE) is None
    assert register(replace(dark, stamp_ns=0), view(TWIST, INTERVAL_NS), GEOMETRY, TWIST, COVARIANCE) is None
    half = tuple(level.copy() for level in HERE.levels)
    for level in half:
        level[:, : level.shape[1] // 2, 0] = np.nan
    whole = registered(view(TWIST, INTERVAL_NS), TWIST)
    found = registered(view(TWIST, INTERVAL_NS), TWIST, here=ContrastView(half, 0))
    assert found.overlap == pytest.approx(whole.overlap / 2, abs=0.05)
    assert np.trace(found.information) < 0.7 * np.trace(whole.information)
    np.testing.assert_allclose(mean_twist(found)[:3], TWIST[:3], atol=0.05)


def test_a_neighbour_that_shows_something_else_or_nothing_says_nothing() -> None:
    elsewhere = view_of(texture(9, 320)[:HEIGHT], INTERVAL_NS)
    other = registered(elsewhere, TWIST)
    assert (other.believed, other.doubt) == (0, 1)
    assert not other.information.any()
    assert not other.weighted.any()
    assert not other.nearer.any()
    blank = [view_of(np.full((HEIGHT, WIDTH), 90, np.uint8), stamp_ns) for stamp_ns in (0, INTERVAL_NS)]
    nothing = register(*blank, GEOMETRY, TWIST, COVARIANCE)
    assert nothing is not None
    assert (nothing.believed, nothing.doubt) == (0, 0)


def test_quite_another_motion_than_was_known_is_not_believed() -> None:
    found = [register(HERE, HERE_LATER, GEOMETRY, YAW, sigma**2 * np.eye(6)) for sigma in (0.2, 0.1)]
    near, far = found
    assert near is not None
    assert far is not None
    np.testing.assert_allclose(mean_twist(near), 0, atol=0.05)
    assert (near.believed, near.doubt) == (1, 0)
    assert (far.believed, far.doubt) == (0, 1)


def test_the_more_texture_the_more_it_says() -> None:
    said = []
    for contrast in (1.0, 0.1, 0.05):
        found = registered(noisy(contrast, INTERVAL_NS), TWIST, here=noisy(contrast, 0))
        said.append(np.trace(found.information))
    assert said[0] > 1.2 * said[1] > 1.2 * said[2]


def test_of_a_step_less_is_known_where_the_depth_is_less_sure_and_of_a_turn_as_much() -> None:
    def known(twist: np.ndarray, relative_sigma: float) -> np.ndarray:
        found = registered(view(twist, INTERVAL_NS), twist, geometry=true_geometry(relative_sigma))
        return np.diag(found.information)

    sure, unsure, lost = (known(TWIST, sigma) for sigma in (0.16, 1.25, 3.75))
    assert np.all(unsure < 0.8 * sure)
    assert np.all(lost < 0.7 * unsure)
    assert np.all(known(YAW, 3.75) > 0.6 * known(YAW, 0.25))
    # Nobody knows a depth better than to a tenth, and nothing is known worse than not at all.
    np.testing.assert_array_equal(known(TWIST, 0.01), sure)
    np.testing.assert_array_equal(known(TWIST, 5.0), known(TWIST, 300.0))


def test_points_of_a_wrong_depth_are_believed_less_where_that_is_said() -> None:
    twist = np.array([0.3, -0.4, 0.5, 1.5, 0, 0.5])
    near = GEOMETRY.inverse_depth > 0.3
    wrong = np.where(near, 0.5 * GEOMETRY.inverse_depth, GEOMETRY.inverse_depth)
    error = []
    for relative_sigma in (0.1, 5.0):
        sigma = GEOMETRY.inverse_depth * np.where(near, relative_sigma, 0.1)
        geometry = replace(GEOMETRY, inverse_depth=wrong, inverse_depth_sigma=sigma)
        found = mean_twist(registered(view(twist, INTERVAL_NS), twist, geometry=geometry))
        error.append(np.linalg.norm(found - twist))
    assert error[1] < 0.65 * error[0]


@pytest.mark.parametrize("neighbour", [-1, 1])
@pytest.mark.parametrize(("across", "down"), [(2.5e-3, 0.0), (0.0, -3.3e-3), (-2e-3, 2.5e-3)])
def test_a_depth_that_is_wrong_from_one_side_to_the_other_is_found_along(
    across: float, down: float, neighbour: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    twist = np.array([0.1, -0.2, 0.3, 1.5, -1.0, 0])
    there, wrong = view(twist, neighbour * INTERVAL_NS), across * GEOMETRY.x + down * GEOMETRY.y
    geometry = replace(GEOMETRY, inverse_depth=GEOMETRY.inverse_depth * np.exp(wrong))
    found = registered(there, twist + 0.2, geometry=geometry)
    nearer = field_of(*GEOMETRY.shape).at_points(found.nearer)
    assert np.std(nearer + wrong) < 0.75 * np.std(wrong)
    monkeypatch.setattr(registration, "FIELD_PRECISION", 1e5 * FIELD_PRECISION)
    taken_for_right = mean_twist(registered(there, twist + 0.2, geometry=geometry))
    error, other = (np.linalg.norm(mean - twist) for mean in (mean_twist(found), taken_for_right))
    assert error < max(0.85 * other, 0.15)


@pytest.mark.parametrize("neighbour", [-1, 1])
def test_where_the_depth_is_right_next_to_nothing_is_found_wrong(neighbour: int) -> None:
    twist = np.array([0.1, -0.2, 0.3, 1.5, -1.0, 0])
    right = registered(view(twist, neighbour * INTERVAL_NS), twist + 0.2)
    assert np.std(field_of(*GEOMETRY.shape).at_points(right.nearer)) < 0.06


def shares_of(rows: int, columns: int) -> np.ndarray:
    """Share [FIELD_SIZE, rows * columns] that the error at each place has in that at each point."""
    return np.stack([field_of(rows, columns).at_points(one) for one in np.eye(FIELD_SIZE)])


def test_the_error_of_depth_goes_evenly_from_place_to_place_and_is_none_in_the_mean() -> None:
    x = np.tile(np.linspace(-300, 300, 13), 9)
    shares = shares_of(9, 13)
    np.testing.assert_allclose(shares.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(shares.sum(axis=0), 0, atol=1e-12)
    # Any error that is even from place to place but for its mean.
    even = np.where(x < 0, -x / 300, 0.5 * x / 300)
    found = np.linalg.lstsq(shares.T, even - even.mean(), rcond=None)[0] @ shares
    np.testing.assert_allclose(found, even - even.mean(), atol=1e-9)


def test_sums_over_the_points_are_those_of_the_shares() -> None:
    rng, field, shares = np.random.default_rng(3), field_of(8, 11), shares_of(8, 11)
    values = rng.normal(size=(4, 88))
    np.testing.assert_allclose(field.at_places(values), values @ shares.T, atol=1e-12)
    np.testing.assert_allclose(field.at_places(values[0]), shares @ values[0], atol=1e-12)
    np.testing.assert_allclose(field.squares(values[0]), (shares * values[0]) @ shares.T, atol=1e-12)
    root = rng.normal(size=(FIELD_SIZE, FIELD_SIZE))
    variance = np.sum((root.T @ shares) ** 2, axis=0)
    assert field.mean_of(root @ root.T) == pytest.approx(variance.mean())


def test_neighbouring_places_are_likely_wrong_alike() -> None:
    covariance = np.linalg.inv(FIELD_PRECISION)
    np.testing.assert_allclose(np.diag(covariance), covariance[0, 0])
    # Across 7 places, seen from the first: less and less alike.
    assert np.all(np.diff(covariance[0, :7]) < 0)
    assert 0.4 < covariance[0, 1] / covariance[0, 0] < 0.7


def test_a_step_found_along_with_depth_is_drawn_back(monkeypatch: pytest.MonkeyPatch) -> None:
    twist = np.array([0.1, -0.2, 0.3, 1.5, -1.0, 0])
    there = view(twist, INTERVAL_NS)
    monkeypatch.setattr(registration, "_TOO_LONG", 0.0)
    freely = registered(there, twist)
    monkeypatch.setattr(registration, "_TOO_LONG", 1.0)
    drawn_back = registered(there, twist)
    assert np.linalg.norm(mean_twist(drawn_back)[3:]) < 0.9 * np.linalg.norm(mean_twist(freely)[3:])


def test_something_that_moves_by_itself_is_left_out() -> None:
    """A fifth of the view shows what it did before, as if it went along with the camera."""
    grey = photograph(*displacement(TWIST, INTERVAL_S))
    grey[150:220, 10:220] = photograph(*displacement(STILL, 0))[150:220, 10:220]
    found = mean_twist(registered(view_of(grey, INTERVAL_NS), TWIST))
    np.testing.assert_allclose(found, TWIST, atol=0.2)


@pytest.mark.parametrize("neighbour", [-1, 1])
@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("twist", [STILL, YAW, TWIST])
def test_a_turn_that_changes_from_row_to_row_is_not_taken_for_a_step(
    twist: np.ndarray, axis: int, neighbour: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A step that depth may explain as well is another matter.
    monkeypatch.setattr(registration, "FIELD_PRECISION", 1e3 * FIELD_PRECISION)
    bend = np.zeros(3)
    bend[axis] = 0.2 * neighbour * INTERVAL_S
    there = turned_row_by_row(photograph(*displacement(twist, neighbour * INTERVAL_S)), bend)
    found = registered(view_of(there, neighbour * INTERVAL_NS), twist)
    np.testing.assert_allclose(found.bend, 0.2 * np.eye(3)[axis], atol=0.08)
    error = mean_twist(found) - twist
    np.testing.assert_allclose(error[:3], 0, atol=0.05)
    np.testing.assert_allclose(error[3:], 0, atol=0.1)


def test_what_is_known_beforehand_holds() -> None:
    start, there = 0.7 * TWIST, view(TWIST, INTERVAL_NS)
    sure = 1e-5**2 * np.eye(6)
    found = registered(there, start, sure)
    known = np.linalg.inv(sure)
    together = np.linalg.solve(found.information + known, found.weighted + known @ start)
    np.testing.assert_allclose(together, start, atol=1e-4)
    # What the frames say is apart from that: it still points to where they match.
    assert np.linalg.norm(mean_twist(found) - TWIST) < 0.6 * np.linalg.norm(start - TWIST)
    # Of an axis that is known, all else is found with it held.
    held = np.diag([1, 1, 1, 1, 1, 1e-5]) ** 2
    beside = TWIST + 0.3 * np.eye(6)[5]
    found = registered(there, beside, held)
    known = np.linalg.inv(held)
    together = np.linalg.solve(found.information + known, found.weighted + known @ beside)
    assert together[5] == pytest.approx(beside[5], abs=1e-3)


def test_what_frames_say_does_not_hang_on_what_was_known() -> None:
    there = view(TWIST, INTERVAL_NS)
    weak, strong = (registered(there, TWIST + 0.05, sigma**2 * np.eye(6)) for sigma in (1.0, 0.1))
    np.testing.assert_allclose(strong.information, weak.information, atol=0.1 * weak.information.max())
    np.testing.assert_allclose(mean_twist(strong), mean_twist(weak), atol=0.06)


def test_errors_are_as_large_as_information_and_variance_say() -> None:
    """The information is that of a fit, whose inverse is too narrow a covariance: times `variance` it is that of the mean."""
    squared = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        twist = rng.normal(size=6) * [1, 1, 1, 0.5, 0.5, 0.5]
        # The depth of a network: each surface is in error as a whole.
        surfaces = np.unique(GEOMETRY.inverse_depth, return_inverse=True)[1]
        wrong = GEOMETRY.inverse_depth * np.exp(0.2 * rng.normal(size=3))[surfaces]
        geometry = replace(GEOMETRY, inverse_depth=wrong, inverse_depth_sigma=0.2 * wrong)
        found = registered(view(twist, INTERVAL_NS), twist, geometry=geometry)
        error = mean_twist(found) - twist
        squared.append(error @ found.information @ error / 6 / found.variance)
    assert 0.05 < np.mean(squared) < 1


def test_information_is_of_a_rate_and_grows_with_the_interval_squared() -> None:
    one = registered(view(STILL, INTERVAL_NS), STILL, here=noisy(1, 0))
    two = registered(view(STILL, 2 * INTERVAL_NS), STILL, here=noisy(1, 0))
    before = registered(view(STILL, -INTERVAL_NS), STILL, here=noisy(1, 0))
    np.testing.assert_allclose(two.information, 4 * one.information, rtol=0.1, atol=1)
    np.testing.assert_allclose(before.information, one.information, rtol=0.1, atol=1)


def test_symmetric_and_positive() -> None:
    for relative_sigma in (0.1, 1.0):
        information = registered(
            view(TWIST, -INTERVAL_NS), TWIST, geometry=true_geometry(relative_sigma)
        ).information
        np.testing.assert_allclose(information, information.T, rtol=1e-9)
        assert np.linalg.eigvalsh(information).min() > 0


def test_thinned_points_are_of_the_whole_view_and_stay_together() -> None:
    geometry = replace(GEOMETRY, inverse_depth_sigma=np.arange(GEOMETRY.x.size, dtype=float))
    thin = geometry.thinned(1120)
    assert 0.4 * 1120 < thin.x.size <= 1120
    kept = thin.inverse_depth_sigma.astype(int)
    for name in ("x", "y", "inverse_depth"):
        np.testing.assert_array_equal(getattr(thin, name), getattr(geometry, name)[kept])
    assert thin.focal_px == geometry.focal_px
    for places, side in ((thin.x, WIDTH), (thin.y, HEIGHT)):
        assert np.ptp(places) > 0.9 * side
        assert places.std() == pytest.approx(side / np.sqrt(12), rel=0.03)
    assert geometry.thinned(geometry.x.size).x.size == geometry.x.size
    assert geometry.thinned(geometry.x.size - 1).x.size == geometry.x.size // 4


def test_levels_go_from_coarse_to_fine() -> None:
    """From too far for the fine level, the coarse one finds the way; what it finds, the fine one sharpens."""
    there = view(TWIST, INTERVAL_NS)
    for axis in range(2):
        start = TWIST + 1.7 * np.eye(6)[axis]
        found = mean_twist(registered(there, start, np.diag([1, 1, 1, 0.3, 0.3, 0.3]) ** 2))
        np.testing.assert_allclose(found, TWIST, atol=0.1)


@pytest.mark.parametrize("neighbour", [-1, 1])
@pytest.mark.parametrize("pitch_rad_s", [-3.0, 3.0])
def test_a_known_rolling_shutter_is_no_faster_or_slower_turn(pitch_rad_s: float, neighbour: int) -> None:
    """Where the camera pitches, a point is seen some rows farther on, and so much later or earlier."""
    twist, readout_s = np.array([pitch_rad_s, 0, 0, 0, 0, 0]), 0.025
    here, there = (rolling_photograph(twist, index * INTERVAL_S, readout_s) for index in (0, neighbour))
    errors = [
        mean_twist(
            register(
                view_of(here, 0),
                view_of(there, neighbour * INTERVAL_NS),
                replace(true_geometry(), row_s=stated_s / HEIGHT),
                twist,
                np.diag(np.repeat([1.0, 1e-4], 3)),
            )
        )[0]
        - pitch_rad_s
        for stated_s in (0.0, readout_s)
    ]
    assert abs(errors[0]) > 0.1
    assert abs(errors[1]) < 0.3 * abs(errors[0])
