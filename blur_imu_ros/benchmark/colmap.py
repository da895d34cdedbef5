"""COLMAP on a sequence folder through pycolmap: SIFT, sequential matching, incremental mapping, known intrinsics.

Runs as a process of its own, `python -m blur_imu_ros.benchmark.colmap SEQUENCE OUTPUT`: whatever its C++ does, the
table goes on. OUTPUT gets one trajectory per reconstructed model, model_000.tum the largest.
Source: Schoenberger & Frahm, CVPR 2016.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ..camera import CameraModel
from ..distortion import DistortionModel
from ..errors import BlurImuError
from ..offline.child import Child
from ..sequence import Sequence
from .trajectory import Trajectory, read_tum, write_tum

LIMIT_S = 3600.0
SMALLEST_MODEL = 3
MIN_PARALLAX_DEG = 4.0
"""For the first pair; the default of 16 is for photo collections, and a short video has less."""
_POLL_S = 0.2


def reconstruct(sequence: Sequence) -> list[Trajectory]:
    """Trajectories of all models, the largest first; none where COLMAP finds no model. Raises BlurImuError."""
    import pycolmap

    with tempfile.TemporaryDirectory(prefix="blur_imu_colmap_") as folder:
        command = [sys.executable, "-m", __name__, str(sequence.folder.resolve()), folder]
        deadline = time.monotonic() + LIMIT_S
        with Child(command, Path(folder) / "colmap.log") as child:
            while child.exit_code is None and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            code = child.exit_code
        if code is None:
            raise BlurImuError(f"COLMAP {pycolmap.__version__} was not ready after {LIMIT_S:.0f} s")
        if code != 0:
            raise BlurImuError(f"COLMAP {pycolmap.__version__} ended with exit code {code}")
        return [read_tum(path) for path in sorted(Path(folder).glob("model_*.tum"))]


def camera_of(camera: CameraModel) -> tuple[str, list[float]]:
    """COLMAP's name and parameters of a camera; it counts pixels from their corner, not their centre."""
    matrix, coefficients = camera.matrix, [*camera.distortion, *[0.0] * 8]
    pinhole = [matrix[0, 0], matrix[1, 1], matrix[0, 2] + 0.5, matrix[1, 2] + 0.5]
    if camera.model is DistortionModel.NONE:
        return "PINHOLE", pinhole
    if camera.model is DistortionModel.EQUIDISTANT:
        return "OPENCV_FISHEYE", pinhole + coefficients[:4]
    return "FULL_OPENCV", pinhole + coefficients[:8]


def _map(sequence: Sequence, output: Path) -> None:
    import pycolmap

    images, database = output / "images", output / "database.db"
    images.mkdir()
    for i, frame in enumerate(sequence.frames):
        (images / f"{i:06d}{frame.image.suffix}").symlink_to(frame.image.resolve())
    pycolmap.set_random_seed(0)
    model, parameters = camera_of(sequence.camera)
    reader = pycolmap.ImageReaderOptions(
        camera_model=model, camera_params=",".join(f"{p:.12g}" for p in parameters)
    )
    pycolmap.extract_features(database, images, camera_mode=pycolmap.CameraMode.SINGLE, reader_options=reader)
    pycolmap.match_sequential(database)
    options = pycolmap.IncrementalPipelineOptions(
        ba_refine_focal_length=False,
        ba_refine_extra_params=False,
        min_model_size=SMALLEST_MODEL,
        extract_colors=False,
    )
    options.mapper.init_min_tri_angle = MIN_PARALLAX_DEG
    models = pycolmap.incremental_mapping(database, images, output, options)
    trajectories = [_trajectory(model, sequence.stamps_ns) for model in models.values()]
    for i, trajectory in enumerate(sorted(trajectories, key=len, reverse=True)):
        write_tum(trajectory, output / f"model_{i:03d}.tum")


def _trajectory(model: object, stamps_ns: np.ndarray) -> Trajectory:
    images = sorted(model.images.values(), key=lambda image: image.name)  # type: ignore[attr-defined]
    poses = [image.cam_from_world().inverse() for image in images if image.has_pose]
    numbers = [int(Path(image.name).stem) for image in images if image.has_pose]
    rotation = np.array([pose.rotation.matrix() for pose in poses])
    return Trajectory(stamps_ns[numbers], rotation, np.array([pose.translation for pose in poses]))


if __name__ == "__main__":
    _map(Sequence.load(sys.argv[1]), Path(sys.argv[2]))
