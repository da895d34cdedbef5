"""The launch files, wherever launch_ros can be imported."""

import signal
import subprocess
import sys
import time

import pytest
import ros_rig
from bags import START_NS, write_bag
from onnx_models import write_model

from blur_imu_ros.live.settings import FIELDS

REASON = "launch and launch_ros come with a ROS distribution, not from PyPI"
pytest.importorskip("launch_ros", reason=REASON)
launch = pytest.importorskip("launch", reason=REASON)
sources = pytest.importorskip("launch.launch_description_sources", reason=REASON)

LAUNCH = ros_rig.ROOT / "launch"
TWO_CAMERAS = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

def camera(namespace):
    arguments = {"namespace": namespace, "model": sys.argv[2], "provider": "cpu", "exposure_s": "0.01"}
    source = PythonLaunchDescriptionSource(sys.argv[1])
    return GroupAction([IncludeLaunchDescription(source, launch_arguments=arguments.items())], scoped=True)

service = LaunchService()
service.include_launch_description(LaunchDescription([camera("left"), camera("right")]))
sys.exit(service.run())
"""


ONE_FILE = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

arguments = [pair.split(":=") for pair in sys.argv[2:]]
source = PythonLaunchDescriptionSource(sys.argv[1])
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)]))
sys.exit(service.run())
"""


@pytest.mark.parametrize("name", ["camera.launch.py", "replay.launch.py"])
def test_arguments_are_declared_and_described(name):
    description = sources.get_launch_description_from_python_launch_file(str(LAUNCH / name))
    declared = {argument.name: argument.description for argument in description.get_launch_arguments()}
    assert declared.keys() >= ({"bag", "rate"} if name.startswith("replay") else {"image", "namespace"})
    assert all(len(text) > 10 for text in declared.values())


def test_every_parameter_is_an_argument():
    description = sources.get_launch_description_from_python_launch_file(str(LAUNCH / "camera.launch.py"))
    assert {argument.name for argument in description.get_launch_arguments()} >= FIELDS.keys()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["exposure_s:=8ms"], "parameter exposure_s is '8ms'"),
        (["lever_arm_m:=[0.0, 1.0]"], "parameter lever_arm_m"),
        (["params_file:=/none.yaml"], "params_file:=/none.yaml: there is no such file"),
        (["respawn:=maybe"], "respawn:=maybe: give true or false"),
        (["exposure_s:=8e-3", "exposure_type:=sensor_msgs/msg/Range"], "two sources"),
    ],
)
def test_what_cannot_be_used_is_said_once(arguments, says):
    process = subprocess.run(
        [sys.executable, "-c", ONE_FILE, str(LAUNCH / "camera.launch.py"), *arguments],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (process.stdout + process.stderr).count(says) == 1


def test_two_cameras_of_one_launch_description(tmp_path):
    """Both answer their own images, on topics of their own."""
    model = write_model(tmp_path / "tiny.onnx")
    rigs = [ros_rig.Rig(f"/{side}/blur_imu", namespace=f"/{side}") for side in ("left", "right")]
    process = subprocess.Popen(
        [sys.executable, "-c", TWO_CAMERAS, str(LAUNCH / "camera.launch.py"), str(model)]
    )
    try:
        end = time.monotonic() + 120
        while not all(rig.image_publisher.get_subscription_count() for rig in rigs):
            assert time.monotonic() < end
            time.sleep(0.1)
        for rig in rigs:
            rig.stream_until_answered(3)
        for rig in rigs:
            answered = [
                message.header.stamp.sec * 10**9 + message.header.stamp.nanosec for message in rig.imu
            ]
            assert set(answered) <= {stamp + round(ros_rig.EXPOSURE_S / 2 * 1e9) for stamp in rig.sent}
            rig.wait_for_status(lambda status, name=rig.node_name: status.name == name)
        process.send_signal(signal.SIGINT)
        process.wait(20)
    finally:
        process.kill()
        for rig in rigs:
            rig.close()


def test_replay_plays_a_recording_through_the_node(tmp_path):
    """From one launch file: the player's clock and images, the node in simulated time, its answers."""
    model = write_model(tmp_path / "tiny.onnx")
    bag = write_bag(tmp_path, "mcap")
    rig = ros_rig.Rig()
    arguments = {"bag": bag, "model": model, "provider": "cpu", "exposure_s": 0.002, "rate": 0.02}
    topics = {"image": "/camera/image_raw", "camera_info": "/camera/camera_info"}
    pairs = [f"{name}:={value}" for name, value in {**arguments, **topics}.items()]
    process = subprocess.Popen([sys.executable, "-c", ONE_FILE, str(LAUNCH / "replay.launch.py"), *pairs])
    try:
        assert rig.wait_for(lambda: bool(rig.imu), 120)
        stamp = rig.imu[0].header.stamp
        assert abs(stamp.sec * 10**9 + stamp.nanosec - START_NS) < 10**9
        process.send_signal(signal.SIGINT)
        process.wait(20)
    finally:
        process.kill()
        rig.close()
