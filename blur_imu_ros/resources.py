"""Where the files that ship with the package lie: models, configuration, launch files."""

import os
import sys
from pathlib import Path

from .errors import ConfigurationError

PACKAGE = "blur_imu_ros"


def share_directory() -> Path:
    """Folder with `models/` in it: the source tree, or `share/blur_imu_ros` of a pip or colcon installation."""
    package = Path(__file__).resolve().parent
    if (package.parent / "package.xml").is_file():
        return package.parent
    # A colcon or pip prefix lies some levels above site-packages; a symlinked build is found through the
    # environment.
    prefixes = [*package.parents, *_ament_prefixes(), Path(sys.prefix)]
    for prefix in prefixes:
        candidate = prefix / "share" / PACKAGE
        if candidate.is_dir():
            return candidate
    raise ConfigurationError(
        f"the shared files of {PACKAGE} lie neither above {package} nor in AMENT_PREFIX_PATH nor in {sys.prefix}; "
        "install the package again (pip install or colcon build) and source its setup file"
    )


def _ament_prefixes() -> list[Path]:
    return [Path(entry) for entry in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if entry]
