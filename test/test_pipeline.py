"""The active part of the node, built and closed without a process around it: nothing stays, every image is accounted for."""

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import rclpy
import ros_rig
from rclpy.node import Node
from rclpy.parameter import Parameter
from ros_rig import EXPOSURE_S, camera_info, frame

from blur_imu_ros.errors import ConfigurationError
from blur_imu_ros.live import outputs
from blur_imu_ros.live.diagnostics import Health
from blur_imu_ros.live.pipeline import Pipeline
from blur_imu_ros.live.settings import Settings

assert ros_rig.ROOT.is_dir()  # sets up ROS for this process
PATIENCE_S = 20
AGE_S = 100


class Estimator:
    """Answers, once it may, that it is not sure of the sign."""

    waits, last_canonical, last_prediction = False, None, None

    def __init__(self, warming_s=0.0):
        self.warming_s = warming_s
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self.camera = None

    def warm(self):
        time.sleep(self.warming_s)

    def estimate(self, one):
        self.camera = one.camera
        self.begun.release()
        assert self.go.wait(PATIENCE_S)
        return SimpleNamespace(
            stamp_ns=one.stamp_ns,
            condition=1.0,
            decided=False,
            sign_probability=0.6,
            overlap=0.4,
            doubt=0.2,
            exposure_ratio=1.1,
        )

    def revised(self):
        return None

    def reset(self):
        pass


class Outputs:
    """Keeps what would be published."""

    def __init__(self):
        self.published = []

    def publish(self, estimate, frame_id):
        self.published.append((estimate.stamp_ns, frame_id))

    def publish_debug(self, seen, estimate, header, rate_hz):
        pass


class Subject:
    """A pipeline with its surroundings; `send` gives it an image, stamped AGE_S ago or a little later."""

    def __init__(self, node, estimator, *, calibrated=True, **settings):
        self.node, self.estimator, self.outputs, self.health = node, estimator, Outputs(), Health()
        self.settings = replace(Settings(), exposure_s=EXPOSURE_S, **settings)
        self.faults = []
        self.pipeline = Pipeline(
            node,
            lambda: self.settings,
            self.health,
            estimator,
            self.outputs,
            lambda kind, error: self.faults.append((kind, str(error))),
        )
        if calibrated:
            self.calibrate(camera_info())

    def calibrate(self, info):
        self.pipeline._cameras.take(info)
        self.pipeline.intake.on_camera_info(info)

    def send(self, later_s=0.0):
        message = frame()
        stamp_ns = time.time_ns() + round((later_s - AGE_S) * 1e9)
        message.header.frame_id = "camera"
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        self.pipeline.intake.on_image(message)
        return stamp_ns

    def counts(self):
        return {
            key.removeprefix("images "): int(value) for key, value in self.health.counts() if value != "0"
        }

    def wait_until_counted(self):
        end = time.monotonic() + PATIENCE_S
        while "in work" in self.counts() and time.monotonic() < end:
            time.sleep(0.01)


@pytest.fixture
def build():
    """Make a node, with parameters from outside, and a pipeline on it."""
    context = rclpy.Context()
    rclpy.init(context=context)
    nodes = []

    def make(*, estimator=None, overrides=(), **settings):
        given = [Parameter(name, value=value) for name, value in dict(overrides).items()]
        nodes.append(Node("subject", context=context, parameter_overrides=given))
        return Subject(nodes[-1], estimator or Estimator(), **settings)

    yield make
    for node in nodes:
        node.destroy_node()
    context.try_shutdown()


def test_the_time_without_images_begins_when_it_listens(build):
    begin = time.monotonic()
    subject = build(estimator=Estimator(warming_s=0.3))
    assert subject.pipeline.started_s - begin > 0.3
    subject.pipeline.close()


def test_a_debug_image_that_fails_costs_no_answer(build, monkeypatch):
    def fail(*_):
        raise ValueError("no room")

    subject = build()
    monkeypatch.setattr(subject.outputs, "publish_debug", fail)
    subject.estimator.go.set()
    subject.send()
    subject.wait_until_counted()
    assert subject.counts() == {"received": 1, "answered": 1}
    assert subject.faults == [("debug image", "no room")]


def test_an_answer_is_told_with_its_age_and_how_sure_it_is(build):
    subject = build(frame_id="gimbal")
    stamp_ns = subject.send()
    time.sleep(0.05)
    subject.estimator.go.set()
    subject.wait_until_counted()
    assert subject.outputs.published == [(stamp_ns + round(EXPOSURE_S / 2 * 1e9), "gimbal")]
    told = dict((*subject.health.values(time.monotonic()), *subject.pipeline.details()))
    assert 50 <= float(told["latency since arrival p50 [ms]"]) < 1e3 * PATIENCE_S
    assert 0 <= float(told["latency since stamp p50 [ms]"]) - 1e3 * AGE_S < 1e3 * PATIENCE_S
    assert (told["share of inflated outputs"], told["sign confidence, mean"]) == ("1.000", "0.600")
    assert told["share of outputs measured between frames"] == "1.000"
    assert told["doubt, as something moves by itself, mean"] == "0.200"
    assert (told["exposure from"], told["exposure [ms]"], told["epochs"]) == (
        "parameter exposure_s",
        "10.000",
        "1",
    )
    assert 0 <= float(told["exposure age [s]"]) < PATIENCE_S
    subject.pipeline.close()


@pytest.mark.parametrize("rectified", [False, True])
def test_a_rectified_image_has_the_camera_of_its_projection(build, rectified):
    subject = build(image_is_rectified=rectified, calibrated=False)
    info = camera_info()
    info.p[0] = info.p[5] = 100.0
    subject.calibrate(info)
    subject.estimator.go.set()
    subject.send()
    subject.wait_until_counted()
    assert subject.estimator.camera.matrix[0, 0] == (100.0 if rectified else info.k[0])
    subject.pipeline.close()


def test_what_is_in_work_when_it_closes_is_counted_and_not_published(build):
    subject = build()
    subject.send()
    assert subject.estimator.begun.acquire(timeout=PATIENCE_S)
    subject.send(later_s=0.1)
    subject.pipeline.close()
    assert list(subject.node.subscriptions) == []
    assert subject.pipeline.busy
    assert subject.counts() == {"received": 2, "in work": 1, "dropped: deactivated": 1}
    subject.estimator.go.set()
    subject.wait_until_counted()
    assert subject.counts() == {"received": 2, "dropped: deactivated": 2}
    assert subject.outputs.published == []


def test_what_waits_for_its_camera_info_when_it_closes_is_counted(build):
    subject = build(calibrated=False)
    subject.send()
    subject.pipeline.close()
    assert subject.counts() == {"received": 1, "dropped: deactivated": 1}
    assert not subject.pipeline.busy


def test_what_cannot_subscribe_leaves_nothing(build):
    threads = threading.active_count()
    with pytest.raises(ConfigurationError, match="careless"):
        build(overrides={"qos_overrides./image.subscription.reliability": "careless"})
    assert threading.active_count() == threads


def test_no_debug_image_is_drawn_for_nobody(build, monkeypatch):
    monkeypatch.setattr(outputs, "draw", pytest.fail)
    subject = build()
    publishers = outputs.Outputs(subject.node)
    publishers.publish_debug(object(), object(), frame().header, 5.0)
    publishers.close()
    subject.pipeline.close()
