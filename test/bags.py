"""Small recordings in every format, written with `rosbags` alone."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

FORMATS = ("rosbag1", "sqlite3", "mcap")
START_NS = 100_000_000_000_000_000
INTERVAL_NS = 3_300_000
WIDTH, HEIGHT = 64, 48
CUSTOM = "camera_msgs/msg/Gain"
LATCHED = Qos(
    QosHistory.KEEP_LAST,
    1,
    QosReliability.RELIABLE,
    QosDurability.TRANSIENT_LOCAL,
    QosTime(0, 0),
    QosTime(0, 0),
    QosLiveliness.AUTOMATIC,
    QosTime(0, 0),
    False,
)


class Messages:
    """Messages of one typestore; ROS 1 has a sequence number in its header and upper-case calibration fields."""

    def __init__(self, *, ros1: bool) -> None:
        self.ros1 = ros1
        self.store = get_typestore(Stores.ROS1_NOETIC if ros1 else Stores.ROS2_JAZZY)

    def make(self, kind: str, /, **fields: Any) -> Any:
        return self.store.types[kind](**fields)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        stamp = self.make("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        return self.make(
            "std_msgs/msg/Header", stamp=stamp, frame_id=frame_id, **({"seq": 7} if self.ros1 else {})
        )

    def image(self, stamp_ns: int, pixels: np.ndarray, encoding: str = "rgb8") -> Any:
        return self.make(
            "sensor_msgs/msg/Image",
            header=self.header(stamp_ns, "camera_optical"),
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding=encoding,
            is_bigendian=0,
            step=pixels.shape[1] * (pixels.shape[2] if pixels.ndim == 3 else 1),
            data=np.ascontiguousarray(pixels).reshape(-1),
        )

    def camera_info(self, stamp_ns: int, width: int, height: int, focal: float) -> Any:
        roi = self.make(
            "sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        k = np.array([focal, 0, (width - 1) / 2, 0, focal, (height - 1) / 2, 0, 0, 1])
        matrices = {"D": np.zeros(5), "K": k, "R": np.eye(3).ravel(), "P": np.zeros(12)}
        return self.make(
            "sensor_msgs/msg/CameraInfo",
            header=self.header(stamp_ns, "camera_optical"),
            height=height,
            width=width,
            distortion_model="plumb_bob",
            binning_x=0,
            binning_y=0,
            roi=roi,
            **{name if self.ros1 else name.lower(): value for name, value in matrices.items()},
        )

    def compressed(self, stamp_ns: int, pixels: np.ndarray) -> Any:
        data = cv2.imencode(".png", pixels)[1].ravel()
        header = self.header(stamp_ns, "camera_optical")
        return self.make("sensor_msgs/msg/CompressedImage", header=header, format="png", data=data)

    def exposure(self, stamp_ns: int, exposure_us: float, camera: str = "camera") -> Any:
        """An exposure time as camera_ros states it."""
        value = self.make("diagnostic_msgs/msg/KeyValue", key="ExposureTime", value=str(exposure_us))
        fields = {"level": 0, "name": camera, "message": "", "hardware_id": "", "values": [value]}
        status = self.make("diagnostic_msgs/msg/DiagnosticStatus", **fields)
        header = self.header(stamp_ns, "")
        return self.make("diagnostic_msgs/msg/DiagnosticArray", header=header, status=[status])

    def imu(self, stamp_ns: int, rate: tuple[float, float, float], *, virtual: bool = False) -> Any:
        """A gyro's sample; virtual: with the acceleration unknown as well, as the node states it."""
        vector = lambda x, y, z: self.make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)  # noqa: E731
        return self.make(
            "sensor_msgs/msg/Imu",
            header=self.header(stamp_ns, "imu_link"),
            orientation=self.make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
            orientation_covariance=np.full(9, -1.0),
            angular_velocity=vector(*(float(x) for x in rate)),
            angular_velocity_covariance=np.zeros(9),
            linear_acceleration=vector(0.0, 0.0, 9.81),
            linear_acceleration_covariance=np.full(9, -1.0 if virtual else 0.0),
        )

    def custom(self, gain: float) -> Any:
        """A message whose type no typestore knows by itself."""
        if CUSTOM not in self.store.types:
            self.store.register(get_types_from_msg("float64 gain", CUSTOM))
        return self.make(CUSTOM, gain=gain)

    def holding(self, kind: str) -> Any:
        """A type that no typestore knows by itself and that holds messages of another one, as a function of such a message."""
        self.store.register(get_types_from_msg(f"{kind.replace('/msg', '')}[] all", CUSTOM))
        return lambda message: self.make(CUSTOM, all=[message])


class Recorder:
    """Collect messages, then write them as one recording of the given format."""

    def __init__(self, kind: str) -> None:
        self.messages = Messages(ros1=kind == "rosbag1")
        self._kind = kind
        self._rows: list[tuple[int, str, Any]] = []
        self._latched: set[str] = set()

    def add(self, topic: str, received_ns: int, message: Any) -> None:
        self._rows.append((received_ns, topic, message))

    def latch(self, topic: str) -> None:
        """Let a topic of a rosbag2 be offered as transient local."""
        self._latched.add(topic)

    def write(self, path: Path) -> Path:
        store = self.messages.store
        ros1 = self._kind == "rosbag1"
        plugin = StoragePlugin.MCAP if self._kind == "mcap" else StoragePlugin.SQLITE3
        with Writer1(path) if ros1 else Writer2(path, version=9, storage_plugin=plugin) as writer:
            connections: dict[str, Any] = {}
            for received_ns, topic, message in sorted(self._rows, key=lambda row: row[0]):
                kind = message.__msgtype__
                if topic not in connections:
                    qos = {"offered_qos_profiles": [LATCHED]} if topic in self._latched else {}
                    connections[topic] = writer.add_connection(topic, kind, typestore=store, **qos)
                data = store.serialize_ros1(message, kind) if ros1 else store.serialize_cdr(message, kind)
                writer.write(connections[topic], received_ns, data)
        return path


def as_humble(bag: Path) -> Path:
    """Take the message definitions out of a sqlite3 bag: ROS 2 Humble recorded none."""
    (file,) = bag.glob("*.db3")
    with closing(sqlite3.connect(file)) as storage:
        storage.executescript("DROP TABLE schema; DROP TABLE message_definitions;")
    metadata = bag / "metadata.yaml"
    text = re.sub(r"\n +type_description_hash: *\n.*", "", metadata.read_text())
    metadata.write_text(text.replace("version: 9", "version: 5"))
    return bag


def write_bag(folder: Path, kind: str) -> Path:
    """Three images with CameraInfo, and 30 Imu samples of which one is NaN and two arrive in the wrong order."""
    recorder = Recorder(kind)
    make = recorder.messages
    for i in range(3):
        stamp = START_NS + i * INTERVAL_NS
        pixels = np.full((HEIGHT, WIDTH, 3), (i, 100 + i, 200 + i), np.uint8)
        recorder.add("/camera/image_raw", stamp + 1000, make.image(stamp, pixels))
        recorder.add("/camera/camera_info", stamp + 1000, make.camera_info(stamp, WIDTH, HEIGHT, 50.0))
    for i in range(30):
        stamp = START_NS + i * 3_000_000
        late = 4_000_000 if i == 10 else 0
        rate = (float("nan") if i == 20 else float(i), 0.5, -1.0)
        recorder.add("/imu", stamp + 500 + late, make.imu(stamp, rate))
    return recorder.write(folder / ("bag.bag" if kind == "rosbag1" else f"bag_{kind}"))
