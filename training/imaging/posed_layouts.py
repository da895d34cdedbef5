"""Folder layouts of posed RGB-D recordings: TUM RGB-D, and ScanNet++ with its DSLR and iPhone parts.

Sources: vision.in.tum.de/data/datasets/rgbd-dataset/file_formats; the ScanNet++ toolkit (depth rendered or extracted
as 16-bit PNG in millimetres, iPhone poses camera-to-world in the optical frame).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.distortion import DistortionModel
from blur_imu_ros.errors import SequenceError
from blur_imu_ros.rigid_motion import rotations
from blur_imu_ros.sequence import read_image
from training.imaging.posed_rgbd import CameraPath, PosedFrame, Recording

TUM_DEPTH_PER_METRE, SCANNETPP_DEPTH_PER_METRE = 5000.0, 1000.0
ASSOCIATION_S = 0.02
# Intrinsics that the TUM benchmark publishes for its three cameras: fx fy cx cy, then plumb_bob coefficients.
TUM_CAMERAS = {
    "freiburg1": ((517.3, 516.5, 318.6, 255.3), (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    "freiburg2": ((520.9, 521.0, 325.1, 249.7), (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
    "freiburg3": ((535.4, 539.2, 320.1, 247.6), ()),
}


class Layout(Enum):
    TUM = "tum"
    SCANNETPP_DSLR = "scannetpp_dslr"
    SCANNETPP_IPHONE = "scannetpp_iphone"


def read_recording(folder: Path, layout: Layout) -> Recording:
    """The frames and the path of a recording; images are opened later. Raises SequenceError for missing files."""
    recording = READERS[layout](Path(folder))
    if not recording.frames:
        raise SequenceError(f"{folder}: no frame has colour, depth and pose; is it unpacked {layout.value}?")
    return recording


def _pinhole(
    width: int, height: int, values: tuple[float, ...], distortion: tuple[float, ...], model: DistortionModel
) -> CameraModel:
    fx, fy, cx, cy = values
    return CameraModel(width, height, np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), distortion, model)


def _tum(folder: Path) -> Recording:
    """rgb.txt, depth.txt, groundtruth.txt; the camera from camera.yaml (ROS), else by the freiburg number."""
    camera = _tum_camera(folder)
    colour, depth = _stamped(folder / "rgb.txt", 2), _stamped(folder / "depth.txt", 2)
    truth = np.array([[float(field) for field in row] for row in _stamped(folder / "groundtruth.txt", 8)])
    truth = truth[np.argsort(truth[:, 0])]
    path = CameraPath(truth[:, 0], np.array([_pose(row[1:4], row[4:8]) for row in truth]))
    depth_stamps = np.array([float(row[0]) for row in depth])
    frames = []
    for stamp, name in colour:
        nearest = int(np.abs(depth_stamps - float(stamp)).argmin())
        if abs(depth_stamps[nearest] - float(stamp)) <= ASSOCIATION_S:
            frames.append(PosedFrame(folder / name, folder / depth[nearest][1], camera, float(stamp)))
    return Recording(folder, tuple(frames), TUM_DEPTH_PER_METRE, path)


def _tum_camera(folder: Path) -> CameraModel:
    if (folder / "camera.yaml").is_file():
        return CameraModel.from_yaml(folder / "camera.yaml")
    number = re.search(r"freiburg[123]", folder.resolve().name)
    if number is None:
        raise SequenceError(
            f"{folder}: no camera.yaml and no freiburg1, 2 or 3 in its name; add a ROS camera_info YAML"
        )
    values, distortion = TUM_CAMERAS[number[0]]
    model = DistortionModel.PLUMB_BOB if distortion else DistortionModel.NONE
    return _pinhole(640, 480, values, distortion, model)


def _stamped(path: Path, fields: int) -> list[list[str]]:
    """Rows of a TUM list: `fields` words each, comments skipped. Raises SequenceError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SequenceError(
            f"{path}: cannot be read ({error.strerror}); the TUM layout needs this file"
        ) from error
    rows = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            if len(words) != fields:
                raise SequenceError(
                    f"{path}, line {number}: {len(words)} words where the format has {fields}"
                )
            rows.append(words)
    if not rows:
        raise SequenceError(f"{path}: no rows; the recording is empty")
    return rows


def _pose(translation: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """Pose [4,4] from a translation and a quaternion (x, y, z, w)."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotations(quaternion[None])[0], translation
    return pose


def _dslr(folder: Path) -> Recording:
    """dslr/: nerfstudio/transforms.json, resized_images/, render_depth/ (same geometry); photographs without a path."""
    folder = folder / "dslr" if (folder / "dslr").is_dir() else folder
    source = folder / "nerfstudio" / "transforms.json"
    transforms = _json(source)
    camera = _nerfstudio_camera(transforms, source)
    listed = [*transforms.get("frames", []), *transforms.get("test_frames", [])]
    images = [folder / "resized_images" / frame["file_path"] for frame in listed if not frame.get("is_bad")]
    pairs = [(image, folder / "render_depth" / f"{image.stem}.png") for image in images]
    frames = tuple(
        PosedFrame(image, depth, camera) for image, depth in pairs if image.is_file() and depth.is_file()
    )
    return Recording(folder, frames, SCANNETPP_DEPTH_PER_METRE)


def _nerfstudio_camera(entries: dict[str, Any], source: Path) -> CameraModel:
    kinds = {
        "PINHOLE": (DistortionModel.NONE, ()),
        "OPENCV": (DistortionModel.PLUMB_BOB, ("k1", "k2", "p1", "p2", "k3")),
        "OPENCV_FISHEYE": (DistortionModel.EQUIDISTANT, ("k1", "k2", "k3", "k4")),
    }
    kind = entries.get("camera_model")
    if kind not in kinds or not {"fl_x", "fl_y", "cx", "cy", "w", "h"} <= entries.keys():
        raise SequenceError(
            f"{source}: needs fl_x, fl_y, cx, cy, w, h and a camera_model of {', '.join(kinds)}, not {kind!r}"
        )
    model, names = kinds[kind]
    # COLMAP and nerfstudio put (0, 0) at the corner of the first pixel, ROS at its centre.
    values = (entries["fl_x"], entries["fl_y"], entries["cx"] - 0.5, entries["cy"] - 0.5)
    return _pinhole(
        int(entries["w"]),
        int(entries["h"]),
        values,
        tuple(float(entries.get(name, 0)) for name in names),
        model,
    )


def _iphone(folder: Path) -> Recording:
    """iphone/: pose_intrinsic_imu.json, rgb/frame_*.jpg and depth/frame_*.png (render_depth/ where it is there)."""
    folder = folder / "iphone" if (folder / "iphone").is_dir() else folder
    source = folder / "pose_intrinsic_imu.json"
    depth_folder = folder / "render_depth" if (folder / "render_depth").is_dir() else folder / "depth"
    entries = sorted(_json(source).items())
    try:
        stamps = np.array([float(entry["timestamp"]) for _, entry in entries])
        poses = np.array(
            [entry.get("aligned_pose", entry.get("pose")) for _, entry in entries], float
        ).reshape(-1, 4, 4)
        matrices = np.array([entry["intrinsic"] for _, entry in entries], float).reshape(-1, 3, 3)
    except (KeyError, TypeError, ValueError) as error:
        raise SequenceError(
            f"{source}: every frame needs timestamp, aligned_pose [4,4] and intrinsic [3,3] ({error})"
        ) from error
    if len(stamps) < 2 or (np.diff(stamps) <= 0).any():
        raise SequenceError(f"{source}: needs at least two frames with increasing timestamps")
    files = [(folder / "rgb" / f"{name}.jpg", depth_folder / f"{name}.png") for name, _ in entries]
    there = [index for index, pair in enumerate(files) if all(file.is_file() for file in pair)]
    if there:
        height, width = read_image(files[there[0]][0]).shape[:2]
    cameras = {index: CameraModel(width, height, matrices[index]) for index in there}
    frames = [PosedFrame(*files[index], cameras[index], float(stamps[index])) for index in there]
    return Recording(folder, tuple(frames), SCANNETPP_DEPTH_PER_METRE, CameraPath(stamps, poses))


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SequenceError(
            f"{path}: cannot be read ({error.strerror}); unpack the recording with its toolkit"
        ) from error
    except ValueError as error:
        raise SequenceError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise SequenceError(f"{path}: not a JSON object")
    return content


READERS: dict[Layout, Callable[[Path], Recording]] = {
    Layout.TUM: _tum,
    Layout.SCANNETPP_DSLR: _dslr,
    Layout.SCANNETPP_IPHONE: _iphone,
}
