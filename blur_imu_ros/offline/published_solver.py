"""The velocity solve of the published code, for comparison: plain least squares on signed flow.

Source: Chen & Clark, arXiv 2503.17358, section 3.2 and its code: a border of 20 px left out, every tenth point of the
full-resolution field, no weights, no prior, the residual not used, hence no covariance.
"""

from __future__ import annotations

import numpy as np

from ..errors import ConfigurationError
from ..motion_field import Array, interaction_matrix
from ..network import FlowRepresentation

BORDER_PX = 20
EVERY = 10


def solve_published(
    flow: Array, inverse_depth: Array, representation: FlowRepresentation, x: Array, y: Array, focal_px: float
) -> Array:
    """Motion (rotation, translation) [6] in rad and m over the exposure, signed as the flow is.

    flow [2, h, w] px; inverse_depth [h, w] 1/m; x, y [h * w] px from the principal point, on a regular grid.
    Raises ConfigurationError for double-angle flow, which this solve cannot use.
    """
    if representation is not FlowRepresentation.SIGNED:
        raise ConfigurationError(
            "the published solve needs signed flow and this model gives double-angle flow; use --solver default, or a "
            "model made by `blur_imu convert`"
        )
    rows, columns = inverse_depth.shape
    stride = float(x[1] - x[0])
    border = round(BORDER_PX / stride)
    inner = (
        np.arange(rows * columns)
        .reshape(rows, columns)[border : rows - border, border : columns - border]
        .ravel()
    )
    # Every tenth pixel of the full field; on a coarser grid that is every tenth part of the stride squared, at least 1.
    chosen = inner[:: max(1, round(EVERY / stride**2))]
    matrix = interaction_matrix(
        x[chosen], y[chosen], focal_px, inverse_depth.ravel()[chosen].astype(np.float64)
    )
    measured = flow.reshape(2, -1)[:, chosen].T.astype(np.float64)
    motion, *_ = np.linalg.lstsq(matrix.reshape(-1, 6), measured.ravel(), rcond=None)
    return np.asarray(motion, dtype=np.float64)
