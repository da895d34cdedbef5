"""Cameras that turn in place, by hand and against the density itself."""

import numpy as np
import pytest

from blur_imu_ros.solve.in_place import or_in_place
from blur_imu_ros.solve.lever_arm import camera_of_centre

STEP = np.full(3, 0.7)
NO_ARM = (0.0, 0.0, 0.0)


def covariance_of(rng: np.random.Generator, sigma: float) -> np.ndarray:
    root = sigma * rng.normal(size=(6, 6))
    return root @ root.T


def test_a_small_step_that_is_hardly_known_shrinks_and_takes_the_turn_along() -> None:
    # A step and a turn that look alike: more of the one is less of the other.
    covariance = 0.15**2 * np.eye(6)
    covariance[1, 3] = covariance[3, 1] = -0.9 * 0.15**2
    found = np.array([0, 1.0, 0, 0.1, 0, 0])
    twist, known = or_in_place(found, covariance, STEP, NO_ARM)
    assert 0 < twist[3] < 0.6 * found[3]
    assert twist[1] - found[1] == pytest.approx(0.9 * (found[3] - twist[3]))
    assert known[3, 3] < 0.5 * covariance[3, 3]
    assert known[1, 1] < covariance[1, 1]
    np.testing.assert_allclose(twist[[0, 2]], 0, atol=1e-12)


@pytest.mark.parametrize("step", [0.3, 1.0])
def test_a_step_that_was_surely_found_stays(step: float) -> None:
    found, covariance = np.array([0.5, 1.0, -0.3, step, -step, 0]), 0.05**2 * np.eye(6)
    twist, known = or_in_place(found, covariance, STEP, NO_ARM)
    np.testing.assert_allclose(twist, found, atol=0.005)
    np.testing.assert_allclose(known, covariance, atol=1e-3)


def test_without_a_prior_nothing_changes() -> None:
    rng = np.random.default_rng(0)
    found, covariance = rng.normal(size=6), covariance_of(rng, 0.1)
    twist, known = or_in_place(found, covariance, np.full(3, np.inf), NO_ARM)
    np.testing.assert_array_equal(twist, found)
    np.testing.assert_array_equal(known, covariance)


def test_a_camera_on_an_arm_steps_as_it_turns_in_place() -> None:
    rng, arm = np.random.default_rng(1), (0.1, 0.0, 0.4)
    to_camera, covariance = camera_of_centre(arm), covariance_of(rng, 0.1)
    found = np.array([0.3, 1.0, -0.5, 0.05, -0.1, 0.02])
    centre, known = or_in_place(found, covariance, STEP, NO_ARM)
    twist, seen = or_in_place(to_camera @ found, to_camera @ covariance @ to_camera.T, STEP, arm)
    np.testing.assert_allclose(twist, to_camera @ centre, atol=1e-9)
    np.testing.assert_allclose(seen, to_camera @ known @ to_camera.T, atol=1e-9)


def test_mean_and_covariance_are_those_of_both_kinds_of_cameras_together() -> None:
    """Against samples of what was found, weighed by how much more of them turn in place than was known."""
    rng = np.random.default_rng(2)
    found, covariance = np.array([0.3, 1.0, -0.5, 0.12, -0.1, 0.05]), covariance_of(rng, 0.04)
    twist, known = or_in_place(found, covariance, STEP, NO_ARM)
    step, narrow = covariance[3:, 3:], np.diag((0.1 * STEP) ** 2)
    draws = rng.multivariate_normal(found, covariance, 400000)

    def evidence(prior: np.ndarray) -> float:
        spread = step + prior
        return np.exp(-0.5 * found[3:] @ np.linalg.solve(spread, found[3:])) / np.sqrt(np.linalg.det(spread))

    turning, stepping = 0.05 * evidence(narrow), 0.95 * evidence(np.diag(STEP**2))
    near = np.exp(-0.5 * np.einsum("ni,ni->n", draws[:, 3:], np.linalg.solve(narrow, draws[:, 3:].T).T))
    share = turning / (turning + stepping)
    weight = (1 - share) / len(draws) + share * near / near.sum()
    mean = weight @ draws
    np.testing.assert_allclose(twist, mean, atol=0.003)
    np.testing.assert_allclose(known, (draws - mean).T @ (weight[:, None] * (draws - mean)), atol=3e-4)
