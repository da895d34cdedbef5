"""Trajectories that took long to compute, kept by the content of the sequence they belong to."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path

from ..errors import SequenceError
from ..output_files import replace_file, write_json
from ..sequence import Sequence
from .trajectory import Trajectory, read_tum, write_tum

REVISION = 2
"""Raise it when a baseline changes: what was kept of the older one is then not found any more."""


def default_folder() -> Path:
    """Where results are kept unless the user says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "blur_imu_ros" / "benchmark"


class TrajectoryCache:
    """A folder per sequence and method: one TUM file per trajectory, and done.json, written last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, sequence: Sequence, method: str) -> tuple[list[Trajectory], float] | None:
        """Trajectories and the seconds they took, None where they are not kept, or not whole any more."""
        entry = self._entry(sequence, method)
        try:
            done = json.loads((entry / "done.json").read_text(encoding="utf-8"))
            return [read_tum(entry / name) for name in done["trajectories"]], float(done["seconds"])
        except (OSError, ValueError, KeyError, TypeError, SequenceError):
            return None

    def keep(self, sequence: Sequence, method: str, trajectories: list[Trajectory], seconds: float) -> None:
        """Keep trajectories, whole or not at all."""
        entry = self._entry(sequence, method)
        entry.mkdir(parents=True, exist_ok=True)
        names = [f"{i}.tum" for i in range(len(trajectories))]
        for name, trajectory in zip(names, trajectories, strict=True):
            write_tum(trajectory, entry / name)
        done = {"sequence": sequence.name, "seconds": seconds, "trajectories": names}
        replace_file(entry / "done.json", lambda draft: write_json(draft, done))

    def _entry(self, sequence: Sequence, method: str) -> Path:
        content = fingerprint(sequence.folder.resolve(), tuple(frame.image for frame in sequence.frames))
        return self.folder / f"{method}-r{REVISION}-{content}"


@cache
def fingerprint(folder: Path, images: tuple[Path, ...]) -> str:
    """Of everything a baseline sees: intrinsics, stamps, images."""
    digest = hashlib.sha256()
    for path in (folder / "camera.yaml", folder / "frames.csv", *images):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:24]
