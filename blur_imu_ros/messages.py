"""Estimates and reports as ROS messages; the twist goes from (w, v) to ROS's linear-first order.

Source: sensor_msgs/msg/Imu (covariance[0] = -1: unknown), geometry_msgs/msg/TwistWithCovarianceStamped,
diagnostic_msgs/msg/DiagnosticArray, REP 145 (report in the sensor's own frame).
"""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import TwistWithCovarianceStamped
from sensor_msgs.msg import Imu
from std_msgs.msg import Header

from .errors import BlurImuError
from .estimate import LINEAR_FIRST, Estimate
from .live.diagnostics import Report


def imu_message(estimate: Estimate, frame_id: str) -> Imu:
    """Return the angular velocity as an Imu; orientation and acceleration are marked unknown. Raises BlurImuError."""
    check(estimate)
    message = Imu(header=_header(estimate.stamp_ns, frame_id))
    message.orientation.w = 1.0
    message.orientation_covariance[0] = -1.0
    message.linear_acceleration_covariance[0] = -1.0
    rate = message.angular_velocity
    rate.x, rate.y, rate.z = map(float, estimate.twist[:3])
    message.angular_velocity_covariance = np.ascontiguousarray(
        estimate.covariance[:3, :3], np.float64
    ).reshape(-1)
    return message


def twist_message(estimate: Estimate, frame_id: str) -> TwistWithCovarianceStamped:
    """Return angular and linear velocity with their 6x6 covariance, linear first. Raises BlurImuError."""
    check(estimate)
    message = TwistWithCovarianceStamped(header=_header(estimate.stamp_ns, frame_id))
    twist = message.twist.twist
    twist.angular.x, twist.angular.y, twist.angular.z = map(float, estimate.twist[:3])
    twist.linear.x, twist.linear.y, twist.linear.z = map(float, estimate.twist[3:])
    covariance = np.asarray(estimate.covariance, np.float64)[np.ix_(LINEAR_FIRST, LINEAR_FIRST)]
    message.twist.covariance = np.ascontiguousarray(covariance).reshape(-1)
    return message


def check(estimate: Estimate) -> None:
    """Raise BlurImuError unless the twist is finite and its covariance finite, symmetric and positive definite."""
    twist, covariance = np.asarray(estimate.twist), np.asarray(estimate.covariance)
    if not (np.isfinite(twist).all() and np.isfinite(covariance).all()):
        raise BlurImuError("the estimate is not finite; nothing is published for this image")
    if not np.array_equal(covariance, covariance.T) or np.linalg.eigvalsh(covariance)[0] <= 0:
        raise BlurImuError(
            "the covariance is not symmetric and positive definite; nothing is published for this image"
        )


def diagnostics_message(report: Report, node_name: str, hardware_id: str, now: Time) -> DiagnosticArray:
    """Return a report as the one status of a DiagnosticArray, under the node's full name."""
    status = DiagnosticStatus(
        level=report.level.value,
        name=node_name,
        message=report.message,
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value) for key, value in report.values],
    )
    return DiagnosticArray(header=Header(stamp=now), status=[status])


def _header(stamp_ns: int, frame_id: str) -> Header:
    seconds, nanoseconds = divmod(int(stamp_ns), 1_000_000_000)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)
