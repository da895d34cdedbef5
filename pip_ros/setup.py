"""Install only where no ROS distribution would be shadowed; everything else is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).parent / "src"))

from pip_ros_guard import ros_distribution

found = ros_distribution()
if found:
    raise SystemExit(
        f"blur-imu-pip-ros: found the ROS distribution {found}, whose own packages these would shadow; "
        "install ros-<distro>-message-filters and ros-<distro>-cv-bridge instead"
    )

setup()
