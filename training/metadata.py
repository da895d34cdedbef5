"""What an exported file says of itself: the entries of the model contract, and its place in the manifest."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import onnx
import yaml

from blur_imu_ros.errors import ConfigurationError, first_line
from training import canonical

UNCALIBRATED = {
    "independent_fraction": 0.003,
    "covariance_scale": [1.0] * 6,
    "depth_scale_sigma": 0.15,
    "min_blur_px": 1.0,
    "error_correlation_px": 0.0,
}


def contract_metadata(focal_px: float, calibration: dict, training_run: str) -> dict[str, str]:
    """Metadata of the model contract for our own networks."""
    return {
        "focal_px": str(focal_px),
        "stride": str(canonical.STRIDE),
        "flow_representation": "double_angle",
        "flow_unit": "canonical_pixels_per_exposure",
        **calibration_entries(calibration),
        "training_run": training_run,
        "licence": "Apache-2.0",
    }


def calibration_entries(calibration: dict) -> dict[str, str]:
    """The metadata entries that `python -m training calibrate` fits."""
    return {
        "independent_fraction": str(calibration["independent_fraction"]),
        "covariance_scale": ",".join(str(value) for value in calibration["covariance_scale"]),
        "depth_scale_sigma": str(calibration["depth_scale_sigma"]),
        "min_blur_px": str(calibration["min_blur_px"]),
        "error_correlation_px": str(calibration["error_correlation_px"]),
    }


def read_calibration(path: Path) -> dict:
    """What `python -m training calibrate` wrote. Raises ConfigurationError for anything else."""
    try:
        calibration = json.loads(path.read_text(encoding="utf-8"))
        calibration_entries(UNCALIBRATED | calibration)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(
            f"--calibration {path} is not what `python -m training calibrate` writes ({first_line(error)}): name its --output"
        ) from error
    return calibration


def write_calibration(path: Path, calibration: dict) -> None:
    """Replace the calibration in an exported file, its weights as they are, and its hash in the manifest beside it."""
    model = onnx.load(path)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, entries | calibration_entries(calibration))
    temporary = path.with_suffix(".tmp")
    onnx.save(model, temporary)
    os.replace(temporary, path)
    if entry := manifest_models(path.with_name("manifest.yaml")).get(path.stem):
        write_manifest_entry(path, (entry["width"], entry["height"]), entry["size"], entry.get("bits", 32))


def manifest_models(manifest: Path) -> dict[str, dict]:
    """Entries of a manifest by name; none where there is no manifest yet."""
    content = yaml.safe_load(manifest.read_text()) if manifest.exists() else None
    return (content or {}).get("models") or {}


def write_manifest_entry(path: Path, size: tuple[int, int], size_name: str, bits: int) -> None:
    """Add or replace the file's entry, with its SHA-256, in the manifest beside it."""
    manifest = path.with_name("manifest.yaml")
    models = manifest_models(manifest)
    models[path.stem] = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size": size_name,
        "width": size[0],
        "height": size[1],
        "bits": bits,
    }
    manifest.write_text(yaml.safe_dump({"models": models}, sort_keys=False))
