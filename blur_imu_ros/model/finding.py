"""Finding a network by name, size or path, and the manifest that says which bytes it must have."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import ModelError, first_line
from ..resources import share_directory
from .processor import eight_bits_are_fast
from .providers import Provider, gpu_available

MANIFEST = "manifest.yaml"
SIZES = ("small", "large")
BITS = (8, 16, 32)


@dataclass(frozen=True)
class ManifestEntry:
    """One network of `models/manifest.yaml`; `path` lies beside the manifest, `size` is small or large, `bits` those
    it computes with."""

    name: str
    path: Path
    sha256: str
    size: str
    width: int
    height: int
    bits: int


def read_manifest(folder: Path) -> dict[str, ManifestEntry]:
    """Entries by name of the manifest in a folder of models, in its order; empty when the folder has none."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        models = yaml.safe_load(path.read_text(encoding="utf-8"))["models"] or {}
        return {str(name): _entry(folder, str(name), fields) for name, fields in models.items()}
    except (
        OSError,
        yaml.YAMLError,
        UnicodeDecodeError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        raise ModelError(
            f"model manifest {path} is malformed ({first_line(error)}); it needs "
            "'models: {name: {file, sha256, size, width, height}}'"
        ) from error


def find_model(model: str | Path = "auto", provider: Provider = Provider.AUTO) -> Path:
    """Path of a network: a path, a name of the manifest, 'small', 'large' or 'auto'.

    'auto' is large where a GPU or a processor made for eight bits runs it, else small, and the other size where there is one
    size only; of a size, a GPU gets the network with the most bits, a CPU that with the fewest. Raises ModelError when there is
    none, naming those that there are.
    """
    if isinstance(model, Path) or model.endswith(".onnx") or "/" in model:
        path = Path(model).expanduser()
        if not path.is_file():
            raise ModelError(
                f"model file {path} does not exist; check the path or use a name of {_known(_shipped())}"
            )
        return path
    entries = _shipped()
    if model in entries:
        return _present(entries[model])
    on_gpu = provider is not Provider.CPU and gpu_available()
    for size in _sizes(model, on_gpu):
        fitting = [entry for entry in entries.values() if entry.size == size]
        if fitting:
            return _present(min(fitting, key=lambda entry: -entry.bits if on_gpu else entry.bits))
    raise ModelError(
        f"no model '{model}' in {share_directory() / 'models'}; "
        f"use {_known(entries)}, auto, or the path of an .onnx file"
    )


def expected_hash(path: Path) -> str | None:
    """SHA-256 that the manifest beside a model demands of it; None when no manifest speaks of it."""
    for entry in read_manifest(path.parent).values():
        if entry.path.name == path.name:
            return entry.sha256
    return None


def read_model(path: Path, *, verify_hash: bool = True) -> tuple[bytes, str, list[str]]:
    """Bytes of a model, their SHA-256, a note when no manifest vouches for them; ModelError when one contradicts."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"model {path} cannot be read: {error.strerror}; check the path and its permissions"
        ) from error
    sha256 = hashlib.sha256(data).hexdigest()
    expected = expected_hash(path) if verify_hash else None
    if expected is None:
        reason = f"{path.name} is in no {MANIFEST} beside it" if verify_hash else "verification is off"
        return data, sha256, [f"no hash was checked: {reason}"]
    if expected != sha256:
        raise ModelError(
            f"model {path} is not the file that {MANIFEST} names: SHA-256 {sha256[:12]}... instead of "
            f"{expected[:12]}...; it is damaged or was altered: install it again, or correct the manifest "
            "if you changed it yourself"
        )
    return data, sha256, []


def _shipped() -> dict[str, ManifestEntry]:
    return read_manifest(share_directory() / "models")


def _sizes(model: str, on_gpu: bool) -> tuple[str, ...]:
    """Sizes that 'auto' or a size means, best first; none for any other word."""
    if model != "auto":
        return (model,) if model in SIZES else ()
    return SIZES[::-1] if on_gpu or eight_bits_are_fast() else SIZES


def _present(entry: ManifestEntry) -> Path:
    if not entry.path.is_file():
        raise ModelError(
            f"model '{entry.name}' is in the manifest but {entry.path} is missing; install the package again"
        )
    return entry.path


def _known(entries: dict[str, ManifestEntry]) -> str:
    return ", ".join(f"'{name}'" for name in [*entries, *SIZES])


def _entry(folder: Path, name: str, fields: Any) -> ManifestEntry:
    file, sha256, size = str(fields["file"]), str(fields["sha256"]).lower(), str(fields["size"])
    if Path(file).name != file:
        raise ValueError(f"{name}: file '{file}' must lie beside the manifest")
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise ValueError(f"{name}: sha256 is not 64 hexadecimal digits")
    if size not in SIZES:
        raise ValueError(f"{name}: size '{size}' is not small or large")
    bits = int(fields.get("bits", 32))
    if bits not in BITS:
        raise ValueError(f"{name}: bits is {bits}, not one of {BITS}")
    return ManifestEntry(name, folder / file, sha256, size, int(fields["width"]), int(fields["height"]), bits)
