"""Lifecycle: every order of transitions through the services, no leak, a clean end from every state."""

import itertools
import signal
import statistics

import pytest
from lifecycle_msgs.msg import Transition
from onnx_models import write_model
from ros_rig import EXPOSURE_S, Nodes, Rig, exit_limit_s, values

CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE
SHUTDOWN = {
    "unconfigured": Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    "inactive": Transition.TRANSITION_INACTIVE_SHUTDOWN,
    "active": Transition.TRANSITION_ACTIVE_SHUTDOWN,
}
# Channels of a network that takes three seconds for an image on a fast core, since a node waits for one for a second.
SLOW = 112
WAY_TO = {"unconfigured": [], "inactive": [CONFIGURE], "active": [CONFIGURE, ACTIVATE]}
NEXT = {
    ("unconfigured", CONFIGURE): "inactive",
    ("inactive", ACTIVATE): "active",
    ("inactive", CLEANUP): "unconfigured",
    ("active", DEACTIVATE): "inactive",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    rig.close()


@pytest.fixture
def start(model, tmp_path):
    with Nodes(tmp_path, model=model, exposure_s=EXPOSURE_S) as nodes:
        yield nodes.start


def test_transitions_in_every_order_are_made_or_refused(rig, start):
    node = start(autostart=False)
    state = rig.state()
    assert state == "unconfigured"
    # Every pair of transitions, possible or not, one after the other.
    for transition in itertools.chain.from_iterable(
        itertools.product((CONFIGURE, ACTIVATE, DEACTIVATE, CLEANUP), repeat=2)
    ):
        possible = (state, transition) in NEXT
        assert rig.change_state(transition) is possible
        state = NEXT.get((state, transition), state)
        assert rig.state() == state
    # What no node knows is refused as well.
    assert rig.change_state(200) is False
    assert node.alive


def test_a_hundred_cycles_leave_nothing_behind(rig, start):
    node = start(autostart=False)
    resident = []
    for cycle in range(100):
        for transition in (CONFIGURE, ACTIVATE, DEACTIVATE, CLEANUP):
            assert rig.change_state(transition), f"cycle {cycle}:\n{node.log}"
        resident.append(node.resident_mb())
    # Caches grow now and then, a leak in every cycle: by 2.5 MB for a network, 1.5 MB for subscriptions, 0.4 MB for
    # publishers, 0.25 MB and more and more of them for what is left to Python's collector.
    growth_mb = statistics.median(b - a for a, b in itertools.pairwise(resident[20::5])) / 5
    assert growth_mb < 0.1, resident[::5]
    assert rig.change_state(CONFIGURE)
    assert rig.change_state(ACTIVATE)
    rig.wait_until_listened(node)
    rig.stream_until_answered(2)


def test_a_deactivated_node_is_silent_and_resumes(rig, start):
    node = start()
    rig.wait_until_listened(node)
    rig.stream_until_answered(2)
    assert rig.change_state(DEACTIVATE)
    rig.stream(5)
    status = rig.wait_for_status(lambda status: status.message == "not active")
    answered, received = len(rig.imu), status.values[0].value
    rig.stream(10)
    status = rig.wait_for_status(lambda status: status.message == "not active")
    assert (len(rig.imu), status.values[0].value) == (answered, received)
    assert rig.change_state(ACTIVATE)
    rig.stream_until_answered(2)


def test_transitions_under_a_running_camera(rig, start):
    node = start()
    rig.wait_until_listened(node)
    for _ in range(5):
        rig.stream(3)
        assert rig.change_state(DEACTIVATE)
        rig.stream(2)
        assert rig.change_state(CLEANUP)
        assert rig.change_state(CONFIGURE)
        assert rig.change_state(ACTIVATE)
    rig.stream_until_answered(2)
    counted = {pair.key: int(pair.value) for pair in rig.status[-1].values if pair.key.startswith("images ")}
    received, answered = counted.pop("images received"), counted.pop("images answered")
    assert received == answered + sum(counted.values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("state", ["unconfigured", "inactive", "active", "finalized"])
def test_signals_end_it_from_every_state(rig, start, state, number):
    node = start(autostart=False)
    before = "inactive" if state == "finalized" else state
    for transition in WAY_TO[before]:
        assert rig.change_state(transition)
    if state == "finalized":
        assert rig.change_state(SHUTDOWN[before])
    assert rig.state() == state
    if state == "active":
        rig.wait_until_listened(node)
        rig.stream(10)
    code, seconds = node.end(number)
    assert code == 0, node.log
    assert seconds < exit_limit_s()
    assert "Traceback" not in node.log
    assert "[ERROR]" not in node.log


def test_a_frame_in_a_slow_network_does_not_hold_the_end_up(rig, start, tmp_path):
    node = start(model=write_model(tmp_path / "slow.onnx", slow_channels=SLOW), threads=1)
    rig.wait_until_listened(node)
    rig.stream_until_status(lambda status: values(status)["images in work"] != "0")
    code, seconds = node.end()
    assert code == 0, node.log
    assert seconds < exit_limit_s()


def test_a_node_whose_last_frame_is_still_in_work_is_not_activated_yet(rig, start, tmp_path):
    node = start(model=write_model(tmp_path / "slow.onnx", slow_channels=SLOW), threads=1)
    rig.wait_until_listened(node)
    rig.stream_until_status(lambda status: values(status)["images in work"] != "0")
    assert rig.change_state(DEACTIVATE)
    assert rig.change_state(ACTIVATE) is False
    assert "still being worked on" in node.log
    assert rig.state() == "inactive"


def test_autostart_that_is_changed_while_unconfigured_is_heeded(rig, start):
    node = start(autostart=False)
    assert rig.state() == "unconfigured"
    assert rig.set_parameter("autostart", True)[0]
    rig.wait_until_listened(node)
    assert rig.state() == "active"


def test_autostart_that_is_taken_back_leaves_a_mended_node_alone(rig, start, model):
    start(model="/nowhere/missing.onnx")
    rig.wait_for_status(lambda status: "does not exist" in status.message)
    assert rig.set_parameter("autostart", False)[0]
    assert rig.set_parameter("model", str(model))[0]
    for _ in range(3):
        rig.wait_for_status(lambda status: True)
    assert rig.state() == "unconfigured"
