"""The message types of a ROS 1 recording as ROS 2 has them."""

from __future__ import annotations

from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys.store import Typestore

HEADER = "std_msgs/msg/Header"


def as_ros2(ros1: Typestore, ros2: Typestore) -> tuple[Typestore, set[str]]:
    """Standard types as ROS 2 defines them, others as the recording does; and the names of those that cannot be had so, since
    both define them, or what they hold, with other fields."""
    own = {name: fields for name, fields in ros1.fielddefs.items() if name not in ros2.fielddefs}
    unlike = {
        name
        for name, (_, fields) in ros1.fielddefs.items()
        # rosbags takes out the sequence number that only the Header of ROS 1 has.
        if name not in own and name != HEADER and _kinds(fields) != _kinds(ros2.fielddefs[name][1])
    }
    while holding := {
        name
        for name, (_, fields) in ros1.fielddefs.items()
        if name not in unlike and not unlike.isdisjoint(map(_held, _kinds(fields)))
    }:
        unlike |= holding
    ros2.register(own)
    return ros2, unlike


def _kinds(fields: Any) -> list[Any]:
    return [kind for _, kind in fields]


def _held(kind: Any) -> str:
    """The name of the type of a field, or of its elements."""
    node, detail = kind
    if node in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        return _held(detail[0])
    return str(detail if node is Nodetype.NAME else detail[0])
