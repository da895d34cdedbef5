"""The solve: exact without noise, consistent with it, robust to outliers and to poor depth, honest where blind."""

from dataclasses import replace

import numpy as np
import pytest
from motion_scenes import EXPOSURE_S, FOCAL_PX, Motion, Outliers, Scene, emit, measure, nees, random_scene

from blur_imu_ros.errors import ConfigurationError, ExposureError, ImageError
from blur_imu_ros.model.spec import FlowRepresentation
from blur_imu_ros.motion_field import interaction_matrix, interaction_rows
from blur_imu_ros.solve import prior
from blur_imu_ros.solve.covariance import at_rest, condition_number, inverse_information
from blur_imu_ros.solve.lever_arm import camera_of_centre, step_of_centre
from blur_imu_ros.solve.linearise import linearise, whitened
from blur_imu_ros.solve.motion_points import PointGeometry
from blur_imu_ros.solve.prior import prior_of, weigh_steps
from blur_imu_ros.velocity import Calibration, SolverOptions, VelocitySolution, solve_velocity

REPRESENTATIONS = list(FlowRepresentation)
PLAIN = SolverOptions(
    prior_angular_rad_s=np.inf, prior_linear_m_s=np.inf, exposure_relative_sigma=0.0, max_points=10**6
)


def solve(points, options: SolverOptions = PLAIN, **calibration) -> VelocitySolution:
    return solve_velocity(points, EXPOSURE_S, Calibration(**calibration), options)


def mean_nees(
    scene_seeds: range, blur_px: float, representation, outliers: Outliers | None = None
) -> np.ndarray:
    values: list[float] = []
    for seed in scene_seeds:
        rng = np.random.default_rng(seed)
        scene = random_scene(rng, blur_px)
        solution = solve(measure(scene, representation, 0.5, rng, outliers))
        values.append(nees(solution.twist, solution.covariance, scene.twist))
    return np.array(values)


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_exact_on_a_thousand_noise_free_fields(representation: FlowRepresentation) -> None:
    rng = np.random.default_rng(1)
    kinds = [*Motion, *[Motion.ANY] * 4]
    worst = 0.0
    for draw in range(1000):
        scene = random_scene(rng, rng.uniform(0.2, 20), kinds[draw % len(kinds)], stride=8)
        twist = solve(measure(scene, representation, rng.choice([0.01, 0.5, 2.0]))).twist
        error = min(np.linalg.norm(twist - scene.twist), np.linalg.norm(twist + scene.twist))
        worst = max(worst, error / np.linalg.norm(scene.twist))
    assert worst < 1e-6


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("blur_px", [3, 10])
def test_covariance_is_consistent_in_motion(representation: FlowRepresentation, blur_px: float) -> None:
    assert 0.9 < mean_nees(range(150), blur_px, representation).mean() < 1.1


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("blur_px", [0, 0.3, 1])
def test_covariance_covers_the_error_near_rest(representation: FlowRepresentation, blur_px: float) -> None:
    assert 0.3 < mean_nees(range(60), blur_px, representation).mean() < 2


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("outliers", [Outliers.UNIFORM, Outliers.EQUAL])
def test_covariance_covers_the_error_of_every_field_with_outliers(
    representation: FlowRepresentation, outliers: Outliers
) -> None:
    assert mean_nees(range(100), 10, representation, outliers).max() < 3


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_finds_the_camera_behind_a_large_moving_object(representation: FlowRepresentation) -> None:
    assert np.median(mean_nees(range(20), 10, representation, Outliers.REGION)) < 1.5


def test_signed_flow_whose_patches_flip_sign() -> None:
    rng = np.random.default_rng(3)
    scene = random_scene(rng, 5)
    flipped = np.where(scene.x[:, None] < 20, -scene.flow, scene.flow)
    scene = Scene(scene.twist, flipped, scene.inverse_depth, scene.x, scene.y)
    solution = solve(measure(scene, FlowRepresentation.SIGNED, 0.5, rng))
    assert nees(solution.twist, solution.covariance, scene.twist) < 3


def test_noise_at_rest_is_not_rectified_into_motion() -> None:
    # Fixing each point's sign by the estimate reads 0.15 rad/s here.
    for representation in REPRESENTATIONS:
        rng = np.random.default_rng(5)
        rates = []
        for _ in range(10):
            scene = random_scene(rng, 1.0)
            still = Scene(np.zeros(6), 0 * scene.flow, scene.inverse_depth, scene.x, scene.y)
            rates.append(
                np.linalg.norm(solve(measure(still, representation, 0.5, rng), SolverOptions()).twist[:3])
            )
        assert np.median(rates) < 0.03


def test_below_the_smallest_blur_the_flow_is_no_better_known_than_that() -> None:
    rng = np.random.default_rng(6)
    scene = random_scene(rng, 0.2)
    points = measure(scene, FlowRepresentation.DOUBLE_ANGLE, 0.1, rng)
    solution = solve(points, min_blur_px=1.0)
    matrix = interaction_matrix(scene.x, scene.y, FOCAL_PX, scene.inverse_depth) * EXPOSURE_S
    flow_covariance = matrix @ solution.covariance @ matrix.transpose(0, 2, 1)
    assert np.linalg.eigvalsh(flow_covariance).min() >= 1.0
    assert np.trace(solve(points).covariance) < np.trace(solution.covariance)


def test_far_away_a_step_at_rest_is_the_less_known_by_how_little_it_draws() -> None:
    scene = random_scene(np.random.default_rng(8), 0.0)
    far = Scene(scene.twist, scene.flow, np.full(scene.x.size, 0.1), scene.x, scene.y)
    points = measure(far, FlowRepresentation.DOUBLE_ANGLE, 0.01)
    sigmas = np.sqrt(np.diag(solve(points, min_blur_px=1.0).covariance)) * EXPOSURE_S
    # A pixel at a focal length of 300: as a turn, and as a step before a wall ten metres away.
    np.testing.assert_allclose(sigmas[:3], 1 / 300, rtol=0.1)
    np.testing.assert_allclose(sigmas[3:], 10 / 300, rtol=0.1)


def test_a_sharp_image_says_that_the_camera_neither_turns_nor_steps() -> None:
    """Rather than that it does both so that each hides the other."""
    rng = np.random.default_rng(8)
    scene = random_scene(rng, 1.0)
    still = Scene(np.zeros(6), 0 * scene.flow, scene.inverse_depth, scene.x, scene.y)
    points = measure(still, FlowRepresentation.DOUBLE_ANGLE, 0.3, rng)
    known = Calibration(independent_fraction=2 / points.count)

    def sigmas(exposure_s: float, prior_linear_m_s: float) -> np.ndarray:
        options = SolverOptions(prior_linear_m_s=prior_linear_m_s)
        return np.sqrt(np.diag(solve_velocity(points, exposure_s, known, options).covariance))

    usual, longer, faster = sigmas(0.02, 0.7), sigmas(0.04, 0.7), sigmas(0.02, 1.4)
    # Known in pixels, whatever the exposure.
    assert np.allclose(usual[3:5], 2 * longer[3:5], rtol=0.1)
    assert np.all(usual[3:5] < 0.35)
    # A robot that is usually faster is believed to be that in sharp images too.
    assert np.all(faster[3:5] > 1.2 * usual[3:5])


def turned_about(centre_to_camera_m: tuple[float, float, float], rng: np.random.Generator) -> Scene:
    """A scene seen while the camera's body turns about a point at rest."""
    scene = random_scene(rng, 8)
    turn = np.concatenate([scene.twist[:3], np.zeros(3)])
    twist = camera_of_centre(centre_to_camera_m) @ turn
    rows = interaction_matrix(scene.x, scene.y, FOCAL_PX, scene.inverse_depth)
    return replace(scene, twist=twist, flow=rows @ twist * EXPOSURE_S)


def test_a_point_of_the_body_off_its_centre_moves_by_the_turn_and_its_lever_arm() -> None:
    turn, centre, lever_arm_m = np.array([0.3, -1.0, 2.0]), np.array([1.0, 2.0, 3.0]), (0.1, -0.2, 0.5)
    motion = camera_of_centre(lever_arm_m) @ [*turn, *centre]
    np.testing.assert_allclose(motion, [*turn, *(np.cross(turn, lever_arm_m) + centre)])


def test_the_step_of_the_centre_is_what_the_lever_arm_leaves_of_a_camera() -> None:
    turn, centre, lever_arm_m = np.array([0.3, -1.0, 2.0]), np.array([1.0, 2.0, 3.0]), (0.1, -0.2, 0.5)
    motion = camera_of_centre(lever_arm_m) @ [*turn, *centre]
    np.testing.assert_allclose(step_of_centre(motion, lever_arm_m), [0, 0, 0, *centre])
    np.testing.assert_array_equal(step_of_centre(motion, (0.0, 0.0, 0.0)), [0, 0, 0, *motion[3:]])


def test_a_known_lever_arm_tells_the_step_of_a_turn() -> None:
    lever_arm_m = (0.1, -0.2, 0.5)
    errors = {(0.0, 0.0, 0.0): [], lever_arm_m: []}
    consistency = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scene = turned_about(lever_arm_m, rng)
        points = measure(scene, FlowRepresentation.DOUBLE_ANGLE, 2.0, rng, depth_sigma=0.2)
        for arm, found in errors.items():
            solution = solve(points, SolverOptions(lever_arm_m=arm), independent_fraction=0.02)
            twist = solution.twist * np.sign(solution.twist[:3] @ scene.twist[:3])
            found.append((twist - scene.twist) ** 2)
        consistency.append(nees(solution.twist, solution.covariance, scene.twist))
    unknown, known = (np.sqrt(np.mean(found, axis=0)) for found in errors.values())
    assert np.all(known[[0, 1, 3, 4]] < 0.7 * unknown[[0, 1, 3, 4]])
    assert np.mean(consistency) < 7


def test_a_prior_of_each_axis_holds_that_axis() -> None:
    rng = np.random.default_rng(11)
    scene = random_scene(rng, 8)
    points = measure(scene, FlowRepresentation.DOUBLE_ANGLE, 2.0, rng)
    sigmas = (0.02, 5.0, 0.02, 0.03, 0.01, 2.0)
    options = SolverOptions(prior_angular_rad_s=sigmas[:3], prior_linear_m_s=sigmas[3:])
    solution = solve(points, options, independent_fraction=0.001)
    assert np.all(np.abs(solution.twist) < 3 * np.array(sigmas))
    assert np.all(np.sqrt(np.diag(solution.covariance)) < 1.1 * np.array(sigmas))
    same = [solve(points, SolverOptions(prior_linear_m_s=value)) for value in (0.4, (0.4, 0.4, 0.4))]
    np.testing.assert_array_equal(same[0].twist, same[1].twist)


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_without_a_prior_a_lever_arm_changes_nothing(representation: FlowRepresentation) -> None:
    rng = np.random.default_rng(9)
    points = measure(random_scene(rng, 8), representation, 0.5, rng, depth_sigma=0.2)
    plain = solve(points, depth_scale_sigma=0.0)
    seated = solve(points, replace(PLAIN, lever_arm_m=(0.0, 0.1, -0.4)), depth_scale_sigma=0.0)
    np.testing.assert_allclose(seated.twist, plain.twist, rtol=1e-4)
    np.testing.assert_allclose(seated.covariance, plain.covariance, rtol=1e-3, atol=1e-9)


def test_with_a_lever_arm_observability_and_the_scale_of_depth_are_of_the_centre() -> None:
    rng = np.random.default_rng(9)
    points = measure(random_scene(rng, 8), FlowRepresentation.DOUBLE_ANGLE, 1.0, rng, depth_sigma=0.2)
    options = SolverOptions(lever_arm_m=(0.0, 0.1, -0.4), exposure_relative_sigma=0.0)
    to_camera = camera_of_centre(options.lever_arm_m)
    to_centre = np.linalg.inv(to_camera)
    known, unknown = (
        solve(points, options, independent_fraction=0.01, depth_scale_sigma=sigma) for sigma in (0.0, 0.3)
    )
    variances = np.diag(to_centre @ known.covariance @ to_centre.T)
    held = prior_of(points.in_terms_of(to_camera), EXPOSURE_S, 10.0, 0.7, 0.0)
    expected = np.maximum(1 - variances * held.overall * EXPOSURE_S**2, 0)
    np.testing.assert_allclose(known.observability, expected, rtol=1e-6)
    step = np.r_[np.zeros(3), (to_centre @ known.twist)[3:]]
    np.testing.assert_allclose(
        unknown.covariance - known.covariance, 0.3**2 * np.outer(step, step), atol=1e-9
    )


def test_a_sharp_image_says_no_more_than_its_smallest_blur() -> None:
    scene = random_scene(np.random.default_rng(8), 0.2)
    points = measure(scene, FlowRepresentation.DOUBLE_ANGLE, 0.01)

    def sigmas(min_blur_px: float) -> np.ndarray:
        return 1 / np.sqrt(prior_of(points, EXPOSURE_S, 10.0, 0.7, min_blur_px).precision)

    np.testing.assert_allclose(sigmas(1.0)[3:], 2 * sigmas(0.5)[3:])
    np.testing.assert_allclose(sigmas(0.0)[3:], 0.2 * sigmas(1.0)[3:], rtol=0.02)
    np.testing.assert_allclose(sigmas(0.0)[:3], 10.0 * EXPOSURE_S)
    np.testing.assert_allclose(sigmas(1e3), np.repeat([10.0, 0.7], 3) * EXPOSURE_S)


def test_poor_depth_spoils_translation_but_not_rotation() -> None:
    rng = np.random.default_rng(7)
    errors, consistency = [], []
    for _ in range(30):
        scene = random_scene(rng, 8)
        # The true depth scatters about the network's, as it does about the mean of a posterior.
        true_depth = scene.inverse_depth * (1 + 0.3 * rng.normal(size=scene.x.size))
        flow = interaction_matrix(scene.x, scene.y, FOCAL_PX, true_depth) @ (scene.twist * EXPOSURE_S)
        wrong = Scene(scene.twist, flow, scene.inverse_depth, scene.x, scene.y)
        known = solve(measure(wrong, FlowRepresentation.DOUBLE_ANGLE, 0.2, rng, depth_sigma=0.3))
        ignored = solve(measure(wrong, FlowRepresentation.DOUBLE_ANGLE, 0.2, rng))
        errors.append([angular_error(solution.twist, scene.twist) for solution in (known, ignored)])
        consistency.append(nees(known.twist, known.covariance, scene.twist))
    weighted, isotropic = np.median(errors, axis=0)
    assert weighted < 0.6 * isotropic
    assert np.median(consistency) < 2


def angular_error(twist: np.ndarray, truth: np.ndarray) -> float:
    sign = 1 if twist @ truth > 0 else -1
    return float(np.linalg.norm(sign * twist[:3] - truth[:3]))


def test_a_narrow_frontal_wall_hides_what_the_covariance_admits() -> None:
    # Seen through a long lens, turning about y and moving along x look alike.
    rng = np.random.default_rng(8)
    scene = random_scene(rng, 5, Motion.ROTATION)
    far = 3000.0
    wall = np.full(scene.x.size, 0.4)
    # It also goes towards the wall, or it would be taken for one that turns in place.
    twist = scene.twist + np.array([0, 0, 0, 0, 0, 4.0])
    flow = interaction_matrix(scene.x, scene.y, far, wall) @ (twist * EXPOSURE_S)
    points = PointGeometry(scene.x, scene.y, far).points(
        flow.T + rng.normal(size=(2, scene.x.size)) * 0.3,
        np.full(scene.x.size, 0.3),
        wall,
        0 * wall,
        FlowRepresentation.SIGNED,
    )
    # Priors wide enough that it is the image which cannot tell, not the prior which knows.
    options = SolverOptions(prior_angular_rad_s=5.0, prior_linear_m_s=1.5)
    solution = solve(points, options, independent_fraction=1 / 300)
    correlation = solution.covariance / np.sqrt(np.outer(*[np.diag(solution.covariance)] * 2))
    assert abs(correlation[1, 3]) > 0.95
    assert solution.condition > 1000
    assert solution.observability[3] < 0.2
    assert solution.observability[2] > 0.9


def test_prior_bounds_what_is_not_observed() -> None:
    rng = np.random.default_rng(9)
    scene = random_scene(rng, 0.5)
    points = measure(scene, FlowRepresentation.DOUBLE_ANGLE, 5.0, rng)
    options = SolverOptions(exposure_relative_sigma=0.0)
    sigma = np.repeat([options.prior_angular_rad_s, options.prior_linear_m_s], 3)
    solution = solve(points, options, independent_fraction=1e-4)
    assert (np.diag(solution.covariance) <= sigma**2 * 1.001).all()
    assert np.abs(solution.twist[3:]).max() < options.prior_linear_m_s
    assert solution.observability[3:].max() < 0.1
    removed = 1 - np.diag(solution.covariance)[:3] / options.prior_angular_rad_s**2
    np.testing.assert_allclose(solution.observability[:3], removed, rtol=1e-6)
    assert (removed < 0.98).any()


def test_a_camera_turns_in_place_or_steps_as_the_image_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise is no step where the camera turns in place; a step that the image shows is hardly shortened for that."""
    options = SolverOptions(prior_linear_m_s=0.7, exposure_relative_sigma=0.0)

    def errors(step_m_s: float) -> float:
        squares = []
        for seed in range(20):
            rng = np.random.default_rng(seed)
            scene = random_scene(rng, 8, Motion.ROTATION)
            twist = scene.twist + np.array([0, 0, 0, step_m_s, 0, 0])
            matrix = interaction_matrix(scene.x, scene.y, FOCAL_PX, scene.inverse_depth)
            moving = Scene(twist, matrix @ (twist * EXPOSURE_S), scene.inverse_depth, scene.x, scene.y)
            points = measure(moving, FlowRepresentation.DOUBLE_ANGLE, 1.0, rng)
            solution = solve(points, options, independent_fraction=30 / points.count)
            sign = 1 if solution.twist[:3] @ twist[:3] > 0 else -1
            squares.append(np.sum(np.square((sign * solution.twist - twist)[3:])))
        return float(np.sqrt(np.mean(squares)))

    in_place, stepping = errors(0.0), errors(1.2)
    monkeypatch.setattr(prior, "_IN_PLACE", 1e-12)
    assert in_place < 0.6 * errors(0.0)
    assert stepping < 1.25 * errors(1.2)


@pytest.mark.filterwarnings("error")
def test_two_kinds_of_steps_are_weighed_as_the_mixture_of_their_posteriors() -> None:
    """Against the integral over a grid, for a motion of which one axis is known a little."""
    information = np.diag([1e8, 1e8, 1e8, 3.0, 1e-9, 1e-9])
    precision = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    for measured in (0.0, 0.6, 2.5):
        motion = np.array([0, 0, 0, 3.0 * measured / 4.0, 0, 0])
        mean, covariance = weigh_steps(information, motion, precision)
        x = np.linspace(-12, 12, 200_001)
        # The two other axes, of which nothing is known, weigh neither kind.
        kinds = np.stack([0.7 * np.exp(-(x**2) / 2), 0.3 * np.exp(-(x**2) / 2 / 0.01) / 0.1])
        likelihood = np.exp(-3.0 / 2 * (x - measured) ** 2)
        # Half of what the data say tells the kinds apart, all of it where within a kind the motion lies.
        weights = (kinds * np.sqrt(likelihood)).sum(axis=1)
        each = kinds * likelihood
        posterior = weights @ (each / each.sum(axis=1, keepdims=True)) / weights.sum()
        expected = posterior @ x
        assert mean[3] == pytest.approx(expected, abs=1e-4)
        assert covariance[3, 3] == pytest.approx(posterior @ (x - expected) ** 2, rel=1e-3)
    assert np.allclose(weigh_steps(information, motion, np.zeros(6))[0], motion)
    # Of a fast step that is plain to see there is no doubt.
    assert np.allclose(weigh_steps(1e7 * np.eye(6), np.full(6, 10.0), precision)[0], 10)


def test_errors_common_to_the_image_never_average_out() -> None:
    scene = random_scene(np.random.default_rng(10), 10)
    points = measure(scene, FlowRepresentation.DOUBLE_ANGLE, 0.01)
    plain = solve(points).covariance
    options = SolverOptions(
        prior_angular_rad_s=np.inf, prior_linear_m_s=np.inf, exposure_relative_sigma=0.05, max_points=10**6
    )
    linear = np.concatenate([np.zeros(3), scene.twist[3:]])
    expected = plain + 0.05**2 * np.outer(scene.twist, scene.twist) + 0.2**2 * np.outer(linear, linear)
    np.testing.assert_allclose(solve(points, options, depth_scale_sigma=0.2).covariance, expected, rtol=1e-6)


def test_what_nothing_is_known_of_is_stated_so_in_finite_numbers() -> None:
    assert condition_number(np.diag([4.0, 1, 1, 1, 1, 9])) == pytest.approx(1)
    unseen = np.diag([4.0, 1, 1, 1, 1, 0])
    alike = np.diag([4.0, 1, 1, 1, 1, 1])
    alike[4, 5] = alike[5, 4] = 1.0
    for information, unknown in ((unseen, 1), (alike, 1), (np.zeros((6, 6)), 6)):
        variances = np.linalg.eigvalsh(inverse_information(information))
        assert np.isfinite(variances).all()
        assert np.count_nonzero(variances > 1e9) == unknown
        assert condition_number(information) == pytest.approx(1e12)
    assert inverse_information(unseen)[0, 0] == pytest.approx(0.25)


def test_at_rest_no_axis_is_known_better_than_its_sigma() -> None:
    sigmas = np.array([1.0, 2, 3, 4, 5, 6])
    np.testing.assert_allclose(at_rest(np.zeros((6, 6)), sigmas), np.diag(sigmas**2), atol=1e-12)
    np.testing.assert_allclose(at_rest(40 * np.eye(6), sigmas), 40 * np.eye(6), atol=1e-12)


def test_calibration_scales_the_covariance() -> None:
    rng = np.random.default_rng(11)
    scene = random_scene(rng, 10)
    points = measure(scene, FlowRepresentation.DOUBLE_ANGLE, 0.5, rng)
    plain = solve(points).covariance
    np.testing.assert_allclose(solve(points, independent_fraction=0.01).covariance, 100 * plain, rtol=1e-2)
    scale = (4.0, 1.0, 1.0, 1.0, 1.0, 9.0)
    scaled = solve(points, covariance_scale=scale).covariance
    np.testing.assert_allclose(scaled, plain * np.sqrt(np.outer(scale, scale)), rtol=1e-9)


@pytest.mark.parametrize(
    ("representation", "correlation_px"), [*((r, 0.0) for r in REPRESENTATIONS), (REPRESENTATIONS[1], 40.0)]
)
def test_larger_residuals_than_stated_are_believed_smaller_ones_not(
    representation: FlowRepresentation, correlation_px: float
) -> None:
    rng = np.random.default_rng(17)
    scene = random_scene(rng, 10, stride=16)
    flow = emit(scene.flow, representation).T
    flow = flow + 0.5 * rng.normal(size=flow.shape)
    geometry = PointGeometry(scene.x, scene.y, FOCAL_PX, correlation_px=correlation_px)

    def variances(stated_px: float, least: float) -> np.ndarray:
        sigma = np.full(scene.x.size, stated_px)
        points = geometry.points(flow, sigma, scene.inverse_depth, 0 * sigma, representation)
        return np.diag(solve(points, replace(PLAIN, min_residual_scale=least)).covariance)

    true = variances(0.5, 0.0)
    np.testing.assert_allclose(variances(0.2, 1.0), true, rtol=0.05)
    np.testing.assert_allclose(variances(2.0, 0.0), true, rtol=0.05)
    assert (variances(2.0, 1.0) > 8 * true).all()


def test_thinning_does_not_invent_or_lose_evidence() -> None:
    # A hundredth of 4480 points is independent: about 45, whether 4480 or 1120 are used.
    rng = np.random.default_rng(12)
    points = measure(random_scene(rng, 10), FlowRepresentation.DOUBLE_ANGLE, 0.5, rng)
    full = solve(points, independent_fraction=0.01).covariance
    thin = solve(points.first(1120), independent_fraction=0.01).covariance
    np.testing.assert_allclose(np.diag(thin), np.diag(full), rtol=0.3)
    # Where all are, a quarter of them is worth a quarter.
    full, thin = solve(points).covariance, solve(points.first(1120)).covariance
    np.testing.assert_allclose(np.diag(thin), 4 * np.diag(full), rtol=0.3)


def test_the_figures_of_merit_are_in_pixels() -> None:
    rng = np.random.default_rng(13)
    scene = random_scene(rng, 6)
    solution = solve(measure(scene, FlowRepresentation.SIGNED, 0.5, rng))
    assert solution.blur_px == pytest.approx(6, rel=0.02)
    assert solution.residual_px == pytest.approx(0.5 * np.sqrt(2 * np.log(2)), rel=0.05)
    assert 0.93 * scene.x.size < solution.points_used <= scene.x.size
    np.testing.assert_array_equal(solution.observability, 1)


def test_derivative_of_the_residual() -> None:
    rng = np.random.default_rng(14)
    scene = random_scene(rng, 6)
    points = measure(scene, FlowRepresentation.DOUBLE_ANGLE, 0.5, rng)
    motion = scene.twist * EXPOSURE_S * 1.05
    step = 1e-7 * np.linalg.norm(motion) * np.eye(6)

    def cost(shift: np.ndarray) -> np.ndarray:
        return linearise(points, (motion + shift)[None]).distance2[0]

    numeric = np.array([np.sum(cost(h) - cost(-h)) for h in step]) / (2 * step[0, 0])
    model = linearise(points, motion[None])
    analytic = -2 * model.gradient(points.rows, np.ones((1, points.count)))[0]
    np.testing.assert_allclose(analytic, numeric, rtol=1e-4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_beside_its_sign_free_form_stands_one_of_the_two_flows(representation: FlowRepresentation) -> None:
    scene = random_scene(np.random.default_rng(19), 5, stride=16)
    # Straight down, of which twice the angle points along -u; and none at all.
    scene.flow[:2] = [[0, 5], [0, 0]]
    points = measure(scene, representation, 0.5)
    np.testing.assert_allclose(points.flow**2, points.q * np.abs(points.q), atol=1e-6)
    expected = np.hypot(*scene.flow.T) / 0.5
    np.testing.assert_allclose(np.sort(np.abs(points.q)), np.sort(expected), atol=1e-9)
    assert np.abs(points.flow.imag).max() > 9


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_information_is_half_the_curvature_where_the_residual_vanishes(
    representation: FlowRepresentation,
) -> None:
    scene = random_scene(np.random.default_rng(18), 6, stride=16)
    points = measure(scene, representation, 0.5, depth_sigma=0.3)
    motion, ones = scene.twist * EXPOSURE_S, np.ones((1, points.count))
    step = 1e-6 * np.linalg.norm(motion) * np.eye(6)

    def gradient(at: np.ndarray) -> np.ndarray:
        return linearise(points, at[None]).gradient(points.rows, ones)[0]

    numeric = np.array([gradient(motion - h) - gradient(motion + h) for h in step]) / (2 * step[0, 0])
    information = linearise(points, motion[None], marginal=True).information(points.rows, ones)[0]
    tolerance = 1e-4 * np.sqrt(np.outer(*2 * [np.diag(information)]))
    assert (np.abs(information - numeric) < tolerance).all()
    if not points.noise_on_flow:
        rows, _ = whitened(points, motion)
        assert (np.abs((rows @ rows.conj().T).real - information) < tolerance).all()
        _, residual = whitened(points, 1.05 * motion)
        distance2 = linearise(points, 1.05 * motion[None]).distance2[0]
        np.testing.assert_allclose(np.square(np.abs(residual)), distance2, rtol=1e-9)


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_what_a_point_says_of_motion_and_depth_is_in_units_of_its_sigma(
    representation: FlowRepresentation,
) -> None:
    scene = random_scene(np.random.default_rng(20), 5, stride=16)
    sigma, depth = 0.1 + np.abs(scene.x) / 100, 0.5 + np.abs(scene.y) / 100
    points = PointGeometry(scene.x, scene.y, FOCAL_PX).points(
        emit(scene.flow, representation).T, sigma, depth, 0.3 * depth, representation
    )
    x, y = points.place.real, points.place.imag
    np.testing.assert_allclose(points.sigma, 0.1 + np.abs(x) / 100)
    u, v = interaction_rows(x, y, FOCAL_PX, 0.5 + np.abs(y) / 100) / points.sigma
    np.testing.assert_allclose(points.rows, u + 1j * v)
    np.testing.assert_allclose(points.depth_rows[3:], 0.3 * points.rows[3:])
    assert not points.depth_rows[:3].any()


def test_points_that_are_not_finite_are_left_out() -> None:
    scene = random_scene(np.random.default_rng(15), 5)
    broken = scene.flow.copy()
    broken[::3] = np.nan
    depth = scene.inverse_depth.copy()
    depth[1::3] = -1
    points = measure(
        Scene(scene.twist, broken, depth, scene.x, scene.y), FlowRepresentation.DOUBLE_ANGLE, 0.5
    )
    assert points.count == points.grid_count == np.count_nonzero((np.arange(scene.x.size) % 3) == 2)
    assert nees(solve(points).twist, np.eye(6), scene.twist) < 1e-12


def test_bad_input_is_named() -> None:
    scene = random_scene(np.random.default_rng(16), 5)
    points = measure(scene, FlowRepresentation.DOUBLE_ANGLE, 0.5)
    for exposure_s in (0.0, -0.01, np.nan, np.inf):
        with pytest.raises(ExposureError, match="positive"):
            solve_velocity(points, exposure_s, Calibration(), PLAIN)
    with pytest.raises(ImageError, match="0 of 4480 points"):
        measure(
            Scene(scene.twist, np.nan * scene.flow, scene.inverse_depth, scene.x, scene.y),
            *REPRESENTATIONS[:1],
            1,
        )
    with pytest.raises(ConfigurationError, match="prior_linear_m_s"):
        SolverOptions(prior_linear_m_s=-1)
    with pytest.raises(ConfigurationError, match="prior_linear_m_s"):
        SolverOptions(prior_linear_m_s=(0.1, 0.2))
    with pytest.raises(ConfigurationError, match="lever_arm_m"):
        SolverOptions(lever_arm_m=(0.1, 0.2))
    with pytest.raises(ConfigurationError, match="exposure_relative_sigma"):
        SolverOptions(exposure_relative_sigma=np.nan)


def test_points_are_many_only_where_they_err_independently() -> None:
    options = SolverOptions()
    assert options.sample_size(3e-4, 1120) == 280
    assert options.sample_size(4e-3, 1120) == 448
    assert options.sample_size(1.0, 71680) == options.max_points
    assert SolverOptions(max_points=100).sample_size(3e-4, 1120) == 100
