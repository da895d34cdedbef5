"""The demo with real processes: player, node and listener over DDS."""

import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from onnx_models import write_model

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.offline.child import Child
from blur_imu_ros.offline.comparison import Comparison
from blur_imu_ros.recordings.sequence_writer import SequenceWriter
from blur_imu_ros.sequence import Sequence

FRAMES = 45
START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 33_333_333


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short sequence of a textured picture, its truth a slow turn about one axis."""
    folder = tmp_path_factory.mktemp("recording")
    random = np.random.default_rng(1)
    camera = CameraModel(160, 120, np.array([[120.0, 0, 79.5], [0, 120.0, 59.5], [0, 0, 1]]))
    with SequenceWriter(folder, camera) as writer:
        for i in range(FRAMES):
            image = random.integers(0, 256, (120, 160), dtype=np.uint8)
            twist = np.array([0.0, np.sin(i / 10), 0, 0, 0, 0])
            writer.add(START_NS + i * PERIOD_NS, image, exposure_s=0.01, twist=twist)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "constant.onnx")


def demo(recording: Path, model: Path, output: Path) -> list[str]:
    words = ["demo", "--recording", str(recording), "--model", str(model), "--output", str(output)]
    return [sys.executable, "-m", "blur_imu_ros.cli", *words]


def test_demo_prints_a_table_and_a_summary_and_draws(recording: Path, model: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        demo(recording, model, tmp_path), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "node.log").read_text()
    rows = re.findall(r"^ *\d+\.\d\d(?: +[+-]\d+\.\d\d){12}(?:  \?)?$", done.stdout, re.MULTILINE)
    assert rows
    answered = re.search(rf"(\d+) of {FRAMES} frames answered", done.stdout)
    assert answered is not None
    assert 1 <= int(answered[1]) <= FRAMES
    for name in ("angular.png", "linear.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_ended_demo_leaves_no_process(
    recording: Path, model: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        demo(recording, model, tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    children: list[psutil.Process] = []
    while not children and time.monotonic() < deadline:
        children = psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.1)
    process.send_signal(number)
    process.wait(30)
    assert children
    assert [child for child in children if child.is_running()] == []


def test_a_model_that_is_missing_is_one_line(recording: Path, tmp_path: Path) -> None:
    command = demo(recording, tmp_path / "none.onnx", tmp_path)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "none.onnx" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_child_that_ignores_the_interrupt_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blur_imu_ros.offline.child.STOP_S", 0.2)
    deaf = "signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf', flush=True)"
    code = f"import signal, time; {deaf}; time.sleep(60)"
    with Child([sys.executable, "-c", code], tmp_path / "log") as child:
        while "deaf" not in child.last_words():
            time.sleep(0.01)
        assert child.exit_code is None
    assert child.exit_code == -signal.SIGKILL


def test_comparison_takes_only_stamps_of_the_sequence(recording: Path) -> None:
    comparison = Comparison(Sequence.load(recording))
    twist = np.array([0.5, 0, 0, 0, 0, 0])
    assert not comparison.add(START_NS + 1, twist, np.eye(6))
    assert comparison.add(START_NS, twist, np.eye(6))
    assert comparison.summary().startswith(f"1 of {FRAMES} frames answered: this computer is slower")
    assert "error  0.500 rad/s" in comparison.summary()
    np.testing.assert_array_equal(comparison.series().twist, [twist])
    # It may as well be the other way round, until it is known to a sixth of the way there.
    assert comparison.row(START_NS).endswith("  ?")
    assert "1 of them so unsure" in comparison.summary()
    assert comparison.add(START_NS, twist, 0.3**2 * np.eye(6))
    assert not comparison.row(START_NS).endswith("?")
    assert "unsure" not in comparison.summary()


def test_a_comparison_with_a_gyro_says_nothing_of_steps(recording: Path) -> None:
    sequence = Sequence.load(recording)
    turns = np.where(np.arange(6) < 3, sequence.truth, np.nan)
    comparison = Comparison(replace(sequence, truth=turns))
    assert comparison.add(START_NS, np.ones(6), 0.01 * np.eye(6))
    _, *errors = comparison.summary().splitlines()
    assert [line.split()[0] for line in errors] == ["angular"]
    assert "nan" not in errors[0]
