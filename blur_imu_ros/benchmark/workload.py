"""What the speed benchmark feeds the pipeline: images as a camera driver sends them, blurred by a turning camera."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import cv2
import numpy as np

from ..camera import CameraModel
from ..sequence import Sequence, read_image

EXPOSURE_S = 0.01
INTERVAL_NS = 33_333_333
FOCAL_SHARE = 0.8
IMAGES = 16
_SUB_FRAMES = 5


@dataclass(frozen=True)
class Workload:
    """Messages with the fields of sensor_msgs/Image in bgr8, all of one camera, used in a circle."""

    name: str
    camera: CameraModel
    messages: list[SimpleNamespace]
    exposure_s: float

    @classmethod
    def of_sequence(cls, sequence: Sequence) -> Workload:
        """The first images of a sequence folder; its exposure, or EXPOSURE_S where that is unknown."""
        frames = sequence.frames[:IMAGES]
        messages = [_message(cv2.cvtColor(_colour(read_image(f.image)), cv2.COLOR_RGB2BGR)) for f in frames]
        return cls(sequence.name, sequence.camera, messages, frames[0].exposure_s or EXPOSURE_S)

    @classmethod
    def synthetic(cls, width: int = 640, height: int = 480) -> Workload:
        """A texture seen by a camera that turns to and fro, the same every time."""
        camera = CameraModel.pinhole(width, height, FOCAL_SHARE * width)
        noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        texture = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        messages = [_message(_blurred(texture, camera.matrix, i)) for i in range(IMAGES)]
        return cls(f"synthetic {width}x{height}", camera, messages, EXPOSURE_S)


def _blurred(texture: np.ndarray, matrix: np.ndarray, frame: int) -> np.ndarray:
    """The texture averaged over an exposure, while the camera turns to and fro at up to 3 rad/s about all axes."""
    size = (texture.shape[1], texture.shape[0])
    total = np.zeros(texture.shape, np.float32)
    for time_s in np.linspace(-EXPOSURE_S / 2, EXPOSURE_S / 2, _SUB_FRAMES):
        turned = (
            matrix @ cv2.Rodrigues(-_turned(frame + 1e9 * time_s / INTERVAL_NS))[0] @ np.linalg.inv(matrix)
        )
        total += cv2.warpPerspective(texture, turned, size, borderMode=cv2.BORDER_REFLECT)
    return (total / _SUB_FRAMES).astype(np.uint8)


def _turned(frame: float) -> np.ndarray:
    """How far [3] rad the camera has turned by a moment, in frames: the same again after IMAGES of them."""
    phase = 2 * np.pi * frame / IMAGES
    fastest = 3 * IMAGES * INTERVAL_NS * 1e-9 / (2 * np.pi)
    return fastest * np.array([np.sin(phase), np.cos(phase), 0.5 * np.sin(phase)])


def _message(bgr: np.ndarray) -> SimpleNamespace:
    height, width = bgr.shape[:2]
    step, data = 3 * width, np.ascontiguousarray(bgr).reshape(-1)
    return SimpleNamespace(width=width, height=height, encoding="bgr8", step=step, is_bigendian=0, data=data)


def _colour(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
