"""Writer of sequence folders (the format is described in sequence.py)."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import yaml

from ..camera import CameraModel
from ..errors import SequenceError
from ..sequence import DEPTH_PER_METRE, TRUTH_COLUMNS
from .csv_rows import seconds


class SequenceWriter:
    """Write a sequence folder frame by frame; use it as a context manager.

        with SequenceWriter(folder, camera, truth_sigma=(0.1, 0.05)) as writer:
            writer.add(stamp_ns, image, exposure_s=0.01, twist=twist)

    image_suffix: ".png" (lossless) or ".jpg" (with `jpeg_quality`, 1 to 100). Refuses a folder that already holds
    a sequence.
    """

    def __init__(
        self,
        folder: str | Path,
        camera: CameraModel,
        *,
        truth_sigma: tuple[float, float] | None = None,
        image_suffix: str = ".png",
        jpeg_quality: int = 95,
    ) -> None:
        self.folder = Path(folder)
        if (self.folder / "frames.csv").exists():
            raise SequenceError(
                f"{self.folder}: already holds a sequence; choose another folder or remove it first"
            )
        (self.folder / "images").mkdir(parents=True, exist_ok=True)
        self._camera = camera
        self._suffix, self._quality = image_suffix, jpeg_quality
        self._frames: list[list[str]] = []
        self._truth: list[list[str]] = []
        entries = camera_yaml(camera)
        if truth_sigma is not None:
            entries["truth_sigma"] = {"w": float(truth_sigma[0]), "v": float(truth_sigma[1])}
        (self.folder / "camera.yaml").write_text(
            yaml.safe_dump(entries, sort_keys=False, default_flow_style=None)
        )

    def __enter__(self) -> SequenceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    def add(
        self,
        stamp_ns: int,
        image: np.ndarray,
        *,
        exposure_s: float | None = None,
        depth_m: np.ndarray | None = None,
        twist: np.ndarray | None = None,
    ) -> None:
        """Add one frame: image uint8 RGB [H, W, 3] or mono [H, W]; depth_m [H, W], NaN or 0 unknown; twist [6]."""
        if image.shape[:2] != (self._camera.height, self._camera.width):
            raise SequenceError(
                f"{self.folder}: image {image.shape[1]}x{image.shape[0]} but the camera is "
                f"{self._camera.width}x{self._camera.height}"
            )
        stem = f"{len(self._frames):06d}"
        name = f"images/{stem}{self._suffix}"
        bgr = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        _write(self.folder / name, bgr, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        depth = f"depth/{stem}.png" if depth_m is not None else ""
        if depth_m is not None:
            (self.folder / "depth").mkdir(exist_ok=True)
            scaled = np.nan_to_num(depth_m, nan=0.0) * DEPTH_PER_METRE
            _write(self.folder / depth, np.where(scaled < 65535.5, scaled, 0.0).round().astype(np.uint16), [])
        stamp = seconds(stamp_ns)
        self._frames.append([stamp, name, "" if exposure_s is None else f"{exposure_s:.9g}", depth])
        if twist is not None:
            self._truth.append([stamp, *("" if np.isnan(x) else f"{x:.9g}" for x in twist)])

    def close(self) -> None:
        """Write frames.csv, and truth.csv if any twist was given."""
        _write_csv(self.folder / "frames.csv", ["stamp_s", "image", "exposure_s", "depth"], self._frames)
        if self._truth:
            _write_csv(self.folder / "truth.csv", ["stamp_s", *TRUTH_COLUMNS], self._truth)


def camera_yaml(camera: CameraModel) -> dict[str, Any]:
    """The camera as the entries of a ROS camera_info YAML (camera_calibration_parsers layout)."""
    model, coefficients = camera.ros_distortion
    return {
        "image_width": camera.width,
        "image_height": camera.height,
        "camera_name": "camera",
        "camera_matrix": _matrix_entry(camera.matrix),
        "distortion_model": model,
        "distortion_coefficients": _matrix_entry(np.array([coefficients])),
        "rectification_matrix": _matrix_entry(np.eye(3)),
        "projection_matrix": _matrix_entry(camera.projection),
    }


def _matrix_entry(matrix: np.ndarray) -> dict[str, Any]:
    return {"rows": matrix.shape[0], "cols": matrix.shape[1], "data": [float(x) for x in matrix.ravel()]}


def _write(path: Path, image: np.ndarray, options: list[int]) -> None:
    ok, data = cv2.imencode(path.suffix, image, options if path.suffix == ".jpg" else [])
    if not ok:
        raise SequenceError(f"{path}: OpenCV cannot encode this image as {path.suffix}")
    path.write_bytes(data.tobytes())


def _write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
