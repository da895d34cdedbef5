"""What a network says of itself: the metadata of the model contract, with defaults for what is missing."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError

FLOW_UNIT = "canonical_pixels_per_exposure"
# Used where a network brings no figures of its own (a converted checkpoint): wide rather than overconfident.
DEFAULT_INDEPENDENT_FRACTION = 1 / 1000
DEFAULT_COVARIANCE_SCALE = (1.0,) * 6
DEFAULT_DEPTH_SCALE_SIGMA = 0.3
DEFAULT_MIN_BLUR_PX = 1.0
# Where an image says nothing.
UNKNOWN_FLOW_SIGMA_PX = 400.0
DEFAULT_FLOW_SIGMA_PX = 1.0
DEFAULT_RELATIVE_DEPTH_SIGMA = 0.3


class FlowRepresentation(enum.Enum):
    """What the two flow channels hold."""

    SIGNED = "signed"  # (u, v)
    DOUBLE_ANGLE = "double_angle"  # |f| (cos 2t, sin 2t), the same for f and -f


@dataclass(frozen=True)
class ModelSpec:
    """A network of the model contract: its input, its grid, what its outputs mean, how its errors are calibrated.

    `width`, `height`, `focal_px` and flow are in pixels of the canonical view; `covariance_scale` is for (w, v) in the order of
    the maths; `notes` names the defaults that stand in for what the file lacks; `error_correlation_px` is how far apart points
    share their errors, 0: not at all.
    """

    name: str
    path: Path
    sha256: str
    width: int
    height: int
    stride: int
    focal_px: float
    representation: FlowRepresentation
    independent_fraction: float
    covariance_scale: tuple[float, ...]
    depth_scale_sigma: float
    min_blur_px: float
    training_run: str
    licence: str
    has_depth_sigma: bool
    notes: tuple[str, ...]
    error_correlation_px: float = 0.0


class Metadata:
    """Typed reading of an ONNX file's `metadata_props`; remembers which defaults it had to give."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries = entries
        self.notes: list[str] = []

    def text(self, key: str, default: str) -> str:
        """The entry, or the default without a note: nothing is computed from it."""
        return self._entries.get(key, default)

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        """One number in [low, high]; without a default the entry is required."""
        return self.numbers(key, 1, low, high, None if default is None else (default,))[0]

    def optional(self, key: str, low: float, high: float, absent: float) -> float:
        """One number in [low, high], or what its absence means by itself, without a note."""
        return self.number(key, low, high) if key in self._entries else absent

    def numbers(
        self, key: str, count: int, low: float, high: float, default: tuple[float, ...] | None = None
    ) -> tuple[float, ...]:
        """`count` numbers in [low, high], separated by commas or spaces, brackets allowed."""
        if key not in self._entries:
            if default is None:
                raise ModelError(f"metadata entry '{key}' is missing; {_REPAIR}")
            shown = ", ".join(f"{value:g}" for value in default)
            self.notes.append(f"no {key} in the metadata: {shown} assumed")
            return default
        text = self._entries[key]
        try:
            values = tuple(float(part) for part in text.strip().strip("[]()").replace(",", " ").split())
        except ValueError:
            values = ()
        if len(values) != count or not all(low <= value <= high for value in values):
            wanted = "a number" if count == 1 else f"{count} numbers"
            raise ModelError(
                f"metadata entry '{key}' is '{text[:60]}', not {wanted} from {low:g} to {high:g}; {_REPAIR}"
            )
        return values

    def representation(self) -> FlowRepresentation:
        """What the flow channels hold: nothing could be solved without knowing that."""
        unit = self._entries.get("flow_unit", FLOW_UNIT)
        if unit != FLOW_UNIT:
            raise ModelError(
                f"metadata entry 'flow_unit' is '{unit[:60]}'; only '{FLOW_UNIT}' is known; {_REPAIR}"
            )
        if "flow_unit" not in self._entries:
            self.notes.append(f"no flow_unit in the metadata: {FLOW_UNIT} assumed")
        value = self._entries.get("flow_representation")
        try:
            return FlowRepresentation(value)
        except ValueError:
            known = " or ".join(f"'{kind.value}'" for kind in FlowRepresentation)
            found = "missing" if value is None else f"'{value[:60]}'"
            raise ModelError(
                f"metadata entry 'flow_representation' is {found}, not {known}; {_REPAIR}"
            ) from None


STRIDES = (1, 2, 4, 8, 16)
REMEDY = "export the network by the model contract (docs/models.md)"
_REPAIR = "write it into the model's metadata_props and export again (docs/models.md)"


def make_spec(
    path: Path,
    sha256: str,
    size: tuple[int, int],
    grid: tuple[int, int],
    outputs: set[str],
    entries: Mapping[str, str],
    notes: list[str],
) -> ModelSpec:
    """Spec of a network with input `size` and output `grid`, both (width, height); ModelError names a wrong entry."""
    metadata = Metadata(entries)
    width, height = size
    stride = width // grid[0]
    if stride not in STRIDES or (grid[0] * stride, grid[1] * stride) != size:
        raise ModelError(
            f"output grid {grid[0]}x{grid[1]} is not the input {width}x{height} divided by a stride of "
            f"1, 2, 4, 8 or 16; {REMEDY}"
        )
    stated = metadata.number("stride", 1, STRIDES[-1], float(stride))
    if stated != stride:
        raise ModelError(
            f"metadata entry 'stride' is {stated:g} but the outputs have stride {stride}; {_REPAIR}"
        )
    representation = metadata.representation()
    focal_px = metadata.number("focal_px", 0.1 * width, 20.0 * width)
    if "flow_log_sigma" not in outputs:
        metadata.notes.append(f"no output flow_log_sigma: {DEFAULT_FLOW_SIGMA_PX:g} px assumed")
    if "inverse_depth_log_sigma" not in outputs:
        relative = 100 * DEFAULT_RELATIVE_DEPTH_SIGMA
        metadata.notes.append(
            f"no output inverse_depth_log_sigma: {relative:g} % of the inverse depth assumed"
        )
    return ModelSpec(
        name=path.stem,
        path=path,
        sha256=sha256,
        width=width,
        height=height,
        stride=stride,
        focal_px=focal_px,
        representation=representation,
        independent_fraction=metadata.number("independent_fraction", 1e-7, 1.0, DEFAULT_INDEPENDENT_FRACTION),
        covariance_scale=metadata.numbers("covariance_scale", 6, 1e-6, 1e6, DEFAULT_COVARIANCE_SCALE),
        depth_scale_sigma=metadata.number("depth_scale_sigma", 0.0, 10.0, DEFAULT_DEPTH_SCALE_SIGMA),
        min_blur_px=metadata.number("min_blur_px", 0.0, 100.0, DEFAULT_MIN_BLUR_PX),
        error_correlation_px=metadata.optional("error_correlation_px", 0.0, 20.0 * width, 0.0),
        training_run=metadata.text("training_run", "unknown"),
        licence=metadata.text("licence", "unknown"),
        has_depth_sigma="inverse_depth_log_sigma" in outputs,
        notes=(*notes, *metadata.notes),
    )
