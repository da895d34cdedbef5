"""Mean motions on two ways in succession tell how a velocity grows, as far as it goes on growing so."""

import numpy as np
import pytest

from blur_imu_ros.solve.mean_motion import velocity, way_here
from blur_imu_ros.solve.registration import Registration
from blur_imu_ros.solve.way import Way

INTERVAL_S, STAMP_NS = 0.04, 10**18
BLUR, SIGMA = np.array([1.0, -2.0, 0.5, 0.3, -0.2, 0.8]), 0.3
ACCELERATION = np.repeat([20.0, 5.0], 3)
NOW, GROWTH = np.array([1.2, -1.8, 0.4, 0.2, -0.3, 0.9]), np.array([15.0, -8.0, 10.0, 3.0, 2.0, -4.0])


def registered(mean: np.ndarray, interval_s: float, sigma: float = 0.01) -> Registration:
    information = np.eye(6) / sigma**2
    return Registration(information, information @ mean, interval_s, 0.9)


def ways(growth: np.ndarray) -> tuple[Registration, Way]:
    """The last way and the one before, of a camera whose velocity grows evenly to what it is now."""
    last = registered(NOW - growth * INTERVAL_S / 2, -INTERVAL_S)
    middle_ns = STAMP_NS - round(1.5 * INTERVAL_S * 1e9)
    return last, Way(NOW - growth * 1.5 * INTERVAL_S, 1e-4 * np.eye(6), middle_ns)


def solved(
    last: Registration, earlier: Way | None, sigma: float = SIGMA, here: Way | None = None
) -> tuple[np.ndarray, np.ndarray]:
    return velocity(BLUR, sigma**2 * np.eye(6), [last], ACCELERATION, earlier, here, STAMP_NS)


def test_a_second_way_tells_how_the_velocity_grows():
    last, earlier = ways(GROWTH)
    (one, wide), (both, narrow) = solved(last, None, 10.0), solved(last, earlier, 10.0)
    # Of one way alone its middle is told; with the one before, most of what was gained since.
    assert np.linalg.norm(both - NOW) < 0.75 * np.linalg.norm(one - NOW)
    assert np.all(np.diag(narrow) < 0.9 * np.diag(wide))
    # A steady camera is where it was, and its velocity the better known.
    last, earlier = ways(np.zeros(6))
    np.testing.assert_allclose(solved(last, earlier, 10.0)[0], NOW, atol=0.01)


def test_growth_counts_as_far_as_it_went_on_so_before():
    last, earlier = ways(GROWTH)
    steady, shaken = (Way(NOW, np.eye(6), STAMP_NS, None, changed, 3000.0) for changed in (100.0, 9000.0))
    (far, narrow), (near, wide) = (solved(last, earlier, 10.0, here) for here in (steady, shaken))
    assert np.linalg.norm(far - NOW) < 0.5 * np.linalg.norm(near - NOW)
    assert np.all(np.diag(narrow) < np.diag(wide))


@pytest.mark.parametrize("middle_s", [-1.5 * INTERVAL_S, -0.2])
def test_velocity_and_covariance_by_hand(middle_s: float):
    """One axis at a time, against the least squares of a number and its rate."""
    last, earlier = (
        registered(NOW, -INTERVAL_S, 0.05),
        Way(BLUR, 0.02 * np.eye(6), STAMP_NS + round(middle_s * 1e9)),
    )
    twist, covariance = solved(last, earlier)
    for axis in range(6):
        rows = np.array([[1, 0], [0, 1], [1, -INTERVAL_S / 2], [1, middle_s]])
        told = np.array([BLUR[axis], 0, NOW[axis], BLUR[axis]])
        change = (0.5 * ACCELERATION[axis] * middle_s) ** 2
        weight = 1 / np.array([SIGMA**2, ACCELERATION[axis] ** 2, 0.05**2, 0.02 + change])
        inverse = np.linalg.inv(rows.T @ (weight[:, None] * rows))
        assert twist[axis] == pytest.approx((inverse @ rows.T @ (weight * told))[0])
        # What a way between frames says errs by more than points that err independently would.
        weight = weight * np.array([1, 1, last.variance, 1])
        assert covariance[axis, axis] == pytest.approx(
            (inverse @ rows.T @ (weight[:, None] * rows) @ inverse)[0, 0]
        )


def test_the_way_here_is_what_was_known_and_what_was_found():
    covariance = np.diag(np.linspace(0.1, 0.6, 6)) ** 2
    found = registered(NOW, -INTERVAL_S, 0.2)
    way = way_here(BLUR, covariance, found, STAMP_NS)
    assert way.middle_ns == STAMP_NS - round(INTERVAL_S / 2 * 1e9)
    known, told = 1 / np.diag(covariance), 1 / 0.2**2
    np.testing.assert_allclose(way.twist, (known * BLUR + told * NOW) / (known + told))
    expected = (known + found.variance * told) / (known + told) ** 2
    np.testing.assert_allclose(way.covariance, np.diag(expected), atol=1e-12)
