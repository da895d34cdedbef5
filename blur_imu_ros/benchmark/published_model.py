"""The published architecture as an ONNX file, to be timed: its weights are drawn at random, which takes as long.

Made once by a process of its own, so that torch is not in the memory that is measured.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ..errors import BlurImuError
from .cache import default_folder

SEED = 0
STRIDE = 1
"""The published network answers at every pixel."""
LIMIT_S = 900


def published_path() -> Path:
    """Where the ONNX file is kept."""
    return default_folder() / f"published-stride{STRIDE}-seed{SEED}.onnx"


def published_model() -> Path:
    """The ONNX file, exported if it is not kept yet. Raises BlurImuError where that fails."""
    path = published_path()
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", __name__, str(path)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if answer.returncode != 0:
        last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        raise BlurImuError(
            f"the published architecture cannot be exported: {last}; pip install 'blur_imu_ros[convert]'"
        )
    return path


def _write(path: Path) -> None:
    from ..convert.export import write_architecture
    from ..output_files import replace_file

    replace_file(path, lambda draft: write_architecture(draft, stride=STRIDE, seed=SEED))


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
