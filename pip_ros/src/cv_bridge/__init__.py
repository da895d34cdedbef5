"""CvBridge with the upstream interface, between sensor_msgs/Image and arrays, for ROS 2 from PyPI.

Source of the interface: ros-perception/vision_opencv, cv_bridge. The conversions are those of rosbags-image.
"""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
from pip_ros_guard import warn_if_shadowing
from rosbags.image import ImageError, image_to_cvimage

__all__ = ["CvBridge", "CvBridgeError"]

warn_if_shadowing("cv_bridge")


class CvBridgeError(TypeError):
    """An image that cannot be converted."""


class CvBridge:
    """Convert between sensor_msgs/Image and NumPy arrays in OpenCV's layout."""

    def imgmsg_to_cv2(self, img_msg: Any, desired_encoding: str = "passthrough") -> np.ndarray:
        """Return the pixels [H, W] or [H, W, C], as stored (a view of the data) or converted."""
        try:
            stored = image_to_cvimage(img_msg)
            # rosbags-image ignores the step, which would shear padded rows.
            if stored.strides[0] != img_msg.step or stored.nbytes != len(img_msg.data):
                raise CvBridgeError(f"step {img_msg.step} does not fit {img_msg.width} {img_msg.encoding}")
            if desired_encoding == "passthrough":
                return stored
            return image_to_cvimage(img_msg, desired_encoding)
        except (ImageError, TypeError, cv2.error) as error:
            raise CvBridgeError(str(error)) from error

    def cv2_to_imgmsg(self, cvim: np.ndarray, encoding: str, header: Any = None) -> Any:
        """Return a sensor_msgs/Image of the pixels [H, W] or [H, W, C] in a named encoding."""
        from sensor_msgs.msg import Image

        message = Image()
        if header is not None:
            message.header = header
        message.height, message.width = cvim.shape[:2]
        message.encoding = encoding
        message.is_bigendian = int(sys.byteorder == "big")
        message.step = cvim[0].nbytes
        message.data.frombytes(np.ascontiguousarray(cvim).data.cast("B"))
        stored = self.imgmsg_to_cv2(message)
        if stored.dtype != cvim.dtype or stored.shape != cvim.shape:
            raise CvBridgeError(f"{encoding} is {stored.dtype} {stored.shape}, not {cvim.dtype} {cvim.shape}")
        return message
