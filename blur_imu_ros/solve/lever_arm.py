"""A camera off the point that it turns about steps as it turns: that step is known, and need not be found in the image."""

from collections.abc import Sequence

import numpy as np

from ..motion_field import Array


def camera_of_centre(lever_arm_m: Sequence[float]) -> Array:
    """The change [6, 6] from the motion (w, v) of the centre of turning to that of a camera on the same rigid body.

    lever_arm_m: [3] where the camera is, seen from that centre, in the camera's optical frame. Both turn alike, and
    v_camera = v_centre + w x lever arm.
    """
    x, y, z = lever_arm_m
    change = np.eye(6)
    change[3:, :3] = [[0, z, -y], [-z, 0, x], [y, -x, 0]]
    return change


def step_of_centre(twist: Array, lever_arm_m: Sequence[float]) -> Array:
    """What of a camera's twist [6] is the step of the point that it turns about: (0, v_centre)."""
    return np.concatenate([np.zeros(3), twist[3:] - np.cross(twist[:3], lever_arm_m)])
