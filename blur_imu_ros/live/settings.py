"""What a user can set, in one table: name, default, range or choices, meaning, and when it may change; no ROS here."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from dataclasses import Field, dataclass, field
from enum import Enum
from typing import Any

import yaml

from ..direction import DirectionOptions
from ..errors import ConfigurationError
from ..exposure_field import ExposureField, ExposureUnit, exposure_field
from ..network import MOST_THREADS, Provider
from ..options import EstimatorOptions, UndecidedSign
from ..solve.prior import PerAxis
from ..timing import StampReference
from ..velocity import SolverOptions


class ImageTransport(Enum):
    """Message type on the image topic."""

    RAW = "raw"
    COMPRESSED = "compressed"


def _fixed(meaning: str, low: float = 0, high: float = 0, *, live: bool = False) -> dict[str, Any]:
    """Describe a parameter that changes only while the node is unconfigured, with its range where it has one."""
    return {"meaning": meaning, "range": (low, high) if high > low else None, "live": live, "per_axis": False}


def _live(meaning: str, low: float = 0, high: float = 0) -> dict[str, Any]:
    """Describe a parameter that may change at any time."""
    return _fixed(meaning, low, high, live=True)


def _prior(meaning: str) -> dict[str, Any]:
    """Describe a standard deviation that is one number for all axes, or three of them."""
    return {**_live(meaning, 0.01, math.inf), "per_axis": True}


@dataclass(frozen=True)
class Settings:
    """The parameters with their defaults, in SI units."""

    autostart: bool = field(
        default=True, metadata=_fixed("Configure and activate without a lifecycle manager.")
    )
    model: str = field(
        default="auto",
        metadata=_fixed(
            "Network: auto, small, large, a name in models/manifest.yaml, or the path of an ONNX file."
        ),
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

    exposure_s: float = field(default=0.0, metadata=_live("Exposure time in seconds; 0: unknown.", 0, 10))
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
            "For DiagnosticArray: name or hardware_id of this camera's status, if several state an exposure."
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
        default=SolverOptions.exposure_relative_sigma,
        metadata=_live("Relative standard deviation of the exposure time.", 0, 1),
    )

    stamp_reference: StampReference = field(
        default=StampReference.FIRST_ROW_START, metadata=_live("The moment the driver stamps an image with.")
    )
    readout_s: float = field(
        default=0.0, metadata=_live("Time from the first to the last row of a rolling shutter.", 0, 1)
    )
    stamp_sigma_s: float = field(
        default=DirectionOptions.stamp_sigma_s,
        metadata=_live("Standard deviation of a stamp's error, as of a camera stamped on arrival.", 0, 0.1),
    )
    time_jump_s: float = field(
        default=1.0,
        metadata=_live("If stamps jump by more than this, earlier frames are forgotten.", 0.01, 3600),
    )
    stale_after_s: float = field(
        default=0.2, metadata=_live("A frame that waited longer since its arrival is dropped.", 0.001, 60)
    )
    dropout_s: float = field(
        default=0.5, metadata=_live("Warn when no image came, or none was answered, for so long.", 0.05, 60)
    )

    prior_angular_rad_s: PerAxis = field(
        default=SolverOptions.prior_angular_rad_s,
        metadata=_prior("Sigma of the prior on angular velocity; .inf: no prior."),
    )
    prior_linear_m_s: PerAxis = field(
        default=SolverOptions.prior_linear_m_s,
        metadata=_prior("Sigma of the prior on linear velocity, less in sharp images; .inf: no prior."),
    )
    lever_arm_m: tuple[float, float, float] = field(
        default=SolverOptions.lever_arm_m,
        metadata=_live(
            "Where the camera is, seen from the point that it turns about: x, y, z in its optical frame, m.",
            -100,
            100,
        ),
    )
    min_blur_px: float = field(
        default=-1.0,
        metadata=_live(
            "Less blur than this (px of the network's input) is not asked for the sign; negative: the model's own.",
            -1,
            50,
        ),
    )
    max_condition: float = field(
        default=math.inf, metadata=_live("Estimates of a larger condition number are dropped.", 1, math.inf)
    )
    undecided_sign: UndecidedSign = field(
        default=EstimatorOptions.undecided_sign,
        metadata=_live("Undecided sign: inflate the covariance, or drop."),
    )
    min_sign_probability: float = field(
        default=EstimatorOptions.min_sign_probability,
        metadata=_live("Signs less probable than this are dropped by `drop`.", 0.5, 1),
    )
    between_frames: bool = field(
        default=EstimatorOptions.between_frames,
        metadata=_live(
            "Measure the way between frames too; false: one image alone, its neighbour for the sign."
        ),
    )
    use_next_frame: bool = field(
        default=False, metadata=_fixed("Estimate every frame with the next one too: surer, one frame later.")
    )
    min_variance: float = field(
        default=EstimatorOptions.min_variance,
        metadata=_live("Smallest eigenvalue of the covariance.", 1e-12, 0.1),
    )
    max_variance: float = field(
        default=EstimatorOptions.max_variance,
        metadata=_live("Largest eigenvalue of the covariance.", 1, 1e9),
    )
    debug_rate_hz: float = field(default=5.0, metadata=_live("Largest rate of the debug image.", 0.1, 100))

    def estimator_options(self) -> EstimatorOptions:
        """The part of the settings that the estimator works by."""
        solver = SolverOptions(
            prior_angular_rad_s=self.prior_angular_rad_s,
            prior_linear_m_s=self.prior_linear_m_s,
            lever_arm_m=self.lever_arm_m,
            exposure_relative_sigma=self.exposure_relative_sigma,
        )
        return EstimatorOptions(
            solver=solver,
            direction=DirectionOptions(stamp_sigma_s=self.stamp_sigma_s),
            undecided_sign=self.undecided_sign,
            min_sign_probability=self.min_sign_probability,
            min_blur_px=self.min_blur_px if self.min_blur_px >= 0 else None,
            between_frames=self.between_frames,
            use_next_frame=self.use_next_frame,
            min_variance=self.min_variance,
            max_variance=self.max_variance,
        )

    def exposure_layout(self) -> ExposureField:
        """Where the messages on the exposure topic state the exposure. Raises ConfigurationError."""
        return exposure_field(
            self.exposure_type,
            self.exposure_field,
            self.exposure_key,
            self.exposure_unit,
            self.exposure_source,
        )


FIELDS = {item.name: item for item in dataclasses.fields(Settings)}


def checked(item: Field[Any], value: Any) -> Any:
    """Return a value in the type of its field: an integer is a fine double, a name a fine choice."""
    default, bounds = item.default, item.metadata["range"]
    try:
        if isinstance(default, Enum):
            return type(default)(value)
        if item.metadata["per_axis"] and hasattr(value, "__len__"):
            default = (default,) * 3
        if isinstance(default, tuple):
            return tuple(_fitting(part, usual, bounds) for part, usual in zip(value, default, strict=True))
        return _fitting(value, default, bounds)
    except (TypeError, ValueError):
        # What ROS makes of a list that mixes whole numbers with others.
        mixed = isinstance(value, str) and value.startswith("[")
        hint = " (in a list write 1.0, not 1, beside 0.5)" if mixed else ""
        raise ConfigurationError(
            f"parameter {item.name} is {value!r}; allowed: {allowed(item)}{hint}"
        ) from None


def from_text(item: Field[Any], text: str) -> Any:
    """Return what is written on a command line in the type of its field. Raises ConfigurationError."""
    value = text if isinstance(plain(item.default), str) else yaml.safe_load(text)
    # To YAML 8e-3 is text.
    with contextlib.suppress(ValueError):
        value = float(value) if isinstance(item.default, float) and isinstance(value, str) else value
    return checked(item, value)


def _fitting(value: Any, default: Any, bounds: tuple[float, float] | None) -> Any:
    """Return a single value in the type of its default. Raises ValueError where it has another, or is out of bounds."""
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is type(default) and (bounds is None or bounds[0] <= value <= bounds[1]):
        return value
    raise ValueError


def check_together(settings: Settings) -> None:
    """Raise ConfigurationError for settings that contradict each other."""
    if settings.exposure_type and settings.exposure_s:
        raise ConfigurationError(
            f"exposure_s is {settings.exposure_s:g} and exposure_type is '{settings.exposure_type}': two sources; "
            "set exposure_s to 0 or exposure_type to ''"
        )
    if settings.exposure_type:
        settings.exposure_layout()


_KINDS = {bool: "true or false", int: "whole number", float: "number", str: "text", tuple: "three numbers"}


def allowed(item: Field[Any]) -> str:
    """Say what a parameter may be."""
    if isinstance(item.default, Enum):
        return ", ".join(choice.value for choice in type(item.default))
    bounds = item.metadata["range"]
    kind = _KINDS[type(item.default)] + (" or three" if item.metadata["per_axis"] else "")
    return f"{kind}, {bounds[0]:g} to {bounds[1]:g}" if bounds else kind


def plain(value: Any) -> Any:
    """Return a setting as the value of a ROS parameter."""
    if isinstance(value, tuple):
        return list(value)
    return value.value if isinstance(value, Enum) else value
