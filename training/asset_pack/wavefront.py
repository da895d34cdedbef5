"""Wavefront OBJ and MTL files as triangle arrays: faces, texture coordinates and colours, all that furniture needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Material:
    """Diffuse colour in [0,1] (display-referred, as written), opacity, and the texture file if any."""

    colour: tuple[float, float, float] = (0.8, 0.8, 0.8)
    opacity: float = 1.0
    texture: Path | None = None


@dataclass
class TriangleMesh:
    """corners float32 [T,3,3] in file units, texture float32 [T,3,2] (v up), material index int32 [T]."""

    corners: np.ndarray
    texture: np.ndarray
    material: np.ndarray
    materials: list[Material] = field(default_factory=list)


def load_obj(path: Path) -> TriangleMesh:
    """Read an OBJ with its MTL beside it; polygons become triangle fans. Raises ValueError where it has no faces."""
    vertices: list[list[float]] = []
    coordinates: list[list[float]] = []
    faces: list[tuple[int, ...]] = []
    library: dict[str, Material] = {}
    names: dict[str, int] = {}
    materials: list[Material] = []
    current = -1
    for line in path.read_text(errors="replace").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "v":
            vertices.append([float(x) for x in rest.split()[:3]])
        elif word == "vt":
            coordinates.append([float(x) for x in rest.split()[:2]])
        elif word == "f":
            corners = [_corner(c, len(vertices), len(coordinates)) for c in rest.split()]
            for b, c in pairwise(corners[1:]):
                faces.append((*corners[0], *b, *c, current))
        elif word == "usemtl":
            current = names.setdefault(rest.strip(), len(names))
            if current == len(materials):
                materials.append(library.get(rest.strip(), Material()))
        elif word == "mtllib" and (path.parent / rest.strip()).exists():
            library.update(_load_mtl(path.parent / rest.strip()))
    if not faces:
        raise ValueError(f"{path} has no faces")
    table = np.array(faces, np.int64)
    points = np.array(vertices, np.float32)
    uv = np.array(coordinates or [[0, 0]], np.float32)[:, :2]
    at = np.maximum(table[:, [1, 3, 5]], 0)
    if not materials or table[:, 6].min() < 0:
        materials.append(Material())
        table[table[:, 6] < 0, 6] = len(materials) - 1
    return TriangleMesh(
        points[table[:, [0, 2, 4]]], uv[np.minimum(at, len(uv) - 1)], table[:, 6].astype(np.int32), materials
    )


def _corner(text: str, vertices: int, coordinates: int) -> tuple[int, int]:
    parts = text.split("/")
    vertex = int(parts[0])
    texture = int(parts[1]) if len(parts) > 1 and parts[1] else 0
    return (vertex - 1 if vertex > 0 else vertices + vertex), (
        texture - 1 if texture >= 0 else coordinates + texture
    )


def _load_mtl(path: Path) -> dict[str, Material]:
    library: dict[str, Material] = {}
    name, colour, opacity, texture = "", (0.8, 0.8, 0.8), 1.0, None
    for line in [*path.read_text(errors="replace").splitlines(), "newmtl"]:
        word, _, rest = line.strip().partition(" ")
        values = rest.split()
        if word == "newmtl":
            if name:
                library[name] = Material(colour, opacity, texture)
            name, colour, opacity, texture = rest.strip(), (0.8, 0.8, 0.8), 1.0, None
        elif word == "Kd" and len(values) >= 3:
            red, green, blue = (float(v) for v in values[:3])
            colour = (red, green, blue)
        elif word == "d" and values:
            opacity = float(values[-1])
        elif word == "map_Kd" and values and (path.parent / rest.strip().split("/")[-1]).exists():
            texture = path.parent / rest.strip().split("/")[-1]
    return library
