"""The same tree, installed by pip and built by colcon, offers both commands and finds its shared files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "install", "log", "training", "test"
)
FIND_SHARE = "from blur_imu_ros.resources import share_directory; print(share_directory())"
SHARED = ("package.xml", "launch/camera.launch.py", "config/camera.yaml", "models/manifest.yaml")


def run(*command: object, cwd: Path, environment: dict[str, str] | None = None) -> str:
    """Standard output of a command that must succeed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def without_source_tree() -> dict[str, str]:
    """This environment, but for the paths that would let an import find the source tree."""
    environment = dict(os.environ)
    paths = environment.get("PYTHONPATH", "").split(os.pathsep)
    environment["PYTHONPATH"] = os.pathsep.join(
        path for path in paths if path and Path(path).resolve() != ROOT
    )
    return environment


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is installed, since building leaves files behind."""
    copy = tmp_path_factory.mktemp("tree") / "blur_imu_ros"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    return copy


@pytest.fixture(scope="module")
def pip_prefix(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix = tmp_path_factory.mktemp("pip")
    options = ("--no-deps", "--no-build-isolation", "--ignore-installed", "--quiet", "--prefix", prefix)
    run(sys.executable, "-m", "pip", "install", *options, tree, cwd=prefix)
    return prefix


@pytest.fixture(scope="module")
def colcon_prefix(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The install space of a workspace that holds this package."""
    colcon = shutil.which(
        "colcon", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    if colcon is None:
        pytest.skip("colcon is not installed: pip install colcon-common-extensions")
    workspace = tmp_path_factory.mktemp("workspace")
    places = (
        "--base-paths",
        tree,
        "--build-base",
        workspace / "build",
        "--install-base",
        workspace / "install",
    )
    log = ("--log-base", workspace / "log")
    run(colcon, *log, "build", *places, cwd=workspace, environment=without_source_tree())
    return workspace / "install"


def pip_environment(prefix: Path) -> dict[str, str]:
    environment = without_source_tree()
    (packages,) = prefix.glob("lib/python*/site-packages")
    environment["PYTHONPATH"] = os.pathsep.join([str(packages), environment["PYTHONPATH"]])
    return environment


def test_pip_offers_both_commands(pip_prefix: Path) -> None:
    help_text = run(
        pip_prefix / "bin/blur_imu", "--help", cwd=pip_prefix, environment=pip_environment(pip_prefix)
    )
    assert "replay" in help_text
    assert os.access(pip_prefix / "bin/blur_imu_node", os.X_OK)


def test_pip_installs_the_shared_files(pip_prefix: Path) -> None:
    found = run(sys.executable, "-c", FIND_SHARE, cwd=pip_prefix, environment=pip_environment(pip_prefix))
    share = Path(found.strip())
    assert share == pip_prefix / "share/blur_imu_ros"
    assert [name for name in SHARED if not (share / name).is_file()] == []


def test_colcon_puts_both_commands_where_ros2_run_looks(colcon_prefix: Path) -> None:
    executables = colcon_prefix / "blur_imu_ros/lib/blur_imu_ros"
    sourced = f". {colcon_prefix}/setup.sh && exec {executables}/blur_imu --help"
    assert "replay" in run("sh", "-c", sourced, cwd=colcon_prefix, environment=without_source_tree())
    assert os.access(executables / "blur_imu_node", os.X_OK)


def test_colcon_registers_the_package_with_its_shared_files(colcon_prefix: Path) -> None:
    share = colcon_prefix / "blur_imu_ros/share/blur_imu_ros"
    assert (colcon_prefix / "blur_imu_ros/share/ament_index/resource_index/packages/blur_imu_ros").is_file()
    sourced = f". {colcon_prefix}/setup.sh && exec {sys.executable} -c '{FIND_SHARE}'"
    found = run("sh", "-c", sourced, cwd=colcon_prefix, environment=without_source_tree())
    assert Path(found.strip()) == share
    assert [name for name in SHARED if not (share / name).is_file()] == []


def test_every_model_of_the_manifest_is_installed(pip_prefix: Path) -> None:
    installed = {path.name for path in (pip_prefix / "share/blur_imu_ros/models").iterdir()}
    assert installed == {path.name for path in (ROOT / "models").iterdir()}
