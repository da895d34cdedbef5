"""CvBridge with the upstream interface, between sensor_msgs/Image and arrays, for ROS 2 from PyPI.

Source of the interface: ros-perception/vision_opencv, cv_bridge. The conversions are those of rosbags-image.
"""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
from pip_ros_guard import warn_if_shadowing
from rosbags.image import ImageError, convert_color, image_to_cvimage
from rosbags.image.image import to_cvtype

__all__ = ["CvBridge", "CvBridgeError"]

warn_if_shadowing("cv_bridge")


class CvBridgeError(TypeError):
    """An image that cannot be converted."""


class CvBridge:
    """Convert between sensor_msgs/Image and NumPy arrays in OpenCV's layout."""

    def imgmsg_to_cv2(self, img_msg: Any, desired_encoding: str = "passthrough") -> np.ndarray:
        """Return the pixels [H, W] or [H, W, C], as stored (a view of the data) or converted."""
        try:
            _, _, dtype, channels = to_cvtype(img_msg.encoding)
            row = img_msg.width * channels * np.dtype(dtype).itemsize
            # rosbags-image ignores the step, which would shear padded rows.
            if img_msg.step != row or len(img_msg.data) != row * img_msg.height:
                raise CvBridgeError(
                    f"step {img_msg.step} and {len(img_msg.data)} bytes of data, but {img_msg.height} rows of "
                    f"{img_msg.width} pixels in {img_msg.encoding} take {row} bytes each"
                )
            pixels = image_to_cvimage(img_msg)
            if desired_encoding == "passthrough":
                return pixels
            return convert_color(pixels, img_msg.encoding, desired_encoding)
        except (ImageError, cv2.error) as error:
            raise CvBridgeError(str(error)) from error

    def cv2_to_imgmsg(self, cvim: np.ndarray, encoding: str = "passthrough", header: Any = None) -> Any:
        """Return a sensor_msgs/Image of the pixels [H, W] or [H, W, C] in a named encoding."""
        from sensor_msgs.msg import Image

        channels = 1 if cvim.ndim == 2 else cvim.shape[2]
        if encoding == "passthrough":
            encoding = f"{_TYPE_NAMES[cvim.dtype.name]}C{channels}"
        try:
            _, _, dtype, expected = to_cvtype(encoding)
        except ImageError as error:
            raise CvBridgeError(str(error)) from error
        if (dtype, expected) != (cvim.dtype.name, channels):
            raise CvBridgeError(
                f"pixels are {cvim.dtype} x {channels}, but {encoding} is {dtype} x {expected}"
            )
        message = Image()
        if header is not None:
            message.header = header
        message.height, message.width = cvim.shape[:2]
        message.encoding = encoding
        message.is_bigendian = int(sys.byteorder == "big")
        message.step = message.width * channels * cvim.dtype.itemsize
        message.data.frombytes(np.ascontiguousarray(cvim).data.cast("B"))
        return message


_TYPE_NAMES = {"uint8": "8U", "int8": "8S", "uint16": "16U", "int16": "16S", "int32": "32S", "float32": "32F"}
