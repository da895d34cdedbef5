"""The motion field of a rigid scene: how a camera's velocity moves the image of a point of known depth.

Camera optical frame (REP 103): x right, y down, z forward. A velocity is ordered (wx, wy, wz, vx, vy, vz), rad/s and
m/s; times the exposure it becomes a motion p (rad, m), and `interaction_matrix @ p` is the flow over the exposure in
pixels of the canonical view. Source: Longuet-Higgins & Prazdny 1980; Chen & Clark 2025, section 3.2.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def grid_points(width: int, height: int, stride: int) -> tuple[Array, Array]:
    """Centres of the cells of the network's output grid, in pixels from the principal point.

    Returns x and y, each [h * w] in row-major order, with h = height / stride and w = width / stride.
    """
    x = (np.arange(width // stride) + 0.5) * stride - width / 2
    y = (np.arange(height // stride) + 0.5) * stride - height / 2
    grid_x, grid_y = np.meshgrid(x, y)
    return grid_x.ravel(), grid_y.ravel()


def rotation_rows(x: Array, y: Array, focal_px: float) -> Array:
    """Flow (u, v) per radian of rotation about each axis: [2, 3, N] in px. Independent of depth."""
    xy = x * y / focal_px
    return np.array(
        [
            [xy, -(focal_px + x * x / focal_px), y],
            [focal_px + y * y / focal_px, -xy, -x],
        ]
    )


def translation_rows(x: Array, y: Array, focal_px: float) -> Array:
    """Flow (u, v) per metre of translation for points one metre away: [2, 3, N] in px; scale by the inverse depth."""
    zero, minus_focal = np.zeros_like(x), np.full_like(x, -focal_px)
    return np.array([[minus_focal, zero, x], [zero, minus_focal, y]])


def interaction_rows(x: Array, y: Array, focal_px: float, inverse_depth: Array) -> Array:
    """The interaction matrix with points last, [2, 6, N]: contiguous rows for the solver's products."""
    translation = translation_rows(x, y, focal_px) * inverse_depth
    return np.concatenate([rotation_rows(x, y, focal_px), translation], axis=1)


def interaction_matrix(x: Array, y: Array, focal_px: float, inverse_depth: Array) -> Array:
    """Flow per unit of motion at N points.

    x, y: [N] px from the principal point; inverse_depth: [N] 1/m. Returns [N, 2, 6], columns (wx wy wz vx vy vz).
    """
    return np.ascontiguousarray(interaction_rows(x, y, focal_px, inverse_depth).transpose(2, 0, 1))


def double_angle(flow: Array) -> Array:
    """The sign-free form of a flow: q = |f| (cos 2t, sin 2t), t the direction of f; the same for f and -f.

    flow: [..., 2] px. Returns [..., 2] px.
    """
    u, v = flow[..., 0], flow[..., 1]
    length = np.hypot(u, v)
    safe = np.maximum(length, np.finfo(np.float64).tiny)
    return np.stack([(u - v) * (u + v) / safe, 2 * u * v / safe], axis=-1)


def flow_up_to_sign(q: Array) -> Array:
    """One of the two flows (f and -f) that a double-angle q [2, ...] px stands for; [2, ...] px."""
    length, angle = np.hypot(q[0], q[1]), np.arctan2(q[1], q[0]) / 2
    return length * np.stack([np.cos(angle), np.sin(angle)])
