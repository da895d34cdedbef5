"""Installs the same tree with pip and, through package.xml, with colcon."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "blur_imu_ros"
SHARE = Path("share") / PACKAGE
ROOT = Path(__file__).resolve().parent


def shared_files(*folders: str) -> list[tuple[str, list[str]]]:
    """(folder under the install prefix, files) for every file below the given folders of this tree."""
    by_folder: dict[str, list[str]] = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                relative = path.relative_to(ROOT)
                by_folder.setdefault(str(SHARE / relative.parent), []).append(str(relative))
    return list(by_folder.items())


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Camera velocity from single motion-blurred images, published as virtual IMU messages.",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    author="blur_imu_ros maintainers",
    maintainer="blur_imu_ros maintainers",
    python_requires=">=3.10",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (str(SHARE), ["package.xml"]),
        *shared_files("launch", "config", "models", "demo"),
    ],
    zip_safe=True,
    # Headless OpenCV: nothing here opens a window, and the full wheel needs libGL and GLib from the system.
    # The least are those of Ubuntu 22.04 (Humble), and the first rosbags and ONNX Runtime that do.
    install_requires=[
        "numpy>=1.21",
        "opencv-python-headless>=4.5.4",
        "PyYAML>=5.4",
        "rosbags>=0.10.9",
        "matplotlib>=3.5",
        "tqdm>=4.57",
    ],
    extras_require={
        # cpu and gpu exclude each other: both wheels install the module `onnxruntime`.
        "cpu": ["onnxruntime>=1.12"],
        "gpu": ["onnxruntime-gpu[cuda,cudnn]"],
        "benchmark": ["pycolmap"],
        "convert": ["torch", "onnx", "onnxscript", "safetensors"],
        "test": [
            "pytest",
            "pytest-timeout",
            "colcon-common-extensions",
            "mypy",
            "onnx",
            "psutil",
            "ruff",
            "types-PyYAML",
            "types-tqdm",
        ],
    },
    entry_points={
        "console_scripts": [
            "blur_imu = blur_imu_ros.cli:main",
            "blur_imu_node = blur_imu_ros.live.node_process:main",
        ],
    },
)
