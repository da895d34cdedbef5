"""Exposure integration: a key frame warped along the true path by many sub-frames, summed in linear light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.imaging.keyframe import FULL_SCALE, KeyFrame
from training.imaging.motion import ExposureMotion

# Longest way between the sub-frames of an exposure, and how many of them there are.
STEP_PX, SUB_FRAMES = 1.2, (3, 72)


@dataclass(frozen=True)
class View:
    """The camera that looks: size and focal length in pixels, turned by `rotation` [3,3] against the key frame's axes."""

    width: int
    height: int
    focal_px: float
    rotation: np.ndarray

    def rays(self) -> np.ndarray:
        """Rays [H,W,3] with z = 1 in the view's optical frame."""
        x = (np.arange(self.width, dtype=np.float32) - (self.width - 1) / 2) / self.focal_px
        y = (np.arange(self.height, dtype=np.float32) - (self.height - 1) / 2) / self.focal_px
        return np.stack((*np.meshgrid(x, y), np.ones((self.height, self.width), np.float32)), axis=-1)


def _project(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Homogeneous points [H,W,3] through a 3x3 matrix to pixels [H,W,2] (float32)."""
    image = cv2.transform(points, matrix.astype(np.float32))
    return image[..., :2] / np.maximum(image[..., 2:], 1e-3)


def _key_matrix(key: KeyFrame, view: View) -> np.ndarray:
    height, width = key.inverse_depth.shape
    intrinsics = np.array(
        [[key.focal_px, 0, (width - 1) / 2], [0, key.focal_px, (height - 1) / 2], [0, 0, 1]]
    )
    return intrinsics @ view.rotation


def view_inverse_depth(key: KeyFrame, view: View) -> np.ndarray:
    """Inverse depth [H,W] along the view's own optical axis, at mid exposure."""
    rays = view.rays()
    source = _project(rays, _key_matrix(key, view))
    sampled = cv2.remap(key.inverse_depth, source, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
    return sampled * (rays @ view.rotation[2].astype(np.float32))


def _source_map(inverse_depth: np.ndarray, view: View, pose: np.ndarray, to_key: np.ndarray) -> np.ndarray:
    """Key-frame pixel [H,W,2] seen by each view pixel from `pose` [6], found front to back so that near surfaces occlude."""
    rotation = cv2.Rodrigues(pose[:3])[0].astype(np.float32)
    rays = cv2.transform(view.rays(), rotation)
    centre = pose[3:].astype(np.float32)
    intrinsics = np.array(
        [[view.focal_px, 0, (view.width - 1) / 2], [0, view.focal_px, (view.height - 1) / 2], [0, 0, 1]]
    )
    reach = int(np.ceil(view.focal_px * np.linalg.norm(centre) * float(inverse_depth.max())))
    depth = (
        cv2.dilate(inverse_depth, np.ones((2 * min(reach, 12) + 1,) * 2, np.uint8))
        if reach
        else inverse_depth
    )
    for _ in range(2 if reach else 0):
        pixels = _project(rays + depth[..., None] * centre, intrinsics)
        depth = cv2.remap(inverse_depth, pixels, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return _project(rays + depth[..., None] * centre, to_key)


def integrate_exposure(
    key: KeyFrame, view: View, motion: ExposureMotion, step_px: float = STEP_PX
) -> tuple[np.ndarray, np.ndarray]:
    """Linear-light image float32 [H,W,3] (1 = diffuse white) of one exposure, and inverse depth [H,W] at each row's mid time."""
    inverse_depth, to_key = view_inverse_depth(key, view), _key_matrix(key, view)
    reach = 0.5 * (1.0 + motion.readout)
    before, middle, after = (
        _source_map(inverse_depth, view, motion.displacement(time), to_key) for time in (-reach, 0.0, reach)
    )
    slope, bend = (after - before) / (2 * reach), (after + before - 2 * middle) / (2 * reach * reach)
    row_time = (np.linspace(-0.5, 0.5, view.height, dtype=np.float32) * motion.readout)[:, None, None]
    length = float(np.percentile(np.linalg.norm(slope[::4, ::4], axis=-1), 99)) * view.focal_px / key.focal_px
    count = int(np.clip(np.ceil(length / step_px), *SUB_FRAMES))
    # Quadratic in time: each sub-frame's map is the one before plus a step that grows evenly.
    interval = np.float32(1 / count)
    moment = row_time - np.float32(0.5) + interval / 2
    source = middle + slope * moment + bend * (moment * moment)
    step = slope * interval + bend * (2 * interval * moment + interval * interval)
    growth = bend * (2 * interval * interval)
    # OpenCV reads four channels twice as fast as three.
    colour = cv2.cvtColor(key.colour, cv2.COLOR_RGB2RGBA)
    total = np.zeros((view.height, view.width, 4), np.float32)
    for _ in range(count):
        moved = cv2.remap(colour, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        cv2.accumulate(moved, total)
        source += step
        step += growth
    if motion.readout:
        rows = np.broadcast_to(row_time, (*inverse_depth.shape, 1))
        source = middle + slope * rows + bend * (rows * rows)
        depth = cv2.remap(
            key.inverse_depth, source, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101
        )
        inverse_depth = depth * (view.rays() @ view.rotation[2].astype(np.float32))
    return total[..., :3] * np.float32(FULL_SCALE / 65535.0 / count), inverse_depth
