"""Time stamps: which moment they mean, and how a stream of them splits into epochs."""

from types import SimpleNamespace

import pytest

from blur_imu_ros.errors import BlurImuError, ExposureError
from blur_imu_ros.exposure_field import check_exposure
from blur_imu_ros.timing import (
    NS_PER_S,
    Admission,
    Epochs,
    FrameInterval,
    StampReference,
    mid_exposure_ns,
    stamp_ns,
)

FRAME_NS = NS_PER_S // 30


@pytest.mark.parametrize(
    ("reference", "middle_ms"),
    [
        (StampReference.FIRST_ROW_START, 1015),
        (StampReference.FIRST_ROW_MIDDLE, 1010),
        (StampReference.FIRST_ROW_END, 1005),
        (StampReference.FRAME_MIDDLE, 1000),
        (StampReference.LAST_ROW_END, 985),
    ],
)
def test_middle_of_the_exposure_of_the_middle_row(reference, middle_ms):
    # Exposure 10 ms, readout 20 ms, stamped at 1 s.
    assert mid_exposure_ns(NS_PER_S, 0.010, 0.020, reference) == middle_ms * 1_000_000


def test_every_reference_means_the_same_moment():
    exposure_ns, readout_ns, first_row_start_ns = 8_000_000, 16_000_000, 5 * NS_PER_S
    stamps = {
        StampReference.FIRST_ROW_START: first_row_start_ns,
        StampReference.FIRST_ROW_MIDDLE: first_row_start_ns + exposure_ns // 2,
        StampReference.FIRST_ROW_END: first_row_start_ns + exposure_ns,
        StampReference.FRAME_MIDDLE: first_row_start_ns + (exposure_ns + readout_ns) // 2,
        StampReference.LAST_ROW_END: first_row_start_ns + exposure_ns + readout_ns,
    }
    assert set(stamps) == set(StampReference)
    assert len({mid_exposure_ns(stamp, 0.008, 0.016, reference) for reference, stamp in stamps.items()}) == 1


def test_stamps_increase_within_an_epoch():
    epochs = Epochs(time_jump_s=1.0)
    stamps = [0, FRAME_NS, FRAME_NS, FRAME_NS - 1, 2 * FRAME_NS]
    verdicts = [epochs.admit(stamp) for stamp in stamps]
    late = Admission.LATE
    assert verdicts == [Admission.NEW_EPOCH, Admission.IN_ORDER, late, late, Admission.IN_ORDER]
    assert epochs.count == 1


@pytest.mark.parametrize("step_s", [-10, -1.5, 1.5, 10])
def test_a_larger_step_either_way_starts_an_epoch(step_s):
    epochs = Epochs(time_jump_s=1.0)
    start = 100 * NS_PER_S
    for index in range(5):
        epochs.admit(start + index * FRAME_NS)
    assert epochs.admit(start + round(step_s * NS_PER_S)) is Admission.NEW_EPOCH
    assert epochs.admit(start + round(step_s * NS_PER_S) + FRAME_NS) is Admission.IN_ORDER


def test_a_restart_accepts_any_stamp():
    epochs = Epochs(time_jump_s=1.0)
    epochs.admit(FRAME_NS)
    epochs.restart()
    assert epochs.admit(FRAME_NS) is Admission.NEW_EPOCH


def test_frame_interval_is_robust_to_jumps_and_bursts():
    interval = FrameInterval()
    assert interval.seconds is None
    for index in (0, 1, 2, 2, 3, 1000, 1001, 300, 301):
        interval.observe(index * FRAME_NS, longest_s=1.0)
    assert interval.seconds == pytest.approx(1 / 30, rel=1e-6)
    # A driver that stamps at arrival, on a machine that stalls: eight frames late, one shortly after the other.
    for frame in range(400, 440):
        late_ns = max(0, 8 - frame % 10) * FRAME_NS * 9 // 10
        interval.observe(frame * FRAME_NS + late_ns, longest_s=1.0)
        assert interval.longest_exposure_s >= interval.seconds
    assert interval.seconds == pytest.approx(1 / 30, rel=0.25)


@pytest.mark.parametrize(("before_hz", "after_hz"), [(30, 15), (30, 7.5), (60, 30)])
def test_a_camera_that_slows_down_may_expose_for_longer_at_once(before_hz, after_hz):
    interval, stamp = FrameInterval(), 0
    assert interval.longest_exposure_s is None
    for hz in [before_hz] * 40 + [after_hz] * 3:
        stamp += round(NS_PER_S / hz)
        interval.observe(stamp, longest_s=1.0)
        if interval.seconds is not None:
            check_exposure(0.95 / hz, interval.longest_exposure_s)
    for _ in range(60):
        stamp += round(NS_PER_S / before_hz)
        interval.observe(stamp, longest_s=1.0)
    with pytest.raises(ExposureError, match="longer than the frame interval"):
        check_exposure(1.5 / before_hz, interval.longest_exposure_s)


@pytest.mark.parametrize(("seconds", "nanoseconds"), [(-1, 0), (1, NS_PER_S), (0, 2**32 - 1)])
def test_malformed_stamps_are_refused(seconds, nanoseconds):
    with pytest.raises(BlurImuError, match=f"{seconds} s {nanoseconds} ns"):
        stamp_ns(SimpleNamespace(sec=seconds, nanosec=nanoseconds))
    assert stamp_ns(SimpleNamespace(sec=2, nanosec=5)) == 2 * NS_PER_S + 5
    # A simulated clock starts at zero.
    assert stamp_ns(SimpleNamespace(sec=0, nanosec=0)) == 0
