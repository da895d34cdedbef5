"""Stamps that are off: the time between two frames is wrong then, and with it the whole way between them."""

import math
from dataclasses import replace

import numpy as np

from .registration import Registration

# In the unit of the information: what two frames say nothing of is not divided by nothing.
_LEAST = 1e-3


def with_unsure_stamps(found: Registration, sigma_s: float) -> Registration:
    """What two frames say where the stamp of each is off by `sigma_s`, standard deviation: their mean twist may be too long or
    too short, by as much for all of its axes, so the information loses what it says of that length (Sherman & Morrison 1950)."""
    if not sigma_s:
        return found
    twist = np.linalg.solve(found.information + _LEAST * np.eye(6), found.weighted)
    error = math.sqrt(2 / found.variance) * sigma_s / abs(found.interval_s) * twist
    told = found.information @ error
    kept = 1 + error @ told
    return replace(
        found,
        information=found.information - np.outer(told, told) / kept,
        weighted=found.weighted - told * (error @ found.weighted) / kept,
    )
