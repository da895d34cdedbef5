"""Plain shapes as triangle corners [T,3,3] and texture coordinates [T,3,2], in metres, z up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Shape = tuple[np.ndarray, np.ndarray]
Point = Sequence[float] | np.ndarray
_QUAD_UV = np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]], np.float32)


def quad(corners: Sequence[Point], tile: tuple[float, float] = (1.0, 1.0)) -> Shape:
    """Four corners counter-clockwise as seen from the front, the texture's bottom left at the first."""
    a, b, c, d = (np.asarray(p, np.float32) for p in corners)
    return np.stack((np.stack((a, b, c)), np.stack((a, c, d)))), _QUAD_UV * np.array(tile, np.float32)


def box(size: tuple[float, float, float], tile_m: float = 0.0) -> Shape:
    """A box standing on z = 0, centred in x and y; texture once per face, or repeating every `tile_m` metres."""
    w, d, h = size
    x, y = w / 2, d / 2
    p = np.array(
        [[-x, -y, 0], [x, -y, 0], [x, y, 0], [-x, y, 0], [-x, -y, h], [x, -y, h], [x, y, h], [-x, y, h]],
        np.float32,
    )
    faces = (
        (0, 1, 5, 4, w, h),
        (1, 2, 6, 5, d, h),
        (2, 3, 7, 6, w, h),
        (3, 0, 4, 7, d, h),
        (4, 5, 6, 7, w, d),
        (3, 2, 1, 0, w, d),
    )
    parts = [
        quad((p[i], p[j], p[k], p[m]), (u / tile_m, v / tile_m) if tile_m else (1.0, 1.0))
        for i, j, k, m, u, v in faces
    ]
    return np.concatenate([c for c, _ in parts]), np.concatenate([t for _, t in parts])


def cylinder(
    radius: float, height: float, *, top_radius: float | None = None, sides: int = 20, capped: bool = True
) -> Shape:
    """A cylinder or cone frustum standing on z = 0."""
    return turned(
        np.array([[radius, 0.0], [radius if top_radius is None else top_radius, height]]),
        sides,
        capped=capped,
    )


def turned(profile: np.ndarray, sides: int = 20, *, capped: bool = True) -> Shape:
    """The solid of revolution of a profile [P,2] of (radius, z) from bottom to top."""
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    circle = np.stack((np.cos(angle), np.sin(angle)), axis=1)
    if capped:
        profile = np.vstack(([0, profile[0, 1]], profile, [0, profile[-1, 1]]))
    ring = np.concatenate(
        (profile[:, None, :1] * circle, np.broadcast_to(profile[:, None, 1:], (len(profile), sides + 1, 1))),
        axis=2,
    )
    return _grid(ring.astype(np.float32))


def tube(path: np.ndarray, radius: float, sides: int = 6) -> Shape:
    """A round cable along points [P,3]."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    helper = np.where(np.abs(tangent[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    side = np.cross(tangent, helper)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(side, tangent)
    angle = np.linspace(0, 2 * np.pi, sides + 1)[None, :, None]
    ring = path[:, None] + radius * (np.cos(angle) * side[:, None] - np.sin(angle) * up[:, None])
    return _grid(ring.astype(np.float32))


def _grid(points: np.ndarray) -> Shape:
    """Triangles of a [P,S,3] lattice of points, outward where S runs counter-clockwise."""
    rows, columns = points.shape[:2]
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    uv = np.stack((u, v), axis=-1).astype(np.float32)

    def triangles(values: np.ndarray) -> np.ndarray:
        a, b, c, d = values[:-1, :-1], values[:-1, 1:], values[1:, 1:], values[1:, :-1]
        halves = np.stack((np.stack((a, b, c), axis=2), np.stack((a, c, d), axis=2)), axis=2)
        return halves.reshape(-1, 3, values.shape[-1])

    return triangles(points), triangles(uv)


def placed(shape: Shape, position: Point, yaw: float = 0.0) -> Shape:
    """The shape turned about z by `yaw` rad, then moved."""
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
    return shape[0] @ turn.T + np.asarray(position, np.float32), shape[1]
