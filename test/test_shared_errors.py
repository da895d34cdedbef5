"""Errors that neighbouring points share: worth less in the estimate, and owned up to in its covariance."""

from dataclasses import replace

import numpy as np
import pytest
from motion_scenes import (
    EXPOSURE_S,
    FOCAL_PX,
    Motion,
    Outliers,
    Scene,
    emit,
    measure,
    nees,
    random_scene,
    smooth_field,
)

from blur_imu_ros.model.spec import UNKNOWN_FLOW_SIGMA_PX, FlowRepresentation
from blur_imu_ros.solve.motion_points import MotionPoints, PointGeometry
from blur_imu_ros.velocity import Calibration, SolverOptions, VelocitySolution, solve_velocity

CORRELATION_PX = 40.0
PLAIN = SolverOptions(prior_angular_rad_s=np.inf, prior_linear_m_s=np.inf, exposure_relative_sigma=0.0)


def solve(points: MotionPoints, fraction: float) -> VelocitySolution:
    return solve_velocity(points, EXPOSURE_S, Calibration(independent_fraction=fraction), PLAIN)


def fraction_of(scene: Scene) -> float:
    """What share of the points is worth as much as all of them with their errors shared."""
    return float(2 / (smooth_field(scene, CORRELATION_PX).sum(axis=1).mean() + 1))


@pytest.fixture(scope="module")
def solved() -> tuple[np.ndarray, np.ndarray]:
    """Normalised squared errors and errors of w [rad/s], [2, 60]: with shared errors known, and unknown."""
    known, unknown = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scene = random_scene(rng, 10, stride=16)
        points = measure(scene, FlowRepresentation.DOUBLE_ANGLE, 0.5, rng, correlation_px=CORRELATION_PX)
        for results, measured in ((known, points), (unknown, replace(points, precision=None))):
            solution = solve(measured, fraction_of(scene))
            sign = 1 if solution.twist @ scene.twist > 0 else -1
            error = np.linalg.norm((sign * solution.twist - scene.twist)[:3])
            results.append((nees(solution.twist, solution.covariance, scene.twist), error))
    return np.array(known).T, np.array(unknown).T


def test_covariance_is_consistent(solved):
    known, unknown = solved
    assert 0.8 < np.mean(known[0]) < 1.25
    assert abs(np.log(np.mean(unknown[0]))) > abs(np.log(np.mean(known[0])))


def test_estimates_are_better_for_it(solved):
    known, unknown = solved
    assert np.sqrt(np.mean(known[1] ** 2)) < 0.95 * np.sqrt(np.mean(unknown[1] ** 2))


def test_a_moving_region_is_left_out():
    """Outliers say nothing of the errors of their neighbours either."""
    errors = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scene = random_scene(rng, 10, stride=16)
        points = measure(
            scene, FlowRepresentation.DOUBLE_ANGLE, 0.5, rng, Outliers.REGION, correlation_px=CORRELATION_PX
        )
        twist = solve(points, fraction_of(scene)).twist
        errors.append(np.linalg.norm((twist if twist @ scene.twist > 0 else -twist) - scene.twist))
        assert errors[-1] < 0.5 * np.linalg.norm(scene.twist)
    assert np.median(errors) < 0.6


def test_exact_without_noise():
    scene = random_scene(np.random.default_rng(3), 8, stride=16)
    points = measure(scene, FlowRepresentation.DOUBLE_ANGLE, 0.5, correlation_px=CORRELATION_PX)
    twist = solve(points, fraction_of(scene)).twist
    assert min(np.linalg.norm(twist - scene.twist), np.linalg.norm(twist + scene.twist)) < 1e-6


def test_a_prior_pulls_towards_rest():
    """A fifth of the prior's sigma is known: it takes away one part in 26."""
    rng = np.random.default_rng(6)
    scene = random_scene(rng, 1, Motion.ROLL, stride=16)
    points = measure(scene, FlowRepresentation.DOUBLE_ANGLE, 0.5, rng, correlation_px=CORRELATION_PX)
    free = solve(points, fraction_of(scene))
    options = replace(PLAIN, prior_angular_rad_s=5 * float(np.sqrt(free.covariance[2, 2])))
    pulled = solve_velocity(points, EXPOSURE_S, Calibration(fraction_of(scene)), options)
    assert abs(pulled.twist[2] / free.twist[2]) == pytest.approx(25 / 26, abs=0.02)
    assert pulled.covariance[2, 2] / free.covariance[2, 2] == pytest.approx(25 / 26, abs=0.02)


def test_a_still_camera_is_known_to_be_still():
    scene = random_scene(np.random.default_rng(7), 1, stride=16)
    still = Scene(0 * scene.twist, 0 * scene.flow, scene.inverse_depth, scene.x, scene.y)
    points = measure(still, FlowRepresentation.DOUBLE_ANGLE, 0.3, correlation_px=CORRELATION_PX)
    solution = solve_velocity(points, EXPOSURE_S, Calibration(fraction_of(scene)), SolverOptions())
    assert not solution.twist.any()
    assert (np.sqrt(np.diag(solution.covariance))[:3] < 0.5).all()


@pytest.mark.parametrize("dropped", [slice(0, None, 3), slice(20, None)])
def test_points_that_cannot_be_used_leave_the_others_as_they_are(dropped):
    """The precision of the rest is theirs alone, not a part of that of all."""
    scene = random_scene(np.random.default_rng(4), 8, stride=16)
    depth = scene.inverse_depth.copy()
    depth[dropped] = np.nan
    sigma, flow = np.full(depth.size, 0.5), np.ones((2, depth.size))
    arguments = (flow, sigma, depth, 0 * depth, FlowRepresentation.DOUBLE_ANGLE)
    points = PointGeometry(scene.x, scene.y, FOCAL_PX, correlation_px=CORRELATION_PX).points(*arguments)
    correlation = np.linalg.inv(points.precision.astype(np.float64))
    assert points.precision.shape == (points.count, points.count)
    assert points.count == np.isfinite(depth).sum()
    np.testing.assert_allclose(np.diag(correlation), correlation[0, 0], rtol=1e-5)
    np.testing.assert_allclose(correlation[0, 0], fraction_of(scene), rtol=1e-5)


@pytest.mark.parametrize("share", [0.3, 0.7, 1.0])
def test_parts_of_which_nothing_is_known_leave_the_answer_to_the_others(share):
    scene = random_scene(np.random.default_rng(4), 8, stride=16)
    sigma = np.full(scene.x.size, 0.1)
    blank = round(share * sigma.size)
    sigma[:blank] = UNKNOWN_FLOW_SIGMA_PX
    flow = emit(scene.flow, FlowRepresentation.DOUBLE_ANGLE).T.copy()
    flow[:, :blank] = 0
    depth = scene.inverse_depth
    points = PointGeometry(scene.x, scene.y, FOCAL_PX, correlation_px=CORRELATION_PX).points(
        flow, sigma, depth, 0 * depth, FlowRepresentation.DOUBLE_ANGLE
    )
    options = SolverOptions(prior_linear_m_s=10.0, exposure_relative_sigma=0.0)
    solution = solve_velocity(points, EXPOSURE_S, Calibration(independent_fraction=0.02), options)
    stated = np.sqrt(np.diag(solution.covariance))
    if share == 1:
        assert (stated[:3] > 0.5 * options.prior_angular_rad_s).all()
    else:
        sign = 1 if solution.twist @ scene.twist > 0 else -1
        assert (np.abs(sign * solution.twist - scene.twist) < 3 * stated).all()
        assert (stated[:3] < 1).all()


def test_signed_flow_is_solved_as_before():
    points = measure(
        random_scene(np.random.default_rng(5), 8, stride=16),
        FlowRepresentation.SIGNED,
        0.5,
        correlation_px=CORRELATION_PX,
    )
    assert points.precision is None
