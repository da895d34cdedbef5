"""Frame-to-frame visual odometry, the classical answer: corners tracked by KLT, essential matrix, chained poses.

Source: Nister, "An efficient solution to the five-point relative pose problem", PAMI 2004; Barath et al., "MAGSAC++",
CVPR 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ..camera import CameraModel
from ..distortion import DistortionModel
from ..offline.progress import Progress
from ..sequence import Sequence, read_image
from .trajectory import NEIGHBOUR_INTERVALS, Trajectory

CORNERS = 800
MIN_INLIERS = 20
MIN_SHARED = 8
THRESHOLD_PX = 1.0
ROUND_TRIP_PX = 1.0
WINDOW_PX, LEVELS = (21, 21), 4


@dataclass(frozen=True)
class Step:
    """Motion between two frames, x_b = rotation x_a + translation, and the depth that the corners have in a and in b.

    before, after [n, 2] px in frames a and b; depth_before, depth_after [n] in units of the translation.
    """

    rotation: np.ndarray
    translation: np.ndarray
    before: np.ndarray
    after: np.ndarray
    depth_before: np.ndarray
    depth_after: np.ndarray


def track_sequence(sequence: Sequence, progress: Progress[int] = iter) -> list[Trajectory]:
    """Trajectories of a sequence; a new one, with a scale of its own, begins where frames cannot be connected."""
    stamps_ns = sequence.stamps_ns
    longest_ns = NEIGHBOUR_INTERVALS * float(np.median(np.diff(stamps_ns))) if len(stamps_ns) > 1 else 0.0
    chains: list[_Chain] = []
    image = None
    for i in progress(range(len(stamps_ns))):
        image, earlier = _grey(read_image(sequence.frames[i].image)), image
        step = None
        if earlier is not None and stamps_ns[i] - stamps_ns[i - 1] <= longest_ns:
            step = relative_motion(earlier, image, sequence.camera)
        if step is None:
            chains.append(_Chain(int(stamps_ns[i])))
        else:
            chains[-1].append(int(stamps_ns[i]), step)
    return sorted((chain.trajectory() for chain in chains if len(chain) > 1), key=len, reverse=True)


def relative_motion(earlier: np.ndarray, later: np.ndarray, camera: CameraModel) -> Step | None:
    """Motion between two grey images uint8 [H, W]; None where too few corners agree on one."""
    before: Any = cv2.goodFeaturesToTrack(earlier, CORNERS, 0.005, 7)
    if before is None or len(before) < MIN_INLIERS:
        return None
    after, found = _track(earlier, later, before)
    back, found_back = _track(later, earlier, after)
    round_trip = np.linalg.norm((back - before).reshape(-1, 2), axis=1)
    kept = found & found_back & (round_trip < ROUND_TRIP_PX)
    before, after = before.reshape(-1, 2)[kept], after.reshape(-1, 2)[kept]
    if len(before) < MIN_INLIERS:
        return None
    rays, rays_after = _rays(before, camera), _rays(after, camera)
    threshold = THRESHOLD_PX / float(camera.matrix[0, 0])
    essential, agree = cv2.findEssentialMat(rays, rays_after, np.eye(3), cv2.USAC_MAGSAC, 0.999, threshold)
    if essential is None or essential.shape != (3, 3) or np.count_nonzero(agree) < MIN_INLIERS:
        return None
    inliers = agree.ravel() > 0
    first, second, translation = cv2.decomposeEssentialMat(essential)
    # Of the two rotations one turns by half a turn more: no camera does that between frames.
    rotation = max(first, second, key=np.trace)
    depth_before, depth_after = _depths(rays[inliers], rays_after[inliers], rotation, translation.ravel())
    if np.mean(depth_before > 0) < 0.5:
        translation, depth_before, depth_after = -translation, -depth_before, -depth_after
    return Step(rotation, translation.ravel(), before[inliers], after[inliers], depth_before, depth_after)


def _track(image: np.ndarray, other: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points [n, 1, 2] px of one image lie in the other, and whether they were found, bool [n]."""
    guess = np.empty_like(points)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        image, other, points, guess, winSize=WINDOW_PX, maxLevel=LEVELS
    )
    return np.asarray(moved), np.asarray(found).ravel() == 1


def _depths(
    rays: np.ndarray, rays_after: np.ndarray, rotation: np.ndarray, translation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Depths [n] in both frames of points seen along rays [n, 2] before and after a motion, by least squares."""
    turned = np.column_stack([rays, np.ones(len(rays))]) @ rotation.T
    seen = np.column_stack([rays_after, np.ones(len(rays))])
    parallax = np.cross(seen, turned)
    depth = -np.sum(parallax * np.cross(seen, translation), axis=1) / np.maximum(
        np.sum(parallax**2, axis=1), 1e-18
    )
    return depth, depth * turned[:, 2] + translation[2]


class _Chain:
    """Poses chained from frame to frame; the length of each step follows from corners shared with the one before."""

    def __init__(self, stamp_ns: int) -> None:
        self._stamps = [stamp_ns]
        self._rotations, self._positions = [np.eye(3)], [np.zeros(3)]
        self._last: Step | None = None
        self._length = 1.0

    def __len__(self) -> int:
        return len(self._stamps)

    def append(self, stamp_ns: int, step: Step) -> None:
        if self._last is not None:
            self._length *= _relative_length(self._last, step)
        self._last = step
        rotation = self._rotations[-1] @ step.rotation.T
        self._positions.append(self._positions[-1] - self._length * rotation @ step.translation)
        self._rotations.append(rotation)
        self._stamps.append(stamp_ns)

    def trajectory(self) -> Trajectory:
        return Trajectory(
            np.array(self._stamps, np.int64), np.array(self._rotations), np.array(self._positions)
        )


def _relative_length(last: Step, step: Step) -> float:
    """Length of a step over that of the last, from the depth of shared corners in the frame between; 1 with too few.

    Both detect their corners anew, so a corner is shared where one begins within 2 px of where another ended.
    """
    distance = np.linalg.norm(last.after[:, None] - step.before[None], axis=2)
    nearest = distance.argmin(axis=1)
    old, new = last.depth_after, step.depth_before[nearest]
    shared = (distance.min(axis=1) < 2) & (old > 0) & (new > 0)
    return float(np.median(old[shared] / new[shared])) if shared.sum() >= MIN_SHARED else 1.0


def _rays(points: np.ndarray, camera: CameraModel) -> np.ndarray:
    """Undistorted image plane coordinates [n, 2] of pixels [n, 2]."""
    distorted = np.ascontiguousarray(points.reshape(-1, 1, 2), np.float64)
    coefficients = np.array(camera.distortion, np.float64)
    if camera.model is DistortionModel.EQUIDISTANT:
        return cv2.fisheye.undistortPoints(distorted, camera.matrix, coefficients).reshape(-1, 2)
    return cv2.undistortPoints(distorted, camera.matrix, coefficients).reshape(-1, 2)


def _grey(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
