"""Random metric rooms: `build_room(pack, split index)` furnishes a shell, the same room for the same split and index."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from training.pack import Furniture, Pack
from training.room_materials import Palette
from training.room_objects import Workshop
from training.room_shell import Shell, Wall, ambient_light
from training.scene import Scene, SceneBuilder
from training.shapes import box, placed, quad

MAX_TRIANGLES = 160_000
MAX_LAYERS = 90
_HANGING = re.compile(r"hanging|pendant|chandelier|ceiling|smoke", re.I)
_ON_WALL = re.compile(
    r"wall|radiator|clock|upper|switch|socket|white board|conditioning|hood|plug|calendar|mirror|cctv|towel",
    re.I,
)
_SEAT = re.compile(r"chair|stool|armchair", re.I)
_TABLE = re.compile(r"table|desk|cabinet|drawers|workbench|sideboard|commode|dresser|tv unit", re.I)


@dataclass(frozen=True)
class Focus:
    """Something worth looking at."""

    place: tuple[float, float, float]
    weight: float


@dataclass(frozen=True)
class Room:
    """A scene, its inner size in metres (the room is [0,w] x [0,d] x [0,h]), where cameras should look, and the solid
    blocks (x0, x1, y0, y1, height) where they cannot be."""

    scene: Scene
    size: tuple[float, float, float]
    focus: tuple[Focus, ...]
    solids: tuple[tuple[float, float, float, float, float], ...] = ()


def build_room(pack: Pack, index: int, seed: int = 0) -> Room:
    """The room number `index` of the pack's split."""
    rng = np.random.default_rng((zlib.crc32(pack.split.value.encode()), index, seed))
    return _Builder(pack, rng).build()


class _Builder:
    def __init__(self, pack: Pack, rng: np.random.Generator):
        self.pack, self.rng = pack, rng
        self.scene = SceneBuilder()
        self.palette = Palette(self.scene, pack, rng)
        self.workshop = Workshop(self.scene, self.palette, rng)
        sizes = rng.uniform((2.5, 2.5, 2.3), (7.0, 6.0, 3.2))
        self.size = (float(sizes[0]), float(sizes[1]), float(sizes[2]))
        self.shell = Shell(self.scene, self.palette, rng, self.size)
        self.taken: list[tuple[float, float, float, float]] = []
        self.focus: list[Focus] = []
        self.solids: list[tuple[float, float, float, float, float]] = []

    def build(self) -> Room:
        self.shell.build()
        office = self.rng.random() < 0.65
        area = self.size[0] * self.size[1]
        for _ in range(int(self.rng.integers(1, 2 + area / 6)) if office else int(self.rng.random() < 0.5)):
            self._workplace()
        for _ in range(int(self.rng.integers(1, 3 + area / 4))):
            if self.rng.random() < 0.25:
                self._bookcase()
            else:
                self._floor_item()
        for wall in self.shell.walls:
            for _ in range(int(self.rng.integers(0, 6))):
                self._on_wall(wall)
        if self.rng.random() < 0.35:
            self._rug()
        self._floor_clutter()
        ambient = ambient_light(self.scene.lights, self.size, float(self.rng.uniform(0.35, 0.6)))
        return Room(self.scene.build(ambient), self.size, tuple(self.focus), tuple(self.solids))

    @property
    def _full(self) -> bool:
        return self.scene.triangles > MAX_TRIANGLES or self.scene.layers > MAX_LAYERS

    def _take(self, x: float, y: float, w: float, d: float, margin: float = 0.03) -> bool:
        """Whether the floor rectangle w x d around (x, y) is inside and free; takes it if so."""
        x0, x1, y0, y1 = x - w / 2 - margin, x + w / 2 + margin, y - d / 2 - margin, y + d / 2 + margin
        inside = x0 > 0 and y0 > 0 and x1 < self.size[0] and y1 < self.size[1]
        clear = all(x1 < a or x0 > b or y1 < c or y0 > e for a, b, c, e in self.taken)
        if inside and clear:
            self.taken.append((x0, x1, y0, y1))
        return inside and clear

    def _spot(
        self, width: float, depth: float, *, at_wall: float = 0.75
    ) -> tuple[float, float, float] | None:
        """A free place and yaw for a footprint, usually with its back to a wall; None after some tries."""
        for _ in range(12):
            wall = self.shell.walls[int(self.rng.integers(4))]
            yaw = wall.yaw
            if self.rng.random() < at_wall and wall.length > width + 0.2:
                gap = depth / 2 + 0.04 + float(self.rng.exponential(0.03))
                x, y, _ = wall.point(
                    float(self.rng.uniform(width / 2 + 0.05, wall.length - width / 2 - 0.05)), 0, gap
                )
            else:
                x, y = self.rng.uniform((0.5, 0.5), (self.size[0] - 0.5, self.size[1] - 0.5))
            sideways = abs(np.sin(yaw)) > 0.5
            if self._take(x, y, depth if sideways else width, width if sideways else depth):
                return float(x), float(y), yaw
        return None

    def _workplace(self) -> None:
        """A desk, what lies on it, and a chair before it."""
        tables = [
            m
            for m in self.pack.furniture
            if _TABLE.search(m.name) and 0.4 < m.size[1] < 1.1 and max(m.size) > 0.8
        ]
        tables = [m for m in tables if self.rng.random() < 0.15 and flat_top(m)]
        model = tables[int(self.rng.integers(len(tables)))] if tables and self.rng.random() < 0.4 else None
        width, height, depth = (
            model.size if model else self.rng.uniform((0.9, 0.68, 0.55), (2.0, 0.78, 0.95)).tolist()
        )
        spot = self._spot(width, depth)
        if spot is None or self._full:
            return
        x, y, yaw = spot
        if model:
            self.workshop.furniture(model, (x, y, 0), yaw)
        else:
            self.workshop.desk((width, depth, height), (x, y, 0), yaw)
        self.solids.append((*self.taken[-1], height))
        self._cover((x, y, height), yaw, width, depth)
        self.focus.append(Focus((x, y, height + 0.15), 5.0))
        chairs = [m for m in self.pack.furniture if _SEAT.search(m.name) and max(m.size) < 1.3]
        if chairs and self.rng.random() < 0.7:
            front = np.array([np.sin(yaw), -np.cos(yaw)]) * (depth / 2 + float(self.rng.uniform(0.1, 0.5)))
            turn = yaw + np.pi + float(self.rng.normal(0, 0.5))
            self.workshop.furniture(
                chairs[int(self.rng.integers(len(chairs)))], (x + front[0], y + front[1], 0), turn
            )
            self.taken.append(
                (x + front[0] - 0.3, x + front[0] + 0.3, y + front[1] - 0.3, y + front[1] + 0.3)
            )

    def _cover(self, place: tuple[float, float, float], yaw: float, width: float, depth: float) -> None:
        """Screens, keyboards and clutter on a flat top."""
        held: list[tuple[float, float, float]] = []
        c, s = np.cos(yaw), np.sin(yaw)

        def put(make, half: float, u: float, v: float, turn: float) -> None:
            inside = abs(u) + half * 0.8 < width / 2 and abs(v) + half * 0.8 < depth / 2
            if inside and all((u - a) ** 2 + (v - b) ** 2 > (half + r) ** 2 * 0.6 for a, b, r in held):
                held.append((u, v, half))
                make((place[0] + c * u - s * v, place[1] + s * u + c * v, place[2] + 0.001), yaw + turn)

        if width > 0.8 and self.rng.random() < 0.75:
            for k in range(int(self.rng.integers(1, 3 if width < 1.5 else 4))):
                size = float(self.rng.uniform(0.38, 0.62))
                u = (
                    float(self.rng.uniform(-width / 2 + 0.2, width / 2 - 0.2))
                    if k == 0
                    else held[-1][0] + 0.6 * (1 if held[-1][0] < 0 else -1)
                )
                put(
                    lambda p, t, size=size: self.workshop.screen(p, t, size),
                    0.24,
                    u,
                    depth / 2 - 0.22,
                    float(self.rng.normal(0, 0.2)),
                )
                if held and self.rng.random() < 0.7:
                    put(
                        self.workshop.keyboard,
                        0.19,
                        held[-1][0] + float(self.rng.normal(0, 0.05)),
                        float(-depth / 2 + 0.2),
                        float(self.rng.normal(0, 0.1)),
                    )
        small = [m for m in self.pack.furniture if max(m.size) < 0.45 and min(m.size) > 0.01 and m.category != "Doors and windows"
                 and not _ON_WALL.search(m.name) and not _HANGING.search(m.name)]  # fmt: skip
        makers = self.workshop.small_makers()
        weights = np.array([m[2] for m in makers])
        for _ in range(int(self.rng.integers(6, 16 + 30 * width * depth))):
            u, v = self.rng.uniform((-width / 2, -depth / 2), (width / 2, depth / 2))
            turn = float(
                self.rng.normal(0, 0.5) if self.rng.random() < 0.7 else self.rng.uniform(-np.pi, np.pi)
            )
            if small and self.rng.random() < 0.4 and not self._full:
                model = small[int(self.rng.integers(len(small)))]
                put(
                    lambda p, t, m=model: self.workshop.furniture(m, p, t),
                    0.5 * max(model.size[0], model.size[2]),
                    u,
                    v,
                    turn,
                )
            else:
                make, half, _ = makers[int(self.rng.choice(len(makers), p=weights / weights.sum()))]
                put(make, half, u, v, turn)

    def _bookcase(self) -> None:
        width, depth, height = self.rng.uniform((0.6, 0.25, 0.8), (1.4, 0.35, 2.1)).tolist()
        spot = self._spot(width, depth, at_wall=1.0)
        if spot and not self._full:
            self.workshop.shelf((width, depth, height), (spot[0], spot[1], 0), spot[2])
            self.solids.append((*self.taken[-1], height))
            self.focus.append(Focus((spot[0], spot[1], float(self.rng.uniform(0.4, height))), 2.0))

    def _floor_item(self) -> None:
        models = [m for m in self.pack.furniture if 0.45 < max(m.size) < 2.6 and m.size[1] < self.size[2] - 0.1
                  and m.category != "Doors and windows" and not _ON_WALL.search(m.name) and not _HANGING.search(m.name)
                  and (m.category != "Characters" or self.rng.random() < 0.1)]  # fmt: skip
        if not models or self._full:
            return
        model = models[int(self.rng.integers(len(models)))]
        spot = self._spot(model.size[0], model.size[2])
        if spot:
            self.workshop.furniture(model, (spot[0], spot[1], 0), spot[2])
            self.solids.append((*self.taken[-1], model.size[1]))
            self.focus.append(Focus((spot[0], spot[1], model.size[1] * 0.8), 1.5))
            if model.size[0] > 0.4 and model.size[2] > 0.3 and 0.3 < model.size[1] < 1.2 and flat_top(model):
                self._cover((spot[0], spot[1], model.size[1]), spot[2], model.size[0], model.size[2])

    def _on_wall(self, wall: Wall) -> None:
        """A picture, poster, notice or catalogue item."""
        rng = self.rng
        hung = [
            m
            for m in self.pack.furniture
            if _ON_WALL.search(m.name) and m.size[2] < 0.35 and max(m.size) < 1.5
        ]
        if hung and rng.random() < 0.25 and not self._full:
            model = hung[int(rng.integers(len(hung)))]
            s, z = float(rng.uniform(0.3, wall.length - 0.3)), float(rng.uniform(0.3, 1.8))
            if z + model.size[1] < self.size[2] and wall.free(
                s - model.size[0] / 2, s + model.size[0] / 2, z, z + model.size[1]
            ):
                x, y, _ = wall.point(s, 0, model.size[2] / 2 + 0.002)
                self.workshop.furniture(model, (x, y, z), wall.yaw)
            return
        width, height = np.exp(rng.uniform(np.log(0.15), np.log(1.1), 2)).tolist()
        s, z = float(rng.uniform(0.1, wall.length - 0.1)), float(rng.uniform(1.1, 1.9))
        if not (
            z + height / 2 < self.size[2] - 0.05
            and wall.free(s - width / 2, s + width / 2, z - height / 2, z + height / 2)
        ):
            return
        out = 0.004
        if rng.random() < 0.5:
            out = float(rng.uniform(0.01, 0.03))
            frame = placed(
                box((width + 0.06, out, height + 0.06)),
                tuple(wall.point(s, z - height / 2 - 0.03, out / 2)),
                wall.yaw,
            )
            self.scene.add(*frame, self.palette.plain(0.02, 0.7, 0.3))
            out += 0.002
        x0, x1, z0, z1 = s - width / 2, s + width / 2, z - height / 2, z + height / 2
        kind = rng.random()
        show = (
            self.palette.picture("photograph")
            if kind < 0.35
            else self.palette.page()
            if kind < 0.5
            else self.palette.picture()
        )
        self.scene.add(
            *quad(*(wall.point(s, z, out) for s, z in ((x1, z0), (x0, z0), (x0, z1), (x1, z1)))), show
        )
        self.focus.append(Focus(tuple(wall.point(s, z).tolist()), 0.4))

    def _rug(self) -> None:
        width, depth = self.rng.uniform(0.8, 2.4, 2).tolist()
        x, y = (
            self.size[0] * float(self.rng.uniform(0.3, 0.7)),
            self.size[1] * float(self.rng.uniform(0.3, 0.7)),
        )
        self.scene.add(
            *placed(box((width, depth, 0.008)), (x, y, 0.001), float(self.rng.normal(0, 0.2))),
            self.palette.of("rug", 0.06, 0.4),
        )

    def _floor_clutter(self) -> None:
        for _ in range(int(self.rng.integers(0, 7))):
            make, half, _ = self.workshop.small_makers()[int(self.rng.integers(5))]
            x, y = self.rng.uniform((0.2, 0.2), (self.size[0] - 0.2, self.size[1] - 0.2))
            if self._take(x, y, 2 * half, 2 * half):
                make((float(x), float(y), 0.001), float(self.rng.uniform(-np.pi, np.pi)))


@lru_cache(maxsize=2048)
def _flat_share(path: Path, model: Furniture) -> float:
    corners = model.corners
    height = model.size[1]
    top = corners[(corners[:, :, 1] > height - 0.03).all(axis=1)]
    area = 0.5 * np.abs(np.cross(top[:, 1] - top[:, 0], top[:, 2] - top[:, 0])[:, 1]).sum()
    return float(area / max(model.size[0] * model.size[2], 1e-6))


def flat_top(model: Furniture) -> bool:
    """Whether things can be put on a model: most of its footprint is covered at its full height."""
    return _flat_share(model.path, model) > 0.5
