"""Random metric rooms: `build_room(pack, index)` furnishes a shell, the same for the same split, index and seed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from training.asset_pack.pack import Pack
from training.room.catalogue import Catalogue, choose, flat_top
from training.room.desktop import Desktop
from training.room.furniture import Furnisher
from training.room.materials import Palette
from training.room.objects import Workshop
from training.room.scene import Scene, SceneBuilder
from training.room.shapes import box, placed, quad
from training.room.shell import Shell, ambient_light
from training.room.wall import Wall

MAX_TRIANGLES = 160_000
MAX_LAYERS = 90
OFFICE_SHARE = 0.65


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
        self.rng, self.catalogue = rng, Catalogue(pack.furniture)
        self.scene = SceneBuilder()
        self.palette = Palette(self.scene, pack, rng)
        self.workshop = Workshop(self.scene, self.palette, rng)
        self.furnisher = Furnisher(self.scene, self.palette, rng)
        sizes = rng.uniform((2.5, 2.5, 2.3), (7.0, 6.0, 3.2))
        self.size = (float(sizes[0]), float(sizes[1]), float(sizes[2]))
        self.shell = Shell(self.scene, self.palette, rng, self.size)
        self.taken: list[tuple[float, float, float, float]] = []
        self.focus: list[Focus] = []
        self.solids: list[tuple[float, float, float, float, float]] = []

    def build(self) -> Room:
        self.shell.build()
        office = self.rng.random() < OFFICE_SHARE
        area = self.size[0] * self.size[1]
        for _ in range(
            int(self.rng.integers(1, 2 + int(area / 6))) if office else int(self.rng.random() < 0.5)
        ):
            self._workplace()
        for _ in range(int(self.rng.integers(1, 3 + int(area / 4)))):
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
        rng = self.rng
        model = self.catalogue.table(rng) if rng.random() < 0.4 else None
        size = rng.uniform((0.9, 0.68, 0.55), (2.0, 0.78, 0.95)).tolist()
        width, height, depth = model.size if model else size
        spot = self._spot(width, depth)
        if spot is None or self._full:
            return
        x, y, yaw = spot
        if model:
            self.furnisher.stand(model, (x, y, 0), yaw)
        else:
            self.workshop.desk((width, depth, height), (x, y, 0), yaw)
        self.solids.append((*self.taken[-1], height))
        self._cover((x, y, height), yaw, width, depth)
        self.focus.append(Focus((x, y, height + 0.15), 5.0))
        chair = choose(rng, self.catalogue.seats)
        if chair and rng.random() < 0.7:
            away = depth / 2 + float(rng.uniform(0.1, 0.5))
            x, y = x + float(np.sin(yaw)) * away, y - float(np.cos(yaw)) * away
            self.furnisher.stand(chair, (x, y, 0), yaw + np.pi + float(rng.normal(0, 0.5)))
            self.taken.append((x - 0.3, x + 0.3, y - 0.3, y + 0.3))

    def _cover(self, place: tuple[float, float, float], yaw: float, width: float, depth: float) -> None:
        desktop = Desktop(self.workshop, self.furnisher, self.rng, place, yaw, (width, depth))
        if width > 0.8 and self.rng.random() < 0.75:
            desktop.screens()
        desktop.clutter(self.catalogue, 0.0 if self._full else 0.4)

    def _bookcase(self) -> None:
        width, depth, height = self.rng.uniform((0.6, 0.25, 0.8), (1.4, 0.35, 2.1)).tolist()
        spot = self._spot(width, depth, at_wall=1.0)
        if spot and not self._full:
            self.workshop.shelf((width, depth, height), (spot[0], spot[1], 0), spot[2])
            self.solids.append((*self.taken[-1], height))
            self.focus.append(Focus((spot[0], spot[1], float(self.rng.uniform(0.4, height))), 2.0))

    def _floor_item(self) -> None:
        model = self.catalogue.floor_item(self.rng, self.size[2])
        spot = self._spot(model.size[0], model.size[2]) if model and not self._full else None
        if model is None or spot is None:
            return
        width, height, depth = model.size
        self.furnisher.stand(model, (spot[0], spot[1], 0), spot[2])
        self.solids.append((*self.taken[-1], height))
        self.focus.append(Focus((spot[0], spot[1], 0.8 * height), 1.5))
        if width > 0.4 and depth > 0.3 and 0.3 < height < 1.2 and flat_top(model):
            self._cover((spot[0], spot[1], height), spot[2], width, depth)

    def _on_wall(self, wall: Wall) -> None:
        """A catalogue item, or a picture, poster or notice."""
        rng = self.rng
        model = choose(rng, self.catalogue.hung) if rng.random() < 0.25 and not self._full else None
        if model is None:
            self._picture(wall)
            return
        s, z = float(rng.uniform(0.3, wall.length - 0.3)), float(rng.uniform(0.3, 1.8))
        half = model.size[0] / 2
        if z + model.size[1] < self.size[2] and wall.take(s - half, s + half, z, z + model.size[1]):
            x, y, _ = wall.point(s, 0, model.size[2] / 2 + 0.002).tolist()
            self.furnisher.stand(model, (x, y, z), wall.yaw)

    def _picture(self, wall: Wall) -> None:
        rng = self.rng
        width, height = np.exp(rng.uniform(np.log(0.15), np.log(1.1), 2)).tolist()
        s, z = float(rng.uniform(0.1, wall.length - 0.1)), float(rng.uniform(1.1, 1.9))
        s0, s1, z0, z1 = s - width / 2, s + width / 2, z - height / 2, z + height / 2
        if z1 > self.size[2] - 0.05 or not wall.take(s0, s1, z0, z1):
            return
        out = 0.004
        if rng.random() < 0.5:
            thick = float(rng.uniform(0.01, 0.03))
            frame = box((width + 0.06, thick, height + 0.06))
            self.scene.add(
                *placed(frame, wall.point(s, z0 - 0.03, thick / 2), wall.yaw),
                self.palette.plain(0.02, 0.7, 0.3),
            )
            out = thick + 0.002
        shows = (self.palette.page, self.palette.picture, lambda: self.palette.picture("photograph"))
        show = shows[int(rng.choice(3, p=(0.15, 0.5, 0.35)))]()
        corners = [wall.point(a, b, out) for a, b in ((s1, z0), (s0, z0), (s0, z1), (s1, z1))]
        self.scene.add(*quad(corners), show)
        x, y, _ = wall.point(s, z).tolist()
        self.focus.append(Focus((x, y, z), 0.4))

    def _rug(self) -> None:
        width, depth = self.rng.uniform(0.8, 2.4, 2).tolist()
        x, y = (np.array(self.size[:2]) * self.rng.uniform(0.3, 0.7, 2)).tolist()
        rug = placed(box((width, depth, 0.008)), (x, y, 0.001), float(self.rng.normal(0, 0.2)))
        self.scene.add(*rug, self.palette.of("rug", 0.06, 0.4))

    def _floor_clutter(self) -> None:
        makers = self.workshop.small_makers()
        for _ in range(int(self.rng.integers(0, 7))):
            make, half, _ = makers[int(self.rng.integers(len(makers)))]
            x, y = self.rng.uniform((0.2, 0.2), (self.size[0] - 0.2, self.size[1] - 0.2)).tolist()
            if self._take(x, y, 2 * half, 2 * half):
                make((x, y, 0.001), float(self.rng.uniform(-np.pi, np.pi)))
