"""Two sharp views of the textured world of moving_camera.py, and the true depth of the one at the start of its path."""

import cv2
import numpy as np
from moving_camera import FOCAL_PX, HEIGHT, PIXELS_PER_METRE, WALLS, WIDTH, photograph

from blur_imu_ros.contrast_view import ContrastView, ContrastViews
from blur_imu_ros.direction import Geometry
from blur_imu_ros.motion_field import grid_points
from blur_imu_ros.rigid_motion import displacement

EVERYWHERE = ContrastViews(np.ones((HEIGHT, WIDTH), bool))


def true_geometry(relative_sigma: float = 0.1) -> Geometry:
    """What a camera at the start of its path sees, with its true depth, said to be in error by a share of it."""
    x, y = grid_points(WIDTH, HEIGHT, 4)
    inverse_depth = np.zeros(x.size)
    for wall, depth, (across, down) in WALLS:
        half = wall.shape[0] / 2 / PIXELS_PER_METRE
        here = (np.abs(x / FOCAL_PX * depth - across) < half) & (np.abs(y / FOCAL_PX * depth - down) < half)
        inverse_depth[here] = 1 / depth
    return Geometry(x, y, inverse_depth, relative_sigma * inverse_depth, FOCAL_PX)


def view_of(grey: np.ndarray, stamp_ns: int) -> ContrastView:
    return EVERYWHERE.of(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), stamp_ns)


def view(twist: np.ndarray, time_ns: int) -> ContrastView:
    """What a camera that moves at `twist` [6] sees at a time from the start of its path."""
    return view_of(photograph(*displacement(twist, time_ns * 1e-9)), time_ns)
