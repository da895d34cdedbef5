"""Publishers for recorded topics: raw CDR out, with the QoS of the recording, and /clock."""

from __future__ import annotations

import importlib
import os
import sys
import time
from types import TracebackType
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock

from ..bag import BagMessage, BagTopic
from ..errors import BagError, ConfigurationError
from ..resources import share_directory
from ..timing import NS_PER_S
from .ros_types import COMPRESSED_IMAGE, IMAGE

DEPTH = 10
# As Fast DDS 2 and as Fast DDS 3 call it.
PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
DISCOVERY_S = 0.5
TF_STATIC = "/tf_static"
LAST_MESSAGES_S = 1.0


class RosPublisher:
    """A node with a publisher per recorded topic, published under names[topic]; use it as a context manager.

    Topics in `best_effort` are not sent again when lost; what was latched, and /tf_static, is latched again.
    Topics of message types that are not installed are left out, with a word on stderr; `topics` are those that remain.
    """

    def __init__(
        self, topics: list[BagTopic], names: dict[str, str], best_effort: set[str], *, clock: bool
    ) -> None:
        classes = {topic.name: _message_class(topic.type) for topic in topics}
        for topic in topics:
            if classes[topic.name] is None:
                print(f"{topic.name} is left out: {topic.type} is not installed here", file=sys.stderr)
        self.topics = [topic for topic in topics if classes[topic.name] is not None]
        if not self.topics:
            raise BagError("nothing to play: no topic holds messages of a type that is installed here")
        _carry_large_images()
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("blur_imu_player")
        self._publishers: dict[str, Publisher] = {}
        for topic in self.topics:
            try:
                self._publishers[topic.name] = self._node.create_publisher(
                    classes[topic.name], names[topic.name], _qos(topic, topic.name in best_effort)
                )
            except Exception as error:  # rclpy has several for names, none of them in common
                self.__exit__(None, None, None)
                raise ConfigurationError(f"{names[topic.name]} cannot be published: {error}") from error
        self._clock = self._node.create_publisher(Clock, "/clock", DEPTH) if clock else None

    def __enter__(self) -> RosPublisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._node.destroy_node()
        rclpy.try_shutdown()

    def publish(self, message: BagMessage) -> None:
        """Send CDR bytes as they are."""
        self._publishers[message.topic].publish(bytes(message.data))

    def publish_clock(self, now_ns: int) -> None:
        """Send the time of the recording."""
        if self._clock is not None:
            clock = Clock()
            clock.clock.sec, clock.clock.nanosec = divmod(now_ns, NS_PER_S)
            self._clock.publish(clock)

    def wait_for_subscribers(self, longest_s: float) -> None:
        """Wait until the images (or, without any, something) are listened to, so that nobody misses the start."""
        images = [t.name for t in self.topics if t.type in (IMAGE, COMPRESSED_IMAGE)]
        awaited = [self._publishers[name] for name in images] or list(self._publishers.values())
        deadline = time.monotonic() + longest_s
        while not any(publisher.get_subscription_count() for publisher in awaited):
            if time.monotonic() >= deadline:
                print(
                    f"nobody listens to {', '.join(p.topic_name for p in awaited)}; playing anyway",
                    file=sys.stderr,
                )
                return
            time.sleep(0.05)
        # One end of a match knows of it before the other.
        time.sleep(DISCOVERY_S)

    def flush(self) -> None:
        """Wait a little until what was sent has arrived."""
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=LAST_MESSAGES_S))
        # Best-effort messages are acknowledged by nobody.
        time.sleep(DISCOVERY_S)


def _message_class(type_name: str) -> Any:
    package, _, name = type_name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError):
        return None


def _qos(topic: BagTopic, best_effort: bool) -> QoSProfile:
    latched = any(profile.durability.name == "TRANSIENT_LOCAL" for profile in topic.qos)
    return QoSProfile(
        depth=DEPTH,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL
        if latched or topic.name == TF_STATIC
        else DurabilityPolicy.VOLATILE,
    )


def _carry_large_images() -> None:
    """Give Fast DDS room for whole images in shared memory, unless the user has chosen a profile."""
    profile = share_directory() / "config" / "fastdds_large_images.xml"
    if profile.is_file() and not any(name in os.environ for name in PROFILES):
        os.environ.update(dict.fromkeys(PROFILES, str(profile)))
