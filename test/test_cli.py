"""The command line: lazy, helpful, and one line for whatever is wrong."""

import re
import subprocess
import sys

import pytest

from blur_imu_ros import cli
from blur_imu_ros.errors import BlurImuError


def test_help_names_every_command_and_imports_none(capsys: pytest.CaptureFixture[str]) -> None:
    code = "import sys; from blur_imu_ros import cli; cli._parser([]); print('numpy' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "False\n"
    )
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert set(re.findall(r"^    (\w+)\s", shown, re.MULTILINE)) >= cli.COMMANDS.keys()


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--help"])
    assert end.value.code == 0
    assert cli.COMMANDS[name].help[:30] in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["evaluate"], ["play", "x", "--rate", "fast"]])
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert "usage: blur_imu" in capsys.readouterr().err


class Module:
    """A subcommand that does one thing."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def add_arguments(self, parser: object) -> None:
        pass

    def run(self, args: object) -> int:
        if self.error is not None:
            raise self.error
        return 3


def run(monkeypatch: pytest.MonkeyPatch, error: BaseException | None) -> int:
    monkeypatch.setattr(cli.importlib, "import_module", lambda name: Module(error))
    return cli.main(["evaluate"])


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (None, 3, ""),
        (BlurImuError("this\n  is wrong"), 2, "blur_imu: error: this is wrong\n"),
        (
            ModuleNotFoundError("x", name="pycolmap"),
            2,
            "evaluate needs the Python package pycolmap: pip install 'blur",
        ),
        (
            ModuleNotFoundError("x", name="rclpy.node"),
            2,
            "evaluate needs the Python package rclpy: source a ROS 2",
        ),
        (
            ModuleNotFoundError("x", name="tqdm"),
            2,
            "evaluate needs the Python package tqdm: pip install --upgrade tqdm\n",
        ),
        (
            ImportError("libGL.so.1: cannot open", name="cv2"),
            2,
            "cannot load the Python package cv2 (libGL.so.1: cannot open): pip install opencv-python-headless\n",
        ),
        (
            PermissionError(13, "Permission denied", "/a/b"),
            2,
            "error: /a/b: Permission denied; check the path",
        ),
        (OSError(28, "No space left on device"), 2, "error: No space left on device; check"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_are_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException | None,
    code: int,
    says: str,
) -> None:
    assert run(monkeypatch, error) == code
    printed = capsys.readouterr().err
    assert says in printed
    assert printed.count("\n") == (1 if says else 0)


def test_a_fault_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleNotFoundError):
        run(monkeypatch, ModuleNotFoundError("x", name="blur_imu_ros.gone"))
    with pytest.raises(ZeroDivisionError):
        run(monkeypatch, ZeroDivisionError())
