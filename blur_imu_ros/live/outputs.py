"""The topics the node publishes: virtual IMU, twist, and a debug image for whoever looks."""

from __future__ import annotations

import time

from cv_bridge import CvBridge
from geometry_msgs.msg import TwistWithCovarianceStamped
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, Imu
from std_msgs.msg import Header

from ..estimate import Estimate
from ..messages import imu_message, twist_message
from .debug_image import Seen, draw

KEEP_LAST = 10


class Outputs:
    """Publishers that exist while the node is configured; used by the worker thread."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._bridge = CvBridge()
        self._imu = node.create_publisher(Imu, "~/imu", KEEP_LAST)
        self._twist = node.create_publisher(TwistWithCovarianceStamped, "~/twist", KEEP_LAST)
        # Best effort: a subscriber that stalls must not hold up the estimates.
        self._debug = node.create_publisher(Image, "~/debug_image", qos_profile_sensor_data)
        self._debug_due_s = 0.0

    def publish(self, estimate: Estimate, frame_id: str) -> None:
        """Publish an estimate. Raises BlurImuError, before anything is published, for one no consumer should get."""
        imu, twist = imu_message(estimate, frame_id), twist_message(estimate, frame_id)
        self._imu.publish(imu)
        self._twist.publish(twist)

    def publish_debug(self, seen: Seen | None, estimate: Estimate, header: Header, rate_hz: float) -> None:
        """Publish the view with its flow, while somebody subscribes and no more often than `rate_hz`."""
        now_s = time.monotonic()
        if seen is None or now_s < self._debug_due_s or self._debug.get_subscription_count() == 0:
            return
        self._debug_due_s = now_s + 1 / rate_hz
        self._debug.publish(self._bridge.cv2_to_imgmsg(draw(seen, estimate), "rgb8", header))

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in (self._imu, self._twist, self._debug):
            self._node.destroy_publisher(publisher)
