"""The last stage, where ROS is at hand: an estimate made into both messages and given to the middleware."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..estimate import Estimate

Publish = Callable[[Estimate], None]


@contextmanager
def open_publisher() -> Iterator[Publish | None]:
    """Yield a function that publishes an estimate as the node does; None without ROS."""
    try:
        import rclpy
        from geometry_msgs.msg import TwistWithCovarianceStamped
        from rclpy.signals import SignalHandlerOptions
        from sensor_msgs.msg import Imu

        from ..messages import imu_message, twist_message
    except ImportError:
        yield None
        return
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("blur_imu_benchmark", context=context)
    imu = node.create_publisher(Imu, "~/imu", 10)
    twist = node.create_publisher(TwistWithCovarianceStamped, "~/twist", 10)

    def publish(estimate: Estimate) -> None:
        imu.publish(imu_message(estimate, "camera"))
        twist.publish(twist_message(estimate, "camera"))

    try:
        yield publish
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
