"""The motion field: exact against moving points, and the sign-free form of flow."""

import numpy as np
import pytest

from blur_imu_ros.motion_field import (
    double_angle,
    flow_up_to_sign,
    grid_points,
    interaction_matrix,
    interaction_rows,
)
from blur_imu_ros.rigid_motion import displacement, reproject


def test_grid_points_are_cell_centres_about_the_principal_point() -> None:
    x, y = grid_points(320, 224, 4)
    assert x.size == y.size == 80 * 56
    # The first cell covers pixels 0..3, centre 1.5; the principal point is at (W-1)/2 = 159.5.
    assert x[0] == 1.5 - 159.5
    assert y[0] == 1.5 - 111.5
    assert x[1] - x[0] == 4
    assert y[80] - y[79] == 4
    assert abs(x.mean()) < 1e-12
    assert abs(y.mean()) < 1e-12


def test_interaction_matrix_equals_the_design_equation() -> None:
    x, y, focal, rho = 40.0, -25.0, 300.0, 0.5
    expected = [
        [x * y / focal, -(focal + x * x / focal), y, -focal * rho, 0, x * rho],
        [focal + y * y / focal, -x * y / focal, -x, 0, -focal * rho, y * rho],
    ]
    matrix = interaction_matrix(np.array([x]), np.array([y]), focal, np.array([rho]))
    assert matrix.shape == (1, 2, 6)
    np.testing.assert_allclose(matrix[0], expected, rtol=1e-15)
    rows = interaction_rows(np.array([x]), np.array([y]), focal, np.array([rho]))
    np.testing.assert_array_equal(rows[:, :, 0], matrix[0])


@pytest.mark.parametrize("axis", range(6))
def test_flow_is_the_derivative_of_the_projection_of_static_points(axis: int) -> None:
    rng = np.random.default_rng(axis)
    x, y = rng.uniform(-150, 150, 50), rng.uniform(-100, 100, 50)
    inverse_depth = rng.uniform(0.1, 1.5, 50)
    twist = np.zeros(6)
    twist[axis] = 1.0
    flow = interaction_matrix(x, y, 300.0, inverse_depth) @ twist
    # On either side of where a rotation is too small for its exponential.
    for step in (2e-6, 5e-7):
        ahead = reproject(x, y, 300.0, inverse_depth, twist, step)
        behind = reproject(x, y, 300.0, inverse_depth, twist, -step)
        np.testing.assert_allclose((ahead - behind).T / (2 * step), flow, rtol=1e-6, atol=1e-5)


def test_camera_turning_right_sees_the_world_move_left() -> None:
    # y points down, so a positive rate about y turns the optical axis to the right.
    flow = interaction_matrix(np.zeros(1), np.zeros(1), 300.0, np.ones(1))[0] @ [0, 1, 0, 0, 0, 0]
    assert flow[0] == -300
    assert flow[1] == 0


def test_displacement_composes_and_inverts_at_any_size() -> None:
    rng = np.random.default_rng(0)
    for scale in (1e-9, 1e-3, 1.0, 3.0):
        twist = rng.normal(size=6) * scale
        once, twice, back = displacement(twist, 0.5), displacement(twist, 1.0), displacement(twist, -0.5)
        np.testing.assert_allclose(once[0] @ once[0], twice[0], atol=1e-12)
        np.testing.assert_allclose(once[0] @ once[1] + once[1], twice[1], atol=1e-12)
        np.testing.assert_allclose(once[0] @ back[1] + once[1], 0, atol=1e-12)
        np.testing.assert_allclose(once[0] @ back[0], np.eye(3), atol=1e-12)


def test_points_behind_the_camera_have_no_pixel() -> None:
    forward = np.array([0, 0, 0, 0, 0, 1.0])
    assert np.isnan(reproject(np.zeros(1), np.zeros(1), 300.0, np.ones(1), forward, 2.0)).all()


def test_double_angle_is_free_of_sign_and_keeps_length() -> None:
    flow = np.random.default_rng(0).normal(size=(200, 2)) * 10
    q = double_angle(flow)
    np.testing.assert_allclose(double_angle(-flow), q, rtol=1e-14)
    np.testing.assert_allclose(np.hypot(*q.T), np.hypot(*flow.T), rtol=1e-14)
    angle = 2 * np.arctan2(flow[:, 1], flow[:, 0])
    np.testing.assert_allclose(
        q, np.hypot(*flow.T)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1), atol=1e-13
    )
    np.testing.assert_array_equal(double_angle(np.zeros((3, 2))), 0)


def test_a_double_angle_stands_for_a_flow_and_its_opposite() -> None:
    flow = np.random.default_rng(0).normal(size=(6, 8, 2)) * 10
    found = np.moveaxis(flow_up_to_sign(np.moveaxis(double_angle(flow), -1, 0)), 0, -1)
    side = np.sign(np.sum(found * flow, axis=-1, keepdims=True))
    np.testing.assert_allclose(side * found, flow, atol=1e-12)
