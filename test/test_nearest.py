"""The stamp that is nearest to a moment, and how far away it is."""

import numpy as np
import pytest

from blur_imu_ros.recordings.nearest import nearest


@pytest.mark.parametrize("count", [1, 2, 50])
def test_as_by_comparing_with_every_stamp(count: int) -> None:
    rng = np.random.default_rng(count)
    # Nanoseconds since 1970 are beyond what a float64 tells apart.
    stamps = 1_700_000_000_000_000_000 + np.sort(rng.integers(0, 10**9, count))
    wanted = np.concatenate([stamps, stamps[0] + rng.integers(-(10**9), 2 * 10**9, 40)])
    index, distance_ns = nearest(stamps, wanted)
    apart = np.abs(stamps[:, None] - wanted)
    np.testing.assert_array_equal(distance_ns, apart.min(axis=0))
    np.testing.assert_array_equal(np.abs(stamps[index] - wanted), distance_ns)
