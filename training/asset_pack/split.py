"""Which of the three disjoint splits a texture, a piece of furniture or a room belongs to."""

from __future__ import annotations

import hashlib
from enum import Enum


class Split(Enum):
    TRAIN = "train"
    VALIDATION = "val"
    TEST = "test"


def split_of(name: str) -> Split:
    """Deterministic by name: 80 % train, 10 % validation, 10 % test."""
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % 10
    return Split.VALIDATION if share == 0 else Split.TEST if share == 1 else Split.TRAIN
