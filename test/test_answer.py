"""The worker's answers, in order: at once, or with the next frame's help."""

import time
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
from ros_rig import camera_info, frame

from blur_imu_ros.live.answer import PATIENCE_S, FrameAnswerer
from blur_imu_ros.live.camera_source import CameraSource
from blur_imu_ros.live.intake import ReceivedFrame
from blur_imu_ros.live.settings import Settings
from blur_imu_ros.options import EstimatorOptions, UndecidedSign


@dataclass
class Estimator:
    """Answers with the stamp of a frame; revised answers are negative."""

    waiting: tuple[int, ...]
    stamps: tuple[int, ...] = ()
    exposures: tuple[float, ...] = ()
    condition: float = 1.0
    decided: bool = True
    options: EstimatorOptions = field(default_factory=EstimatorOptions)
    last_canonical: np.ndarray | None = None
    last_prediction: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(flow=np.zeros((2, 1, 1)), representation=None)
    )

    def estimate(self, one):
        self.stamps = (*self.stamps, one.stamp_ns)
        self.exposures = (*self.exposures, one.exposure_s)
        self.last_canonical = np.full((1, 1, 3), one.stamp_ns)
        # As a network does: into the same buffer.
        self.last_prediction.flow[:] = one.stamp_ns
        return SimpleNamespace(stamp_ns=one.stamp_ns, condition=self.condition, decided=self.decided)

    @property
    def waits(self):
        return self.stamps[-1] in self.waiting

    def revised(self):
        before = self.stamps[-2:-1]
        return (
            SimpleNamespace(stamp_ns=-before[0], condition=1.0, decided=True)
            if before and before[0] in self.waiting
            else None
        )

    def reset(self):
        self.stamps = ()


@pytest.fixture
def answering():
    """An answerer's `answer(t_mid, epoch)`, what it published, and what it dropped."""

    def make(waiting, publish=None, **settings):
        published, dropped = [], []
        cameras = CameraSource(rectified=False)
        cameras.take(camera_info())
        answerer = FrameAnswerer(
            lambda: replace(Settings(), **settings),
            Estimator(waiting),
            cameras,
            publish or (lambda received, estimate, seen: published.append(estimate.stamp_ns)),
            lambda cause, text: dropped.append((cause.value, text)),
        )

        def answer(t_mid, epoch=0, waited_s=0.0):
            received = ReceivedFrame(frame(), t_mid - 5, time.monotonic() - waited_s, 0.01, t_mid, epoch)
            return answerer.answer(received)

        return answerer, answer, published, dropped

    return make


def test_a_frame_that_waits_is_published_before_the_next_as_that_revised_it(answering):
    _, answer, published, dropped = answering((1,))
    assert answer(1) == pytest.approx(0.1)
    assert published == []
    assert answer(2) is None
    assert answer(3) is None
    assert published == [-1, 2, 3]
    assert dropped == []


def test_what_a_frame_was_seen_as_waits_with_it(answering):
    seen = {}
    _, answer, *_ = answering((1,), lambda _, estimate, view: seen.update({estimate.stamp_ns: view}))
    for stamp in (1, 2):
        answer(stamp)
    assert {stamp: int(view.view[0, 0, 0]) for stamp, view in seen.items()} == {-1: 1, 2: 2}
    assert {stamp: view.flow[0, 0, 0] for stamp, view in seen.items()} == {-1: 1, 2: 2}


def test_with_the_next_frame_wanted_every_frame_waits_until_it_would_be_stale(answering):
    answerer, answer, published, dropped = answering((1, 2, 3), use_next_frame=True, stale_after_s=0.2)
    assert [answer(stamp) for stamp in (1, 2, 3)] == [pytest.approx(0.18)] * 3
    assert published == [-1, -2]
    # None came in time, as of a camera slower than that.
    assert answerer.answer(None) is None
    assert published == [-1, -2, 3]
    assert dropped == []


def test_a_frame_that_waited_in_vain_is_published_as_it_was(answering):
    answerer, answer, published, _ = answering((1,), stale_after_s=20)
    assert answer(1) == PATIENCE_S
    assert answerer.answer(None) is None
    assert published == [1]
    assert answer(2) is None
    assert published == [1, 2]


def test_nothing_is_published_once_closed(answering):
    answerer, answer, published, dropped = answering((1,))
    answer(1)
    answerer.close()
    assert answerer.answer(None) is None
    answer(2)
    assert published == []
    assert [cause for cause, _ in dropped] == ["deactivated"] * 2


def test_a_new_epoch_publishes_what_waited_for_the_old_one(answering):
    _, answer, published, _ = answering((5, 1))
    answer(5)
    assert answer(1, epoch=1) == pytest.approx(0.1)
    assert published == [5]


def test_a_new_epoch_forgets_what_was_seen_in_the_old_one_and_no_more(answering):
    answerer, answer, *_ = answering(())
    for stamp, epoch, remembered in ((7, 1, (7,)), (8, 1, (7, 8)), (3, 2, (3,)), (4, 2, (3, 4))):
        answer(stamp, epoch)
        assert answerer.estimator.stamps == remembered


def test_a_frame_that_waited_too_long_for_its_turn_is_not_estimated(answering):
    answerer, answer, published, dropped = answering((), stale_after_s=0.5)
    assert answer(1, waited_s=0.6) is None
    assert answerer.estimator.stamps == ()
    answer(2)
    assert published == [2]
    assert dropped == [("waited too long", "")]


def test_what_cannot_be_published_is_counted_and_the_next_is_answered(answering):
    published = []

    def publish(received, estimate, seen):
        if estimate.stamp_ns == 1:
            raise ValueError("no consumer should get it")
        published.append(estimate.stamp_ns)

    answerer, answer, _, dropped = answering((), publish)
    answer(1)
    answer(2)
    assert published == [2]
    assert [cause for cause, _ in dropped] == ["estimate failed"]
    assert "no consumer should get it" in dropped[0][1]
    assert answerer.estimator.exposures == (0.01, 0.01)


def test_a_slow_estimator_answers_every_frame_that_it_has_estimated(answering):
    answerer, answer, published, dropped = answering((1, 2), stale_after_s=0.001)
    for stamp in (1, 2):
        answer(stamp)
        # The next one was still in work when this one would have been given up.
        time.sleep(0.01)
    answerer.release()
    assert published == [-1, 2]
    assert dropped == []


def test_a_frame_is_not_held_for_one_that_cannot_help_it(answering):
    published_before = []
    far = round((EstimatorOptions().direction.max_interval_s + 0.01) * 1e9)
    answerer, answer, published, _ = answering((1,))
    answer(1)
    estimate = answerer.estimator.estimate
    answerer.estimator.estimate = lambda one: (published_before.extend(published), estimate(one))[1]
    answer(1 + far)
    assert published_before == [1]
    assert published == [1, 1 + far]


def test_parameters_keep_estimates_back_only_beyond_their_limits(answering):
    for settings, attributes, cause in (
        ({"max_condition": 5.0}, {"condition": 10.0}, "condition above max_condition"),
        ({"max_condition": 5.0}, {"condition": 5.0}, None),
        ({"max_condition": 5.0}, {"condition": float("nan")}, "condition above max_condition"),
        ({}, {"condition": float("inf")}, None),
        ({"undecided_sign": UndecidedSign.DROP}, {"decided": False}, "sign undecided"),
        ({"undecided_sign": UndecidedSign.DROP}, {"decided": True}, None),
        ({}, {"decided": False}, None),
    ):
        answerer, answer, published, dropped = answering((), **settings)
        for name, value in attributes.items():
            setattr(answerer.estimator, name, value)
        answer(1)
        assert published == ([1] if cause is None else []), (settings, attributes)
        assert [told for told, _ in dropped] == ([cause] if cause else []), (settings, attributes)


def test_every_parameter_of_the_estimate_reaches_the_estimator_under_its_own_name():
    numbers = {
        "prior_angular_rad_s": 3.0,
        "prior_linear_m_s": 0.3,
        "lever_arm_m": (0.1, -0.2, 0.3),
        "exposure_relative_sigma": 0.2,
        "stamp_sigma_s": 0.002,
        "min_blur_px": 2.0,
        "min_sign_probability": 0.9,
        "min_variance": 1e-5,
        "max_variance": 50.0,
    }
    settings = replace(Settings(), undecided_sign=UndecidedSign.DROP, use_next_frame=True, **numbers)
    options = settings.estimator_options()
    reached = {**vars(options), **vars(options.solver), **vars(options.direction)}
    assert {name: reached[name] for name in numbers} == numbers
    assert options.undecided_sign is UndecidedSign.DROP
    assert options.use_next_frame is True
    assert Settings().estimator_options().min_blur_px is None
    assert Settings(min_blur_px=0.0).estimator_options().min_blur_px == 0
