"""The topics the node subscribes: image, camera info, and where it is asked for the exposure time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from message_filters import SimpleFilter
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.qos import QoSPolicyKind, QoSProfile, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ..errors import BlurImuError, ConfigurationError, first_line
from .exposure import ExposureTopic, KeyedMessages, message_class
from .parameters import unused_qos_overrides
from .settings import ImageTransport, Settings

EXPOSURE_DEPTH = 50
# Durability too: a calibration that was published once, for whoever comes later, is heard by those alone who ask for it.
OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)


class _Subscription(SimpleFilter):
    """One subscription as the first stage of message filters: their own Subscriber took no QoS overrides in early 2026 (4.11.10,
    7.1.5)."""

    def __init__(
        self,
        node: Node,
        kind: Any,
        topic: str,
        qos: QoSProfile,
        overrides: QoSOverridingOptions,
        *,
        raw: bool,
    ) -> None:
        super().__init__()
        self.sub = node.create_subscription(
            kind, topic, self._pass_on, qos, qos_overriding_options=overrides, raw=raw
        )

    def _pass_on(self, message: Any) -> None:
        self.signalMessage(message)


class Inputs:
    """Subscriptions that exist while the node is active; sensor-data QoS, overridable by qos_overrides parameters."""

    def __init__(
        self,
        node: Node,
        settings: Settings,
        on_image: Callable[[Any], None],
        on_camera_info: tuple[Callable[[Any], None], ...],
        on_exposure_error: Callable[[BlurImuError], None],
    ) -> None:
        self._node = node
        self._subscribers: list[_Subscription] = []
        self.exposures: ExposureTopic | None = None
        try:
            self._subscribe_all(settings, on_image, on_camera_info, on_exposure_error)
        except Exception:
            self.close()
            raise

    def _subscribe_all(
        self,
        settings: Settings,
        on_image: Callable[[Any], None],
        on_camera_info: tuple[Callable[[Any], None], ...],
        on_exposure_error: Callable[[BlurImuError], None],
    ) -> None:
        compressed = settings.image_transport is ImageTransport.COMPRESSED
        if settings.exposure_type:
            # Deeper: on /diagnostics the camera's messages come among those of many others.
            qos = copy.copy(qos_profile_sensor_data)
            qos.depth = EXPOSURE_DEPTH
            kind, layout = message_class(settings.exposure_type), settings.exposure_layout()
            subscriber = self._subscribe(kind, "exposure", qos, raw=True)
            key = layout.key if layout.in_diagnostics(kind) else ""
            messages = KeyedMessages(subscriber, kind, key, lambda: _take(subscriber.sub))
            self.exposures = ExposureTopic(messages, layout, on_exposure_error)
        camera_info = self._subscribe(CameraInfo, "camera_info")
        for callback in on_camera_info:
            camera_info.registerCallback(callback)
        images = self._subscribe(CompressedImage if compressed else Image, "image")
        images.registerCallback(on_image)
        for name in unused_qos_overrides(self._node):
            self._node.get_logger().warning(
                f"parameter '{name}' is of no input and ignored: name a topic as it is after remapping, such as "
                f"{images.sub.topic_name}, and history, depth, reliability or durability"
            )
        if compressed and not images.sub.topic_name.endswith("compressed"):
            self._node.get_logger().warning(
                f"{images.sub.topic_name} is subscribed as CompressedImage; image_transport publishes those on "
                f"{images.sub.topic_name}/compressed: remap image to the topic's full name"
            )
        if "image_rect" in images.sub.topic_name and not settings.image_is_rectified:
            self._node.get_logger().warning(
                f"{images.sub.topic_name} looks rectified, but image_is_rectified is false: if it is, its distortion is "
                "taken out twice; set image_is_rectified:=true"
            )

    def _subscribe(
        self, kind: Any, topic: str, qos: QoSProfile = qos_profile_sensor_data, *, raw: bool = False
    ) -> _Subscription:
        # A copy, since the overrides are written into the profile.
        overrides = QoSOverridingOptions(OVERRIDABLE)
        try:
            subscriber = _Subscription(self._node, kind, topic, copy.copy(qos), overrides, raw=raw)
        except (RuntimeError, ValueError, AssertionError, ParameterException) as error:
            raise ConfigurationError(
                f"{topic}: {first_line(error)}; check its qos_overrides parameters"
            ) from error
        self._subscribers.append(subscriber)
        return subscriber

    def close(self) -> None:
        """Destroy the subscriptions."""
        for subscriber in self._subscribers:
            self._node.destroy_subscription(subscriber.sub)


def _take(subscription: Any) -> Any:
    """The next message that waits in a subscription, as the executor would take it; None where none waits."""
    with subscription.handle:
        taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
    return None if taken is None else taken[0]
