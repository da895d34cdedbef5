"""Recordings (rosbag1, rosbag2 sqlite3 or mcap) read and written as CDR messages, without ROS, over `rosbags`."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, TypesysError, get_typestore
from rosbags.typesys.store import Typestore

from .errors import BagError, first_line
from .recordings.ros1_types import as_ros2
from .timing import stamp_or_none


class BagMessage(NamedTuple):
    """One recorded message: topic, ROS 2 type name, time of recording in ns, and its CDR bytes."""

    topic: str
    type: str
    received_ns: int
    data: bytes


@dataclass(frozen=True)
class BagTopic:
    """A recorded topic with its type, message count and the QoS its publishers offered (empty if unknown)."""

    name: str
    type: str
    count: int
    qos: tuple[Qos, ...]


class BagReader:
    """Read a .bag, .mcap or .db3 file, or a rosbag2 folder; use it as a context manager.

    Messages come out as CDR whatever the format, so that rosbag1 needs no special case further on. Raises BagError.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise BagError(
                f"{self.path}: no such recording; give a .bag, .mcap or .db3 file, or a rosbag2 or sequence folder"
            )
        if self.path.is_dir() and not (self.path / "metadata.yaml").is_file():
            raise BagError(
                f"{self.path}: holds neither metadata.yaml, as a rosbag2 does (`ros2 bag reindex` writes it anew), nor "
                "frames.csv, as a sequence folder does"
            )
        jazzy = get_typestore(Stores.ROS2_JAZZY)
        try:
            self._reader = AnyReader([self.path], default_typestore=jazzy)
            self._reader.open()
        except Exception as error:  # rosbags meets arbitrary bytes here and raises many kinds
            raise _unreadable(self.path, error) from error
        self.typestore, unlike = self._reader.typestore, set[str]()
        if not self._reader.is2:
            self.typestore, unlike = as_ros2(self._reader.typestore, jazzy)
        self._connections = [c for c in self._reader.connections if c.msgtype not in unlike]
        for topic, kind in sorted(
            {(c.topic, c.msgtype) for c in self._reader.connections if c.msgtype in unlike}
        ):
            print(f"{topic} is left out: {kind} has other fields in ROS 2", file=sys.stderr)
        self.topics = {c.topic: _topic(c.topic, self._connections) for c in self._connections}

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()

    def topics_of(self, *types: str) -> list[BagTopic]:
        """The topics of the given ROS 2 type names that hold messages, the fullest first."""
        found = [topic for topic in self.topics.values() if topic.type in types and topic.count > 0]
        return sorted(found, key=lambda topic: (-topic.count, topic.name))

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Yield messages in order of recording; topics None means all. Raises BagError at the first unreadable one."""
        connections = [c for c in self._connections if topics is None or c.topic in topics]
        if not connections:
            return
        stream = self._reader.messages(connections)
        while True:
            try:
                connection, received_ns, data = next(stream)
                if not self._reader.is2:
                    # Only a ROS 2 typestore knows that its Header has no seq.
                    data = bytes(self.typestore.ros1_to_cdr(data, connection.msgtype))
            except StopIteration:
                return
            except Exception as error:  # see __init__
                raise _unreadable(self.path, error) from error
            yield BagMessage(connection.topic, connection.msgtype, received_ns, data)

    def decode(self, message: BagMessage) -> Any:
        """The message as an object with the fields of its ROS 2 definition."""
        try:
            return self.typestore.deserialize_cdr(message.data, message.type)
        except Exception as error:  # see __init__
            raise BagError(
                f"{self.path}: a message of {message.topic} at {message.received_ns} ns does not decode as "
                f"{message.type} ({first_line(error)}); record the topic again or leave it out"
            ) from error


class BagWriter:
    """Write a rosbag2 folder with MCAP storage; use it as a context manager. Refuses to overwrite. Raises BagError."""

    def __init__(self, path: str | Path, typestore: Typestore | None = None) -> None:
        self.path = Path(path)
        if self.path.exists():
            raise BagError(f"{self.path}: exists already; choose another output or remove it first")
        self.typestore = typestore or get_typestore(Stores.ROS2_JAZZY)
        self._writer = Writer(self.path, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write(self, message: BagMessage, typestore: Typestore | None = None, qos: Sequence[Qos] = ()) -> None:
        """Append CDR bytes; typestore: that of the source bag where the type is not a standard one; qos: of its topic.

        A topic whose type the typestore does not define is left out, with a word on stderr.
        """
        if message.topic not in self._connections:
            self._connections[message.topic] = self._connect(message, typestore or self.typestore, qos)
        if (connection := self._connections[message.topic]) is not None:
            self._writer.write(connection, message.received_ns, message.data)

    def _connect(self, message: BagMessage, typestore: Typestore, qos: Sequence[Qos]) -> Any:
        try:
            return self._writer.add_connection(
                message.topic, message.type, typestore=typestore, offered_qos_profiles=qos
            )
        except TypesysError:
            print(
                f"{message.topic} is left out of {self.path}: its recording does not define {message.type}",
                file=sys.stderr,
            )
            return None


def read_imu(reader: BagReader, topic: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Stamps int64 [m] ns, angular velocity float64 [m, 3] rad/s, and frame_id of an Imu topic, in order of stamps; samples that
    are not finite, or whose stamp is malformed, are left out."""
    samples: dict[int, Any] = {}
    frame_id = ""
    for raw in reader.messages([topic]):
        message = reader.decode(raw)
        rate = message.angular_velocity
        frame_id = message.header.frame_id
        stamp = stamp_or_none(message.header.stamp)
        if stamp is not None and np.isfinite([rate.x, rate.y, rate.z]).all():
            samples[stamp] = (rate.x, rate.y, rate.z)
    stamps = sorted(samples)
    rates = np.array([samples[stamp] for stamp in stamps], dtype=np.float64).reshape(-1, 3)
    return np.array(stamps, dtype=np.int64), rates, frame_id


def _topic(name: str, recorded: Sequence[Connection]) -> BagTopic:
    connections = [c for c in recorded if c.topic == name]
    types = {c.msgtype for c in connections}
    if len(types) > 1:
        raise BagError(
            f"{name} carries several types ({', '.join(sorted(types))}); split the recording by type"
        )
    offered = [getattr(c.ext, "offered_qos_profiles", []) for c in connections]
    qos = tuple(profile for profiles in offered for profile in profiles)
    return BagTopic(name, connections[0].msgtype, sum(c.msgcount for c in connections), qos)


def _unreadable(path: Path, error: Exception) -> BagError:
    if isinstance(error, BagError):
        return error
    return BagError(
        f"{path}: cannot be read as a recording ({first_line(error)}); is it a .bag, .mcap or .db3 file, and complete? try "
        f"`{_mending(path)}`"
    )


def _mending(path: Path) -> str:
    """The command that mends a recording that was cut off."""
    if path.suffix in (".bag", ".active"):
        return "rosbag reindex"
    if path.suffix == ".mcap" or any(path.glob("*.mcap")):
        return "mcap recover"
    return "ros2 bag reindex"
