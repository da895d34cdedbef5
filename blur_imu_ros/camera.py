"""The camera model of the delivered image, from a CameraInfo message or a camera_info YAML file."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml

from .camera_checks import CALIBRATE, check_matrix, check_size, checked_coefficients
from .distortion import DistortionModel, distort
from .errors import CameraError, first_line

_NAMES = {
    "": DistortionModel.NONE,
    "none": DistortionModel.NONE,
    "pinhole": DistortionModel.NONE,
    "plumb_bob": DistortionModel.PLUMB_BOB,
    "rational_polynomial": DistortionModel.RATIONAL_POLYNOMIAL,
    "equidistant": DistortionModel.EQUIDISTANT,
    "fisheye": DistortionModel.EQUIDISTANT,
}
# Intrinsics that differ by less are of one camera: px per pixel of the width, and coefficients of distortion.
SAME_CAMERA = 1e-3


@dataclass(frozen=True, eq=False)
class CameraModel:
    """Intrinsics of the delivered image: binning and region of interest are already applied.

    `matrix` is the 3x3 intrinsic matrix in pixels (pixel centres at whole numbers), `distortion` the
    coefficients of `model`. Raises CameraError for anything that cannot describe a camera.
    """

    width: int
    height: int
    matrix: np.ndarray
    distortion: tuple[float, ...] = ()
    model: DistortionModel = DistortionModel.NONE

    def __post_init__(self) -> None:
        """Store checked, read-only values."""
        matrix = np.array(self.matrix, np.float64)
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)
        check_size(self.width, self.height)
        check_matrix(matrix, max(self.width, self.height))
        object.__setattr__(self, "distortion", checked_coefficients(self.distortion, self.model))

    @classmethod
    def pinhole(cls, width: int, height: int, focal_px: float) -> "CameraModel":
        """An ideal camera whose optical axis meets the middle of the image."""
        centre = (width - 1) / 2, (height - 1) / 2
        return cls(width, height, np.array([[focal_px, 0, centre[0]], [0, focal_px, centre[1]], [0, 0, 1]]))

    @classmethod
    def from_camera_info(cls, info: Any, *, rectified: bool = False) -> "CameraModel":
        """Read a `sensor_msgs/CameraInfo`, or anything with its fields; k, d, p are those of the full image.

        With `rectified` the image is taken as the output of a rectification (image_rect): `p` is used and `d`
        ignored.
        """
        values, source = (info.p, "p") if rectified else (info.k, "k")
        shape = (3, 4) if rectified else (3, 3)
        full = np.asarray(values, np.float64)
        if full.size != shape[0] * shape[1]:
            raise CameraError(
                f"CameraInfo.{source} has {full.size} values instead of {shape[0] * shape[1]}; {CALIBRATE}"
            )
        matrix = full.reshape(shape)[:, :3]
        if not matrix.any():
            raise CameraError(
                f"CameraInfo.{source} is all zero, which means an uncalibrated camera; {CALIBRATE}"
            )
        check_size(info.width, info.height)
        delivered, width, height = _delivered(matrix, info)
        if rectified:
            return cls(width, height, delivered)
        name = str(info.distortion_model).strip().lower()
        if name not in _NAMES:
            known = ", ".join(sorted(key for key in _NAMES if key))
            raise CameraError(
                f"CameraInfo.distortion_model '{str(info.distortion_model)[:40]}' is not one of {known}; rectify "
                "the image first (image_proc) and set image_is_rectified, or calibrate with one of these models"
            )
        return cls(width, height, delivered, tuple(float(value) for value in info.d), _NAMES[name])

    @classmethod
    def from_yaml(cls, path: str | Path, *, rectified: bool = False) -> "CameraModel":
        """Read a ROS camera_info YAML file, as camera_calibration writes it."""
        try:
            text = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
            info = SimpleNamespace(
                width=text["image_width"],
                height=text["image_height"],
                k=text["camera_matrix"]["data"],
                d=text.get("distortion_coefficients", {}).get("data", []),
                p=text["projection_matrix"]["data"] if rectified else [],
                distortion_model=text.get("distortion_model", ""),
            )
            return cls.from_camera_info(info, rectified=rectified)
        except OSError as error:
            raise CameraError(
                f"camera file {path} cannot be read: {error.strerror}; check the path"
            ) from error
        except KeyError as error:
            raise CameraError(
                f"camera file {path} lacks {error}; write it in the camera_info YAML format"
            ) from error
        except CameraError as error:
            raise CameraError(f"camera file {path}: {error}") from error
        except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError, ValueError) as error:
            raise CameraError(
                f"camera file {path} is not a camera_info YAML file: {first_line(error)}"
            ) from error

    @property
    def ros_distortion(self) -> tuple[str, list[float]]:
        """distortion_model and d of a CameraInfo; that of an ideal lens is plumb_bob with zeros, as camera_calibration has it."""
        if self.model is DistortionModel.NONE:
            return DistortionModel.PLUMB_BOB.value, [0.0] * 5
        return self.model.value, list(self.distortion) or [0.0] * 5

    @property
    def projection(self) -> np.ndarray:
        """p [3, 4] of a CameraInfo, for an image that is not rectified further."""
        return np.hstack([self.matrix, np.zeros((3, 1))])

    def project(self, rays: np.ndarray) -> np.ndarray:
        """Pixels [N, 2] of the delivered image for rays (x, y, 1) given as [N, 2], optical frame (REP 103)."""
        x, y = distort(self.model, self.distortion, rays).T
        # By columns: a product with a 2x2 matrix takes five times as long.
        (a, b, c), (d, e, f) = self.matrix[:2].tolist()
        return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)

    def cache_key(self) -> tuple:
        """Hashable and equal for equal cameras: what depends on the camera is rebuilt when it changes."""
        return (self.width, self.height, self.matrix.tobytes(), self.distortion, self.model)

    def resembles(self, other: "CameraModel") -> bool:
        """Whether the intrinsics differ by no more than SAME_CAMERA, as those of one camera do that an autofocus or an online
        calibration moves a little from frame to frame."""
        kinds = [(c.width, c.height, c.model, len(c.distortion)) for c in (self, other)]
        if kinds[0] != kinds[1]:
            return False
        moved = np.abs(self.matrix - other.matrix).max() / self.width
        bent = np.abs(np.subtract(self.distortion, other.distortion)).max(initial=0.0)
        return bool(max(moved, bent) <= SAME_CAMERA)

    def __eq__(self, other: object) -> bool:
        """Cameras are equal when all their intrinsics are."""
        return isinstance(other, CameraModel) and self.cache_key() == other.cache_key()

    def __hash__(self) -> int:
        """Consistent with equality."""
        return hash(self.cache_key())


def _delivered(matrix: np.ndarray, info: Any) -> tuple[np.ndarray, int, int]:
    """Intrinsics and size after cutting out the region of interest and binning (sensor_msgs/CameraInfo)."""
    roi = getattr(info, "roi", None)
    left, top = (int(roi.x_offset), int(roi.y_offset)) if roi else (0, 0)
    width, height = (int(roi.width), int(roi.height)) if roi else (0, 0)
    # Zero in either pair of fields means "not used".
    width, height = width or int(info.width) - left, height or int(info.height) - top
    if left + width > info.width or top + height > info.height or width <= 0 or height <= 0:
        raise CameraError(
            f"CameraInfo.roi {width}x{height} at ({left}, {top}) does not fit into the full image of "
            f"{info.width}x{info.height}; width and height are those of the calibrated full image, roi is in its pixels"
        )
    bins = np.array([max(1, int(getattr(info, name, 0))) for name in ("binning_x", "binning_y")])
    result = np.array(matrix, np.float64)
    result[:2, 2] -= (left, top)
    # A super-pixel averages its neighbourhood, so its centre is the mean of their centres.
    result[:2, 2] = (result[:2, 2] + 0.5) / bins - 0.5
    result[:2, :2] /= bins[:, None]
    return result, width // int(bins[0]), height // int(bins[1])
