"""The node in its own process: it answers, counts, explains what is wrong and keeps running, and ends when told."""

import math
import signal

import numpy as np
import pytest
from onnx_models import write_model
from ros_rig import EXPOSURE_S, NodeProcess, Rig, drops, frame, running, values


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    rig.close()


@pytest.fixture
def node(rig, model, tmp_path):
    node = NodeProcess(tmp_path / "node.log", model=model, provider="cpu", exposure_s=EXPOSURE_S)
    with running(rig, node):
        yield node


def test_every_image_is_answered_or_counted(rig, node):
    stamps = rig.stream(60)
    status = rig.wait_for_status(lambda status: values(status).get("images in work") == "0")
    received = int(values(status)["images received"])
    answered = int(values(status)["images answered"])
    assert received == len(stamps)
    assert received == answered + sum(drops(status).values())
    assert answered == len(rig.imu) == len(rig.twist)
    assert answered >= 40


def test_answers_say_what_is_known(rig, node):
    stamps = rig.stream(10)
    assert rig.wait_for(lambda: len(rig.imu) >= 5 and len(rig.twist) >= 5)
    published = [stamp.sec * 10**9 + stamp.nanosec for stamp in (message.header.stamp for message in rig.imu)]
    assert all(later > earlier for earlier, later in zip(published, published[1:], strict=False))
    # first_row_start: the middle of the exposure is half an exposure later.
    assert set(published) <= {stamp + round(EXPOSURE_S / 2 * 1e9) for stamp in stamps}
    for imu, twist in zip(rig.imu, rig.twist, strict=False):
        assert imu.header.frame_id == twist.header.frame_id == "camera_optical_frame"
        assert imu.orientation_covariance[0] == imu.linear_acceleration_covariance[0] == -1
        assert imu.angular_velocity == twist.twist.twist.angular
        covariance = np.reshape(twist.twist.covariance, (6, 6))
        assert np.array_equal(covariance, covariance.T)
        assert np.linalg.eigvalsh(covariance)[0] > 0
        assert np.array_equal(covariance[3:, 3:], np.reshape(imu.angular_velocity_covariance, (3, 3)))
