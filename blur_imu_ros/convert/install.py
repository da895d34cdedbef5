"""Putting a converted model in place: model, card and manifest entry, each written whole or not at all."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..errors import ConfigurationError
from ..model.finding import MANIFEST, read_manifest
from ..output_files import check_output_file, replace_file


@dataclass(frozen=True)
class InstalledModel:
    """A model file in its folder; `size` is the manifest's small or large, `width` and `height` its input in pixels."""

    path: Path
    size: str
    width: int
    height: int


def check_output(path: Path) -> None:
    """Refuse a place where the model could not be put, before any work is done. ConfigurationError or ModelError."""
    if path.suffix != ".onnx":
        raise ConfigurationError(f"output {path} must end in .onnx")
    check_output_file(path)
    read_manifest(path.parent)


def record(model: InstalledModel, card: str) -> None:
    """Write the model card and the manifest entry beside a model; an entry of the same name is replaced."""
    folder, name = model.path.parent, model.path.stem
    manifest = folder / MANIFEST
    content = yaml.safe_load(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}
    entries = content.get("models") or {}
    entries[name] = {
        "file": model.path.name,
        "sha256": hashlib.sha256(model.path.read_bytes()).hexdigest(),
        "size": model.size,
        "width": model.width,
        "height": model.height,
    }
    content["models"] = entries
    text = yaml.safe_dump(content, sort_keys=False)
    replace_file(model.path.with_suffix(".md"), lambda draft: _write(draft, card))
    replace_file(manifest, lambda draft: _write(draft, text))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
