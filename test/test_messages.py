"""Messages: order, frames, unknowns, and nothing that would destroy a filter."""

from types import SimpleNamespace

import numpy as np
import pytest
import ros_rig
from builtin_interfaces.msg import Time

from blur_imu_ros.errors import BlurImuError
from blur_imu_ros.live.diagnostics import Level, Report
from blur_imu_ros.messages import diagnostics_message, imu_message, twist_message

assert ros_rig.ROOT.is_dir()  # sets up ROS for this process
STAMP_NS = 1_700_000_000_123_456_789


def estimate(**overrides):
    factor = np.random.default_rng(0).normal(size=(6, 6))
    covariance = factor @ factor.T + np.eye(6)
    covariance = (covariance + covariance.T) / 2
    twist = np.array([0.1, 0.2, 0.3, 1.0, 2.0, 3.0])
    return SimpleNamespace(**{"stamp_ns": STAMP_NS, "twist": twist, "covariance": covariance, **overrides})


def test_imu_holds_the_angular_velocity_and_marks_the_rest_unknown():
    subject = estimate()
    imu = imu_message(subject, "optical")
    assert (imu.header.stamp.sec, imu.header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert imu.header.frame_id == "optical"
    rate = imu.angular_velocity
    assert (rate.x, rate.y, rate.z) == (0.1, 0.2, 0.3)
    assert np.array_equal(np.reshape(imu.angular_velocity_covariance, (3, 3)), subject.covariance[:3, :3])
    # REP 145 and sensor_msgs/Imu: -1 marks what is not measured; consumers then skip it.
    assert imu.orientation_covariance[0] == imu.linear_acceleration_covariance[0] == -1
    assert (imu.orientation.w, imu.linear_acceleration.x) == (1, 0)


def test_twist_is_linear_first_with_its_covariance_in_the_same_order():
    subject = estimate()
    twist = twist_message(subject, "optical")
    linear, angular = twist.twist.twist.linear, twist.twist.twist.angular
    assert (linear.x, linear.y, linear.z) == (1, 2, 3)
    assert (angular.x, angular.y, angular.z) == (0.1, 0.2, 0.3)
    covariance = np.reshape(twist.twist.covariance, (6, 6))
    assert np.array_equal(covariance[:3, :3], subject.covariance[3:, 3:])
    assert np.array_equal(covariance[3:, 3:], subject.covariance[:3, :3])
    assert np.array_equal(covariance[:3, 3:], subject.covariance[3:, :3])


def test_stamps_before_the_first_second_are_still_valid():
    assert imu_message(estimate(stamp_ns=-5_000_000), "optical").header.stamp == Time(
        sec=-1, nanosec=995_000_000
    )


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"twist": np.array([0, 0, np.nan, 0, 0, 0])}, "not finite"),
        ({"covariance": np.diag([1, 1, 1, 1, 1, np.inf])}, "not finite"),
        ({"covariance": np.diag([1, 1, 1, 1, 1, -1e-9])}, "positive definite"),
        ({"covariance": np.zeros((6, 6))}, "positive definite"),
        ({"covariance": np.eye(6) + np.eye(6, k=1)}, "symmetric"),
    ],
)
def test_nothing_is_made_of_what_no_filter_may_get(overrides, told):
    for make in (imu_message, twist_message):
        with pytest.raises(BlurImuError, match=told):
            make(estimate(**overrides), "optical")


def test_diagnostics_carry_the_report_under_the_name_of_the_node():
    report = Report(Level.ERROR, "what, where, how", (("images received", "3"),))
    message = diagnostics_message(report, "/left/blur_imu", "small", Time(sec=4))
    (status,) = message.status
    assert (status.level, status.name, status.message) == (b"\x02", "/left/blur_imu", "what, where, how")
    assert [(pair.key, pair.value) for pair in status.values] == [("images received", "3")]
    assert message.header.stamp.sec == 4
