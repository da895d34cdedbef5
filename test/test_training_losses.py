"""What the network is taught agrees with what the package measures by, and errors are told apart as they should be."""
# ruff: noqa: E402  the modules below need torch

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="requirements/training.txt is not installed")

from blur_imu_ros import motion_field
from training.learn.batches import MIRROR_X, MIRROR_Y
from training.learn.losses import (
    BETA,
    Labels,
    covariance_loss,
    depth_loss,
    double_angle,
    flow_loss,
    gaussian,
    laplace,
    make_labels,
    predicted_flow,
    shape_error,
    solve_at_truth,
    velocity_loss,
)

STRIDE, ROWS, COLUMNS = 8, 28, 40
CANONICAL_PX = 250.8
TWISTS = np.array([[0.02, -0.03, 0.05, 0.01, -0.02, 0.04], [-0.01, 0.04, 0.0, -0.03, 0.0, 0.0]], np.float32)
FOCALS_PX = np.array([CANONICAL_PX, 300.0], np.float32)


def scene() -> np.ndarray:
    """Inverse depth [2,ROWS,COLUMNS] in 1/m with enough relief to tell rotation from translation."""
    return np.random.default_rng(0).uniform(0.2, 1.5, (2, ROWS, COLUMNS)).astype(np.float32)


@pytest.fixture
def labels() -> Labels:
    depth, focal_px = torch.from_numpy(scene()), torch.from_numpy(FOCALS_PX)
    return make_labels(
        torch.from_numpy(TWISTS), depth, torch.tensor([True, True]), focal_px, CANONICAL_PX, STRIDE
    )


def perfect(labels: Labels, flow_sigma: float = 1e-3, depth_sigma: float = 1e-4) -> tuple:
    """What a faultless network would say of the labels, in the order of its outputs."""
    q = double_angle(labels.flow).permute(0, 3, 1, 2)
    depth = labels.inverse_depth[:, None]
    return q, torch.full_like(depth, np.log(flow_sigma)), depth, torch.full_like(depth, np.log(depth_sigma))


def test_labels_are_the_motion_field_of_the_package(labels: Labels):
    x, y = motion_field.grid_points(COLUMNS * STRIDE, ROWS * STRIDE, STRIDE)
    for index in range(2):
        matrix = motion_field.interaction_matrix(x, y, float(FOCALS_PX[index]), scene()[index].ravel())
        expected = (matrix @ TWISTS[index]).reshape(ROWS, COLUMNS, 2)
        np.testing.assert_allclose(labels.flow[index].numpy(), expected, atol=2e-5)


def test_depth_labels_are_what_the_view_would_show_at_the_canonical_focal_length(labels: Labels):
    np.testing.assert_allclose(
        labels.inverse_depth.numpy(), scene() * (FOCALS_PX / CANONICAL_PX)[:, None, None], rtol=1e-6
    )


@pytest.mark.parametrize(("mirror", "axis", "signs"), [(MIRROR_X, 2, (-1, 1)), (MIRROR_Y, 1, (1, -1))])
def test_a_mirrored_picture_shows_the_mirrored_flow(labels: Labels, mirror, axis: int, signs):
    depth = np.flip(scene(), axis).copy()
    twist, focal_px = torch.from_numpy(TWISTS * mirror), torch.from_numpy(FOCALS_PX)
    mirrored = make_labels(
        twist, torch.from_numpy(depth), torch.tensor([True, True]), focal_px, CANONICAL_PX, STRIDE
    )
    expected = np.flip(labels.flow.numpy(), axis) * signs
    np.testing.assert_allclose(mirrored.flow.numpy(), expected, atol=2e-5)


def test_double_angle_is_the_one_of_the_package():
    flow = np.random.default_rng(1).normal(0, 5, (200, 2))
    ours = double_angle(torch.from_numpy(flow)).numpy()
    np.testing.assert_allclose(ours, motion_field.double_angle(flow), atol=1e-5)
    np.testing.assert_array_equal(ours, double_angle(torch.from_numpy(-flow)).numpy())


def test_a_perfect_prediction_has_no_velocity_error(labels: Labels):
    error = solve_at_truth(labels, *perfect(labels))[0]
    assert error.abs().max() < 1e-5
    assert velocity_loss(labels, error) == pytest.approx(0, abs=1e-5)


def test_large_errors_of_velocity_weigh_most(labels: Labels):
    """Squared while they are small, and never less than in proportion."""
    error = torch.tensor([1e-3, 0, 0, 0, 0, 0]).expand(2, 6)
    small, twice, large, larger = (
        velocity_loss(labels, factor * error).item() for factor in (1, 2, 200, 400)
    )
    assert twice == pytest.approx(4 * small, rel=0.05)
    assert larger == pytest.approx(2 * large, rel=0.05)


def test_the_loss_of_a_batch_is_the_mean_of_its_samples(labels: Labels):
    errors = torch.tensor([[0.01, 0.0, 0.02, 0.0, 0.01, 0.0], [-0.1, 0.05, 0.0, 0.03, 0.0, 0.2]])
    alone = [
        velocity_loss(labels.map(lambda part, k=k: part[k : k + 1]), errors[k : k + 1]).item() for k in (0, 1)
    ]
    assert velocity_loss(labels, errors).item() == pytest.approx(np.mean(alone), rel=1e-5)


def test_roll_weighs_as_much_as_pitch_and_yaw(labels: Labels):
    pitch, _, roll = (
        velocity_loss(labels, 0.01 * torch.eye(6)[axis].expand(2, 6)).item() for axis in range(3)
    )
    assert roll == pytest.approx(pitch) != 0


@pytest.mark.parametrize("axis", range(6))
def test_the_error_is_the_difference_of_the_motion_that_was_seen(labels: Labels, axis: int):
    """Finite differences: flow of a slightly other twist must read as exactly that difference, so the Jacobian is right."""
    step = torch.zeros(6)
    step[axis] = 2e-4
    _, sigma, depth, depth_sigma = perfect(labels)
    seen = double_angle(predicted_flow(labels, labels.inverse_depth, labels.twist + step))
    error, _ = solve_at_truth(labels, seen.permute(0, 3, 1, 2), sigma, depth, depth_sigma)
    np.testing.assert_allclose(error.numpy(), np.tile(step.numpy(), (2, 1)), atol=1.5e-5)


def test_the_loss_does_not_know_the_sign(labels: Labels):
    back = replace(labels, twist=-labels.twist)
    outputs = list(perfect(labels))
    outputs[0] = outputs[0] * 1.1
    for loss in (
        lambda it: flow_loss(it, outputs[0], outputs[1], True),
        lambda it: solve_at_truth(it, *outputs)[0].abs().sum(),
    ):
        assert loss(labels).item() == pytest.approx(loss(back).item(), rel=1e-4)


def test_admitted_depth_errors_leave_rotation_alone(labels: Labels):
    """A flat guess for the depth, and said to be one: then only the flow across the translational one speaks of rotation."""
    q, sigma, depth, _ = perfect(labels, flow_sigma=0.1)
    slope = torch.linspace(-0.5, 0.5, COLUMNS)
    wrong = depth * torch.exp(slope)
    admitted, denied = (
        solve_at_truth(labels, q, sigma, wrong, torch.log(share * wrong))[0][:, :3].norm()
        for share in (0.3, 1e-3)
    )
    assert admitted < 0.5 * denied


def test_without_information_the_answer_is_the_prior(labels: Labels):
    q, sigma, depth, depth_sigma = perfect(labels)
    error, _ = solve_at_truth(labels, q, sigma + 20, depth, depth_sigma)
    np.testing.assert_allclose(
        error.numpy(), -TWISTS, atol=1e-4
    )  # it reads zero, so it errs by the whole truth


def test_the_likeliest_covariance_is_the_honest_one(labels: Labels):
    """Errors of two units per axis: stated as one, two and four, two is likeliest."""
    error = torch.full((2, 6), 2.0)
    cost = [
        covariance_loss(labels, error, torch.eye(6).expand(2, 6, 6) / sigma**2).item() for sigma in (1, 2, 4)
    ]
    assert cost[1] < min(cost[0], cost[2])
    assert cost[1] == pytest.approx(0.5 + np.log(2), abs=1e-4)


def test_covariance_teaches_sigma_alone(labels: Labels):
    outputs = [(part + 0.1).detach().requires_grad_() for part in perfect(labels, 0.5, 0.1)]
    covariance_loss(labels, *solve_at_truth(labels, *outputs)).backward()
    assert [part.grad is not None and bool(part.grad.abs().max() > 0) for part in outputs] == [
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("likelihood", [laplace, gaussian])
def test_what_is_sure_does_not_drown_what_is_not(likelihood):
    """Errors of the same share of their sigma: ten times surer pulls less than ten times as hard."""
    log_sigma = torch.log(torch.tensor([0.1, 1.0]))
    error = (0.5 * torch.exp(log_sigma)).requires_grad_()
    likelihood(error, log_sigma).sum().backward()
    assert float(error.grad[0] / error.grad[1]) == pytest.approx(10 ** (1 - BETA), rel=1e-4)


def test_every_output_is_taught(labels: Labels):
    outputs = [(part + 0.1).detach().requires_grad_() for part in perfect(labels, 0.5, 0.1)]
    q, sigma, depth, depth_sigma = outputs
    velocity = velocity_loss(labels, solve_at_truth(labels, *outputs)[0])
    (flow_loss(labels, q, sigma, True) + depth_loss(labels, depth, depth_sigma) + velocity).backward()
    for part in outputs:
        assert torch.isfinite(part.grad).all()
        assert part.grad.abs().max() > 0


def test_velocity_teaches_flow_alone(labels: Labels):
    outputs = [(part + 0.1).detach().requires_grad_() for part in perfect(labels, 0.5, 0.1)]
    velocity_loss(labels, solve_at_truth(labels, *outputs)[0]).backward()
    assert [part.grad is not None for part in outputs] == [True, True, False, False]


def test_depth_of_unknown_scale_is_not_taught(labels: Labels):
    unknown = replace(labels, metric=torch.tensor([False, False]))
    _, _, depth, depth_sigma = perfect(labels)
    assert depth_loss(unknown, 2 * depth, depth_sigma).item() == 0
    assert depth_loss(labels, 2 * depth, depth_sigma).item() > 1


def test_a_wrong_shape_of_depth_costs_more_than_a_wrong_scale():
    error = torch.full((2, 1, 8, 8), 0.3)
    assert shape_error(error).abs().max() < 1e-5
    error[1, ..., :4] = -0.3
    half, none = shape_error(error)[1], shape_error(error)[0]
    assert half > 5 * 0.3 > none
    assert shape_error(torch.tensor([[[[0.3]]]])).item() == 0, "a single cell has no shape"
