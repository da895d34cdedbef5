"""The node in its own process: it answers, counts, explains what is wrong and keeps running."""

import itertools
import math
import time
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PointStamped
from onnx_models import write_model
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from ros_rig import (
    EXPOSURE_S,
    HEIGHT,
    ROOT,
    WIDTH,
    NodeProcess,
    Nodes,
    Rig,
    camera_info,
    drops,
    frame,
    keeping_all,
    values,
)
from sensor_msgs.msg import CompressedImage, Image

ERROR = DiagnosticStatus.ERROR
FRAMES = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture
def rig(request):
    rig = Rig(**getattr(request, "param", {}))
    yield rig
    rig.close()


@pytest.fixture
def start(rig, model, tmp_path):
    with Nodes(tmp_path, model=model) as nodes:
        yield lambda rig=rig, active=True, **given: nodes.start(rig if active else None, **given)


@pytest.mark.parametrize("rig", [{"qos": QoSProfile(depth=FRAMES)}], indirect=True)
def test_every_image_is_answered_or_counted(rig, start):
    start(exposure_s=EXPOSURE_S, **keeping_all(("image",), FRAMES))
    assert len(rig.stream(FRAMES)) == FRAMES
    status = rig.wait_for_status(
        lambda status: (
            values(status)["images received"] == str(FRAMES) and values(status)["images in work"] == "0"
        )
    )
    answered = int(values(status)["images answered"])
    assert answered + sum(drops(status).values()) == FRAMES
    assert rig.wait_for(lambda: answered == len(rig.imu) == len(rig.twist))
    assert answered >= 5
    assert float(values(status)["latency since arrival p50 [ms]"]) > 0
    assert values(status)["model"] == "tiny"
    assert "runs on cpu" in values(status)["provider"]


def test_answers_say_what_is_known(rig, start):
    start(exposure_s=EXPOSURE_S)
    stamps = rig.stream(30)
    assert rig.wait_for(lambda: len(rig.imu) >= 3 and len(rig.twist) >= 3)
    published = [stamp.sec * 10**9 + stamp.nanosec for stamp in (message.header.stamp for message in rig.imu)]
    assert all(later > earlier for earlier, later in itertools.pairwise(published))
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


def test_security_policy_covers_all_that_the_node_does(rig, start):
    start(exposure_type="geometry_msgs/msg/PointStamped", exposure_field="point.x", use_sim_time=True)
    policy = ElementTree.parse(ROOT / "config" / "sros2_policy.xml")
    allowed = {
        kind: {item.text.replace("~", "/blur_imu") for item in policy.iterfind(f".//{path}")}
        for kind, path in (
            ("publish", "topics[@publish='ALLOW']/topic"),
            ("subscribe", "topics[@subscribe='ALLOW']/topic"),
            ("reply", "services[@reply='ALLOW']/service"),
        )
    }
    graph = {
        "publish": rig.node.get_publisher_names_and_types_by_node,
        "subscribe": rig.node.get_subscriber_names_and_types_by_node,
        "reply": rig.node.get_service_names_and_types_by_node,
    }
    for kind, names_and_types in graph.items():
        used = {name for name, _ in names_and_types("blur_imu", "/")}
        assert len(used) >= 4
        # Relative names of the policy are below the namespace of the node.
        assert used <= {name if name.startswith("/") else f"/{name}" for name in allowed[kind]}, kind


def _info_with(change):
    info = camera_info()
    change(info)
    return info


def _image_with(**fields):
    image = frame()
    for name, value in fields.items():
        setattr(image, name, value)
    return image


BAD_INPUTS = {
    "zero intrinsics": (
        {"info": _info_with(lambda info: info.k.__setitem__(slice(None), [0.0] * 9))},
        "no usable camera info",
        "calibrate",
    ),
    "intrinsics not a number": (
        {"info": _info_with(lambda info: info.k.__setitem__(0, math.nan))},
        "no usable camera info",
        "finite",
    ),
    "unknown distortion": (
        {"info": _info_with(lambda info: setattr(info, "distortion_model", "curly"))},
        "no usable camera info",
        "'curly'",
    ),
    "wrong size": ({"image": frame(80, 60)}, "unusable image", "80"),
    "unknown encoding": ({"image": _image_with(encoding="nv21")}, "unusable image", "'nv21'"),
    "wrong step": ({"image": _image_with(step=WIDTH)}, "unusable image", "step"),
    "truncated data": ({"image": _image_with(data=frame().data[:-100])}, "unusable image", "truncated"),
    "malformed stamp": ({"stamp_ns": -5}, "malformed stamp", "-1 s"),
}


def test_bad_input_is_named_and_the_next_good_frame_answered(rig, start):
    node = start(exposure_s=EXPOSURE_S)
    rig.stream_until_answered()
    rig.wait_for_status(lambda status: True)  # the first answer may come before the first diagnostics
    for name, (bad, cause, told) in BAD_INPUTS.items():
        before = drops(rig.status[-1]).get(cause, 0)
        status = rig.stream_until_status(
            lambda status, told=told: status.level == ERROR and told in status.message, **bad
        )
        assert drops(status)[cause] > before, name
        assert ";" in status.message, f"{name}: no advice in '{status.message}'"
        rig.stream_until_answered()
    assert node.alive
    for told in ("calibrate", "80", "malformed"):
        assert told in node.log


def test_without_camera_info_nothing_is_answered(rig, start):
    node = start(exposure_s=EXPOSURE_S)
    image = frame()
    for _ in range(5):
        image.header.stamp.sec += 1
        rig.image_publisher.publish(image)
        time.sleep(0.2)
    status = rig.wait_for_status(lambda status: "camera_info topic" in status.message)
    assert status.level == ERROR
    assert drops(status)["no usable camera info"] >= 1
    # The last one too is given up, though no other comes after it.
    rig.wait_for_status(
        lambda status: str(drops(status)["no usable camera info"]) == values(status)["images received"]
    )
    assert rig.imu == []
    assert node.alive


def test_exposure_parameter(rig, start):
    node = start(exposure_s=0)
    status = rig.stream_until_status(lambda status: drops(status).get("no exposure time", 0) >= 5)
    assert status.level == ERROR
    assert "set exposure_s" in status.message
    assert rig.imu == []
    assert rig.set_parameter("exposure_s", -0.01)[0] is False
    assert rig.set_parameter("exposure_s", 5)[0] is True
    status = rig.stream_until_status(lambda status: drops(status).get("unusable exposure time", 0) > 0)
    assert "longer than the frame interval" in status.message
    assert rig.set_parameter("exposure_s", EXPOSURE_S)[0] is True
    rig.stream_until_answered()
    assert node.alive


def test_exposure_of_any_stamped_message(rig, start):
    start(exposure_type="geometry_msgs/msg/PointStamped", exposure_field="point.x", exposure_unit="ms")
    exposures = rig.node.create_publisher(PointStamped, "exposure", qos_profile_sensor_data)

    def stream_until(condition, exposure_ms):
        end = time.monotonic() + 40
        while not condition():
            assert time.monotonic() < end, rig.status[-1]
            stamp_ns = rig.send()
            if exposure_ms is not None:
                message = PointStamped()
                message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
                message.point.x = exposure_ms
                exposures.publish(message)
            time.sleep(1 / 30)

    assert rig.wait_for(lambda: exposures.get_subscription_count() > 0)
    for bad, cause, told in (
        (None, "no exposure time", "exposure topic"),
        (0.0, "unusable exposure time", "0 s"),
        (-8.0, "unusable exposure time", "-0.008 s"),
        (math.nan, "unusable exposure time", "nan s"),
        (5000.0, "unusable exposure time", "longer than the frame interval"),
    ):
        stream_until(lambda told=told: rig.status and told in rig.status[-1].message, bad)
        assert drops(rig.status[-1])[cause] > 0
        assert rig.imu == []
    stream_until(lambda: len(rig.imu) >= 5, 8.0)
    status = rig.wait_for_status(lambda status: values(status).get("exposure [ms]") == "8.000")
    assert "PointStamped" in values(status)["exposure from"]


def test_exposure_among_the_diagnostics_of_others(rig, start):
    start(exposure_type="diagnostic_msgs/msg/DiagnosticArray", arguments=("-r", "exposure:=/diagnostics"))
    publisher = rig.node.create_publisher(DiagnosticArray, "/diagnostics", 10)
    assert rig.wait_for(lambda: publisher.get_subscription_count() >= 2)
    index = 0
    while len(rig.imu) < 5 and index < 600:
        index += 1
        stamp_ns = rig.send()
        for name, key in (("fan", "speed"), ("camera", "ExposureTime")):
            status = DiagnosticStatus(name=name, values=[KeyValue(key=key, value="9000")])
            message = DiagnosticArray(status=[status])
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
            publisher.publish(message)
        time.sleep(1 / 30)
    assert len(rig.imu) >= 5
    rig.wait_for_status(lambda status: values(status).get("exposure [ms]") == "9.000")


def test_the_diagnostics_of_many_others_hold_no_exposure_up(rig, start):
    start(exposure_type="diagnostic_msgs/msg/DiagnosticArray", arguments=("-r", "exposure:=/diagnostics"))
    publisher = rig.node.create_publisher(DiagnosticArray, "/diagnostics", 10)
    assert rig.wait_for(lambda: publisher.get_subscription_count() >= 2)
    fan = DiagnosticArray(status=[DiagnosticStatus(name="fan", values=[KeyValue(key="speed", value="1")])])
    camera = DiagnosticArray(status=[DiagnosticStatus(values=[KeyValue(key="ExposureTime", value="9000")])])
    for _ in range(60):
        for _ in range(20):
            publisher.publish(fan)
        stamp_ns = rig.send()
        camera.header.stamp.sec, camera.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        publisher.publish(camera)
        time.sleep(1 / 30)
    status = rig.wait_for_status(lambda status: values(status)["images in work"] == "0")
    assert drops(status).get("no exposure time", 0) < 10
    assert int(values(status)["images answered"]) > 0


@pytest.mark.parametrize("rig", [{"image_type": CompressedImage}], indirect=True)
def test_compressed_images(rig, start):
    start(exposure_s=EXPOSURE_S, image_transport="compressed")
    pixels = np.frombuffer(frame().data, np.uint8).reshape(HEIGHT, WIDTH, 3)
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    rig.stream_until_answered(3, image=CompressedImage(format="jpeg", data=data))
    cut = CompressedImage(format="jpeg", data=data[: len(data) // 2])
    status = rig.stream_until_status(lambda status: "truncated" in status.message, image=cut)
    assert drops(status)["unusable image"] > 0


def test_debug_image_only_while_somebody_looks(rig, start):
    start(exposure_s=EXPOSURE_S, debug_rate_hz=5)
    rig.stream(10)
    rig.listen(Image, "/blur_imu/debug_image")
    rig.stream_until(lambda: len(rig.extra) >= 1)
    begin, first = time.monotonic(), len(rig.extra)
    rig.stream(45)
    # Two more: one at the very end, and one that was under way at the beginning.
    assert len(rig.extra) - first <= 5 * (time.monotonic() - begin) + 2
    picture = rig.extra[0]
    assert (picture.encoding, picture.width, picture.height) == ("rgb8", 320, 224)
    assert picture.header.frame_id == "camera_optical_frame"


def test_frames_that_do_not_fit_are_told_once(rig, start):
    node = start(exposure_s=EXPOSURE_S)

    def answered(image_frame, info_frame):
        target = len(rig.imu) + 3
        while len(rig.imu) < target:
            image, info = frame(), camera_info()
            for message, name in ((info, info_frame), (image, image_frame)):
                message.header.frame_id = name
                message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.time_ns(), 10**9)
            rig.info_publisher.publish(info)
            rig.image_publisher.publish(image)
            time.sleep(1 / 30)

    answered("left", "left")
    assert "frame" not in node.log
    answered("left", "right")
    assert node.log.count("camera_info is of frame 'right', but the images are of 'left'") == 1
    answered("", "")
    assert node.log.count("the images name no frame") == 1


@pytest.mark.parametrize("rig", [{"qos": QoSProfile(depth=FRAMES)}], indirect=True)
def test_a_single_frame_is_answered(rig, start):
    """The first frame waits for the next one to tell its sign, but not for ever."""
    # The one there is must not be lost on the way, as sensor data may be on a busy machine.
    start(exposure_s=EXPOSURE_S, **keeping_all(("image", "camera_info"), FRAMES))
    rig.send()
    assert rig.wait_for(lambda: len(rig.imu) == 1)
    time.sleep(0.5)
    assert len(rig.imu) == 1


def test_the_next_frame_may_decide_the_sign(rig, start):
    start(exposure_s=EXPOSURE_S, use_next_frame=True)
    rig.stream_until_answered(3)
    last = rig.send()
    time.sleep(1)
    published = [message.header.stamp.sec * 10**9 + message.header.stamp.nanosec for message in rig.imu]
    assert all(later > earlier for earlier, later in itertools.pairwise(published))
    # The last frame still waits for its next one.
    assert max(published) < last


def test_undecided_signs_can_be_dropped(rig, start):
    start(exposure_s=EXPOSURE_S, undecided_sign="drop", min_sign_probability=1.0)
    status = rig.stream_until_status(lambda status: drops(status).get("sign undecided", 0) >= 3)
    assert status.level != ERROR
    assert rig.imu == []
    assert rig.set_parameter("undecided_sign", "inflate")[0]
    rig.stream_until_answered()


def test_two_cameras_in_two_namespaces(model, tmp_path):
    """Each node answers its own camera, on topics of its own, and names itself in the diagnostics."""
    rigs = {side: Rig(f"/{side}/blur_imu", namespace=f"/{side}/camera") for side in ("left", "right")}
    nodes = {}
    try:
        for side in rigs:
            remaps = (
                "__ns:=/" + side,
                f"image:=/{side}/camera/image",
                f"camera_info:=/{side}/camera/camera_info",
            )
            nodes[side] = NodeProcess(
                tmp_path / f"{side}.log",
                arguments=tuple(item for remap in remaps for item in ("-r", remap)),
                model=model,
                provider="cpu",
                exposure_s=EXPOSURE_S,
                stale_after_s=20,
            )
        for side, rig in rigs.items():
            rig.wait_until_listened(nodes[side])
            rig.stream_until_answered(3)
        time.sleep(1)
        for side, rig in rigs.items():
            answered = {m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in rig.imu}
            assert answered <= {stamp + round(EXPOSURE_S / 2 * 1e9) for stamp in rig.sent}
            rig.wait_for_status(lambda status, name=f"/{side}/blur_imu": status.name == name)
    finally:
        for node in nodes.values():
            node.kill()
        for rig in rigs.values():
            rig.close()


@pytest.mark.parametrize("rectified", [False, True])
def test_a_rectified_topic_that_would_be_undistorted_again_is_told(rig, start, rectified):
    remap = ("-r", "image:=/camera/image_rect_color")
    node = start(active=False, arguments=remap, image_is_rectified=rectified)
    rig.wait_for_status(lambda status: "no image for" in status.message)
    assert ("/camera/image_rect_color looks rectified" in node.log) is not rectified
    assert "no image for" in node.log


def test_bad_models_leave_a_node_that_says_so(rig, start, tmp_path):
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"not a network" * 100)
    node = start(active=False, model=garbage, exposure_s=EXPOSURE_S)
    status = rig.wait_for_status(lambda status: status.level == ERROR)
    assert str(garbage) in status.message
    assert rig.state() == "unconfigured"
    assert rig.set_parameter("model", str(tmp_path / "missing.onnx"))[0]
    status = rig.wait_for_status(lambda status: "missing.onnx" in status.message)
    assert "does not exist" in status.message
    assert node.alive


def test_wrong_parameters_end_the_start_with_one_line(start):
    for name, value in (("exposure_s", -1), ("provider", "abacus")):
        node = start(active=False, **{name: value})
        assert node.process.wait(30) == 2
        lines = [line for line in node.log.splitlines() if line]
        assert len(lines) == 1, node.log
        assert name in lines[0]
        assert "allowed" in lines[0]


def test_a_wrong_parameter_of_rclpy_ends_the_start_with_one_line(start):
    node = start(active=False, use_sim_time="text")
    assert node.process.wait(30) == 2
    assert "Traceback" not in node.log
    assert node.log.strip().splitlines()[-1].startswith("blur_imu_node: ")
    assert "use_sim_time" in node.log


def test_misspelt_parameters_are_reported(start):
    node = start(exposure_s=EXPOSURE_S, exposre_s=0.02)
    assert "'exposre_s' is unknown" in node.log


def test_parameters_change_at_run_time_where_that_is_safe(rig, start):
    # An integer stands for a double.
    start(exposure_s=1, time_jump_s=2)
    assert rig.set_parameter("exposure_s", EXPOSURE_S) == (True, "")
    assert rig.set_parameter("prior_linear_m_s", 2) == (True, "")
    # From one number to three and back.
    assert rig.set_parameter("prior_linear_m_s", [0.1, 0.2, math.inf]) == (True, "")
    assert rig.set_parameter("prior_linear_m_s", math.inf) == (True, "")
    assert rig.set_parameter("lever_arm_m", [0.1, 0.0, 0.3]) == (True, "")
    assert rig.set_parameter("lever_arm_m", [0, 0, 0]) == (True, "")
    for name, value, told in (
        ("model", "other.onnx", "unconfigured"),
        ("provider", "cuda", "unconfigured"),
        ("prior_linear_m_s", math.nan, "prior_linear_m_s"),
        ("lever_arm_m", [0.1, 0.3], "three numbers"),
        ("stamp_reference", "yesterday", "first_row_start"),
        ("debug_rate_hz", 1e6, "debug_rate_hz"),
        ("frame_id", 7, "text"),
        ("exposure_type", "sensor_msgs/msg/Temperature", "unconfigured"),
    ):
        accepted, reason = rig.set_parameter(name, value)
        assert accepted is False, name
        assert told in reason, f"{name}: {reason}"
    assert rig.set_parameter("frame_id", "base")[0]
    rig.stream_until(lambda: any(message.header.frame_id == "base" for message in rig.imu))
    assert rig.set_parameter("min_variance", 0.1)[0]
    rig.stream_until(
        lambda: np.linalg.eigvalsh(np.reshape(rig.twist[-1].twist.covariance, (6, 6)))[0] > 0.0999
    )
