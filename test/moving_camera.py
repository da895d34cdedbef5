"""A small textured world, two walls at different depths, seen sharply by a camera on a known path."""

from pathlib import Path

import cv2
import numpy as np

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.recordings.sequence_writer import SequenceWriter
from blur_imu_ros.rigid_motion import displacement

WIDTH, HEIGHT, FOCAL_PX = 320, 240, 260.0
CAMERA = CameraModel(WIDTH, HEIGHT, np.array([[FOCAL_PX, 0, 159.5], [0, FOCAL_PX, 119.5], [0, 0, 1]]))
INTERVAL_NS = 33_333_333
TWIST = np.array([0.2, -0.5, 0.3, 0.8, -0.3, 0.4])
PIXELS_PER_METRE = 120


def texture(seed: int, size_px: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.uniform(0, 255, (n, n)), (size_px, size_px)) for n in (size_px // 6, size_px // 24)
    ]
    return (0.6 * layers[0] + 0.4 * layers[1]).astype(np.uint8)


# Texture, depth in m, and position of its middle in the first camera's frame.
WALLS = (
    (texture(0, 1600), 4.0, (0.0, 0.0)),
    (texture(1, 110), 1.6, (0.35, 0.1)),
    (texture(2, 120), 2.2, (-0.8, -0.2)),
)


def poses(twist: np.ndarray, frames: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """World to camera (rotation, translation) of a camera that moves at a constant twist of its own."""
    return [displacement(twist, i * INTERVAL_NS * 1e-9) for i in range(frames)]


def photograph(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    for wall, depth, middle in WALLS:
        half = wall.shape[0] / 2
        # From pixels of the wall to the first camera's frame, to this camera's, to its pixels.
        to_world = np.array([[1, 0, -half], [0, 1, -half], [0, 0, 0]]) / PIXELS_PER_METRE
        to_world += np.outer([*middle, depth], [0, 0, 1])
        homography = CAMERA.matrix @ (rotation @ to_world + np.outer(translation, [0, 0, 1]))
        size, covered = (WIDTH, HEIGHT), np.full_like(wall, 255)
        mask = cv2.warpPerspective(covered, homography, size) > 127
        image[mask] = cv2.warpPerspective(wall, homography, size)[mask]
    return image


def rolling_photograph(twist: np.ndarray, middle_s: float, readout_s: float) -> np.ndarray:
    """What a rolling shutter sees, whose middle row is exposed at `middle_s`."""
    rows, strips = 4, []
    for top in range(0, HEIGHT, rows):
        late_s = readout_s * ((top + rows / 2) / HEIGHT - 0.5)
        strips.append(photograph(*displacement(twist, middle_s + late_s))[top : top + rows])
    return np.concatenate(strips)


def write_sequence(folder: Path, frames: int = 10, twist: np.ndarray = TWIST) -> Path:
    """A sequence folder of that camera, with its truth and an exposure of 10 ms."""
    with SequenceWriter(folder, CAMERA) as writer:
        for i, (rotation, translation) in enumerate(poses(twist, frames)):
            image = photograph(rotation, translation)
            writer.add(10**18 + i * INTERVAL_NS, image, exposure_s=0.01, twist=twist)
    return folder
