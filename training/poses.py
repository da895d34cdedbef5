"""Poses of cameras: 4x4 matrices from the camera's frame to the world's."""

from __future__ import annotations

import cv2
import numpy as np


def moved(pose: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The pose [4,4] after a step [6] in the camera's own frame: a turn as a rotation vector in rad, and a shift in m."""
    change = np.eye(4)
    change[:3, :3], change[:3, 3] = cv2.Rodrigues(step[:3])[0], step[3:]
    return pose @ change
