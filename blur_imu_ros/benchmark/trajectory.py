"""Camera trajectories, as odometry and structure from motion give them, and the velocities in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..errors import SequenceError
from ..recordings.csv_rows import nanoseconds, seconds
from ..recordings.nearest import nearest
from ..rigid_motion import quaternion, rotations

NEIGHBOUR_INTERVALS = 1.5
"""Poses further apart than this many frame intervals are not neighbours."""
_COLUMNS = "timestamp tx ty tz qx qy qz qw"


@dataclass(frozen=True)
class Trajectory:
    """Poses of one camera in one world of one scale.

    stamps_ns int64 [n], increasing; rotation [n, 3, 3] and position [n, 3] carry camera coordinates (optical frame)
    into the world's.
    """

    stamps_ns: np.ndarray
    rotation: np.ndarray
    position: np.ndarray

    def __len__(self) -> int:
        return len(self.stamps_ns)


def velocities(trajectory: Trajectory, stamps_ns: np.ndarray) -> np.ndarray:
    """Twists [n, 6] of the camera in its own frame at the frames `stamps_ns` [n], by central differences.

    One-sided where only one neighbour has a pose, NaN for a frame that has no pose of its own or no neighbour with one.
    Linear velocity has the trajectory's scale.
    """
    twist = np.full((len(stamps_ns), 6), np.nan)
    pose_of = _pose_of_frame(trajectory, stamps_ns)
    connected = np.zeros(len(stamps_ns) + 1, bool)
    if len(stamps_ns) > 1:
        steps = np.diff(stamps_ns)
        near = steps <= NEIGHBOUR_INTERVALS * np.median(steps)
        connected[1:-1] = near & (pose_of[1:] >= 0) & (pose_of[:-1] >= 0)
    for i in range(len(stamps_ns)):
        start, end = i - int(connected[i]), i + int(connected[i + 1])
        if start == end:
            continue
        step_s = (stamps_ns[end] - stamps_ns[start]) * 1e-9
        own = trajectory.rotation[pose_of[i]].T
        first, last = trajectory.rotation[pose_of[start]], trajectory.rotation[pose_of[end]]
        turn = first @ cv2.Rodrigues(first.T @ last)[0].ravel()
        twist[i, :3] = own @ turn / step_s
        twist[i, 3:] = (
            own @ (trajectory.position[pose_of[end]] - trajectory.position[pose_of[start]]) / step_s
        )
    return twist


def aligned_velocities(
    trajectories: list[Trajectory], stamps_ns: np.ndarray, truth: np.ndarray
) -> np.ndarray:
    """Twists [n, 6] of several trajectories, each with the one scale that fits the true linear velocity best.

    A camera alone cannot know its scale, so it comes from the truth, as in the paper; where the truth does not know the
    linear velocity, it stays NaN. Trajectories come in order of trust: a frame takes the first that answers it.
    """
    twist = np.full((len(stamps_ns), 6), np.nan)
    for trajectory in trajectories:
        found = velocities(trajectory, stamps_ns)
        found[:, 3:] *= true_scale(found[:, 3:], truth[:, 3:])
        twist = np.where(np.isnan(twist[:, :1]), found, twist)
    return twist


def true_scale(linear: np.ndarray, truth: np.ndarray) -> float:
    """The factor, not negative, that brings velocities [n, 3] nearest to the true ones; NaN where nothing is known."""
    known = np.isfinite(linear).all(axis=1) & np.isfinite(truth).all(axis=1)
    power = float(np.sum(linear[known] ** 2))
    return max(float(np.sum(linear[known] * truth[known])) / power, 0.0) if power > 0 else float("nan")


def read_tum(path: Path) -> Trajectory:
    """Read a TUM file: `timestamp tx ty tz qx qy qz qw` per line, camera to world. Raises SequenceError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SequenceError(
            f"trajectory {path} cannot be read: {error}; give a text file in the TUM format"
        ) from error
    stamps: list[int] = []
    values: list[list[float]] = []
    for number, line in enumerate(lines, 1):
        fields = line.split("#")[0].split()
        if not fields:
            continue
        try:
            stamps.append(nanoseconds(fields[0]))
            values.append([float(field) for field in fields[1:]])
        except ValueError as error:
            raise SequenceError(f"{path}, line {number}: {error}; write {_COLUMNS}") from error
        length = np.linalg.norm(values[-1][3:])
        if len(fields) != 8 or not np.isfinite(values[-1]).all() or abs(length - 1) > 0.01:
            raise SequenceError(
                f"{path}, line {number}: {line.strip()!r}; write {_COLUMNS}, a unit quaternion last"
            )
    if not values:
        raise SequenceError(f"trajectory {path} holds no pose; write one line per pose: {_COLUMNS}")
    order = np.argsort(stamps, kind="stable")
    table = np.array(values)[order]
    return Trajectory(np.array(stamps, np.int64)[order], rotations(table[:, 3:]), table[:, :3])


def write_tum(trajectory: Trajectory, path: Path) -> None:
    """Write a trajectory in the TUM format."""
    rows = zip(trajectory.stamps_ns.tolist(), trajectory.position, trajectory.rotation, strict=True)
    lines = [
        " ".join([seconds(stamp), *(f"{x:.9g}" for x in (*position, *quaternion(rotation)))])
        for stamp, position, rotation in rows
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _pose_of_frame(trajectory: Trajectory, stamps_ns: np.ndarray) -> np.ndarray:
    """Index [n] of the pose nearest to each frame within a quarter of a frame interval, -1 where there is none."""
    reach_ns = float(np.median(np.diff(stamps_ns))) / 4 if len(stamps_ns) > 1 else 1e6
    pose, distance_ns = nearest(trajectory.stamps_ns, stamps_ns)
    return np.where(distance_ns <= reach_ns, pose, -1)
