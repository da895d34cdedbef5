"""Numbers on the command line that must be positive: what argparse is told to read them by."""

from __future__ import annotations

import argparse
import math


def positive_int(text: str) -> int:
    """A whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}: give at least 1")
    return value


def positive(text: str) -> float:
    """A number above zero, infinity included."""
    value = float(text)
    if math.isnan(value) or value <= 0:
        raise argparse.ArgumentTypeError(f"{value:g}: give more than 0")
    return value
