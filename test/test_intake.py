"""From messages to frames: which exposure an image gets, without a node around it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from geometry_msgs.msg import PointStamped
from message_filters import SimpleFilter
from ros_rig import camera_info, frame

from blur_imu_ros.exposure_field import ExposureField, ExposureUnit
from blur_imu_ros.live.diagnostics import Health
from blur_imu_ros.live.exposure import ExposureTopic
from blur_imu_ros.live.intake import FrameIntake
from blur_imu_ros.live.settings import Settings
from blur_imu_ros.timing import StampReference

INTERVAL_NS = 33_000_000
OFFSET_NS = 10_000_000


def stamped(message, stamp_ns):
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    return message


@pytest.fixture
def camera():
    """A driver: `image(n)` and, unless there is a setting for it, `exposure(n, s)`, stamped OFFSET_NS after its image; the
    frames that its images became, and what was dropped."""

    class Camera:
        def __init__(self, *, calibrated=True, **settings):
            self.frames, self.dropped = [], []
            self.settings, self.health = settings, Health()
            self.driver = SimpleFilter()
            self.intake = FrameIntake(
                lambda: replace(Settings(), **settings),
                self.health,
                self.frames.append,
                lambda cause, text: self.dropped.append(cause.value),
            )
            if "exposure_s" not in settings:
                field = ExposureField("point.x", "", ExposureUnit.SECONDS)
                self.intake.take_exposures_from(ExposureTopic(self.driver, field, pytest.fail))
            if calibrated:
                self.intake.on_camera_info(camera_info())

        @property
        def placed(self):
            return [received.exposure_s for received in self.frames]

        def image(self, number):
            self.intake.on_image(stamped(frame(), 10**9 + number * INTERVAL_NS))

        def exposure(self, number, exposure_s):
            message = stamped(PointStamped(), 10**9 + number * INTERVAL_NS + OFFSET_NS)
            message.point.x = exposure_s
            self.driver.signalMessage(message)

    return Camera


@pytest.mark.parametrize("tolerance_s", [0.02, 0.04, 1.0])
def test_an_image_waits_for_its_own_exposure_however_wide_the_tolerance(camera, tolerance_s):
    subject = camera(exposure_tolerance_s=tolerance_s)
    exposures = [0.002] * 5 + [0.010] * 5
    for number, exposure_s in enumerate(exposures):
        subject.image(number)
        subject.exposure(number, exposure_s)
    assert subject.placed == exposures
    assert subject.dropped == []


def test_exposures_that_come_less_often_than_images_serve_several(camera):
    subject = camera(exposure_tolerance_s=0.2)
    for number in range(9):
        subject.image(number)
        if number % 4 == 0:
            subject.exposure(number, 0.001 * (number + 1))
    subject.intake.expire(float("inf"))
    # The third reading is one that no image waited for any more.
    assert subject.placed == pytest.approx([0.001] * 4 + [0.005] * 5)
    assert subject.dropped == []


def test_an_exposure_that_would_lie_before_time_zero_is_dropped(camera):
    subject = camera(stamp_reference=StampReference.FIRST_ROW_END, exposure_tolerance_s=1.0)
    for number in range(2):
        subject.intake.on_image(stamped(frame(), number * INTERVAL_NS))
        message = stamped(PointStamped(), number * INTERVAL_NS)
        message.point.x = 0.01
        subject.driver.signalMessage(message)
    assert subject.placed == [0.01]
    assert subject.dropped == ["malformed stamp"]


def test_where_exposures_come_seldom_no_image_waits_for_one(camera):
    subject = camera(exposure_tolerance_s=1.0)
    for number in (0, 8, 16):
        subject.exposure(number, 0.004)
    for number in range(17, 20):
        subject.image(number)
        assert len(subject.placed) == number - 16


def test_beyond_the_tolerance_there_is_no_exposure(camera):
    subject = camera(exposure_tolerance_s=0.001)
    for number in range(3):
        subject.image(number)
        subject.exposure(number, 0.002)
    subject.intake.expire(float("inf"))
    assert subject.placed == []
    assert subject.dropped == ["no exposure time"] * 3


def test_a_recording_played_slowly_waits_as_long_for_its_exposures(camera, monkeypatch):
    """At a tenth of the speed 33 ms between stamps are a third of a second, and so is all that the driver took."""
    now_s = 100.0
    monkeypatch.setattr("blur_imu_ros.live.intake.time.monotonic", lambda: now_s)
    subject = camera(exposure_tolerance_s=0.02)
    for number in range(5):
        subject.image(number)
        now_s += 0.1
        subject.intake.expire(now_s)
        subject.exposure(number, 0.008)
        now_s += 0.23
    assert subject.placed[1:] == [0.008] * 4
    subject.image(5)
    subject.intake.expire(now_s + 0.4)
    assert subject.dropped[-1] == "no exposure time"


def test_a_pause_of_the_camera_makes_no_later_frame_wait_longer(camera, monkeypatch):
    now_s = 100.0
    monkeypatch.setattr("blur_imu_ros.live.intake.time.monotonic", lambda: now_s)
    subject = camera()
    for now_s in (100.0, 100.033, 100.066, 110.0, 110.033):
        subject.image(round(30 * now_s))
    subject.intake.expire(now_s + 0.1)
    assert subject.dropped == ["no exposure time"] * 5


def test_the_middle_of_the_exposure_is_that_of_the_middle_row(camera):
    subject = camera(exposure_s=0.01, readout_s=0.02)
    subject.image(0)
    assert [(one.stamp_ns, one.t_mid_ns) for one in subject.frames] == [(10**9, 10**9 + 15_000_000)]


def test_images_out_of_order_are_dropped(camera):
    subject = camera(exposure_s=0.01)
    for number in (0, 2, 1, 2, 3):
        subject.image(number)
    assert [one.stamp_ns for one in subject.frames] == [10**9 + number * INTERVAL_NS for number in (0, 2, 3)]
    assert subject.dropped == ["stamp not after the last one"] * 2


def test_each_jump_of_the_clock_begins_one_epoch(camera):
    subject = camera(exposure_s=0.01)
    for number in range(10):
        if number in (2, 4, 6, 8):
            subject.intake.clock_jumped()
        subject.image(number)
    assert [one.epoch for one in subject.frames] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert subject.intake.epochs == 5
    # So many in so short a time are told of.
    assert "time jumps" in subject.health.verdict(time.monotonic(), 60, 0.0)[1]


def test_what_counts_as_a_jump_may_change_meanwhile(camera):
    subject = camera(exposure_s=0.01, time_jump_s=1.0)
    subject.image(0)
    subject.image(9)
    subject.settings["time_jump_s"] = 0.1
    subject.image(18)
    assert [one.epoch for one in subject.frames] == [1, 1, 2]


def test_a_jump_leaves_no_room_for_a_longer_exposure(camera):
    subject = camera(exposure_s=0.01)
    for number in (0, 1, 2, 300, 301):
        subject.image(number)
    subject.settings["exposure_s"] = 0.1
    subject.image(302)
    assert subject.dropped == ["unusable exposure time"]


def test_the_first_image_waits_for_the_camera_info_that_comes_after_it(camera):
    subject = camera(exposure_s=0.01, calibrated=False)
    subject.image(0)
    assert subject.frames == []
    subject.intake.on_camera_info(camera_info())
    assert len(subject.frames) == 1
    other = camera(exposure_s=0.01, calibrated=False)
    other.image(0)
    other.intake.expire(float("inf"))
    assert other.dropped == ["no usable camera info"]


def test_a_frame_that_waits_at_the_end_is_accounted_for(camera):
    subject = camera()
    subject.image(0)
    subject.intake.close()
    subject.intake.close()
    assert subject.dropped == ["deactivated"]


def test_no_exposure_is_taken_for_seconds_that_would_be_a_jump_of_time(camera):
    # Milliseconds given as seconds: no second image has told yet how far images are apart.
    subject = camera(exposure_s=8.0)
    subject.image(0)
    assert subject.placed == []
    assert subject.dropped == ["unusable exposure time"]
