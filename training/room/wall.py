"""The walls of a room, and what hangs on each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Wall:
    """One inner wall: points are origin + s * along + z * up; `taken` lists what hangs on it as (s0, s1, z0, z1)."""

    origin: np.ndarray
    along: np.ndarray
    inward: np.ndarray
    length: float
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)
    openings: list[tuple[float, float, float, float]] = field(default_factory=list)

    def point(self, s: float, z: float, out: float = 0.0) -> np.ndarray:
        """The point at s along, z up and `out` metres into the room."""
        return self.origin + s * self.along + out * self.inward + np.array([0, 0, z])

    @property
    def yaw(self) -> float:
        """Turn of an object whose front (-y) shall face into the room."""
        return float(np.arctan2(self.inward[0], -self.inward[1]))

    def take(self, s0: float, s1: float, z0: float, z1: float) -> bool:
        """Take the rectangle for something that hangs there; False where it is not free, or not on the wall."""
        inside = s0 > 0.05 and s1 < self.length - 0.05
        clear = all(s1 < a or s0 > b or z1 < c or z0 > d for a, b, c, d in self.taken)
        if inside and clear:
            self.taken.append((s0, s1, z0, z1))
        return inside and clear


def four_walls(width: float, depth: float) -> list[Wall]:
    """Walls of the room [0,width] x [0,depth], counter-clockwise."""
    corners = np.array([[0, 0, 0], [width, 0, 0], [width, depth, 0], [0, depth, 0]], float)
    walls = []
    for k in range(4):
        step = corners[(k + 1) % 4] - corners[k]
        length = float(np.linalg.norm(step))
        along = step / length
        walls.append(Wall(corners[k], along, np.array([-along[1], along[0], 0.0]), length))
    return walls
