"""A toy asset pack and, where nothing can be rendered, a toy sequence: enough for `python -m training smoke`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.recordings.sequence_writer import SequenceWriter
from training.asset_pack.split import Split
from training.imaging.blur import View, integrate_exposure
from training.imaging.collage import make_collage
from training.imaging.motion import ExposureMotion
from training.imaging.sensor import draw_sensor, expose
from training.room.shapes import box

KINDS = ("wall", "wood", "picture")
ANGULAR_RAD_S, LINEAR_M_S, EXPOSURE_S = 2.0, 0.5, 0.012


def write_pack(folder: Path, seed: int = 0) -> None:
    """Every split with a painted texture of each kind and one table-like box."""
    for number, split in enumerate(Split):
        rng = np.random.default_rng((seed, number))
        for kind in KINDS:
            path = folder / "textures" / split.value / kind / f"{kind}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), painted(rng))
        furniture = folder / "furniture" / split.value
        furniture.mkdir(parents=True, exist_ok=True)
        write_box(furniture / "box.npz", tuple(rng.uniform(0.3, 0.9, 3)))


def painted(rng: np.random.Generator, width: int = 512, height: int = 384) -> np.ndarray:
    """Smooth colours with shapes of all sizes on them, uint8 [H,W,3]."""
    coarse = rng.integers(40, 220, (6, 8, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(150):
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        centre = tuple(int(value) for value in rng.uniform((0, 0), (width, height)))
        cv2.circle(image, centre, int(2 + 40 * rng.random() ** 3), colour, -1, cv2.LINE_AA)
    return image


def write_box(path: Path, size: tuple[float, float, float]) -> None:
    """A box of `size` metres as a model file of the asset pack (see asset_furniture)."""
    corners, uv = box((1.0, 1.0, 1.0))
    upright = corners[:, :, [0, 2, 1]] * np.array([1, 1, -1], np.float32) + np.array(
        [0.5, 0, 0.5], np.float32
    )
    np.savez(
        path, vertices=np.round(upright.reshape(-1, 3) * 65535).astype(np.uint16), uv=uv.reshape(-1, 2).astype(np.float16),
        triangles=np.arange(3 * len(corners), dtype=np.uint32).reshape(-1, 3), material=np.zeros(len(corners), np.uint8),
        colour=np.array([[0.5, 0.4, 0.3]], np.float32), opacity=np.ones(1, np.float32), layer=np.array([-1], np.int16),
        images=np.zeros((0, 1, 1, 4), np.uint8), size=np.array(size, np.float32), name=np.array("table"),
        category=np.array("Kitchen"),
    )  # fmt: skip


def write_collage_sequence(
    folder: Path, photographs: list[Path], size: tuple[int, int], frames: int, seed: int
) -> None:
    """A sequence folder whose frames are unrelated collages, each blurred by its own known velocity."""
    rng = np.random.default_rng(seed)
    (width, height), focal_px = size, 510.0 * size[0] / 640
    view = View(width, height, focal_px, np.eye(3))
    with SequenceWriter(folder, CameraModel.pinhole(width, height, focal_px), image_suffix=".jpg") as writer:
        for number in range(frames):
            twist = rng.normal(0, np.repeat((ANGULAR_RAD_S, LINEAR_M_S), 3))
            motion = ExposureMotion(twist * EXPOSURE_S, np.zeros(6))
            light, _ = integrate_exposure(make_collage(rng, photographs), view, motion)
            image = expose(draw_sensor(rng, dark=False), light, rng)
            writer.add(round((100 + number / 30) * 1e9), image, exposure_s=EXPOSURE_S, twist=twist)
