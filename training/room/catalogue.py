"""What the catalogue's models are good for in a room: to sit on, to work at, to lie about, to hang, to stand around."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from training.asset_pack.pack import Furniture

_HANGING = re.compile(r"hanging|pendant|chandelier|ceiling|smoke", re.I)
_ON_WALL = re.compile(
    r"wall|radiator|clock|upper|switch|socket|white board|conditioning|hood|plug|calendar|mirror|cctv|towel",
    re.I,
)
_SEAT = re.compile(r"chair|stool", re.I)
_TABLE = re.compile(r"table|desk|cabinet|drawers|workbench|sideboard|commode|dresser|tv unit", re.I)
PEOPLE_SHARE = 0.1


class Catalogue:
    """The furniture of one split by use; a model may serve several."""

    def __init__(self, furniture: Sequence[Furniture]):
        standing = [
            m
            for m in furniture
            if m.category != "Doors and windows"
            and not _ON_WALL.search(m.name)
            and not _HANGING.search(m.name)
        ]
        self.seats = [m for m in standing if _SEAT.search(m.name) and max(m.size) < 1.3]
        self.tables = [
            m for m in standing if _TABLE.search(m.name) and 0.4 < m.size[1] < 1.1 and max(m.size) > 0.8
        ]
        self.small = [m for m in standing if max(m.size) < 0.45 and min(m.size) > 0.01]
        self.floor = [m for m in standing if 0.45 < max(m.size) < 2.6]
        self.hung = [
            m for m in furniture if _ON_WALL.search(m.name) and m.size[2] < 0.35 and max(m.size) < 1.5
        ]

    def table(self, rng: np.random.Generator) -> Furniture | None:
        """A table that things can be put on, or None when a few tries found none."""
        tries = [choose(rng, self.tables) for _ in range(4)]
        return next((m for m in tries if m is not None and flat_top(m)), None)

    def floor_item(self, rng: np.random.Generator, height: float) -> Furniture | None:
        """Something to stand on the floor of a room of this height; people are rare."""
        model = choose(rng, self.floor)
        if model is None or model.size[1] > height - 0.1:
            return None
        return None if model.category == "Characters" and rng.random() > PEOPLE_SHARE else model


def choose(rng: np.random.Generator, models: Sequence[Furniture]) -> Furniture | None:
    """A random model, None from an empty list."""
    return models[int(rng.integers(len(models)))] if models else None


@lru_cache(maxsize=2048)
def flat_top(model: Furniture) -> bool:
    """Whether things can be put on a model: most of its footprint is covered at its full height."""
    corners = model.corners
    top = corners[(corners[:, :, 1] > model.size[1] - 0.03).all(axis=1)]
    area = 0.5 * np.abs(np.cross(top[:, 1] - top[:, 0], top[:, 2] - top[:, 0])[:, 1]).sum()
    return bool(area > 0.5 * model.size[0] * model.size[2])
