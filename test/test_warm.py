"""The warm command reports a network that is ready, and one that cannot be, in one line each."""

from onnx_models import write_model

from blur_imu_ros.cli import main


def test_warm_reports_what_runs(tmp_path, capsys):
    path = write_model(tmp_path / "net.onnx", flow_log_sigma=None)
    assert main(["warm", "--model", str(path), "--provider", "cpu", "--threads", "1"]) == 0
    output = capsys.readouterr().out
    assert "model net: runs on cpu (asked for: cpu; available: " in output
    assert "; ready after" in output
    assert "no output flow_log_sigma: 1 px assumed" in output


def test_warm_refuses_garbage_in_one_line(tmp_path, capsys):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"garbage")
    assert main(["warm", "--model", str(path), "--provider", "cpu"]) == 2
    error = capsys.readouterr().err.strip()
    assert "net.onnx: not an ONNX file" in error
    assert len(error.splitlines()) == 1
