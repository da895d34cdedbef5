"""What lies on desks and tables: screens, keyboards, papers, books, cups, cables and small catalogue models."""

from __future__ import annotations

from functools import partial

import numpy as np

from training.room.catalogue import Catalogue, choose
from training.room.furniture import Furnisher
from training.room.objects import Maker, Vector, Workshop

OVERLAP = 0.77  # objects may come nearer than the circles around them


class Desktop:
    """A flat top at `place` (centre), of width and depth in metres, that fills up without collisions."""

    def __init__(
        self,
        workshop: Workshop,
        furnisher: Furnisher,
        rng: np.random.Generator,
        place: Vector,
        yaw: float,
        size: tuple[float, float],
    ):
        self._workshop, self._furnisher, self._rng = workshop, furnisher, rng
        self._place, self._yaw = place, yaw
        self._width, self._depth = size
        self._held: list[tuple[float, float, float]] = []

    def _put(self, make: Maker, half: float, u: float, v: float, turn: float) -> bool:
        """Make a thing of radius `half` at (u, v) from the centre if it fits there."""
        inside = abs(u) + 0.8 * half < self._width / 2 and abs(v) + 0.8 * half < self._depth / 2
        if not inside or any(np.hypot(u - a, v - b) < OVERLAP * (half + r) for a, b, r in self._held):
            return False
        self._held.append((u, v, half))
        c, s = float(np.cos(self._yaw)), float(np.sin(self._yaw))
        x, y, z = self._place
        make((x + c * u - s * v, y + s * u + c * v, z + 0.001), self._yaw + turn)
        return True

    def screens(self) -> None:
        """One to three screens along the back, most with a keyboard in front."""
        rng = self._rng
        u = float(rng.uniform(-self._width / 2 + 0.2, self._width / 2 - 0.2))
        for _ in range(int(rng.integers(1, 3 if self._width < 1.5 else 4))):
            screen = partial(self._workshop.screen, width=float(rng.uniform(0.38, 0.62)))
            stands = self._put(screen, 0.24, u, self._depth / 2 - 0.22, float(rng.normal(0, 0.2)))
            if stands and rng.random() < 0.7:
                beside, turn = rng.normal(0, (0.05, 0.1)).tolist()
                self._put(self._workshop.keyboard, 0.19, u + beside, 0.2 - self._depth / 2, turn)
            u += 0.6 if u < 0 else -0.6

    def clutter(self, catalogue: Catalogue, share_of_models: float) -> None:
        """Small things all over, the catalogue's with the given share."""
        rng = self._rng
        makers = self._workshop.small_makers()
        weights = np.array([weight for _, _, weight in makers])
        for _ in range(int(rng.integers(6, 16 + int(30 * self._width * self._depth)))):
            u, v = rng.uniform(
                (-self._width / 2, -self._depth / 2), (self._width / 2, self._depth / 2)
            ).tolist()
            turn = float(rng.normal(0, 0.5) if rng.random() < 0.7 else rng.uniform(-np.pi, np.pi))
            model = choose(rng, catalogue.small) if rng.random() < share_of_models else None
            if model:
                self._put(
                    partial(self._furnisher.stand, model),
                    0.5 * max(model.size[0], model.size[2]),
                    u,
                    v,
                    turn,
                )
            else:
                make, half, _ = makers[int(rng.choice(len(makers), p=weights / weights.sum()))]
                self._put(make, half, u, v, turn)
