"""Every parameter of the node, in one table: name, default, range or choices, meaning, and when it may change."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import Field, dataclass, field
from enum import Enum
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from .errors import ConfigurationError
from .exposure_field import ExposureField, ExposureUnit, exposure_field
from .network import MOST_THREADS, Provider
from .options import UndecidedSign
from .timing import StampReference
from .velocity import SolverOptions


class ImageTransport(Enum):
    """Message type on the image topic."""

    RAW = "raw"
    COMPRESSED = "compressed"


def _fixed(meaning: str, low: float = 0, high: float = 0, *, live: bool = False) -> dict[str, Any]:
    """Describe a parameter that changes only while the node is unconfigured, with its range where it has one."""
    return {"meaning": meaning, "range": (low, high) if high > low else None, "live": live}


def _live(meaning: str, low: float = 0, high: float = 0) -> dict[str, Any]:
    """Describe a parameter that may change at any time."""
    return _fixed(meaning, low, high, live=True)


@dataclass(frozen=True)
class Settings:
    """The parameters with their defaults, in SI units."""

    autostart: bool = field(
        default=True, metadata=_fixed("Configure and activate without a lifecycle manager.")
    )
    model: str = field(
        default="auto",
        metadata=_fixed("Network: auto, small, large, a name of the manifest, or the path of an ONNX file."),
    )
    provider: Provider = field(default=Provider.AUTO, metadata=_fixed("Where the network runs."))
    threads: int = field(
        default=0, metadata=_fixed("CPU threads of the network; 0: its runtime chooses.", 0, MOST_THREADS)
    )
    image_transport: ImageTransport = field(
        default=ImageTransport.RAW, metadata=_fixed("Message type on the image topic.")
    )
    image_is_rectified: bool = field(
        default=False, metadata=_fixed("The image is rectified: use P of CameraInfo and ignore D.")
    )
    frame_id: str = field(default="", metadata=_live("Frame of the output; empty: the image's."))

    exposure_s: float = field(default=0.0, metadata=_live("Exposure time; 0: unknown.", 0, 10))
    exposure_type: str = field(
        default="", metadata=_fixed("Message type on the exposure topic; empty: none.")
    )
    exposure_field: str = field(
        default="",
        metadata=_fixed("Dotted path of the field with the exposure time; empty: as the driver has it."),
    )
    exposure_key: str = field(
        default="",
        metadata=_fixed("Key of the exposure time, where the field is JSON or diagnostic key-values."),
    )
    exposure_source: str = field(
        default="",
        metadata=_fixed(
            "Of diagnostics: name or hardware_id of this camera's status, where several state the key."
        ),
    )
    exposure_unit: ExposureUnit = field(
        default=ExposureUnit.SECONDS,
        metadata=_fixed("Unit of the exposure topic, where field or key are given."),
    )
    exposure_tolerance_s: float = field(
        default=0.001, metadata=_live("Largest difference of the stamps of image and exposure.", 0, 1)
    )
    exposure_relative_sigma: float = field(
        default=0.05, metadata=_live("Relative standard deviation of the exposure time.", 0, 1)
    )

    stamp_reference: StampReference = field(
        default=StampReference.FIRST_ROW_START, metadata=_live("The moment the driver stamps an image with.")
    )
    readout_s: float = field(
        default=0.0, metadata=_live("Time from the first to the last row of a rolling shutter.", 0, 1)
    )
    time_jump_s: float = field(
        default=1.0, metadata=_live("A larger step of the stamps starts a new epoch.", 0.01, 3600)
    )
    stale_after_s: float = field(
        default=0.2, metadata=_live("A frame that waited longer since its arrival is dropped.", 0.001, 60)
    )
    dropout_s: float = field(
        default=0.5, metadata=_live("Warn when no image came, or none was answered, for so long.", 0.05, 60)
    )

    prior_angular_rad_s: float = field(
        default=SolverOptions.prior_angular_rad_s,
        metadata=_live("Sigma of the prior on angular velocity; .inf: no prior.", 0.01, math.inf),
    )
    prior_linear_m_s: float = field(
        default=SolverOptions.prior_linear_m_s,
        metadata=_live(
            "Sigma of the prior on linear velocity, less in sharp images; .inf: no prior.", 0.01, math.inf
        ),
    )
    min_blur_px: float = field(
        default=-1.0, metadata=_live("Blur below which the sign is open; negative: the model's.", -1, 50)
    )
    max_condition: float = field(
        default=math.inf, metadata=_live("Estimates of a larger condition number are dropped.", 1, math.inf)
    )
    undecided_sign: UndecidedSign = field(
        default=UndecidedSign.INFLATE, metadata=_live("Undecided sign: inflate the covariance, or drop.")
    )
    min_sign_probability: float = field(
        default=0.75, metadata=_live("Signs less probable than this are dropped by `drop`.", 0.5, 1)
    )
    use_next_frame: bool = field(
        default=False, metadata=_fixed("Decide every sign by the next frame too: surer, one frame later.")
    )
    min_variance: float = field(
        default=1e-6, metadata=_live("Smallest eigenvalue of the covariance.", 1e-12, 0.1)
    )
    max_variance: float = field(default=1e4, metadata=_live("Largest eigenvalue of the covariance.", 1, 1e9))
    debug_rate_hz: float = field(default=5.0, metadata=_live("Largest rate of the debug image.", 0.1, 100))

    def exposure_layout(self) -> ExposureField:
        """Where the messages on the exposure topic state the exposure. Raises ConfigurationError."""
        return exposure_field(
            self.exposure_type,
            self.exposure_field,
            self.exposure_key,
            self.exposure_unit,
            self.exposure_source,
        )


QOS_OVERRIDES = "qos_overrides."
FIELDS = {item.name: item for item in dataclasses.fields(Settings)}


def declare(node: Node) -> None:
    """Declare every parameter on the node. Raises ConfigurationError for a value from outside that is not allowed."""
    for name, item in FIELDS.items():
        try:
            node.declare_parameter(name, plain(item.default), _descriptor(item))
            _checked(item, node.get_parameter(name).value)
        except InvalidParameterValueException as error:
            raise ConfigurationError(f"parameter {name}: {error}; allowed: {allowed(item)}") from error


def read(node: Node) -> Settings:
    """Return the node's parameters as checked settings. Raises ConfigurationError."""
    settings = Settings(
        **{name: _checked(item, node.get_parameter(name).value) for name, item in FIELDS.items()}
    )
    _check_together(settings)
    return settings


def changed(settings: Settings, changes: Iterable[Parameter], *, configured: bool) -> Settings:
    """Return the settings after a change at run time. Raises ConfigurationError with the reason to refuse it."""
    ours = {change.name: change.value for change in changes if change.name in FIELDS}
    values = {name: _checked(FIELDS[name], value) for name, value in ours.items()}
    for name, value in values.items():
        if configured and not FIELDS[name].metadata["live"] and value != getattr(settings, name):
            raise ConfigurationError(
                f"parameter {name} changes only while unconfigured: clean the node up first"
            )
    result = dataclasses.replace(settings, **values)
    _check_together(result)
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


def _checked(item: Field[Any], value: Any) -> Any:
    """Return a value in the type of its field: an integer is a fine double, a name a fine choice."""
    default = item.default
    try:
        if isinstance(default, Enum):
            return type(default)(value)
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        bounds = item.metadata["range"]
        if type(value) is type(default) and (bounds is None or bounds[0] <= value <= bounds[1]):
            return value
    except ValueError:
        pass
    raise ConfigurationError(f"parameter {item.name} is {value!r}; allowed: {allowed(item)}")


def _check_together(settings: Settings) -> None:
    if settings.exposure_type and settings.exposure_s:
        raise ConfigurationError(
            f"exposure_s is {settings.exposure_s:g} and exposure_type is '{settings.exposure_type}': two sources; "
            "set exposure_s to 0 or exposure_type to ''"
        )
    if settings.exposure_type:
        settings.exposure_layout()


_KINDS = {bool: "true or false", int: "whole number", float: "number", str: "text"}


def allowed(item: Field[Any]) -> str:
    """Say what a parameter may be."""
    if isinstance(item.default, Enum):
        return ", ".join(choice.value for choice in type(item.default))
    bounds = item.metadata["range"]
    kind = _KINDS[type(item.default)]
    return f"{kind}, {bounds[0]:g} to {bounds[1]:g}" if bounds else kind


def plain(value: Any) -> Any:
    """Return a setting as the value of a ROS parameter."""
    return value.value if isinstance(value, Enum) else value


def _descriptor(item: Field[Any]) -> ParameterDescriptor:
    # Dynamic typing lets `1` stand for a double; _checked keeps the type otherwise.
    descriptor = ParameterDescriptor(description=item.metadata["meaning"], dynamic_typing=True)
    bounds = item.metadata["range"]
    if isinstance(item.default, Enum):
        descriptor.additional_constraints = f"one of: {allowed(item)}"
    elif isinstance(item.default, float) and bounds:
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(bounds[0]), to_value=float(bounds[1]))
        ]
    elif bounds:
        descriptor.integer_range = [IntegerRange(from_value=bounds[0], to_value=bounds[1])]
    return descriptor
