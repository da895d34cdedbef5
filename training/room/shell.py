"""The shell of a room: floor, ceiling, walls with windows and doors, and the light of windows and lamps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from training.room.materials import Palette, log_uniform, paint
from training.room.scene import Light, Material, SceneBuilder
from training.room.shapes import Shape, box, cylinder, placed, quad
from training.room.wall import Wall, four_walls


class Shell:
    """Builds the shell of a room and its lights into a scene."""

    def __init__(
        self,
        builder: SceneBuilder,
        palette: Palette,
        rng: np.random.Generator,
        size: tuple[float, float, float],
    ):
        self.builder, self.palette, self.rng, self.size = builder, palette, rng, size
        self.walls = four_walls(size[0], size[1])
        self.day = rng.random() < 0.75

    def build(self) -> None:
        rng = self.rng
        for wall in rng.permutation(4)[: int(rng.integers(0, 3)) + int(rng.random() < 0.7)]:
            self._window(self.walls[int(wall)])
        self._door(self.walls[int(rng.integers(4))])
        self._lamps()
        self._floor_and_ceiling()
        common = self._wall_material(0.25, 0.85, 0.4, "wall")
        for wall in self.walls:
            own = self._wall_material(0.08, 0.7, 0.6, "wall") if rng.random() < 0.2 else common
            self._wall(wall, own)

    def _floor_and_ceiling(self) -> None:
        rng, (width, depth, height) = self.rng, self.size
        shine = {"specular": float(rng.uniform(0, 0.6)), "gloss": float(rng.uniform(5, 60))}
        floor = self.palette.of("floor" if rng.random() < 0.6 else "wood", 0.06, 0.45, fresh=True, **shine)
        corners = [(0, 0, 0), (width, 0, 0), (width, depth, 0), (0, depth, 0)]
        tile = float(rng.uniform(0.6, 2.0))
        self.builder.add(*quad(corners, (width / tile, depth / tile)), floor)
        above = [(x, y, height) for x, y, _ in reversed(corners)]
        self.builder.add(*quad(above, (depth, width)), self._wall_material(0.5, 0.85, 0.25, "ceiling"))

    def _wall_material(self, low: float, high: float, textured: float, kind: str) -> int:
        rng = self.rng
        if rng.random() < textured:
            return self.palette.of(kind, low, high, fresh=True, noise=0.1, noise_per_m=40.0)
        coarse = log_uniform(rng, 2, 120)
        return self.builder.material(
            Material(paint(rng, low, high, 0.3), noise=float(rng.uniform(0.02, 0.2)), noise_per_m=coarse)
        )

    def _wall(self, wall: Wall, material: int) -> None:
        """The wall around its openings, in strips, with a skirting board."""
        height, tile = self.size[2], float(self.rng.uniform(0.8, 2.2))
        cuts = sorted({0.0, wall.length, *(s for o in wall.openings for s in o[:2])})
        for s0, s1 in pairwise(cuts):
            opening = next((o for o in wall.openings if o[0] <= s0 + 1e-6 and o[1] >= s1 - 1e-6), None)
            for z0, z1 in [(0.0, height)] if opening is None else [(0.0, opening[2]), (opening[3], height)]:
                corners, uv = quad([wall.point(s, z) for s, z in ((s1, z0), (s0, z0), (s0, z1), (s1, z1))])
                uv = (uv * [s0 - s1, z1 - z0] + [s1, z0]) / tile
                self.builder.add(corners, uv, material)
        if self.rng.random() < 0.7:
            board = box((wall.length, 0.015, float(self.rng.uniform(0.04, 0.12))))
            self._fix(wall, board, (wall.length / 2, 0, 0.008), self.palette.plain(0.1, 0.8, 0.1))

    def _fix(self, wall: Wall, shape: Shape, at: tuple[float, float, float], material: int) -> None:
        """Put a shape on a wall at (along, up, out)."""
        self.builder.add(*placed(shape, wall.point(*at), wall.yaw), material)

    def _window(self, wall: Wall) -> None:
        rng, height = self.rng, self.size[2]
        half = float(rng.uniform(0.4, min(1.3, wall.length / 2 - 0.3)))
        centre = float(rng.uniform(half + 0.2, wall.length - half - 0.2))
        z0, z1 = float(rng.uniform(0.5, 1.1)), float(min(height - 0.15, rng.uniform(1.9, 2.5)))
        s0, s1 = centre - half, centre + half
        if not wall.take(s0 - 0.05, s1 + 0.05, z0, z1):
            return
        wall.openings.append((s0, s1, z0, z1))
        glow = log_uniform(rng, 1.5, 8) if self.day else log_uniform(rng, 0.01, 0.05)
        outside = self.builder.textured(self.palette.photograph_path(), 0.5, emission=2 * glow)
        far, reach = -float(rng.uniform(3, 12)), float(rng.uniform(6, 14))
        low, high = -0.4 * reach, 0.9 * reach
        spots = ((s1 + reach, low), (s0 - reach, low), (s0 - reach, high), (s1 + reach, high))
        self.builder.add(*quad([wall.point(s, z, far) for s, z in spots]), outside, casts=False)
        self._frame(wall, s0, s1, z0, z1)
        if self.day:
            self._daylight(wall, s0, s1, z0, z1, glow)

    def _frame(self, wall: Wall, s0: float, s1: float, z0: float, z1: float) -> None:
        material, reveal = self.palette.plain(0.3, 0.85, 0.1), self.palette.plain(0.5, 0.8, 0.05)
        middle, width, height = (s0 + s1) / 2, s1 - s0, z1 - z0
        for s in np.linspace(s0, s1, int(self.rng.integers(2, 5))).tolist():
            self._fix(wall, box((0.06, 0.05, height)), (s, z0, -0.1), material)
        for z in (z0, z1 - 0.06, *([(z0 + 2 * z1) / 3] if self.rng.random() < 0.3 else [])):
            self._fix(wall, box((width, 0.05, 0.06)), (middle, z, -0.1), material)
        for s in (s0, s1):
            self._fix(wall, box((0.01, 0.2, height)), (s, z0, -0.1), reveal)
        for z in (z0 - 0.02, z1):
            self._fix(wall, box((width + 0.1, 0.3, 0.02)), (middle, z, -0.05), reveal)

    def _daylight(self, wall: Wall, s0: float, s1: float, z0: float, z1: float, glow: float) -> None:
        """Four small emitters spread over the window, sometimes the sun through it."""
        share = glow * (s1 - s0) * (z1 - z0) / np.pi / 4
        sky = np.array([0.92, 1.0, 1.08])
        for s, z in ((0.25, 0.3), (0.75, 0.3), (0.25, 0.75), (0.75, 0.75)):
            place = wall.point(s0 + s * (s1 - s0), z0 + z * (z1 - z0), 0.02)
            self._light(place, wall.inward + np.array([0, 0, -0.15]), share * sky)
        if self.rng.random() < 0.3:
            side = float(self.rng.uniform(-0.9, 0.9)) * wall.along
            beam = wall.inward + side + np.array([0, 0, -float(self.rng.uniform(0.4, 1.2))])
            beam /= np.linalg.norm(beam)
            middle = wall.point((s0 + s1) / 2, (z0 + z1) / 2, 0.0)
            cone = 2 * np.degrees(np.arctan(0.6 * np.hypot(s1 - s0, z1 - z0) / 12))
            warm = glow * float(self.rng.uniform(1.5, 5)) * np.array([1.0, 0.93, 0.8])
            self.builder.lights.append(
                Light(tuple(middle - 12 * beam), tuple(beam), tuple(warm), float(cone), True)
            )

    def _light(self, place: np.ndarray, direction: np.ndarray, intensity: np.ndarray) -> None:
        direction = direction / np.linalg.norm(direction)
        self.builder.lights.append(Light(tuple(place), tuple(direction), tuple(intensity)))

    def _lamps(self) -> None:
        """Ceiling panels, tubes or globes, lit unless the day does."""
        rng, (width, depth, height) = self.rng, self.size
        lit = not self.builder.lights or rng.random() < 0.6
        colour = np.array([1.0, *rng.uniform((0.75, 0.5), (1.0, 1.0))])
        glow = log_uniform(rng, 5, 25) if lit else 0.0
        shade = self.builder.material(Material(tuple(colour * 0.7), emission=glow))
        columns, rows = (int(rng.integers(1, 3)) for _ in range(2))
        style = int(rng.integers(3))
        size = ((0.6, 0.6), (0.15, 1.2), (0.3, 0.3))[style]
        flux = glow * size[0] * size[1] / np.pi * 0.7 * colour
        for x in (width * (np.arange(columns) + 0.5) / columns).tolist():
            for y in (depth * (np.arange(rows) + 0.5) / rows).tolist():
                drop = float(rng.uniform(0.1, 0.7)) if style == 2 else 0.0
                if drop:
                    self.builder.add(
                        *placed(cylinder(0.006, drop), (x, y, height - drop)), self.palette.plain()
                    )
                    shape = placed(cylinder(0.15, 0.2, top_radius=0.08), (x, y, height - drop - 0.2))
                else:
                    shape = placed(box((*size, 0.05)), (x, y, height - 0.05))
                self.builder.add(*shape, shade, casts=False)
                if lit:
                    low = height - (drop + 0.22 if drop else 0.07)
                    self._light(np.array([x, y, low]), np.array([0.0, 0.0, -1.0]), flux)

    def _door(self, wall: Wall) -> None:
        s = float(self.rng.uniform(0.6, wall.length - 0.6))
        if wall.take(s - 0.5, s + 0.5, 0, 2.1):
            kind = self.palette.of("door" if self.rng.random() < 0.5 else "wood", 0.1, 0.7)
            self._fix(wall, box((0.9, 0.04, 2.05)), (s, 0, 0), kind)
            trim = self.palette.plain(0.2, 0.8, 0.1)
            for side in (-0.48, 0.48):
                self._fix(wall, box((0.08, 0.06, 2.1)), (s + side, 0, 0), trim)
            self._fix(
                wall, box((0.12, 0.12, 0.02)), (s + 0.36, 1.02, 0.03), self.palette.plain(0.2, 0.7, 0.05)
            )


def ambient_light(
    lights: list[Light], size: tuple[float, float, float], albedo: float
) -> tuple[float, float, float]:
    """Mean irradiance after many diffuse bounces: flux * albedo / (surface * (1 - albedo)), plus a trace."""
    width, depth, height = size
    surface = 2 * (width * depth + width * height + depth * height)
    flux = sum(
        (np.array(light.intensity) * (0.6 if light.parallel else np.pi) for light in lights), np.zeros(3)
    )
    value = flux * albedo / (surface * (1 - albedo)) + 0.01
    return (float(value[0]), float(value[1]), float(value[2]))
