"""What a network of a test says of itself."""

from pathlib import Path
from typing import Any

from blur_imu_ros.model.spec import FlowRepresentation, ModelSpec


def spec_of(width: int, height: int, stride: int, focal_px: float, **changes: Any) -> ModelSpec:
    """Double-angle flow and depth with their sigmas, nothing shared between points, but for `changes`."""
    usual: dict[str, Any] = {
        "name": "none",
        "path": Path("none.onnx"),
        "sha256": "",
        "representation": FlowRepresentation.DOUBLE_ANGLE,
        "independent_fraction": 0.01,
        "covariance_scale": (1.0,) * 6,
        "depth_scale_sigma": 0.0,
        "min_blur_px": 0.5,
        "training_run": "",
        "licence": "",
        "has_depth_sigma": True,
        "notes": (),
    }
    return ModelSpec(**{**usual, **changes}, width=width, height=height, stride=stride, focal_px=focal_px)
