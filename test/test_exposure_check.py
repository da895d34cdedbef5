"""Whether a stated exposure can be right: told by enough frames that move, and never by a camera at rest."""

import math

import numpy as np
import pytest

from blur_imu_ros.exposure_check import ExposureCheck, exposure_ratio
from blur_imu_ros.model.spec import FlowRepresentation
from blur_imu_ros.motion_field import double_angle, grid_points, interaction_matrix
from blur_imu_ros.solve.motion_points import MotionPoints, PointGeometry

FOCAL_PX, EXPOSURE_S, DEPTH = 200.0, 0.01, 0.5
TWIST = np.array([1.0, -2.0, 0.5, 0.1, 0.0, 0.2])
X, Y = grid_points(320, 240, 16)


def points(twist: np.ndarray) -> MotionPoints:
    """What a network reads of a motion over the exposure; sigma differs from point to point."""
    depth = np.full(X.size, DEPTH)
    flow = double_angle(interaction_matrix(X, Y, FOCAL_PX, depth) @ (twist * EXPOSURE_S)).T
    sigma = np.linspace(0.1, 3.0, X.size)
    geometry = PointGeometry(X, Y, FOCAL_PX)
    return geometry.points(flow, sigma, depth, 0.1 * depth, FlowRepresentation.DOUBLE_ANGLE)


@pytest.mark.parametrize("factor", [0.2, 1.0, 3.0])
def test_ratio_is_of_the_time_that_the_blur_took_to_that_stated(factor: float) -> None:
    assert exposure_ratio(points(TWIST), TWIST, EXPOSURE_S / factor) == pytest.approx(factor)
    # The sign of either is not asked for.
    assert exposure_ratio(points(-TWIST), TWIST, EXPOSURE_S / factor) == pytest.approx(factor)


def test_slow_cameras_and_frames_without_a_way_say_nothing() -> None:
    assert math.isnan(exposure_ratio(points(TWIST), None, EXPOSURE_S))
    assert math.isnan(exposure_ratio(points(0.2 * TWIST), 0.2 * TWIST, EXPOSURE_S))
    # A sharp image of a camera that moved is of a far shorter exposure, and a blurred one of one that did not of a longer.
    assert 0 < exposure_ratio(points(0 * TWIST), 5 * TWIST, EXPOSURE_S) < 0.1
    assert exposure_ratio(points(5 * TWIST), 0 * TWIST, EXPOSURE_S) > 10


def test_the_newest_frames_are_judged_together_once_there_are_enough() -> None:
    check = ExposureCheck()
    for _ in range(19):
        check.add(2.0)
        check.add(math.nan)
    assert check.ratio is None
    assert check.complaint == ""
    check.add(2.0)
    assert check.ratio == 2
    assert "2 times as long as stated" in check.complaint
    for ratio in [0.9, 1.1] * 30:
        check.add(ratio)
    assert check.ratio == pytest.approx(1.0)
    assert check.complaint == ""
    everything = ExposureCheck(newest=None)
    for ratio in [0.5] * 70 + [1.0] * 60:
        everything.add(ratio)
    assert "0.5 times" in everything.complaint
