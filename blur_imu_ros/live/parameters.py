"""The settings as parameters of a ROS node: declared with range and meaning, read, and changed while it runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import Field
from enum import Enum
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from ..errors import ConfigurationError
from .settings import FIELDS, Settings, allowed, check_together, checked, plain

QOS_OVERRIDES = "qos_overrides."


def declare(node: Node) -> None:
    """Declare every parameter on the node. Raises ConfigurationError for a value from outside that is not allowed."""
    for name, item in FIELDS.items():
        try:
            node.declare_parameter(name, plain(item.default), _descriptor(item))
            checked(item, node.get_parameter(name).value)
        except InvalidParameterValueException as error:
            raise ConfigurationError(f"parameter {name}: {error}; allowed: {allowed(item)}") from error


def read(node: Node) -> Settings:
    """Return the node's parameters as checked settings. Raises ConfigurationError."""
    settings = Settings(
        **{name: checked(item, node.get_parameter(name).value) for name, item in FIELDS.items()}
    )
    check_together(settings)
    return settings


def changed(settings: Settings, changes: Iterable[Parameter], *, configured: bool) -> Settings:
    """Return the settings after a change at run time. Raises ConfigurationError with the reason to refuse it."""
    ours = {change.name: change.value for change in changes if change.name in FIELDS}
    values = {name: checked(FIELDS[name], value) for name, value in ours.items()}
    for name, value in values.items():
        if configured and not FIELDS[name].metadata["live"] and value != getattr(settings, name):
            raise ConfigurationError(
                f"parameter {name} changes only while unconfigured: clean the node up first"
            )
    result = dataclasses.replace(settings, **values)
    check_together(result)
    return result


def unknown_names(node: Node) -> list[str]:
    """Return the names given from outside that no parameter of the node has: misspelt, most likely."""
    return [name for name in _undeclared(node) if not name.startswith(QOS_OVERRIDES)]


def unused_qos_overrides(node: Node) -> list[str]:
    """Return the QoS overrides given from outside that none of the node's topics has taken, once all are there."""
    return [name for name in _undeclared(node) if name.startswith(QOS_OVERRIDES)]


def _undeclared(node: Node) -> list[str]:
    # rclpy offers no public way to see overrides that nobody declared.
    return sorted(name for name in node._parameter_overrides if not node.has_parameter(name))


def _descriptor(item: Field[Any]) -> ParameterDescriptor:
    # Dynamic typing lets `1` stand for a double; `checked` keeps the type otherwise.
    descriptor = ParameterDescriptor(description=item.metadata["meaning"], dynamic_typing=True)
    bounds = item.metadata["range"]
    if isinstance(item.default, Enum):
        descriptor.additional_constraints = f"one of: {allowed(item)}"
    elif isinstance(item.default, tuple) or item.metadata["per_axis"]:
        # A range is of a single number.
        descriptor.additional_constraints = allowed(item)
    elif isinstance(item.default, float) and bounds:
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(bounds[0]), to_value=float(bounds[1]))
        ]
    elif bounds:
        descriptor.integer_range = [IntegerRange(from_value=bounds[0], to_value=bounds[1])]
    return descriptor
