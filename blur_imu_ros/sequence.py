"""Sequence folders: images with stamps, intrinsics, exposure, depth and true velocity, as plain files.

camera.yaml   ROS camera_info YAML, plus optional `truth_sigma: {w: rad/s, v: m/s}`
frames.csv    stamp_s,image[,exposure_s][,depth]    (empty exposure = unknown; depth: 16-bit PNG, 5000 per metre)
truth.csv     stamp_s,wx,wy,wz,vx,vy,vz             (camera optical frame, rad/s and m/s; empty = unknown)
images/...
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import yaml

from .camera import CameraModel
from .errors import ImageError, SequenceError
from .exposure_field import fits_between_frames
from .image_message import decode_compressed
from .recordings.csv_rows import parse_number, parse_stamp_ns, read_rows
from .recordings.nearest import nearest

DEPTH_PER_METRE = 5000.0
TRUTH_COLUMNS = ("wx", "wy", "wz", "vx", "vy", "vz")
# A truth stamp further away than this says nothing about the frame.
TRUTH_REACH_NS = 50_000_000


@dataclass(frozen=True)
class SequenceFrame:
    """One row of frames.csv: stamp of the middle of the exposure, files, exposure in seconds (None = unknown)."""

    stamp_ns: int
    image: Path
    exposure_s: float | None
    depth: Path | None

    @property
    def stamp_s(self) -> float:
        return self.stamp_ns * 1e-9


@dataclass(frozen=True)
class Sequence:
    """A loaded sequence folder.

    truth: float64 [n, 6] per frame, (wx, wy, wz, vx, vy, vz) of the camera in its optical frame, NaN where unknown.
    truth_sigma: float64 [6] standard deviation of the truth in the same units, zero where none is stated.
    """

    folder: Path
    camera: CameraModel
    frames: tuple[SequenceFrame, ...]
    truth: np.ndarray
    truth_sigma: np.ndarray

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def stamps_ns(self) -> np.ndarray:
        return np.array([frame.stamp_ns for frame in self.frames], dtype=np.int64)

    @property
    def frame_interval_s(self) -> float:
        """Median time between frames, 0 for a single one."""
        return float(np.median(np.diff(self.stamps_ns))) * 1e-9 if len(self.frames) > 1 else 0.0

    @classmethod
    def load(cls, folder: str | Path) -> Sequence:
        """Read and check a sequence folder; images are opened by read_image. Raises SequenceError, CameraError."""
        folder = Path(folder)
        if not folder.is_dir():
            raise SequenceError(f"{folder}: no such folder; give a folder with camera.yaml and frames.csv")
        camera_file = _existing(
            folder / "camera.yaml",
            "a sequence folder has its intrinsics there, as a ROS camera_info YAML; for a bag use blur_imu replay",
        )
        frames = _read_frames(folder)
        stamps, truth = _read_truth(folder / "truth.csv")
        camera = CameraModel.from_yaml(camera_file)
        at_frames = _at_frames(np.array([f.stamp_ns for f in frames], dtype=np.int64), stamps, truth)
        return cls(folder, camera, frames, at_frames, _read_truth_sigma(camera_file))

    def depth_of(self, frame: SequenceFrame) -> np.ndarray | None:
        """Depth float32 [H, W] of a frame in metres, NaN where unknown; None without any. Raises SequenceError."""
        if frame.depth is None:
            return None
        depth = read_depth(frame.depth)
        size = (self.camera.height, self.camera.width)
        if depth.shape != size:
            raise SequenceError(
                f"{frame.depth}: is {depth.shape[1]}x{depth.shape[0]} px and camera.yaml says {size[1]}x{size[0]}; store depth "
                "as the camera sees it, pixel by pixel"
            )
        return depth

    def require_truth(self) -> None:
        """Raise SequenceError unless at least one frame has a known velocity."""
        if not np.isfinite(self.truth).any():
            raise SequenceError(
                f"{self.folder}: truth.csv is missing or has no value within {TRUTH_REACH_NS // 1_000_000} ms of any "
                "frame; errors cannot be computed without it: add truth.csv (stamp_s,wx,wy,wz,vx,vy,vz)"
            )


def read_image(path: Path) -> np.ndarray:
    """Decode a JPEG or PNG file to uint8 RGB [H, W, 3], or mono [H, W]. Raises SequenceError."""
    try:
        return decode_compressed(SimpleNamespace(data=_bytes(path), format=path.suffix))
    except ImageError as error:
        raise SequenceError(f"{path}: {error}") from error


def read_depth(path: Path) -> np.ndarray:
    """Decode a depth PNG to float32 [H, W] in metres, NaN where unknown (zero). Raises SequenceError."""
    data = _bytes(path)
    raw = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if raw is None or raw.dtype != np.uint16 or raw.ndim != 2:
        raise SequenceError(
            f"{path}: depth must be a one-channel 16-bit PNG, {DEPTH_PER_METRE:.0f} per metre"
        )
    return np.where(raw > 0, raw / np.float32(DEPTH_PER_METRE), np.float32("nan")).astype(np.float32)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SequenceError(f"{path}: cannot be read ({error.strerror})") from error


def _existing(path: Path, remedy: str) -> Path:
    if not path.is_file():
        raise SequenceError(f"{path}: no such file; {remedy}")
    return path


def _read_frames(folder: Path) -> tuple[SequenceFrame, ...]:
    path = _existing(folder / "frames.csv", "list the images there: stamp_s,image[,exposure_s][,depth]")
    frames: list[SequenceFrame] = []
    for where, row in read_rows(path, ("stamp_s", "image"), ("exposure_s", "depth")):
        previous = frames[-1].stamp_ns if frames else None
        stamp_ns = parse_stamp_ns(row["stamp_s"], where, previous)
        files = {name: folder / row[name] for name in ("image", "depth") if row.get(name)}
        if "image" not in files:
            raise SequenceError(f"{where}: no image named; write a path relative to {folder}")
        for name, file in files.items():
            if not file.is_file():
                raise SequenceError(
                    f"{where}: {name} {file} does not exist; correct the path or remove the row"
                )
        exposure_s = parse_number(row["exposure_s"], where, "exposure_s") if row.get("exposure_s") else None
        if exposure_s is not None and exposure_s <= 0:
            raise SequenceError(
                f"{where}: exposure_s is {exposure_s:g}; write positive seconds, or nothing if unknown"
            )
        neighbour = frames[-1] if len(frames) == 1 else None
        interval_s = math.inf if previous is None else (stamp_ns - previous) * 1e-9
        for taken_s in (exposure_s, neighbour.exposure_s if neighbour else None):
            if taken_s is not None and not fits_between_frames(taken_s, interval_s):
                raise SequenceError(
                    f"{where}: an exposure_s of {taken_s:g} is longer than the {interval_s:g} s "
                    "since the frame before; is it in milliseconds or microseconds? write seconds"
                )
        frames.append(SequenceFrame(stamp_ns, files["image"], exposure_s, files.get("depth")))
    if not frames:
        raise SequenceError(f"{path}: no frames; add a row per image: stamp_s,image[,exposure_s][,depth]")
    return tuple(frames)


def _read_truth(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Stamps int64 [m] ns and truth float64 [m, 6]; both empty without a truth.csv."""
    stamps: list[int] = []
    values: list[list[float]] = []
    if path.is_file():
        for where, row in read_rows(path, ("stamp_s", *TRUTH_COLUMNS)):
            stamps.append(parse_stamp_ns(row["stamp_s"], where, stamps[-1] if stamps else None))
            values.append([parse_number(row[c], where, c) if row[c] else math.nan for c in TRUTH_COLUMNS])
    return np.array(stamps, dtype=np.int64), np.array(values, dtype=np.float64).reshape(-1, 6)


def _at_frames(stamps_ns: np.ndarray, truth_stamps_ns: np.ndarray, truth: np.ndarray) -> np.ndarray:
    if truth_stamps_ns.size == 0:
        return np.full((len(stamps_ns), 6), np.nan)
    row, distance_ns = nearest(truth_stamps_ns, stamps_ns)
    return np.where(distance_ns[:, None] <= TRUTH_REACH_NS, truth[row], np.nan)


def _read_truth_sigma(camera_file: Path) -> np.ndarray:
    """Float64 [6] from the optional `truth_sigma: {w, v}` entry of camera.yaml."""
    entry = yaml.safe_load(camera_file.read_text(encoding="utf-8")).get("truth_sigma", {"w": 0.0, "v": 0.0})
    try:
        sigma = np.array([float(entry["w"])] * 3 + [float(entry["v"])] * 3)
    except (TypeError, KeyError, ValueError) as error:
        raise SequenceError(f"{camera_file}: truth_sigma is {entry!r}; write {{w: rad/s, v: m/s}}") from error
    if not np.isfinite(sigma).all() or (sigma < 0).any():
        raise SequenceError(f"{camera_file}: truth_sigma is {entry!r}; both must be finite and not negative")
    return sigma
