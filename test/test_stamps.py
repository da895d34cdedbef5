"""Stamps that are off lengthen or shorten the whole way between two frames, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from blur_imu_ros.direction import DirectionOptions
from blur_imu_ros.errors import ConfigurationError
from blur_imu_ros.solve.registration import Registration
from blur_imu_ros.solve.stamps import with_unsure_stamps

TWIST = np.array([1.0, -2.0, 0.5, 0.3, 0.0, -0.4])
INTERVAL_S = -0.033


@pytest.fixture
def found() -> Registration:
    root = np.random.default_rng(1).normal(size=(6, 8)) * 30
    information = root @ root.T
    return Registration(information, information @ TWIST, INTERVAL_S, 0.9)


def test_exact_stamps_change_nothing(found: Registration) -> None:
    assert with_unsure_stamps(found, 0.0) is found


@pytest.mark.parametrize("sigma_s", [0.0005, 0.004])
def test_the_length_of_the_way_is_as_unsure_as_the_time_between(found: Registration, sigma_s: float) -> None:
    unsure = with_unsure_stamps(found, sigma_s)
    before, after = (one.variance * np.linalg.inv(one.information) for one in (found, unsure))
    # Two stamps are off.
    relative2 = 2 * (sigma_s / INTERVAL_S) ** 2
    np.testing.assert_allclose(after - before, relative2 * np.outer(TWIST, TWIST), atol=1e-3 * relative2)
    np.testing.assert_allclose(np.linalg.solve(unsure.information, unsure.weighted), TWIST, atol=1e-3)


def test_two_frames_that_say_nothing_still_say_nothing(found: Registration) -> None:
    nothing = replace(found, information=np.zeros((6, 6)), weighted=np.zeros(6))
    unsure = with_unsure_stamps(nothing, 0.002)
    assert not unsure.information.any()
    assert not unsure.weighted.any()


@pytest.mark.parametrize("sigma_s", [-0.001, float("nan"), float("inf")])
def test_what_no_stamp_can_be_is_refused(sigma_s: float) -> None:
    with pytest.raises(ConfigurationError, match="stamp_sigma_s"):
        DirectionOptions(stamp_sigma_s=sigma_s)
