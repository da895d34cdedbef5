"""The node's account of itself: counts that add up, errors that are shown and logged not too often."""

import pytest

from blur_imu_ros.errors import CameraError, ExposureError, ImageError
from blur_imu_ros.live.diagnostics import Answer, DropCause, Health, Level, cause_of, describe


def test_every_image_is_in_exactly_one_count():
    health = Health()
    for index in range(10):
        health.received(index)
    for index in range(4):
        health.answered(Answer(index + 0.02, 0.02, 0.03, 0.9, index == 0, index > 1, 0.4 * (index == 3)))
    health.dropped(DropCause.SUPERSEDED, 5)
    for _ in range(3):
        health.dropped(DropCause.IMAGE, 5, "bad image")
    counts = {key: int(value) for key, value in health.counts()}
    assert counts.pop("images received") == sum(counts.values()) == 10
    assert counts["images in work"] == 2
    assert counts["images dropped: unusable image"] == 3
    values = dict(health.values(9.0))
    assert float(values["latency since arrival p50 [ms]"]) == pytest.approx(20)
    assert float(values["latency since stamp p99 [ms]"]) == pytest.approx(30)
    assert float(values["share of inflated outputs"]) == pytest.approx(0.25)
    assert float(values["share of outputs measured between frames"]) == pytest.approx(0.5)
    assert float(values["doubt, as something moves by itself, mean"]) == pytest.approx(0.1)
    assert float(values["rate in [Hz]"]) == pytest.approx(1.5)
    assert float(values["rate out [Hz]"]) == 0
    assert float(values["sign confidence, mean"]) == pytest.approx(0.9)


def test_latencies_are_told_as_usual_and_as_seldom():
    health = Health()
    for milliseconds in range(1, 101):
        health.answered(Answer(1.0, milliseconds / 1e3, 2 * milliseconds / 1e3, 0.9, False, True, 0.0))
    values = dict(health.values(1.0))
    for name, factor in (("arrival", 1), ("stamp", 2)):
        assert float(values[f"latency since {name} p50 [ms]"]) == pytest.approx(50.5 * factor)
        assert float(values[f"latency since {name} p99 [ms]"]) == pytest.approx(99 * factor, abs=0.1)


def test_an_error_is_shown_for_a_while_and_a_silent_camera_warned_of():
    health = Health()
    assert health.verdict(10.2, 0.5, 10.0) == (Level.OK, "running")
    level, message = health.verdict(10.6, 0.5, 10.0)
    assert (level, "no image for 0.6 s" in message) == (Level.WARN, True)
    health.received(11.0)
    health.dropped(DropCause.EXPOSURE, 11.0, "exposure is wrong; mend it")
    assert health.verdict(11.1, 0.5, 10.0) == (Level.ERROR, "exposure is wrong; mend it")
    assert health.verdict(12.9, 0.5, 10.0) == (Level.ERROR, "exposure is wrong; mend it")
    assert health.verdict(14.0, 60, 10.0)[0] is Level.OK


def test_images_without_answers_are_warned_of_with_their_cause():
    health = Health()
    health.received(10.0)
    health.answered(Answer(10.1, 0.1, 0.1, 0.9, False, True, 0.0))
    for index in range(20):
        health.received(10.1 + index / 10)
        health.dropped(DropCause.LATE if index else DropCause.STALE, 10.1 + index / 10)
    level, message = health.verdict(12.1, 0.5, 9.0)
    assert level is Level.WARN
    assert (
        "no answer for 2.0 s, 19 times: stamp not after the last one; every image needs a later stamp"
        in message
    )
    health.answered(Answer(12.2, 0.1, 0.1, 0.9, False, True, 0.0))
    health.dropped(DropCause.SUPERSEDED, 12.2)
    assert health.verdict(12.3, 0.5, 9.0) == (Level.OK, "running")
    # What was before the last answer is no cause of what came after it.
    health.received(13.0)
    assert "no answer for 0.8 s, 1 times: superseded" in health.verdict(13.0, 0.5, 9.0)[1]
    # Nor is what was before the node was activated.
    assert health.verdict(20.2, 0.5, 20.0) == (Level.OK, "running")


def test_healthy_drops_are_no_errors_and_all_others_are():
    health = Health()
    healthy = (
        DropCause.SUPERSEDED,
        DropCause.STALE,
        DropCause.LATE,
        DropCause.ILL_CONDITIONED,
        DropCause.UNDECIDED,
        DropCause.STOPPED,
    )
    for cause in healthy:
        assert health.dropped(cause, 1.0, "never shown") is False
    assert health.verdict(1.0, 60, 0.0)[0] is Level.OK
    for cause in set(DropCause).difference(healthy):
        health = Health()
        assert health.dropped(cause, 1.0, "shown") is True
        assert health.verdict(1.0, 60, 0.0) == (Level.ERROR, "shown")


def test_each_kind_of_error_is_logged_now_and_then():
    health = Health()
    times = [index / 30 for index in range(300)]
    assert sum(health.dropped(DropCause.IMAGE, now, "bad") for now in times) == 2
    assert health.dropped(DropCause.CAMERA, times[-1], "another kind") is True


def test_errors_are_counted_by_their_kind():
    assert cause_of(ImageError("")) is DropCause.IMAGE
    assert cause_of(CameraError("")) is DropCause.CAMERA
    assert cause_of(ExposureError("")) is DropCause.EXPOSURE
    assert cause_of(ZeroDivisionError()) is DropCause.ESTIMATE
    assert describe(ImageError("what; how")) == "what; how"
    assert describe(ZeroDivisionError("division")) == "ZeroDivisionError: division; please report this"


def test_the_rate_of_a_fast_camera_is_not_cut_by_what_is_remembered():
    health = Health()
    for index in range(2000):
        health.received(index / 200)
    assert float(dict(health.values(9.995))["rate in [Hz]"]) == pytest.approx(200, rel=0.01)


def test_the_rate_is_that_of_the_last_two_seconds():
    health = Health()
    for index in range(300):
        health.received(index / 10)
    assert float(dict(health.values(30.95))["rate in [Hz]"]) == pytest.approx(5)


def test_time_that_jumps_back_and_forth_is_warned_of():
    health = Health()
    for index in range(10):
        now_s = 10 + index / 30
        health.received(now_s)
        health.began_epoch(now_s)
        health.answered(Answer(now_s, 0.0, 0.1, 0.5, True, False, 0.0))
    level, message = health.verdict(10.31, 0.5, 9.0)
    assert (level, "one publisher" in message) == (Level.WARN, True)
    # A recording that loops begins one now and then.
    for index in range(5):
        health.began_epoch(20.0 + index)
    health.received(24.0)
    assert health.verdict(24.1, 0.5, 9.0)[0] is Level.OK


def test_an_exposure_that_the_images_contradict_is_warned_of():
    health = Health()
    assert "exposure by the images, of that stated" not in dict(health.values(0.0))
    for ratio, level in ((1.05, Level.OK), (0.5, Level.WARN)):
        for index in range(60):
            health.received(10 + index / 30)
            health.answered(Answer(10 + index / 30, 0.01, 0.01, 1.0, False, True, 0.0, ratio))
        assert health.verdict(12.0, 0.5, 10.0)[0] is level
        assert float(dict(health.values(12.0))["exposure by the images, of that stated"]) == ratio
    assert "0.5 times as long as stated" in health.verdict(12.0, 0.5, 10.0)[1]
    health.exposure_changed()
    assert health.verdict(12.0, 0.5, 10.0) == (Level.OK, "running")
    assert dict(health.values(12.0))["exposure by the images, of that stated"] == "unknown"
