"""ROS 2 messages as `rosbags` objects, for what is written to or played from a recording without ROS.

Field values follow messages.py: unknown orientation and acceleration are marked by covariance[0] = -1, twists are
linear first. Sources: sensor_msgs, geometry_msgs and diagnostic_msgs of ROS 2 Jazzy; REP 145.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from ..camera import CameraModel
from ..estimate import LINEAR_FIRST
from ..timing import NS_PER_S

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
IMU = "sensor_msgs/msg/Imu"
TWIST = "geometry_msgs/msg/TwistWithCovarianceStamped"
DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"


class MessageFactory:
    """Make messages of one typestore (ROS 2 Jazzy unless another is given)."""

    def __init__(self, typestore: Typestore | None = None) -> None:
        self.typestore = typestore or get_typestore(Stores.ROS2_JAZZY)

    def cdr(self, message: Any) -> bytes:
        return bytes(self.typestore.serialize_cdr(message, message.__msgtype__))

    def image(self, stamp_ns: int, frame_id: str, pixels: np.ndarray) -> Any:
        """An Image of uint8 RGB [H, W, 3] or mono [H, W] pixels."""
        return self._make(
            IMAGE,
            header=self._header(stamp_ns, frame_id),
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding="mono8" if pixels.ndim == 2 else "rgb8",
            is_bigendian=0,
            step=pixels[0].size,
            data=np.ascontiguousarray(pixels).reshape(-1),
        )

    def compressed_image(self, stamp_ns: int, frame_id: str, kind: str, data: bytes) -> Any:
        """A CompressedImage of the bytes of a file; kind is jpeg or png."""
        header = self._header(stamp_ns, frame_id)
        return self._make(COMPRESSED_IMAGE, header=header, format=kind, data=np.frombuffer(data, np.uint8))

    def camera_info(self, stamp_ns: int, frame_id: str, camera: CameraModel) -> Any:
        roi = self._make(
            "sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        model, coefficients = camera.ros_distortion
        return self._make(
            CAMERA_INFO,
            header=self._header(stamp_ns, frame_id),
            height=camera.height,
            width=camera.width,
            distortion_model=model,
            d=np.array(coefficients),
            k=camera.matrix.ravel(),
            r=np.eye(3).ravel(),
            p=camera.projection.ravel(),
            binning_x=0,
            binning_y=0,
            roi=roi,
        )

    def imu(self, stamp_ns: int, frame_id: str, angular: np.ndarray, covariance: np.ndarray) -> Any:
        """A virtual Imu: angular [3] rad/s with covariance [3, 3]; orientation and acceleration unknown."""
        unknown = np.zeros(9)
        unknown[0] = -1.0
        return self._make(
            IMU,
            header=self._header(stamp_ns, frame_id),
            orientation=self._make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
            orientation_covariance=unknown,
            angular_velocity=self._vector(angular),
            angular_velocity_covariance=np.ascontiguousarray(covariance, dtype=np.float64).reshape(-1),
            linear_acceleration=self._vector(np.zeros(3)),
            linear_acceleration_covariance=unknown,
        )

    def twist(self, stamp_ns: int, frame_id: str, twist: np.ndarray, covariance: np.ndarray) -> Any:
        """A TwistWithCovarianceStamped of a twist [6] (angular first) and its covariance [6, 6]."""
        value = self._make(
            "geometry_msgs/msg/Twist", linear=self._vector(twist[3:]), angular=self._vector(twist[:3])
        )
        ordered = np.ascontiguousarray(covariance[np.ix_(LINEAR_FIRST, LINEAR_FIRST)], dtype=np.float64)
        inner = self._make(
            "geometry_msgs/msg/TwistWithCovariance", twist=value, covariance=ordered.reshape(-1)
        )
        return self._make(TWIST, header=self._header(stamp_ns, frame_id), twist=inner)

    def exposure(self, stamp_ns: int, exposure_s: float) -> Any:
        """The exposure time as camera_ros states it: a DiagnosticArray with KeyValue ExposureTime in microseconds."""
        value = self._make(
            "diagnostic_msgs/msg/KeyValue", key="ExposureTime", value=f"{exposure_s * 1e6:.3f}"
        )
        status = self._make(
            "diagnostic_msgs/msg/DiagnosticStatus",
            level=0,
            name="camera",
            message="",
            hardware_id="",
            values=[value],
        )
        return self._make(DIAGNOSTICS, header=self._header(stamp_ns, ""), status=[status])

    def _make(self, kind: str, /, **fields: Any) -> Any:
        return self.typestore.types[kind](**fields)

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        seconds, nanoseconds = divmod(int(stamp_ns), NS_PER_S)
        stamp = self._make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
        return self._make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)

    def _vector(self, values: np.ndarray) -> Any:
        x, y, z = map(float, values)
        return self._make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)
