"""Depth as the frame before told it too: taken from where it was seen, as far as it is the same surface."""

from dataclasses import replace

import numpy as np
import pytest
from model_specs import spec_of

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.depth_before import DepthBefore, remembered, with_depth_before, with_depth_between
from blur_imu_ros.direction import SignedVelocity
from blur_imu_ros.network import Prediction
from blur_imu_ros.options import EstimatorOptions
from blur_imu_ros.rigid_motion import displacement
from blur_imu_ros.solve.camera_solver import CameraSolver
from blur_imu_ros.solve.depth_field import FIELD_SIZE, field_of

INTERVAL_S, INTERVAL_NS, TWIST = 0.05, 50_000_000, np.array([0.3, -1.0, 0.5, 0.8, -0.4, 1.2])
GRID = (28, 40)
SPEC = spec_of(640, 448, 16, 500.0)
WIDE = CameraModel.pinhole(640, 448, 500.0)
# Half the field of view: the canonical view zooms in, and everything looks twice as near to the network.
NARROW = CameraModel.pinhole(640, 448, 1000.0)


def solver_of(camera: CameraModel) -> CameraSolver:
    return CameraSolver(camera, SPEC, EstimatorOptions())


def predicted(inverse_depth: np.ndarray) -> Prediction:
    inverse_depth = inverse_depth.reshape(GRID).astype(np.float32)
    flow, sigma = np.zeros((2, *GRID), np.float32), np.full(GRID, -1.0, np.float32)
    return Prediction(flow, sigma, inverse_depth, np.log(0.2 * inverse_depth), SPEC.representation)


def wall(solver: CameraSolver, interval_s: float = 0.0) -> np.ndarray:
    """What the network should say [h, w] of a slanted wall, `interval_s` from when it was 2 m away."""
    rotation, translation = displacement(TWIST, interval_s)
    normal = rotation @ np.array([0.3, -0.2, 1.0])
    return (normal @ solver.rays / (2.0 + normal @ translation)).reshape(GRID) * solver.view.depth_scale


def before(solver: CameraSolver, inverse_depth: np.ndarray, probability: float = 1.0) -> DepthBefore:
    velocity = SignedVelocity(TWIST, np.eye(6), probability, 0)
    return remembered(predicted(inverse_depth), solver, velocity)


def off(prediction: Prediction, truth: np.ndarray) -> np.ndarray:
    return np.log(prediction.inverse_depth / truth)


@pytest.mark.parametrize("camera", [WIDE, NARROW])
@pytest.mark.parametrize("wrong", [0.2, -0.3])
def test_what_was_seen_right_before_mends_most_of_an_error(camera: CameraModel, wrong: float):
    solver = solver_of(camera)
    now = predicted(wall(solver, INTERVAL_S) * np.exp(wrong))
    told = with_depth_before(now, solver, before(solver, wall(solver)), INTERVAL_NS)
    error = off(told, wall(solver, INTERVAL_S))
    # Where it was out of view as well: the rest was wrong by as much. Motion with a wrong depth leads hardly astray.
    np.testing.assert_allclose(error / wrong, 0.24, atol=0.06)
    # A share of the depth as before.
    np.testing.assert_allclose(told.inverse_depth_log_sigma, np.log(0.2 * told.inverse_depth), atol=1e-5)
    np.testing.assert_array_equal(told.flow, now.flow)
    assert told.inverse_depth.dtype == told.inverse_depth_log_sigma.dtype == np.float32
    np.testing.assert_array_equal(
        now.inverse_depth, predicted(wall(solver, INTERVAL_S) * np.exp(wrong)).inverse_depth
    )


def test_what_was_wrong_before_is_taken_from_where_it_was():
    solver = solver_of(WIDE)
    then = wall(solver) * np.where(solver.x.reshape(GRID) > 0, np.exp(0.4), 1)
    still = replace(before(solver, then).velocity, twist=np.zeros(6))
    told = with_depth_before(
        predicted(wall(solver)), solver, replace(before(solver, then), velocity=still), INTERVAL_S
    )
    error = off(told, wall(solver))
    np.testing.assert_allclose(error[:, :20], 0, atol=0.01)
    np.testing.assert_allclose(error[1:-1, 20:-1], 0.8 * 0.4, rtol=0.2)
    # A camera that turns by five cells to the right sees it five cells farther left.
    turn = np.array([0, 5 * 16 / 500 / INTERVAL_S, 0, 0, 0, 0])
    flat = np.full(GRID, 0.5)
    then = flat * np.where(solver.x.reshape(GRID) > 0, np.exp(0.4), 1)
    turned = replace(before(solver, then), velocity=replace(still, twist=turn))
    middle = off(with_depth_before(predicted(flat), solver, turned, INTERVAL_NS), flat)[14]
    assert middle[12] < 0.1 < 0.2 < middle[17]


def test_another_surface_is_believed_at_once():
    solver = solver_of(WIDE)
    for wrong in (1.6, -2.5):
        now = predicted(wall(solver, INTERVAL_S) * np.exp(wrong))
        told = with_depth_before(now, solver, before(solver, wall(solver)), INTERVAL_NS)
        np.testing.assert_allclose(told.inverse_depth, now.inverse_depth, rtol=0.02)


def test_of_either_sign_the_mean_is_expected():
    solver = solver_of(WIDE)
    now = predicted(wall(solver))
    expected = with_depth_before(
        now, solver, replace(seen := before(solver, wall(solver), 0.75)), INTERVAL_NS
    )
    halved = replace(seen.velocity, twist=0.5 * TWIST, probability=1.0)
    told = with_depth_before(now, solver, replace(seen, velocity=halved), INTERVAL_NS)
    np.testing.assert_array_equal(told.inverse_depth, expected.inverse_depth)
    unknown = with_depth_before(now, solver, before(solver, wall(solver), 0.5), INTERVAL_NS)
    np.testing.assert_allclose(unknown.inverse_depth, now.inverse_depth, rtol=1e-5)


def test_a_view_that_shows_nothing_of_what_was_seen_is_left_alone():
    solver = solver_of(WIDE)
    seen = before(solver, wall(solver))
    turned = replace(seen.velocity, twist=np.array([0, 20.0, 0, 0, 0, 0]))
    now = predicted(wall(solver) * 1.3)
    assert with_depth_before(now, solver, replace(seen, velocity=turned), INTERVAL_NS) is now
    # As where all that is seen now was behind the camera.
    backwards = replace(seen.velocity, twist=np.array([0, 0, 0, 0, 0, -100.0]))
    assert with_depth_before(now, solver, replace(seen, velocity=backwards), INTERVAL_NS) is now


def test_what_the_way_told_of_depth_is_added():
    nearer, now = np.linspace(-0.3, 0.4, FIELD_SIZE), predicted(np.full(GRID, 0.5))
    told = with_depth_between(now, nearer)
    expected = field_of(*GRID).at_points(nearer).reshape(GRID)
    np.testing.assert_allclose(off(told, now.inverse_depth), expected, atol=1e-5)
    np.testing.assert_allclose(told.inverse_depth_log_sigma, np.log(0.2 * told.inverse_depth), atol=1e-5)
    assert with_depth_between(now, None) is now


def test_what_the_camera_does_not_see_is_not_remembered():
    portrait = CameraModel.pinhole(200, 448, 500.0)
    solver = solver_of(portrait)
    unseen = ~solver.seen.reshape(GRID)
    assert 0.02 < unseen.mean() < 0.5
    kept = remembered(
        predicted(wall(solver)), solver, SignedVelocity(TWIST, np.eye(6), 1.0, 0)
    ).log_inverse_depth
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(kept), unseen)
