"""Exposure sources: any message, field, unit and key; matched by stamp; never a guess."""

from types import SimpleNamespace

import pytest
import ros_rig
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from message_filters import SimpleFilter
from rclpy.serialization import serialize_message

from blur_imu_ros.errors import ConfigurationError, ExposureError
from blur_imu_ros.exposure_field import ExposureField, ExposureUnit, check_exposure, exposure_field
from blur_imu_ros.live.exposure import ExposureTopic, KeyedMessages, message_class

assert ros_rig.ROOT.is_dir()  # sets up ROS for this process
STAMP_NS = 5_000_000_000


def header(stamp_ns=STAMP_NS):
    from std_msgs.msg import Header

    result = Header()
    result.stamp.sec, result.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    return result


def flir(exposure_us, stamp_ns=STAMP_NS):
    return SimpleNamespace(header=header(stamp_ns), exposure_time=exposure_us)


FLIR, REALSENSE, CAMERA_ROS = (
    exposure_field(kind, "", "", ExposureUnit.SECONDS)
    for kind in (
        "flir_camera_msgs/msg/ImageMetaData",
        "realsense2_camera_msgs/msg/Metadata",
        "diagnostic_msgs/DiagnosticArray",
    )
)


def test_a_field_in_its_unit():
    assert FLIR.read(flir(12_500)) == pytest.approx(0.0125)
    nested = SimpleNamespace(info=SimpleNamespace(shutter=SimpleNamespace(value=4)))
    assert ExposureField("info.shutter.value", "", ExposureUnit.MILLISECONDS).read(nested) == pytest.approx(
        0.004
    )


@pytest.mark.parametrize(("unit", "stated"), [("s", 0.012), ("ms", 12.0), ("us", 12_000), ("ns", 12_000_000)])
def test_a_field_of_ones_own_is_read_in_the_unit_that_is_said(unit, stated):
    for kind in ("my_msgs/msg/Shutter", "flir_camera_msgs/msg/ImageMetaData"):
        field = exposure_field(kind, "exposure_time", "", ExposureUnit(unit))
        assert field.read(flir(stated)) == pytest.approx(0.012)


def test_a_key_of_json():
    text = '{"frame_number": 7, "actual_exposure": 8000, "gain_level": 16}'
    assert REALSENSE.read(SimpleNamespace(json_data=text)) == pytest.approx(0.008)
    for foreign in ('{"frame_number": 7}', "[1, 2]", "no json", "", '"text"', "[" * 100_000):
        assert REALSENSE.read(SimpleNamespace(json_data=foreign)) is None


def test_the_colour_camera_of_a_realsense_states_no_exposure():
    text = '{"frame_number": 7, "actual_exposure": 166, "auto_exposure": 1, "brightness": 0}'
    with pytest.raises(ExposureError, match=r"turn auto exposure off.*exposure_s"):
        REALSENSE.read(SimpleNamespace(json_data=text))


def test_a_key_value_of_diagnostics():
    ours = DiagnosticStatus(
        values=[KeyValue(key="AnalogueGain", value="2"), KeyValue(key="ExposureTime", value="20000")]
    )
    others = DiagnosticStatus(values=[KeyValue(key="temperature", value="40")])
    assert CAMERA_ROS.read(DiagnosticArray(status=[others, ours])) == pytest.approx(0.02)
    assert CAMERA_ROS.read(DiagnosticArray(status=[others])) is None
    assert CAMERA_ROS.read(DiagnosticArray()) is None


def camera_status(name, exposure_us, hardware_id=""):
    values = [KeyValue(key="ExposureTime", value=str(exposure_us))]
    return DiagnosticStatus(name=name, hardware_id=hardware_id, values=values)


def test_of_several_cameras_in_diagnostics_the_chosen_one_counts():
    both = DiagnosticArray(status=[camera_status("left", 16_000, "imx219"), camera_status("right", 2_000)])
    for source, exposure_s in (("left", 0.016), ("imx219", 0.016), ("right", 0.002)):
        field = ExposureField("", "ExposureTime", ExposureUnit.MICROSECONDS, source)
        assert field.read(both) == pytest.approx(exposure_s)
    assert ExposureField("", "ExposureTime", ExposureUnit.MICROSECONDS, "top").read(both) is None


@pytest.mark.parametrize("source", ["", "left"])
def test_one_camera_never_takes_the_exposure_of_another(source):
    refused = []
    field = ExposureField("", "ExposureTime", ExposureUnit.MICROSECONDS, source)
    topic = ExposureTopic(driver := SimpleFilter(), field, refused.append)
    for index, (name, exposure_us) in enumerate((("left", 16_000), ("right", 2_000), ("left", 17_000))):
        array = DiagnosticArray(
            header=header(STAMP_NS + index * 400_000), status=[camera_status(name, exposure_us)]
        )
        driver.signalMessage(array)
    found = [topic.find(STAMP_NS + index * 400_000, 0.001) for index in range(3)]
    if source:
        assert found == [pytest.approx(exposure_s) for exposure_s in (0.016, 0.017, 0.017)]
        assert not refused
    else:
        assert [str(error).count("exposure_source") for error in refused] == [1, 1]
        assert "'left', 'right'" in str(refused[0])


def test_a_camera_that_fell_silent_is_in_nobodys_way(monkeypatch):
    clock, refused = SimpleNamespace(now_s=100.0), []
    monkeypatch.setattr("blur_imu_ros.live.exposure.time.monotonic", lambda: clock.now_s)
    topic = ExposureTopic(driver := SimpleFilter(), CAMERA_ROS, refused.append)
    for index, (name, clock.now_s) in enumerate(
        (("left", 100.0), ("right", 101.0), ("left", 109.0), ("left", 112.0))
    ):
        status = camera_status(name, 1_000 * (index + 1))
        driver.signalMessage(DiagnosticArray(header=header(STAMP_NS + index), status=[status]))
    assert len(refused) == 2
    assert topic.find(STAMP_NS + 3, 0) == pytest.approx(0.004)


def test_a_wrong_field_or_value_is_named():
    with pytest.raises(ExposureError, match=r"no field 'exposure\.time'.*exposure_field"):
        ExposureField("exposure.time", "", ExposureUnit.SECONDS).read(flir(1))
    with pytest.raises(ExposureError, match=r"'auto'.*not a number"):
        REALSENSE.read(SimpleNamespace(json_data='{"actual_exposure": "auto"}'))


@pytest.mark.parametrize("exposure_s", [0.0, -0.01, float("nan"), float("inf"), 11.0])
def test_impossible_exposures_are_refused(exposure_s):
    with pytest.raises(ExposureError, match="exposure_s"):
        check_exposure(exposure_s, None)


def test_an_exposure_must_fit_between_two_frames():
    check_exposure(1 / 30, 1 / 30)
    check_exposure(0.5, None)
    with pytest.raises(ExposureError, match=r"0\.05 s is longer than the frame interval 0\.0333"):
        check_exposure(0.05, 1 / 30)


class Recorder:
    """A source, the topic on it, and what came of it."""

    def __init__(self, field=FLIR):
        self.source = SimpleFilter()
        self.refused = []
        self.readings = []
        self.topic = ExposureTopic(self.source, field, self.refused.append)
        self.topic.on_reading(self.readings.append)


def test_readings_are_found_by_nearest_stamp_within_the_tolerance():
    recorder = Recorder()
    for index in range(5):
        recorder.source.signalMessage(flir(1000 * (index + 1), STAMP_NS + index * 33_000_000))
    assert recorder.topic.find(STAMP_NS + 66_000_000, 0.001) == pytest.approx(0.003)
    assert recorder.topic.find(STAMP_NS + 66_900_000, 0.001) == pytest.approx(0.003)
    assert recorder.topic.find(STAMP_NS + 68_000_000, 0.001) is None
    assert recorder.topic.find(STAMP_NS + 40_000_000, 0.02) == pytest.approx(0.002)
    assert recorder.topic.find(0, 1.0) is None
    assert len(recorder.readings) == 5


def test_of_repeated_stamps_the_newest_reading_counts():
    recorder = Recorder()
    recorder.source.signalMessage(flir(1000))
    recorder.source.signalMessage(flir(2000))
    assert recorder.topic.find(STAMP_NS, 0.001) == pytest.approx(0.002)


def test_messages_without_the_key_pass_and_broken_ones_are_reported():
    recorder = Recorder(REALSENSE)
    recorder.source.signalMessage(SimpleNamespace(header=header(), json_data="{}"))
    assert recorder.readings == recorder.refused == []
    recorder.source.signalMessage(SimpleNamespace(header=header(), json_data='{"actual_exposure": "auto"}'))
    broken = header()
    broken.stamp.sec = -5
    recorder.source.signalMessage(SimpleNamespace(header=broken, json_data='{"actual_exposure": 5}'))
    assert recorder.readings == []
    assert ["not a number" in str(error) for error in recorder.refused] == [True, False]
    assert "-5 s" in str(recorder.refused[1])


def test_message_types_are_loaded_by_name():
    assert message_class("diagnostic_msgs/msg/DiagnosticArray") is DiagnosticArray
    assert message_class("sensor_msgs/Temperature").__name__ == "Temperature"
    for name in (
        "nowhere_msgs/msg/Nothing",
        "sensor_msgs/msg/Nothing",
        "Temperature",
        "a/b/c/d",
        "../x",
        "os/path",
        "a b/C",
    ):
        with pytest.raises(ConfigurationError, match="exposure_type"):
            message_class(name)
    with pytest.raises(ConfigurationError, match="stamped"):
        message_class("std_msgs/msg/Float64")


def test_messages_without_the_key_are_not_even_converted():
    heard = []
    arrays = [
        DiagnosticArray(status=[DiagnosticStatus(name=key, values=[KeyValue(key=key, value="20000")])])
        for key in ("temperature", "ExposureTime", "speed", "ExposureTime")
    ]
    first, *others = map(serialize_message, arrays)
    waiting = iter([*others, None])
    messages = KeyedMessages(driver := SimpleFilter(), DiagnosticArray, "ExposureTime", lambda: next(waiting))
    messages.registerCallback(heard.append)
    driver.signalMessage(first)
    assert [CAMERA_ROS.read(message) for message in heard] == [0.02, 0.02]


def test_a_flood_of_messages_does_not_keep_the_images_waiting():
    taken = []
    data = serialize_message(DiagnosticArray())

    def flood():
        taken.append(data)
        return data if len(taken) < 10_000 else None

    KeyedMessages(driver := SimpleFilter(), DiagnosticArray, "ExposureTime", flood)
    driver.signalMessage(data)
    assert 10 < len(taken) < 1000
