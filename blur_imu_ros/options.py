"""What can be chosen of the estimate, beside the network: the solve, the direction, and what is published."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from .direction import DirectionOptions
from .errors import ConfigurationError
from .model.spec import ModelSpec
from .velocity import SolverOptions


class UndecidedSign(Enum):
    """What becomes of an estimate whose sign is not sure."""

    INFLATE = "inflate"  # published, with a covariance that covers the other sign
    DROP = "drop"  # not to be published when less probable than the threshold


@dataclass(frozen=True)
class EstimatorOptions:
    """undecided_sign, min_sign_probability: what to do below that probability; min_blur_px: blur below which only the way between
    frames tells the sign, None for the model's; between_frames: the way to the neighbouring frame adds to what the blur tells,
    instead of telling its sign alone; use_next_frame: every estimate is made again with the next frame, not only the first;
    min_variance, max_variance: bounds of the covariance's eigenvalues, (rad/s)^2 and (m/s)^2."""

    solver: SolverOptions = field(default_factory=SolverOptions)
    direction: DirectionOptions = field(default_factory=DirectionOptions)
    undecided_sign: UndecidedSign = UndecidedSign.INFLATE
    min_sign_probability: float = 0.75
    min_blur_px: float | None = None
    between_frames: bool = True
    use_next_frame: bool = False
    min_variance: float = 1e-6
    max_variance: float = 1e4

    def __post_init__(self) -> None:
        if not 0 < self.min_variance < self.max_variance < np.inf:
            raise ConfigurationError(
                f"min_variance {self.min_variance} and max_variance {self.max_variance} must be finite, positive and in "
                "this order"
            )
        if not 0.5 <= self.min_sign_probability <= 1:
            raise ConfigurationError(f"min_sign_probability is {self.min_sign_probability}: give 0.5 to 1")

    def min_blur_px_of(self, spec: ModelSpec) -> float:
        """Blur below which it says no sign: as chosen, else the model's."""
        return spec.min_blur_px if self.min_blur_px is None else self.min_blur_px
