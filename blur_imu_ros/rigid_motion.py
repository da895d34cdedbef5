"""Finite rigid motion: rotations, and where the points of one view lie in a neighbouring one at constant velocity."""

import math

import numpy as np

from .motion_field import Array


def displacement(twist: Array, interval_s: float) -> tuple[Array, Array]:
    """Rotation [3, 3] and translation [3] that carry a static point's camera coordinates over an interval.

    For a camera moving with twist [6] a point obeys dX/dt = -w x X - v, so X(t + dt) = R X(t) + t is the exponential of
    -twist dt, exact for rotations of any size (Rodrigues; Murray, Li & Sastry 1994, section 2.3).
    """
    w, v = -twist[:3] * interval_s, -twist[3:] * interval_s
    x, y, z = w.tolist()
    angle = math.sqrt(x * x + y * y + z * z)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    if angle < 1e-6:
        return np.eye(3) + cross, v
    sine, versine = math.sin(angle) / angle, (1 - math.cos(angle)) / angle**2
    square = cross @ cross
    turned, twice = cross @ v, square @ v
    return np.eye(3) + sine * cross + versine * square, v + versine * turned + (1 - sine) / angle**2 * twice


def rotations(quaternions: Array) -> Array:
    """Rotations [n, 3, 3] of quaternions [n, 4] (x, y, z, w) of any length but zero."""
    x, y, z, w = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def quaternion(rotation: Array) -> Array:
    """Unit quaternion [4] (x, y, z, w), w >= 0, of a rotation [3, 3]: the eigenvector that survives rounding anywhere."""
    r = rotation
    symmetric = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
            [r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
            [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1], 0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], np.trace(r)],
        ]
    )
    vector = np.linalg.eigh(symmetric)[1][:, -1]
    return vector * (1 if vector[3] >= 0 else -1)


def reproject(
    x: Array, y: Array, focal_px: float, inverse_depth: Array, twist: Array, interval_s: float
) -> Array:
    """Pixels [2, N] from the principal point at which points x, y [N] of known inverse depth [N] (1/m) are seen
    `interval_s` later (earlier where negative); NaN where a point passes behind the camera."""
    return projected(rays_of(x, y, focal_px), focal_px, inverse_depth, twist, interval_s)


def projected(rays: Array, focal_px: float, inverse_depth: Array, twist: Array, interval_s: float) -> Array:
    """The same of points on rays [3, N] whose last component is 1."""
    moved = carried(rays, inverse_depth, twist, interval_s)
    return np.asarray(moved[:2] * (focal_px / moved[2]))


def rays_of(x: Array, y: Array, focal_px: float) -> Array:
    """Directions [3, N], last component 1, in which pixels x, y [N] from the principal point are seen."""
    return np.stack([x / focal_px, y / focal_px, np.ones_like(x)])


def carried(rays: Array, inverse_depth: Array, twist: Array, interval_s: float) -> Array:
    """Where points on rays [3, N] are `interval_s` later in the camera's coordinates [3, N], in units of their depth now; the
    last component NaN where a point passes behind the camera."""
    rotation, translation = displacement(twist, interval_s)
    moved = rotation @ rays
    moved += translation[:, None] * inverse_depth
    moved[2, moved[2] <= 0.05] = np.nan
    return np.asarray(moved)
