"""Networks are found by name, size or path, and run only when their bytes are the ones the manifest names."""

import hashlib

import pytest
from onnx_models import write_model

from blur_imu_ros.errors import ModelError
from blur_imu_ros.model import finding, providers
from blur_imu_ros.model.finding import find_model
from blur_imu_ros.model.processor import eight_bits_are_fast
from blur_imu_ros.network import FlowDepthNetwork, Provider

ENTRY = "  {name}: {{file: {name}.onnx, sha256: {sha256}, size: {size}, width: 320, height: 224}}\n"


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A share directory with two networks and their manifest, in place of the installed one."""
    folder = tmp_path / "models"
    folder.mkdir()
    text = "models:\n"
    for name, size in (("quick", "small"), ("careful", "large")):
        data = write_model(folder / f"{name}.onnx").read_bytes()
        text += ENTRY.format(name=name, size=size, sha256=hashlib.sha256(data).hexdigest())
    (folder / "manifest.yaml").write_text(text)
    monkeypatch.setattr(finding, "share_directory", lambda: tmp_path)
    monkeypatch.setattr(finding, "eight_bits_are_fast", lambda: False)
    return folder


@pytest.mark.parametrize(
    ("name", "expected"),
    [("auto", "quick"), ("small", "quick"), ("large", "careful"), ("quick", "quick"), ("careful", "careful")],
)
def test_names_and_sizes(shipped, name, expected):
    assert find_model(name, Provider.CPU) == shipped / f"{expected}.onnx"


def test_auto_takes_the_large_one_on_a_gpu(shipped, monkeypatch):
    monkeypatch.setattr(finding, "gpu_available", lambda: True)
    assert find_model("auto", Provider.AUTO).stem == "careful"
    assert find_model("auto", Provider.CPU).stem == "quick"


def test_a_processor_made_for_eight_bits_runs_the_large_one(shipped, monkeypatch):
    monkeypatch.setattr(finding, "eight_bits_are_fast", lambda: True)
    assert find_model("auto", Provider.CPU).stem == "careful"
    assert find_model("small", Provider.CPU).stem == "quick"


@pytest.mark.parametrize(
    ("flags", "fast"), [("fpu avx2 avx512_vnni", True), ("fpu avx2 avx_vnni", True), ("fpu avx2", False)]
)
def test_what_processors_are_made_for_eight_bits(tmp_path, flags, fast):
    cpuinfo = tmp_path / "cpuinfo"
    assert not eight_bits_are_fast(cpuinfo)
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    assert eight_bits_are_fast(cpuinfo) is fast


def test_of_a_size_a_gpu_gets_the_most_bits_and_a_cpu_the_fewest(shipped, monkeypatch):
    path = shipped / "manifest.yaml"
    path.write_text(path.read_text().replace("size: small", "size: large, bits: 8"))
    assert find_model("large", Provider.CPU).stem == "quick"
    monkeypatch.setattr(finding, "gpu_available", lambda: True)
    assert find_model("large", Provider.AUTO).stem == "careful"
    assert find_model("large", Provider.CPU).stem == "quick"


def test_auto_takes_what_there_is(shipped):
    text = (shipped / "manifest.yaml").read_text().replace("size: small", "size: large")
    (shipped / "manifest.yaml").write_text(text)
    assert find_model("auto", Provider.CPU).stem == "quick"


def test_the_hash_of_a_manifest_is_checked(shipped):
    network = FlowDepthNetwork("quick", provider=Provider.CPU, threads=1)
    assert not any("hash" in note for note in network.spec.notes)
    path = shipped / "quick.onnx"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"250.8", b"251.8"))
    assert path.read_bytes() != data
    for model in ("quick", path):
        with pytest.raises(
            ModelError, match=r"quick.onnx is not the file that manifest.yaml names.*instead of"
        ):
            FlowDepthNetwork(model, provider=Provider.CPU)
    unchecked = FlowDepthNetwork("quick", provider=Provider.CPU, threads=1, verify_hash=False)
    assert any("no hash was checked" in note for note in unchecked.spec.notes)


def test_a_model_of_ones_own_runs_with_a_note(tmp_path):
    network = FlowDepthNetwork(str(write_model(tmp_path / "mine.onnx")), provider=Provider.CPU, threads=1)
    assert any("no hash was checked" in note for note in network.spec.notes)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("huge", r"no model 'huge'.*'quick', 'careful', 'small', 'large'"),
        ("/nowhere/net.onnx", "model file /nowhere/net.onnx does not exist"),
        ("net.onnx", "model file net.onnx does not exist"),
    ],
)
def test_unknown_models_are_refused(shipped, name, message):
    with pytest.raises(ModelError, match=message):
        find_model(name, Provider.CPU)


def test_a_model_missing_from_disk_is_named(shipped):
    (shipped / "quick.onnx").unlink()
    with pytest.raises(ModelError, match=r"'quick' is in the manifest but .*quick.onnx is missing"):
        find_model("small", Provider.CPU)


def test_a_folder_is_no_model(tmp_path):
    folder = tmp_path / "net.onnx"
    folder.mkdir()
    with pytest.raises(ModelError, match=r"net\.onnx does not exist"):
        FlowDepthNetwork(folder, provider=Provider.CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("file: quick.onnx", "file: ../quick.onnx"), "must lie beside the manifest"),
        (("size: small", "size: tiny"), "size 'tiny'"),
        (("height: 224", "height: 224, bits: 9"), "bits is 9"),
        (("sha256: ", "sha256: xyz"), "64 hexadecimal digits"),
        (("models:", "networks:"), "'models'"),
        (("width: 320, ", ""), "'width'"),
        (("models:", "models: ["), "malformed"),
    ],
)
def test_a_malformed_manifest_is_refused(shipped, change, message):
    path = shipped / "manifest.yaml"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(ModelError, match=rf"manifest.yaml is malformed.*{message}|malformed.*{message}"):
        find_model("small", Provider.CPU)


def test_the_engine_cache_is_private_and_keyed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = providers.engine_cache_directory("a" * 64, create=True)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder != providers.engine_cache_directory("b" * 64, create=False)
    folder.chmod(0o777)
    with pytest.raises(ModelError, match=r"written by others"):
        providers.engine_cache_directory("a" * 64, create=False)
