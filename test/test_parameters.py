"""The parameter table: types, ranges, choices, and values that contradict each other."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import pytest
import rclpy
import ros_rig
from rclpy.node import Node
from rclpy.parameter import Parameter

from blur_imu_ros.errors import ConfigurationError
from blur_imu_ros.exposure_field import ExposureUnit
from blur_imu_ros.live import parameters
from blur_imu_ros.live.settings import FIELDS, Settings, allowed, from_text, plain
from blur_imu_ros.network import Provider
from blur_imu_ros.timing import StampReference

assert ros_rig.ROOT.is_dir()  # sets up ROS for this process


@contextmanager
def node(**overrides: object) -> Iterator[Node]:
    context = rclpy.Context()
    rclpy.init(context=context)
    given = [Parameter(name, value=value) for name, value in overrides.items()]
    subject = Node("subject", context=context, parameter_overrides=given)
    try:
        yield subject
    finally:
        subject.destroy_node()
        context.try_shutdown()


def change(settings, configured=True, **values):
    changes = [Parameter(name, value=value) for name, value in values.items()]
    return parameters.changed(settings, changes, configured=configured)


def test_without_overrides_the_defaults_hold():
    with node() as subject:
        parameters.declare(subject)
        assert parameters.read(subject) == Settings()


def test_values_from_outside_come_in_the_type_of_their_field():
    given = {"max_condition": 5, "threads": 3, "lever_arm_m": [0, 0, 1], "prior_linear_m_s": [0.1, 0.2, 0.3]}
    with node(exposure_s=1, provider="cpu", exposure_unit="us", **given) as subject:
        parameters.declare(subject)
        settings = parameters.read(subject)
    assert settings.exposure_s == 1.0
    assert isinstance(settings.exposure_s, float)
    assert (settings.provider, settings.exposure_unit) == (Provider.CPU, ExposureUnit.MICROSECONDS)
    assert (settings.max_condition, settings.threads) == (5.0, 3)
    assert (settings.lever_arm_m, settings.prior_linear_m_s) == ((0.0, 0.0, 1.0), (0.1, 0.2, 0.3))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exposure_s", -0.1),
        ("exposure_s", 11),
        ("exposure_s", "long"),
        ("exposure_s", math.nan),
        ("exposure_s", True),
        ("threads", 1.5),
        ("threads", 1000),
        ("autostart", 1),
        ("autostart", "yes"),
        ("provider", "abacus"),
        ("stamp_reference", 3),
        ("model", 7),
        ("prior_linear_m_s", 0),
        ("prior_linear_m_s", [0.1, 0.2]),
        ("prior_linear_m_s", [0.1, 0.2, 0.0]),
        ("lever_arm_m", 0.3),
        ("lever_arm_m", [0.1, 0.2]),
        ("lever_arm_m", [0.1, 0.2, math.nan]),
        ("lever_arm_m", [0.1, 0.2, 300.0]),
        ("lever_arm_m", [True, True, True]),
        ("lever_arm_m", "0.3"),
        ("prior_linear_m_s", -math.inf),
        ("max_variance", math.inf),
    ],
)
def test_values_outside_are_refused_at_start_with_what_is_allowed(name, value):
    with node(**{name: value}) as subject, pytest.raises(ConfigurationError) as caught:
        parameters.declare(subject)
    assert name in str(caught.value)
    assert allowed(FIELDS[name]) in str(caught.value)


@pytest.mark.parametrize("name", ["lever_arm_m", "prior_linear_m_s"])
def test_a_list_that_mixes_kinds_of_numbers_is_told_how_to_be_written(name):
    # `ros2 param set` sends it as text.
    with pytest.raises(ConfigurationError, match=r"write 1\.0, not 1"):
        change(Settings(), **{name: "[0.1, 1, 0.3]"})
    with pytest.raises(ConfigurationError) as caught:
        change(Settings(), **{name: "far"})
    assert str(caught.value).endswith(allowed(FIELDS[name]))


def test_misspelt_names_are_found():
    with node(exposre_s=0.1, use_sim_time=False, **{"qos_overrides./image.subscription.depth": 1}) as subject:
        parameters.declare(subject)
        assert parameters.unknown_names(subject) == ["exposre_s"]
        assert parameters.unused_qos_overrides(subject) == ["qos_overrides./image.subscription.depth"]


def test_every_parameter_tells_its_meaning_and_range():
    with node() as subject:
        parameters.declare(subject)
        for name, item in FIELDS.items():
            descriptor = subject.describe_parameter(name)
            assert len(descriptor.description) > 10
            ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
            bounds = item.metadata["range"]
            if isinstance(item.default, (Enum, tuple)) or item.metadata.get("per_axis"):
                assert allowed(item) in descriptor.additional_constraints
            else:
                assert [(found.from_value, found.to_value) for found in ranges] == (
                    [bounds] if bounds else []
                )


def test_two_exposure_sources_contradict_each_other():
    with pytest.raises(ConfigurationError, match=r"two sources.*set exposure_s to 0"):
        change(
            Settings(),
            configured=False,
            exposure_s=0.01,
            exposure_type="sensor_msgs/msg/Temperature",
            exposure_key="x",
        )
    for kind in ("sensor_msgs/msg/Temperature", "Temperature"):
        with pytest.raises(ConfigurationError, match=rf"where {kind} states .* give exposure_field"):
            change(Settings(), configured=False, exposure_type=kind)
    flir = "flir_camera_msgs/msg/ImageMetaData"
    with pytest.raises(ConfigurationError, match=r"exposure_unit is ms, .* in us: leave exposure_unit out"):
        change(Settings(), configured=False, exposure_type=flir, exposure_unit="ms")
    together = change(Settings(exposure_s=0.01), exposure_s=0.0)
    assert together.exposure_s == 0
    with node(exposure_s=0.01, exposure_type=flir) as subject:
        parameters.declare(subject)
        with pytest.raises(ConfigurationError, match="two sources"):
            parameters.read(subject)


def test_live_parameters_change_and_the_others_wait_for_cleanup():
    before = Settings()
    for name, item in FIELDS.items():
        if isinstance(item.default, bool):
            value = not item.default
        elif isinstance(item.default, (int, float)):
            value = next(v for v in item.metadata["range"] if v != item.default and math.isfinite(v))
        elif isinstance(item.default, tuple):
            value = [1.0, -2.0, 3.0]
        elif isinstance(item.default, Enum):
            value = list(type(item.default))[-1].value
        else:
            value = "a/b" if name == "exposure_type" else "other"
        if item.metadata["live"]:
            assert plain(getattr(change(before, **{name: value}), name)) == value
        else:
            with pytest.raises(ConfigurationError, match=f"{name} changes only while unconfigured"):
                change(before, **{name: value})
    assert change(before, configured=False, model="other").model == "other"
    assert change(before, model=before.model) == before


def test_parameters_of_others_are_not_judged():
    assert change(Settings(), use_sim_time=True) == Settings()
    assert change(Settings(), stamp_reference="last_row_end").stamp_reference is StampReference.LAST_ROW_END


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("exposure_s", "8e-3", 0.008),
        ("exposure_s", "1", 1.0),
        ("prior_linear_m_s", ".inf", math.inf),
        ("prior_linear_m_s", "[0.05, 0.03, 1.2]", (0.05, 0.03, 1.2)),
        ("lever_arm_m", "[0.0, 0.0, 0.3]", (0.0, 0.0, 0.3)),
        ("between_frames", "false", False),
        ("threads", "2", 2),
        ("exposure_key", "12", "12"),
        ("provider", "cpu", Provider.CPU),
    ],
)
def test_what_is_written_on_a_command_line_has_the_type_of_its_parameter(name, text, value):
    found = from_text(FIELDS[name], text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("exposure_s", "8ms"),
        ("exposure_s", "-1"),
        ("threads", "2.5"),
        ("lever_arm_m", "[0.0, 1.0]"),
        ("provider", "gpu"),
    ],
)
def test_what_cannot_be_used_is_named(name, text):
    with pytest.raises(ConfigurationError, match=f"parameter {name} is .*; allowed: "):
        from_text(FIELDS[name], text)
