"""Things made to stand in rooms: desks, screens, keyboards, books, mugs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.room.materials import Palette
from training.room.scene import SceneBuilder
from training.room.shapes import Shape, box, cylinder, placed, quad, tube, turned

Vector = tuple[float, float, float]
"""Metres: where something stands, or how large it is."""
Maker = Callable[[Vector, float], None]


class Workshop:
    """Adds objects to a scene, each with its foot at `place`, its front facing -y turned by `yaw` about z."""

    def __init__(self, builder: SceneBuilder, palette: Palette, rng: np.random.Generator):
        self.builder, self.palette, self.rng = builder, palette, rng

    def _add(
        self,
        shape: Shape,
        material: int,
        place: Vector,
        yaw: float,
        local: Vector = (0, 0, 0),
        turn: float = 0.0,
        *,
        smooth: bool = False,
    ) -> None:
        self.builder.add(*placed(placed(shape, local, turn), place, yaw), material, smooth=smooth)

    def desk(self, size: Vector, place: Vector, yaw: float) -> None:
        """A desk or table of (width, depth, height): slab on legs or panels, sometimes with a drawer unit."""
        width, depth, height = size
        top = self.palette.of("wood", 0.08, 0.6, specular=float(self.rng.uniform(0, 0.5)))
        leg = self.palette.plain(0.03, 0.6, 0.2)
        self._add(box((width, depth, 0.03), 0.9), top, place, yaw, (0, 0, height - 0.03))
        x, y, foot = width / 2 - 0.04, depth / 2 - 0.04, height - 0.03
        if self.rng.random() < 0.6:
            for sx, sy in ((x, y), (-x, y), (x, -y), (-x, -y)):
                self._add(box((0.05, 0.05, foot)), leg, place, yaw, (sx, sy, 0))
        else:
            for sx in (x, -x):
                self._add(box((0.03, depth - 0.06, foot), 0.8), top, place, yaw, (sx, 0, 0))
            self._add(box((width - 0.1, 0.02, 0.4), 0.8), top, place, yaw, (0, y, height - 0.45))
        if width > 1.1 and self.rng.random() < 0.5:
            side = float(self.rng.choice([-1, 1])) * (x - 0.27)
            for k in range(3):
                self._add(box((0.42, 0.5, 0.18), 0.7), top, place, yaw, (side, 0, 0.05 + 0.19 * k))
                self._add(box((0.12, 0.02, 0.015)), leg, place, yaw, (side, -0.26, 0.14 + 0.19 * k))

    def screen(self, place: Vector, yaw: float, width: float) -> None:
        """A flat computer screen on its stand."""
        height, body = (
            width * float(self.rng.choice([0.5625, 0.625, 0.75])),
            self.palette.plain(0.01, 0.5, 0.05),
        )
        lift, deep = float(self.rng.uniform(0.06, 0.16)), float(self.rng.uniform(0.03, 0.06))
        self._add(cylinder(0.11, 0.012), body, place, yaw, smooth=True)
        self._add(box((0.05, 0.03, lift + height / 2)), body, place, yaw, (0, 0.03, 0))
        self._add(box((width, deep, height)), body, place, yaw, (0, 0, lift))
        x, z0, z1, y, rim = width / 2, lift, lift + height, -deep / 2 - 0.002, 0.015
        lit = ((rim - x, z0 + rim), (x - rim, z0 + rim), (x - rim, z1 - rim), (rim - x, z1 - rim))
        self._add(quad([(u, y, z) for u, z in lit]), self.palette.screen(), place, yaw)

    def keyboard(self, place: Vector, yaw: float) -> None:
        body, keys = self.palette.plain(0.01, 0.5, 0.05), self.palette.plain(0.01, 0.8, 0.05)
        self._add(box((0.44, 0.15, 0.015)), body, place, yaw)
        for row in range(5):
            for column in range(18):
                if row == 4 and 4 < column < 10:
                    continue
                self._add(
                    box((0.019, 0.02, 0.009)),
                    keys,
                    place,
                    yaw,
                    (-0.205 + 0.024 * column, 0.052 - 0.026 * row, 0.015),
                )
        if self.rng.random() < 0.8:
            mouse = turned(np.array([[0.033, 0], [0.034, 0.012], [0.02, 0.03], [0.004, 0.034]]), 14)
            self._add(mouse, body, place, yaw, (float(self.rng.uniform(0.28, 0.36)), 0, 0), smooth=True)

    def book(self, place: Vector, yaw: float, size: Vector) -> None:
        """A lying book of (width, depth, thickness)."""
        cover = self.palette.picture() if self.rng.random() < 0.5 else self.palette.plain(0.03, 0.6, 0.9)
        self._add(
            box((size[0] - 0.008, size[1] - 0.008, size[2])), self.palette.plain(0.6, 0.8, 0.1), place, yaw
        )
        self._add(box((size[0], size[1], 0.002)), cover, place, yaw, (0, 0, size[2]))

    def book_pile(self, place: Vector, yaw: float) -> None:
        z = place[2]
        for _ in range(int(self.rng.integers(1, 7))):
            size = (
                float(self.rng.uniform(0.13, 0.22)),
                float(self.rng.uniform(0.19, 0.3)),
                float(self.rng.uniform(0.008, 0.045)),
            )
            self.book((place[0], place[1], z), yaw + float(self.rng.normal(0, 0.15)), size)
            z += size[2] + 0.002

    def book_row(self, place: Vector, yaw: float, width: float, height: float) -> None:
        """Books standing side by side, spines to the front."""
        x = -width / 2
        while x < width / 2 - 0.05:
            thick, tall = float(self.rng.uniform(0.012, 0.055)), height * float(self.rng.uniform(0.6, 0.95))
            deep = float(self.rng.uniform(0.14, 0.2))
            self._add(
                box((thick, deep, tall)),
                self._spine(),
                place,
                yaw,
                (x + thick / 2, float(self.rng.normal(0, 0.01)), 0),
            )
            x += thick + 0.001 + (0.08 if self.rng.random() < 0.05 else 0.0)

    def _spine(self) -> int:
        choice = self.rng.random()
        if choice < 0.25:
            return self.palette.picture()
        return self.palette.of("box", 0.1, 0.5) if choice < 0.4 else self.palette.plain(0.02, 0.6, 0.95)

    def shelf(self, size: Vector, place: Vector, yaw: float) -> None:
        """An open bookcase of (width, depth, height), filled."""
        width, depth, height = size
        wood = self.palette.of("wood", 0.08, 0.6)
        for x in (-width / 2, width / 2):
            self._add(box((0.02, depth, height), 0.8), wood, place, yaw, (x, 0, 0))
        self._add(box((width, 0.01, height), 0.8), wood, place, yaw, (0, depth / 2, 0))
        levels = max(2, round(height / 0.36))
        for k in range(levels + 1):
            z = k * (height - 0.02) / levels
            self._add(box((width, depth, 0.02), 0.8), wood, place, yaw, (0, 0, z))
            if k < levels and self.rng.random() < 0.85:
                c, s = np.cos(yaw), np.sin(yaw)
                y = -depth / 2 + 0.12
                at = (place[0] - s * y, place[1] + c * y, place[2] + z + 0.02)
                self.book_row(
                    at, yaw, (width - 0.06) * float(self.rng.uniform(0.5, 1)), (height / levels) * 0.85
                )

    def carton(self, place: Vector, yaw: float) -> None:
        size = tuple(np.exp(self.rng.uniform(np.log(0.06), np.log(0.35), 3)).tolist())
        self._add(
            box((size[0], size[1], size[2])),
            self.palette.picture("box") if self.rng.random() < 0.6 else self.palette.picture(),
            place,
            yaw,
        )

    def mug(self, place: Vector, yaw: float) -> None:
        radius, height = float(self.rng.uniform(0.03, 0.045)), float(self.rng.uniform(0.08, 0.18))
        outside = self.palette.picture() if self.rng.random() < 0.4 else self.palette.plain(0.05, 0.8, 0.9)
        profile = np.array(
            [
                [radius * 0.9, 0],
                [radius, height * 0.1],
                [radius, height],
                [radius * 0.9, height],
                [radius * 0.85, 0.02],
            ]
        )
        self._add(turned(profile, capped=False), outside, place, yaw, smooth=True)
        angle = np.linspace(-1.5, 1.5, 10)
        ring = np.stack(
            (radius + 0.025 * np.cos(angle) - 0.003, 0 * angle, height * (0.5 + 0.28 * np.sin(angle))), axis=1
        )
        self._add(tube(ring, 0.005), outside, place, yaw, smooth=True)

    def cable(self, place: Vector, yaw: float) -> None:
        points = np.cumsum(self.rng.normal(0, 0.06, (9, 3)) * (1, 1, 0), axis=0)
        fine = np.linspace(0, 8, 50)
        path = np.stack([np.interp(fine, np.arange(9), points[:, k]) for k in range(3)], axis=1)
        for _ in range(3):
            path[1:-1] = (path[:-2] + 2 * path[1:-1] + path[2:]) / 4
        self._add(
            tube(path + np.array([0, 0, 0.004]), float(self.rng.uniform(0.002, 0.005)), 5),
            self.palette.plain(0.01, 0.7, 0.6),
            place,
            yaw,
            smooth=True,
        )

    def papers(self, place: Vector, yaw: float) -> None:
        for k in range(int(self.rng.integers(1, 4))):
            turn = yaw + float(self.rng.normal(0, 0.4))
            self._add(
                box((0.21, 0.297, 0.001)),
                self.palette.page(),
                place,
                turn,
                (*self.rng.normal(0, 0.04, 2).tolist(), 0.002 * k),
            )

    def bottle(self, place: Vector, yaw: float) -> None:
        radius, height = float(self.rng.uniform(0.028, 0.045)), float(self.rng.uniform(0.18, 0.33))
        profile = np.array(
            [[radius, 0], [radius, 0.6 * height], [0.4 * radius, 0.8 * height], [0.4 * radius, height]]
        )
        label = self.palette.picture("box") if self.rng.random() < 0.5 else self.palette.plain(0.02, 0.7, 0.9)
        self._add(turned(profile), label, place, yaw, smooth=True)

    def small_makers(self) -> list[tuple[Maker, float, float]]:
        """(maker, half size of its footprint in metres, weight) of what lies on desks."""
        return [(self.book_pile, 0.14, 3.0), (self.carton, 0.16, 2.0), (self.mug, 0.05, 2.0), (self.cable, 0.05, 2.0),
                (self.papers, 0.1, 3.0), (self.bottle, 0.045, 1.0)]  # fmt: skip
