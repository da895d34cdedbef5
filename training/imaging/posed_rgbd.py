"""Posed RGB-D recordings: sharp key frames with measured depth, and exposures along the recorded path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.canonical_view import CanonicalView
from blur_imu_ros.errors import SequenceError
from blur_imu_ros.sequence import read_image
from training.imaging.blur import View
from training.imaging.keyframe import FOCAL_PX, HEIGHT, WIDTH, KeyFrame, encode_linear
from training.imaging.motion import ExposureMotion
from training.imaging.poses import moved

DEPTH_RANGE_M = (0.1, 20.0)
# More holes than this and the filled depth is a guess; more than the second and there is nothing to fill from.
METRIC_HOLES, MOST_HOLES = 0.15, 0.6
WINDOW_S, FEWEST_POSES = 0.05, 4
VELOCITY_WINDOW_S = 0.025
SATURATED, HIGHLIGHT = 0.85, 3.0


@dataclass(frozen=True)
class CameraPath:
    """Camera-to-world poses [n,4,4] (optical frame, metres) at increasing stamps [n] in seconds."""

    stamps_s: np.ndarray
    poses: np.ndarray

    def pose(self, stamp_s: float) -> np.ndarray:
        """Pose [4,4] at a time, turned and moved evenly between neighbours; beyond an end the last motion goes on."""
        index = int(np.clip(np.searchsorted(self.stamps_s, stamp_s) - 1, 0, len(self.stamps_s) - 2))
        before, after = self.stamps_s[index : index + 2]
        share = (stamp_s - before) / (after - before)
        step = displacement(self.poses[index], self.poses[index + 1]) * share
        return moved(self.poses[index], step)

    def motion(self, stamp_s: float, exposure_s: float, readout: float = 0.0) -> ExposureMotion | None:
        """Motion over an exposure around a time: a parabola through near poses; None where the path has a gap."""
        reach = max(0.5 * exposure_s, WINDOW_S)
        near = np.flatnonzero(np.abs(self.stamps_s - stamp_s) <= reach)
        if len(near) < FEWEST_POSES or not self.stamps_s[near[0]] < stamp_s < self.stamps_s[near[-1]]:
            return None
        time = self.stamps_s[near] - stamp_s
        here = self.pose(stamp_s)
        moved = np.array([displacement(here, self.poses[index]) for index in near])
        design = np.stack((np.ones_like(time), time, time * time), axis=1)
        _, rate, bend = np.linalg.lstsq(design, moved, rcond=None)[0]
        return ExposureMotion(rate * exposure_s, 2 * bend * exposure_s**2, readout)

    def velocity(self, stamp_s: float) -> np.ndarray:
        """Velocity [6] (rad/s, m/s) at a time in the camera's own axes: a straight line through near poses; NaN where the path
        has a gap."""
        near = np.flatnonzero(np.abs(self.stamps_s - stamp_s) <= VELOCITY_WINDOW_S)
        if len(near) < FEWEST_POSES or not self.stamps_s[near[0]] < stamp_s < self.stamps_s[near[-1]]:
            return np.full(6, np.nan)
        here, time = self.pose(stamp_s), self.stamps_s[near] - stamp_s
        moved = np.array([displacement(here, self.poses[index]) for index in near])
        return np.linalg.lstsq(np.stack((np.ones_like(time), time), axis=1), moved, rcond=None)[0][1]


def displacement(origin: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Rotation vector and translation [6] from one camera-to-world pose [4,4] to another, in the first one's axes."""
    change = np.linalg.inv(origin) @ pose
    return np.concatenate((cv2.Rodrigues(change[:3, :3])[0].ravel(), change[:3, 3]))


def seen_from(view: View, motion: ExposureMotion) -> ExposureMotion:
    """A motion in the key frame's axes, in the axes of a view that is turned against it."""
    turn = np.kron(np.eye(2), view.rotation.T)
    return ExposureMotion(turn @ motion.twist, turn @ motion.change, motion.readout)


@dataclass(frozen=True)
class PosedFrame:
    """Colour and depth files of one view with its camera; stamp None: no place in time."""

    image: Path
    depth: Path
    camera: CameraModel
    stamp_s: float | None = None


@dataclass(frozen=True)
class Recording:
    """Frames with depth images of `depth_per_metre` units, and the path (None: single photographs without one)."""

    folder: Path
    frames: tuple[PosedFrame, ...]
    depth_per_metre: float
    path: CameraPath | None = None


def read_key_frame(frame: PosedFrame, depth_per_metre: float) -> KeyFrame | None:
    """The frame as a pinhole RGB-D view, holes filled; None where most depth is missing. Raises SequenceError."""
    view = CanonicalView(frame.camera, WIDTH, HEIGHT, FOCAL_PX)
    depth = read_depth_m(frame.depth, depth_per_metre)
    known = _depth_in_view(depth, frame.camera, view)
    missing = ~np.isfinite(known)
    holes = float(missing[view.valid].mean())
    if holes > MOST_HOLES:
        return None
    image = read_image(frame.image)
    if image.shape[:2] != (frame.camera.height, frame.camera.width):
        raise SequenceError(
            f"{frame.image}: {image.shape[1]}x{image.shape[0]} px where the calibration says "
            f"{frame.camera.width}x{frame.camera.height}; use the calibration of these very images"
        )
    inverse_depth = fill_holes(1 / known, missing)
    return KeyFrame(
        encode_linear(linear_light(view.warp(image))),
        inverse_depth,
        view.focal_px,
        metric=holes <= METRIC_HOLES,
    )


def linear_light(image: np.ndarray) -> np.ndarray:
    """8-bit RGB [H,W,3] -> linear light, what was saturated made brighter than white."""
    linear = np.power(image.astype(np.float32) / 255, 2.2)
    excess = np.clip(linear.min(axis=2, keepdims=True) - SATURATED, 0, None) / (1 - SATURATED)
    return linear * (1 + HIGHLIGHT * excess)


def fill_holes(inverse_depth: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Inverse depth float32 [H,W] with missing places filled from around them, the farther side first.

    Holes beside an edge are shadows of the depth camera and belong to what lies behind.
    """
    filled = np.where(missing, np.float32(0), inverse_depth).astype(np.float32)
    level, gap = filled, missing
    levels = []
    while gap.any() and min(level.shape) > 2:
        levels.append((level, gap))
        weight = cv2.resize((~gap).astype(np.float32), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        mean = cv2.resize(level * ~gap, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        level, gap = mean / np.maximum(weight, 1e-6), weight < 1e-6
    level = np.where(gap, np.median(level[~gap]) if (~gap).any() else 0.3, level).astype(np.float32)
    for known, gap in reversed(levels):
        size = (known.shape[1], known.shape[0])
        behind = cv2.erode(level, np.ones((3, 3), np.uint8))
        level = np.where(gap, cv2.resize(behind, size, interpolation=cv2.INTER_LINEAR), known)
    return level


def read_depth_m(path: Path, per_metre: float) -> np.ndarray:
    """Depth [H,W] m of a 16-bit PNG, NaN where unknown or out of range. Raises SequenceError."""
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if raw is None or raw.dtype != np.uint16 or raw.ndim != 2:
        raise SequenceError(f"{path}: depth must be a one-channel 16-bit PNG ({per_metre:.0f} per metre)")
    depth = raw.astype(np.float32) / np.float32(per_metre)
    return np.where((depth > DEPTH_RANGE_M[0]) & (depth < DEPTH_RANGE_M[1]), depth, np.float32("nan"))


def _depth_in_view(depth: np.ndarray, camera: CameraModel, view: CanonicalView) -> np.ndarray:
    """Depth [H,W] of the view's pixels, nearest neighbour; the depth image may be smaller than the colour one."""
    rows, columns = np.mgrid[: view.height, : view.width]
    source = view.source_pixels(np.stack((columns.ravel(), rows.ravel()), axis=1))
    shrink = np.array(depth.shape[::-1]) / (camera.width, camera.height)
    place = ((source + 0.5) * shrink - 0.5).reshape(view.height, view.width, 2).astype(np.float32)
    nan = float("nan")
    sampled = cv2.remap(
        depth, place, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=(nan,)
    )
    return np.where(view.valid, sampled, np.float32(nan))
