"""Poses of cameras: 4x4 matrices from the camera's frame to the world's."""

from __future__ import annotations

import cv2
import numpy as np


def moved(pose: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The pose [4,4] after a step [6] in the camera's own frame: a turn as a rotation vector in rad, and a shift in m."""
    change = np.eye(4)
    change[:3, :3], change[:3, 3] = cv2.Rodrigues(step[:3])[0], step[3:]
    return pose @ change


def world_to_camera(pose: np.ndarray) -> np.ndarray:
    """Inverse of a camera-to-world 4x4."""
    result = np.eye(4)
    result[:3, :3] = pose[:3, :3].T
    result[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return result


def look_along(position: np.ndarray, forward: np.ndarray, roll: float = 0.0) -> np.ndarray:
    """Camera-to-world 4x4 (optical frame, world z up) at `position` looking along `forward`, rolled by `roll` rad."""
    z = np.asarray(forward, float) / np.linalg.norm(forward)
    helper = np.array([0.0, 0.0, 1.0]) if abs(z[2]) < 0.999 else np.array([1.0, 0.0, 0.0])
    x = np.cross(z, helper)
    x /= np.linalg.norm(x)
    y = np.cross(z, x)
    c, s = np.cos(roll), np.sin(roll)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = c * x + s * y, c * y - s * x, z, position
    return pose
