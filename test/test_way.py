"""Ways tell how steadily a camera speeds up and slows down."""

import numpy as np
import pytest

from blur_imu_ros.solve.way import Way

INTERVAL_S, COUNT = 1 / 30, 60


def followed(turns: np.ndarray, stamps_s: np.ndarray) -> Way:
    """The last of ways whose mean turns about x are [N], each after the one before, their middles stamped [N]."""
    way = None
    for turn, stamp_s in zip(turns, stamps_s, strict=True):
        way = Way(np.eye(6)[0] * turn, np.eye(6), round(stamp_s * 1e9)).after(way)
    assert way is not None
    return way


def even_stamps() -> np.ndarray:
    return 1.0 + INTERVAL_S * np.arange(COUNT)


def test_before_anything_is_known_acceleration_changes_as_usual():
    way = Way(np.zeros(6), np.eye(6), 0)
    assert way.unsteady == pytest.approx(0.5)
    assert way.after(None) is way
    assert followed(np.array([1.0, 2.0]), np.array([0.0, INTERVAL_S])).unsteady == pytest.approx(0.5)
    # A camera at rest tells nothing.
    assert followed(np.full(COUNT, 0.0), even_stamps()).unsteady == pytest.approx(0.5)


def test_a_swing_is_steady_and_a_shaken_or_roughly_stamped_camera_is_not():
    stamps_s = even_stamps()
    swing = 3 * np.sin(2 * np.pi * 0.7 * stamps_s)
    shaken = 3 * np.random.default_rng(0).normal(size=COUNT)
    assert followed(swing, stamps_s).unsteady < 0.25
    assert followed(shaken, stamps_s).unsteady > 0.6
    # What one way has too much by a stamp that came late, the next has too little.
    late_s = stamps_s.copy()
    late_s[::2] += 0.006
    rough = swing * (1 + 0.3 * (-1) ** np.arange(COUNT))
    assert followed(rough, late_s).unsteady > 0.6


def test_unsteadiness_by_hand():
    # Accelerations of 9, 18 and -12 rad/s^2; the first of them changed from nothing known.
    way = followed(np.array([0.0, 0.3, 0.9, 0.5]), 1.0 + INTERVAL_S * np.arange(4))
    changed = 0.9 * (18 - 9) ** 2 + (-12 - 18) ** 2
    accelerated = 0.9 * (9**2 + 18**2) / 2 + (18**2 + 12**2) / 2
    expected = np.sqrt((0.5**2 * 150 + 0.55**2 * changed) / (150 + accelerated))
    assert way.unsteady == pytest.approx(expected, rel=1e-6)


def test_what_is_long_ago_is_forgotten():
    stamps_s = np.concatenate([even_stamps(), even_stamps() + COUNT * INTERVAL_S])
    turns = 3 * np.sin(2 * np.pi * 0.7 * stamps_s)
    turns[:COUNT] += np.random.default_rng(0).normal(size=COUNT)
    assert followed(turns, stamps_s).unsteady < 0.5 * followed(turns[:COUNT], stamps_s[:COUNT]).unsteady
