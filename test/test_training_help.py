"""`python -m training COMMAND --help`: what a command does, and the defaults of its options."""

import re

import pytest

pytest.importorskip("torch", reason="requirements/training.txt is not installed")

from training import __main__ as training


def shown(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit, match="0"):
        training.main([name, "--help"])
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("name", "option", "value", "says"),
    [
        ("train", "--every", "0", "0: give at least 1"),
        ("stage3", "--minutes", "0", "0: give more than 0"),
        ("live", "--minutes", "nan", "nan: give more than 0"),
        ("samples", "--shard-size", "0", "0: give at least 1"),
        ("pictures", "--count", "-1", "-1: give at least 1"),
    ],
)
def test_numbers_that_must_be_positive_are(
    name: str, option: str, value: str, says: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit, match="2"):
        training.main([name, option, value])
    assert f"argument {option}: {says}" in capsys.readouterr().err


@pytest.mark.parametrize("name", list(training.COMMANDS))
def test_help_says_what_a_command_does_and_invents_no_default(name: str, capsys: pytest.CaptureFixture[str]):
    text = shown(name, capsys)
    assert f"{training.COMMANDS[name]}." in text
    assert not re.search(r"\(default (None|False|inf|==)", text)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("keyframes", "how many rooms to draw (default 200)"),
        ("samples", "number of the first shard; also part of the seed (default 0)"),
        ("stage3", "frames per step (default 8)"),
        ("train", "window cut from each sample, at most the whole (default 256 384)"),
        ("train", "length of the run (default 20000)"),
        ("calibrate", "independent fractions to try (default: ten from 0.0001 to 0.1)"),
    ],
)
def test_help_states_defaults_once(name: str, line: str, capsys: pytest.CaptureFixture[str]):
    assert f"{line} " in f"{shown(name, capsys)} "
