"""Messages made without ROS are, field for field, those that the node publishes."""

import numpy as np
import pytest
from geometry_msgs.msg import TwistWithCovarianceStamped
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image, Imu

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.distortion import DistortionModel
from blur_imu_ros.estimate import Estimate
from blur_imu_ros.image_message import decode_image
from blur_imu_ros.messages import imu_message, twist_message
from blur_imu_ros.recordings.ros_types import MessageFactory

STAMP = 1_305_031_229_528_748_001


def estimate() -> Estimate:
    half = np.random.default_rng(0).normal(size=(6, 6))
    covariance = half @ half.T + np.eye(6)
    return Estimate(
        stamp_ns=STAMP,
        twist=np.arange(1.0, 7.0),
        covariance=(covariance + covariance.T) / 2,
        sign_probability=0.9,
        blur_px=3.0,
        points_used=100,
        residual_px=0.1,
        observability=np.ones(6),
        condition=2.0,
        overlap=0.0,
        exposure_s=0.01,
        stages_ms={},
        decided=True,
    )


def test_imu_and_twist_equal_those_of_the_node() -> None:
    e, factory = estimate(), MessageFactory()
    imu = factory.cdr(factory.imu(STAMP, "camera", e.twist[:3], e.covariance[:3, :3]))
    twist = factory.cdr(factory.twist(STAMP, "camera", e.twist, e.covariance))
    # Compared as ROS reads them: the bytes between fields are left to chance by its own serialiser.
    assert deserialize_message(imu, Imu) == imu_message(e, "camera")
    assert deserialize_message(twist, TwistWithCovarianceStamped) == twist_message(e, "camera")


def test_camera_info_is_that_of_the_whole_image() -> None:
    matrix = np.array([[50.0, 0, 31], [0, 51.0, 24], [0, 0, 1]])
    camera = CameraModel(64, 48, matrix, (0.1, -0.05, 0.001, 0.002, 0.03), DistortionModel.PLUMB_BOB)
    factory = MessageFactory()
    message = deserialize_message(factory.cdr(factory.camera_info(STAMP, "camera", camera)), CameraInfo)
    assert CameraModel.from_camera_info(message) == camera
    assert (message.binning_x, message.binning_y, message.roi) == (0, 0, CameraInfo().roi)


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 3)])
def test_an_image_is_what_the_node_decodes(shape: tuple[int, ...]) -> None:
    pixels, factory = np.random.default_rng(0).integers(0, 256, shape, np.uint8), MessageFactory()
    message = deserialize_message(factory.cdr(factory.image(STAMP, "camera", pixels)), Image)
    np.testing.assert_array_equal(decode_image(message), pixels)
