"""The message filters blur_imu_ros uses, with the upstream interface, for ROS 2 from PyPI.

Source of the interface: ros2/message_filters, src/message_filters/__init__.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from pip_ros_guard import warn_if_shadowing
from rclpy.time import Time

__all__ = ["Cache", "SimpleFilter"]

warn_if_shadowing("message_filters")


class SimpleFilter:
    """A stage that hands its output to every registered callback."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}

    def registerCallback(self, cb: Callable[..., None], *args: Any) -> int:
        """Call `cb(*output, *args)` for every output; return the number of the connection."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg: Any) -> None:
        """Hand one output to every registered callback."""
        for cb, args in self.callbacks.values():
            cb(*msg, *args)


class Cache(SimpleFilter):
    """The newest `cache_size` messages of a filter, by the stamp in their header."""

    def __init__(self, f: SimpleFilter, cache_size: int = 1) -> None:
        super().__init__()
        self._messages: deque[tuple[Time, Any]] = deque(maxlen=cache_size)
        f.registerCallback(self.add)

    def add(self, msg: Any) -> None:
        """Store a message and hand it on."""
        self._messages.append((Time.from_msg(msg.header.stamp), msg))
        self.signalMessage(msg)

    def getInterval(self, from_stamp: Time, to_stamp: Time) -> list[Any]:
        """Return the messages with `from_stamp` <= stamp <= `to_stamp`, in order of arrival."""
        return [msg for stamp, msg in self._messages if from_stamp <= stamp <= to_stamp]
