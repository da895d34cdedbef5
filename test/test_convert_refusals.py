"""What `blur_imu convert` refuses: one line, exit code 2, nothing executed and nothing left behind."""
# ruff: noqa: E402  the modules below need torch

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra [convert] is not installed")

import onnx
from onnx import TensorProto, helper
from published_weights import deterministic_state
from safetensors.torch import save_file

from blur_imu_ros.cli import main
from blur_imu_ros.errors import ModelError


@pytest.fixture(scope="module")
def state():
    torch.set_num_threads(1)
    return deterministic_state()


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def save(content, path):
    torch.save(content, path)
    return path


def truncated(state, path):
    data = save(state, path).read_bytes()
    path.write_bytes(data[: len(data) // 2])


def misshapen(state, path):
    save({**state, "flow_decoder.linear_pred_flow.bias": torch.zeros(3)}, path)


def not_finite(state, path):
    save({**state, "backbone.norm1.bias": torch.full((64,), torch.nan)}, path)


def missing_key(state, path):
    save({name: value for name, value in state.items() if name != "ll_enc.conv1.conv.bias"}, path)


BAD_CHECKPOINTS = {
    "truncated": (truncated, "damaged"),
    "empty": (lambda state, path: path.write_bytes(b""), "damaged"),
    "text": (lambda state, path: path.write_text("not a checkpoint"), "damaged"),
    "other zip": (lambda state, path: zipfile.ZipFile(path, "w").close(), "damaged"),
    "wrong architecture": (lambda state, path: save(torch.nn.Linear(2, 2).state_dict(), path), "missing 883"),
    "missing key": (missing_key, r"missing 1 \(ll_enc.conv1.conv.bias\); unexpected none"),
    "extra key": (
        lambda state, path: save({**state, "head.weight": torch.zeros(1)}, path),
        r"unexpected 1 \(head",
    ),
    "misshapen": (misshapen, r"flow_decoder.linear_pred_flow.bias \[3\] instead of \[2\]"),
    "not finite": (not_finite, r"NaN or infinity in 1 \(backbone.norm1.bias\)"),
    "no state": (lambda state, path: save(torch.zeros(3), path), "holds a Tensor, not a state"),
    "no tensors": (lambda state, path: save({"weight": 3}, path), "no tensors: 1"),
    "code": (
        lambda state, path: save({"state_dict": Bomb(path.parent / "exploded")}, path),
        "nothing of it was run",
    ),
    "absent": (lambda state, path: None, "does not exist"),
}


@pytest.mark.parametrize("name", BAD_CHECKPOINTS)
def test_bad_checkpoint_is_refused_in_one_line_and_leaves_nothing(name, state, tmp_path, capsys):
    make, reason = BAD_CHECKPOINTS[name]
    check_refusal(tmp_path, capsys, "checkpoint.pth", lambda path: make(state, path), reason)
    assert not (tmp_path / "exploded").exists()


def test_truncated_safetensors_is_refused(state, tmp_path, capsys):
    def make(path):
        save_file(state, path)
        path.write_bytes(path.read_bytes()[:50_000_000])

    check_refusal(tmp_path, capsys, "checkpoint.safetensors", make, "damaged")


def check_refusal(folder, capsys, file_name, make, reason):
    models = folder / "models"
    models.mkdir()
    checkpoint = folder / file_name
    make(checkpoint)
    assert main(["convert", str(checkpoint), "--output", str(models / "out.onnx")]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert str(checkpoint) in message
    assert re.search(reason, message)
    assert list(models.iterdir()) == []


def test_bomb_would_go_off_where_pickle_is_trusted(tmp_path):
    torch.load(save(Bomb(tmp_path / "exploded"), tmp_path / "bomb.pth"), weights_only=False)
    assert (tmp_path / "exploded").exists()


def test_failing_check_leaves_the_earlier_model_untouched(state, tmp_path, monkeypatch, capsys):
    output = tmp_path / "out.onnx"
    output.write_bytes(b"the earlier model")
    (tmp_path / "weights").mkdir()
    checkpoint = save(state, tmp_path / "weights" / "state.pth")

    def fail(network, path):
        raise ModelError(f"differs by 1 px in {path.name}")

    monkeypatch.setattr(
        "blur_imu_ros.convert.export.write_onnx", lambda network, path, **options: path.touch()
    )
    monkeypatch.setattr("blur_imu_ros.convert.export.check_onnx", fail)
    assert main(["convert", str(checkpoint), "--output", str(output)]) == 2
    assert "differs by 1 px" in capsys.readouterr().err
    assert output.read_bytes() == b"the earlier model"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.onnx", "weights"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "name the checkpoint and --output"),
        (["x.pth", "--output", "x.pt"], "must end in .onnx"),
        (["x.pth", "--output", "absent/x.onnx"], "absent/x.onnx: its folder does not exist"),
        (["x.pth", "--output", "x.onnx", "--seed", "-1"], "--seed -1 is negative"),
        (["x.pth", "--describe"], "leave out CHECKPOINT"),
        (["--describe", "absent.onnx"], "absent.onnx"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(arguments, reason, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["convert", *arguments]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert reason in message
    assert list(tmp_path.iterdir()) == []


def test_describe_refuses_another_network(tmp_path, capsys):
    other = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "other",
        *([helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])] for name in "xy"),
    )
    onnx.save(helper.make_model(other), tmp_path / "other.onnx")
    assert main(["convert", "--describe", str(tmp_path / "other.onnx")]) == 2
    assert "other.onnx has no output flow" in capsys.readouterr().err


def test_missing_torch_is_one_line_that_says_what_to_install(tmp_path):
    program = (
        "import sys; sys.modules['torch'] = None; from blur_imu_ros.cli import main; "
        "sys.exit(main(['convert', 'x.pth', '--output', 'x.onnx']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'blur_imu_ros[convert]'" in done.stderr
