"""Fewer points of a fine grid still lie all over the view."""

import numpy as np
import pytest

from blur_imu_ros.direction import Geometry
from blur_imu_ros.motion_field import grid_points


@pytest.mark.parametrize(("columns", "rows"), [(320, 224), (640, 448), (80, 56)])
def test_points_are_thinned_across_and_down(columns: int, rows: int) -> None:
    x, y = grid_points(columns, rows, 1)
    few = Geometry(x, y, np.ones(x.size), np.ones(x.size), 500.0).thinned(1120)
    tiles, _, _ = np.histogram2d(few.x, few.y, (10, 7))
    assert few.x.size <= 1120
    assert tiles.min() > 8
