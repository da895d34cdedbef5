"""Tell whether a real ROS distribution is on this machine, which the stand-ins must never shadow."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

INSTALL_ROOT = Path("/opt/ros")


def ros_distribution() -> str | None:
    """Return where a ROS distribution with message_filters or cv_bridge is (any in /opt/ros), else None."""
    for setup in sorted(INSTALL_ROOT.glob("*/setup.bash")):
        return str(setup.parent)
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        for package in ("message_filters", "cv_bridge"):
            if prefix and (Path(prefix) / "share" / package / "package.xml").exists():
                return prefix
    return None


def warn_if_shadowing(module: str) -> None:
    """Warn once, at import, where `module` hides the one of a ROS distribution."""
    found = ros_distribution()
    if found:
        warnings.warn(
            f"{module} of blur-imu-pip-ros hides the one of the ROS distribution {found}; "
            "run: pip uninstall blur-imu-pip-ros",
            RuntimeWarning,
            stacklevel=3,
        )
