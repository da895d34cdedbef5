"""The player as a process of its own, heard over real DDS."""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import rclpy
from bags import START_NS, Recorder, write_bag
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistWithCovarianceStamped
from motion_network import CAMERA, image_of
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_rig import ROOT
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, Imu

from blur_imu_ros.bag import BagReader
from blur_imu_ros.cli import main
from blur_imu_ros.play import Pace, chosen_topics, open_source
from blur_imu_ros.recordings.sequence_writer import SequenceWriter


class Listener:
    """Subscriptions that keep everything, raw bytes included."""

    def __init__(self, topics: dict[str, type], raw: bool = False) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("listener", context=self.context)
        self.heard: dict[str, list] = defaultdict(list)
        qos = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        for topic, kind in topics.items():
            self.node.create_subscription(kind, topic, self.heard[topic].append, qos, raw=raw)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def hear(self, player: subprocess.Popen, until: float = 60) -> None:
        """Spin until the player has ended and nothing more comes."""
        deadline = time.monotonic() + until
        while player.poll() is None and time.monotonic() < deadline:
            self.executor.spin_once(0.05)
        quiet = 0
        while quiet < 20:
            before = sum(map(len, self.heard.values()))
            self.executor.spin_once(0.02)
            quiet = quiet + 1 if sum(map(len, self.heard.values())) == before else 0

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def listen():
    listeners = []

    def make(topics: dict[str, type], **options: bool) -> Listener:
        listeners.append(Listener(topics, **options))
        return listeners[-1]

    yield make
    for listener in listeners:
        listener.close()


def player(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "blur_imu_ros.cli", "play", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def sequence(folder: Path, frames: int = 12) -> Path:
    with SequenceWriter(folder, CAMERA) as writer:
        for i in range(frames):
            twist = np.array([0.5, 0, 0, 0, 0, 0.1])
            stamp = 10**18 + i * 50_000_000
            writer.add(stamp, image_of(twist * 0.01), exposure_s=0.01, twist=twist)
    return folder


def test_a_sequence_plays_as_its_camera_would_have(tmp_path: Path, listen) -> None:
    topics = {
        "/camera/image_raw": Image,
        "/camera/camera_info": CameraInfo,
        "/camera/exposure": DiagnosticArray,
        "/truth/twist": TwistWithCovarianceStamped,
        "/clock": Clock,
    }
    listener = listen(topics)
    process = player(sequence(tmp_path / "s"), "--wait", 20)
    listener.hear(process)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "12 messages of /camera/image_raw" in output
    images, infos = listener.heard["/camera/image_raw"], listener.heard["/camera/camera_info"]
    assert len(images) == len(infos) == 12
    stamps = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in images]
    assert stamps == [10**18 + i * 50_000_000 for i in range(12)]
    assert images[0].encoding == "rgb8"
    assert bytes(images[0].data) == image_of(np.array([0.005, 0, 0, 0, 0, 0.001])).tobytes()
    assert infos[0].k[0] == CAMERA.matrix[0, 0]
    assert infos[0].distortion_model == "plumb_bob"
    value = listener.heard["/camera/exposure"][3].status[0].values[0]
    assert (value.key, float(value.value)) == ("ExposureTime", 10_000.0)
    assert listener.heard["/truth/twist"][0].twist.twist.angular.x == 0.5
    ticks = [m.clock.sec * 10**9 + m.clock.nanosec for m in listener.heard["/clock"]]
    assert ticks == sorted(ticks)
    assert ticks[-1] == stamps[-1]


@pytest.mark.parametrize("kind", ["rosbag1", "sqlite3"])
def test_a_bag_plays_byte_for_byte(tmp_path: Path, listen, kind: str) -> None:
    bag = write_bag(tmp_path, kind)
    with BagReader(bag) as reader:
        recorded = [bytes(m.data) for m in reader.messages(["/imu"])]
    listener = listen({"/other": Imu, "/camera/image_raw": Image}, raw=True)
    process = player(
        bag, "--topics", "/imu", "--remap", "/imu:=/other", "--rate", 0.2, "--wait", 20, "--no-clock"
    )
    listener.hear(process)
    assert process.communicate()[0] == "30 messages of /other\n"
    assert [bytes(data) for data in listener.heard["/other"]] == recorded
    assert not listener.heard["/camera/image_raw"]


@pytest.mark.parametrize("reliability", [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT])
def test_topics_are_offered_as_recorded_or_as_asked_for(
    tmp_path: Path, listen, reliability: ReliabilityPolicy
) -> None:
    recorder = Recorder("mcap")
    make = recorder.messages
    for stamp in (START_NS, START_NS + 60 * 10**9):
        recorder.add("/image", stamp, make.image(stamp, np.zeros((2, 2, 3), np.uint8)))
        recorder.add("/camera_info", stamp, make.camera_info(stamp, 2, 2, 5.0))
    recorder.latch("/camera_info")
    options = () if reliability is ReliabilityPolicy.RELIABLE else ("--reliability", "best_effort")
    listener = listen({"/camera_info": CameraInfo})
    process = player(recorder.write(tmp_path / "bag"), "--wait", 0.1, *options)
    offered: dict[str, QoSProfile] = {}
    # It plays for a minute, so that its topics are found on however busy a machine.
    while len(offered) < 2 and process.poll() is None:
        for topic in ("/image", "/camera_info"):
            for found in listener.node.get_publishers_info_by_topic(topic):
                offered[topic] = found.qos_profile
        listener.executor.spin_once(0.02)
    process.terminate()
    process.communicate()
    assert {topic: qos.reliability for topic, qos in offered.items()} == dict.fromkeys(
        ("/image", "/camera_info"), reliability
    )
    # What was latched is latched again, for whoever comes later.
    assert offered["/camera_info"].durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert offered["/image"].durability == DurabilityPolicy.VOLATILE


def test_the_pace_is_that_of_the_recording_by_the_rate() -> None:
    ticks: list[int] = []
    pace = Pace(4.0, ticks.append)
    begin = time.monotonic()
    for recorded_ns in (START_NS, START_NS + 2 * 10**9, START_NS + 10**9):
        pace.wait_until(recorded_ns)
        assert ticks[-1] == recorded_ns
    assert 0.5 <= time.monotonic() - begin < 1.9
    # The clock goes on in between, to where the recording then is.
    assert all(0 <= step < 1.2e9 for step in np.diff(ticks[:-1]))


def test_what_the_node_published_is_played_only_when_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder("mcap")
    for topic in ("/imu", "/blur_imu/imu", "/robot/blur_imu/imu", "/my_blur_imu/imu"):
        recorder.add(topic, START_NS, recorder.messages.imu(START_NS, (0, 0, 0)))
    source = open_source(recorder.write(tmp_path / "bag"))
    try:
        assert {topic.name for topic in chosen_topics(source, None)} == {"/imu", "/my_blur_imu/imu"}
        (line,) = capsys.readouterr().err.splitlines()
        assert (
            line
            == "left out as the node's own outputs, --topics plays them: /blur_imu/imu, /robot/blur_imu/imu"
        )
        assert [topic.name for topic in chosen_topics(source, ["/blur_imu/imu"])] == ["/blur_imu/imu"]
        assert not capsys.readouterr().err
    finally:
        source.close()


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_loop_goes_on_until_it_is_interrupted(
    tmp_path: Path, listen, number: int, background: bool
) -> None:
    listener = listen({"/camera/image_raw": Image})
    # Shells start the background jobs of scripts deaf to SIGINT.
    mine = signal.signal(signal.SIGINT, signal.SIG_IGN if background else signal.default_int_handler)
    try:
        process = player(sequence(tmp_path / "s", frames=3), "--loop", "--rate", 5, "--wait", 20)
    finally:
        signal.signal(signal.SIGINT, mine)
    deadline = time.monotonic() + 60
    while len(listener.heard["/camera/image_raw"]) < 8 and time.monotonic() < deadline:
        listener.executor.spin_once(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert len(listener.heard["/camera/image_raw"]) >= 8


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--topics", "/nothing"], "no messages of /nothing; it has /camera/camera_info"),
        (["--remap", "/imu"], "write OLD:=NEW"),
        (["--remap", "/no:=/new"], "/no is not played; it can be /camera/camera_info"),
        (["--rate", "0"], "--rate 0"),
        (["--rate", "nan"], "--rate nan"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["play", str(write_bag(tmp_path, "mcap")), *arguments]) == 2
    errors = capfd.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert says in errors[0]
