"""The stand-ins for message_filters and cv_bridge: upstream's interface, and never beside a ROS distribution."""

import os
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import ros_rig
from std_msgs.msg import Header

PIP_ROS = ros_rig.ROOT / "pip_ros"
pip_ros_guard = pytest.importorskip("pip_ros_guard", reason="a ROS distribution brings its own")


def test_cv_bridge_goes_there_and_back():
    from cv_bridge import CvBridge, CvBridgeError

    bridge = CvBridge()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    header = Header(frame_id="camera")
    message = bridge.cv2_to_imgmsg(pixels, "rgb8", header)
    assert (message.width, message.height, message.step, message.encoding) == (8, 6, 24, "rgb8")
    assert message.header == header
    assert np.array_equal(bridge.imgmsg_to_cv2(message), pixels)
    assert np.array_equal(bridge.imgmsg_to_cv2(message, "bgr8"), pixels[:, :, ::-1])
    # Sliced pixels are not contiguous.
    assert np.array_equal(bridge.imgmsg_to_cv2(bridge.cv2_to_imgmsg(pixels[:, ::2], "rgb8")), pixels[:, ::2])
    assert bridge.imgmsg_to_cv2(bridge.cv2_to_imgmsg(pixels[:, :, 0], "mono8")).shape == (6, 8)
    with pytest.raises(CvBridgeError):
        bridge.cv2_to_imgmsg(pixels, "mono8")
    with pytest.raises(CvBridgeError):
        bridge.imgmsg_to_cv2(message, "nonsense")
    message.step = 25
    with pytest.raises(CvBridgeError, match="step 25"):
        bridge.imgmsg_to_cv2(message)


def test_filters_hand_on_and_cache_by_stamp():
    from message_filters import Cache, SimpleFilter
    from rclpy.clock import ClockType
    from rclpy.time import Time

    source, passed = SimpleFilter(), []
    cache = Cache(source, cache_size=3)
    cache.registerCallback(lambda message, extra: passed.append((message, extra)), "extra")
    messages = []
    for second in (1, 2, 4, 3):
        header = Header()
        header.stamp.sec = second
        messages.append(SimpleNamespace(header=header))
        source.signalMessage(messages[-1])
    assert passed == [(message, "extra") for message in messages]

    def between(start, end):
        times = [Time(seconds=t, clock_type=ClockType.ROS_TIME) for t in (start, end)]
        return cache.getInterval(*times)

    assert between(0, 10) == messages[1:]
    assert between(2, 3) == [messages[1], messages[3]]
    assert between(5, 6) == []


def test_beside_a_distribution_an_import_warns(tmp_path, monkeypatch):
    monkeypatch.setattr(pip_ros_guard, "INSTALL_ROOT", tmp_path / "none")
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    assert pip_ros_guard.ros_distribution() is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pip_ros_guard.warn_if_shadowing("cv_bridge")
    package = tmp_path / "share" / "cv_bridge" / "package.xml"
    package.parent.mkdir(parents=True)
    package.touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join([str(tmp_path / "other"), str(tmp_path)]))
    with pytest.warns(RuntimeWarning, match="pip uninstall"):
        pip_ros_guard.warn_if_shadowing("cv_bridge")
    setup = tmp_path / "ros" / "jazzy" / "setup.bash"
    setup.parent.mkdir(parents=True)
    setup.touch()
    monkeypatch.setattr(pip_ros_guard, "INSTALL_ROOT", tmp_path / "ros")
    assert pip_ros_guard.ros_distribution() == str(setup.parent)


def test_beside_a_distribution_the_installation_stops(tmp_path):
    package = tmp_path / "share" / "message_filters" / "package.xml"
    package.parent.mkdir(parents=True)
    package.touch()
    result = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=PIP_ROS,
        env={**os.environ, "AMENT_PREFIX_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode != 0
    assert "ros-<distro>-cv-bridge" in result.stderr
    assert "Traceback" not in result.stderr
