"""Faults of the world around the node, each with real processes: it recovers soon, and publishes nothing wrong."""

import time

import numpy as np
import onnxruntime
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PointStamped
from lifecycle_msgs.msg import Transition
from onnx_models import write_model
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from ros_rig import EXPOSURE_S, HEIGHT, WIDTH, Nodes, Rig, camera_info, drops, frame, stretched, values
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo

NS = 1_000_000_000
HALF_EXPOSURE_NS = round(EXPOSURE_S / 2 * NS)


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "tiny.onnx")


class Scene(Rig):
    """A rig that judges all that came back by what was sent."""

    def healthy(self):
        """Wait for answers; return the seconds that one more takes now, as the machine's load has it."""
        self.stream_until_answered(3)
        return max(self.stream_until_answered() for _ in range(3))

    def check_outputs(self):
        """Every answer belongs to an image that was sent, and gives the one velocity of the network, up to sign."""
        sent = {stamp + HALF_EXPOSURE_NS for stamp in self.sent}
        reference = None
        for message in self.twist:
            assert message.header.stamp.sec * NS + message.header.stamp.nanosec in sent
            twist = message.twist.twist
            vector = np.array(
                [getattr(part, axis) for part in (twist.linear, twist.angular) for axis in "xyz"]
            )
            reference = vector if reference is None else reference
            assert min(np.abs(vector - reference).max(), np.abs(vector + reference).max()) < 1e-3
            assert np.linalg.eigvalsh(np.reshape(message.twist.covariance, (6, 6)))[0] > 0


@pytest.fixture
def rig():
    rig = Scene()
    yield rig
    # A rig left open would be heard by the tests that come after.
    try:
        rig.check_outputs()
    finally:
        rig.close()


@pytest.fixture
def start(rig, model, tmp_path):
    # What the network says is the same for every image: what the images show between them would add to that.
    with Nodes(tmp_path, model=model, exposure_s=EXPOSURE_S, between_frames=False) as nodes:
        yield lambda active=True, **given: nodes.start(rig if active else None, **given)


def within(limit_s, usual_s):
    """The limit, with what a frame takes anyway on a machine under load."""
    return stretched(limit_s) + 4 * usual_s


def test_camera_stops_and_returns(rig, start):
    start()
    usual = rig.healthy()
    before, begin = len(rig.status), time.monotonic()
    assert rig.wait_for(lambda: any(s.level == DiagnosticStatus.WARN for s in rig.status[before:]), 20)
    assert time.monotonic() - begin < within(1.0, usual)
    warning = next(s for s in rig.status[before:] if s.level == DiagnosticStatus.WARN)
    assert "no image for" in warning.message
    assert "topic" in warning.message
    time.sleep(1)
    assert rig.stream_until_answered() < within(1.0, usual)
    rig.wait_for_status(lambda status: values(status)["epochs"] == "2")


def test_camera_changes_its_resolution(rig, start):
    start()
    usual = rig.healthy()
    larger = {"image": frame(2 * WIDTH, 2 * HEIGHT), "info": camera_info(2 * WIDTH, 2 * HEIGHT)}
    assert rig.stream_until_answered(**larger) < within(1.0, usual)
    # In between, the image may come before its calibration: refused, not guessed.
    status = rig.stream_until_status(
        lambda status: drops(status).get("unusable image", 0) > 0, image=frame(), info=larger["info"]
    )
    assert status.level == DiagnosticStatus.ERROR
    assert rig.stream_until_answered() < within(1.0, usual)


def test_bag_loops(rig, start):
    start()
    usual = rig.healthy()
    begin_ns = 1000 * NS
    for _ in range(3):
        first = len(rig.imu)
        started = time.monotonic()
        for index in range(45):
            rig.stream(1, stamp_ns=begin_ns + index * NS // 30)
            if len(rig.imu) > first:
                break
        assert time.monotonic() - started < within(1.0, usual)
        # The end of the recording, 1.5 s later in its own time.
        rig.stream(1, stamp_ns=begin_ns + 3 * NS // 2)
    rig.wait_for_status(lambda status: int(values(status)["epochs"]) >= 4)


@pytest.mark.parametrize("step_s", [10, -10])
def test_stamps_step(rig, start, step_s):
    start()
    usual = rig.healthy()
    offset = step_s * NS
    assert rig.stream_until(stamped_answer(rig, offset), offset_ns=offset) < within(1.0, usual)
    assert rig.stream_until(stamped_answer(rig, 0)) < within(1.0, usual)
    published = [message.header.stamp.sec * NS + message.header.stamp.nanosec for message in rig.imu]
    steps = np.diff(published)
    # Backwards only where the camera's clock itself stepped.
    assert np.count_nonzero(steps <= 0) == 1
    assert steps.min() < -8 * NS


def stamped_answer(rig, offset_ns):
    """Condition: an answer that is stamped as far from now."""
    before = len(rig.imu)

    def arrived():
        now = time.time_ns()
        ages = [
            message.header.stamp.sec * NS + message.header.stamp.nanosec - now for message in rig.imu[before:]
        ]
        return any(abs(age - offset_ns) < 5 * NS for age in ages)

    return arrived


@pytest.mark.parametrize("step_s", [10, -10])
def test_ros_clock_steps(rig, start, step_s):
    clock = rig.node.create_publisher(Clock, "/clock", 10)
    node = start(use_sim_time=True)
    now_ns = 500 * NS

    def tick(until):
        nonlocal now_ns
        begin = time.monotonic()
        while not until():
            assert time.monotonic() - begin < 40, rig.status[-1:]
            now_ns += NS // 30
            message = Clock()
            message.clock.sec, message.clock.nanosec = divmod(now_ns, NS)
            clock.publish(message)
            rig.stream(1, stamp_ns=now_ns)
        return time.monotonic() - begin

    tick(lambda: len(rig.imu) >= 3)
    before = len(rig.imu)
    usual = tick(lambda: len(rig.imu) > before)
    now_ns += step_s * NS
    stepped_ns, before = now_ns, len(rig.imu)
    took = tick(
        lambda: any(abs(message.header.stamp.sec - stepped_ns // NS) < 5 for message in rig.imu[before:])
    )
    assert took < within(1.0, usual)
    assert "the ROS clock jumped" in node.log
    rig.wait_for_status(lambda status: int(values(status)["epochs"]) >= 2)


def test_a_ros_clock_that_steps_alone_begins_one_epoch(rig, start):
    """The camera has a clock of its own."""
    clock = rig.node.create_publisher(Clock, "/clock", 10)
    start(use_sim_time=True)
    now_ns = 500 * NS

    def tick():
        nonlocal now_ns
        now_ns += NS // 30
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(now_ns, NS)
        clock.publish(message)
        rig.stream(1)

    def epochs():
        count = len(rig.status)
        while len(rig.status) < count + 2:
            tick()
        return int(values(rig.status[-1])["epochs"])

    before = epochs()
    now_ns += 10 * NS
    assert epochs() == before + 1


def test_exposure_topic_dies_and_returns(rig, start):
    topic = {"exposure_type": "geometry_msgs/msg/PointStamped", "exposure_field": "point.x"}
    start(exposure_s=0, **topic)
    exposures = rig.node.create_publisher(PointStamped, "exposure", qos_profile_sensor_data)
    assert rig.wait_for(lambda: exposures.get_subscription_count() > 0)

    def stream_until(condition, exposed):
        begin = time.monotonic()
        while not condition():
            assert time.monotonic() - begin < 40, rig.status[-1:]
            stamp_ns = rig.send()
            if exposed:
                message = PointStamped()
                message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, NS)
                message.point.x = EXPOSURE_S
                exposures.publish(message)
            time.sleep(1 / 30)
        return time.monotonic() - begin

    stream_until(lambda: len(rig.imu) >= 3, True)
    count = len(rig.imu)
    usual = stream_until(lambda: len(rig.imu) > count, True)
    stream_until(lambda: rig.status and "exposure topic" in rig.status[-1].message, False)
    time.sleep(3 * usual)
    answered = len(rig.imu)
    stream_until(lambda: drops(rig.status[-1]).get("no exposure time", 0) > 20, False)
    assert len(rig.imu) == answered
    assert stream_until(lambda: len(rig.imu) > answered, True) < within(1.0, usual)


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is there")
def test_gpu_asked_for_and_absent(rig, start):
    node = start(active=False, provider="cuda")
    status = rig.wait_for_status(lambda status: status.level == DiagnosticStatus.ERROR)
    assert "provider cuda was asked for" in status.message
    assert "install" in status.message
    assert node.alive
    assert rig.set_parameter("provider", "auto")[0]
    rig.wait_until_listened(node)
    rig.stream_until_answered()
    rig.wait_for_status(lambda status: "asked for: auto" in values(status).get("provider", ""))


def test_activation_that_fails_says_why_and_frees_everything(rig, start):
    node = start(active=False, **{"qos_overrides./image.subscription.reliability": "careless"})
    status = rig.wait_for_status(lambda status: status.level == DiagnosticStatus.ERROR)
    assert "careless" in status.message
    assert "not activated" in node.log
    assert node.alive
    assert rig.node.count_subscribers("/camera_info") == 0
    assert rig.change_state(Transition.TRANSITION_CONFIGURE)
    assert rig.change_state(Transition.TRANSITION_ACTIVATE) is False


def test_an_override_of_quality_of_service_that_no_topic_takes_is_told_of(rig, start):
    node = start(**{"qos_overrides./imagee.subscription.reliability": "reliable"})
    assert "parameter 'qos_overrides./imagee.subscription.reliability' is of no input" in node.log
    assert "such as /image" in node.log


def test_a_calibration_published_once_reaches_a_node_that_comes_later(rig, start):
    once = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    rig.node.create_publisher(CameraInfo, "once", once).publish(camera_info())
    policies = {"durability": "transient_local", "reliability": "reliable"}
    start(
        active=False,
        exposure_s=0.01,
        arguments=("-r", "camera_info:=/once"),
        **{f"qos_overrides./once.subscription.{policy}": value for policy, value in policies.items()},
    )
    rig.stream_until_answered()


def test_model_is_replaced_by_garbage_and_restored(rig, start, model):
    good = model.read_bytes()
    node = start()
    usual = rig.healthy()
    model.write_bytes(good[: len(good) // 2])
    # What is loaded keeps running.
    rig.stream_until_answered(3)
    assert rig.change_state(Transition.TRANSITION_DEACTIVATE)
    assert rig.change_state(Transition.TRANSITION_CLEANUP)
    assert rig.change_state(Transition.TRANSITION_CONFIGURE) is False
    status = rig.wait_for_status(lambda status: status.level == DiagnosticStatus.ERROR)
    assert str(model) in status.message
    model.write_bytes(good)
    assert rig.change_state(Transition.TRANSITION_CONFIGURE)
    assert rig.change_state(Transition.TRANSITION_ACTIVATE)
    rig.wait_until_listened(node)
    assert rig.stream_until_answered() < within(1.0, usual)


def test_autostart_waits_for_a_sound_model(rig, start, model):
    good = model.read_bytes()
    model.write_bytes(b"garbage")
    node = start(active=False)
    rig.wait_for_status(lambda status: status.level == DiagnosticStatus.ERROR)
    model.write_bytes(good)
    rig.wait_until_listened(node)
    rig.stream_until_answered()
    rig.stream_until_status(lambda status: status.level == DiagnosticStatus.OK)


def test_an_operator_ends_autostart(rig, start, model):
    """Who asked for a transition decides when the node starts, though what autostart failed of has been mended."""
    good = model.read_bytes()
    model.write_bytes(b"garbage")
    start(active=False)
    rig.wait_for_status(lambda status: status.level == DiagnosticStatus.ERROR)
    assert rig.change_state(Transition.TRANSITION_CONFIGURE) is False
    model.write_bytes(good)
    for _ in range(3):
        rig.wait_for_status(lambda status: status.level == DiagnosticStatus.ERROR)
    assert rig.state() == "unconfigured"
    assert rig.change_state(Transition.TRANSITION_CONFIGURE)
    assert rig.change_state(Transition.TRANSITION_ACTIVATE)


def test_node_is_killed_and_respawned(rig, start):
    begin = time.monotonic()
    node = start()
    rig.stream_until_answered()
    first_start_s = time.monotonic() - begin
    rig.healthy()
    node.kill()
    begin = time.monotonic()
    start()
    rig.stream_until_answered()
    assert time.monotonic() - begin < within(5.0, first_start_s)
