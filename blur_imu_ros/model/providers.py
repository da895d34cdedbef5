"""Which ONNX Runtime execution provider runs the network, and what to say when it is not the one asked for."""

import contextlib
import enum
import importlib
import io
import os
import re
from pathlib import Path
from typing import Any

import onnxruntime

from ..errors import ModelError


class Provider(enum.Enum):
    """What a user can ask for; AUTO is CUDA where it works, else the CPU."""

    AUTO = "auto"
    CUDA = "cuda"
    CPU = "cpu"
    TENSORRT = "tensorrt"


_CUDA, _CPU, _TENSORRT = "CUDAExecutionProvider", "CPUExecutionProvider", "TensorrtExecutionProvider"
EXECUTION_PROVIDERS = {Provider.CUDA: _CUDA, Provider.CPU: _CPU, Provider.TENSORRT: _TENSORRT}
# Device files of the desktop driver, of Tegra, and of Windows' subsystem for Linux.
_GPU_NODES = ("/dev/nvidiactl", "/dev/nvhost-ctrl-gpu", "/dev/nvgpu", "/dev/dxg")
_MEND = (
    "install the extra [gpu] (pip uninstall onnxruntime, then pip install 'blur_imu_ros[gpu]') and the NVIDIA driver, "
    "or choose provider auto or cpu"
)
_START = (
    "see that nvidia-smi works and that CUDA and cuDNN are installed (the extra [gpu] brings both), "
    "or choose provider cpu"
)
_NO_TENSORRT = "install the extra [gpu] and the tensorrt package, or choose provider auto, cuda or cpu"


def gpu_available() -> bool:
    """Whether this ONNX Runtime was built for CUDA and the machine has a GPU for it."""
    return _CUDA in onnxruntime.get_available_providers() and any(Path(node).exists() for node in _GPU_NODES)


def gpu_did_not_start(asked: Provider, runs: Provider) -> bool:
    """Whether a GPU that AUTO would have used is there and the CPU runs instead."""
    return asked is Provider.AUTO and runs is Provider.CPU and gpu_available()


def attempts(asked: Provider) -> list[Provider]:
    """Providers to try in order; ModelError when the one asked for cannot run here at all."""
    available = onnxruntime.get_available_providers()
    if asked is Provider.AUTO:
        return [Provider.CUDA, Provider.CPU] if gpu_available() else [Provider.CPU]
    if EXECUTION_PROVIDERS[asked] not in available:
        raise ModelError(
            f"provider {asked.value} was asked for but this onnxruntime has only {_readable(available)}; {_mend(asked)}"
        )
    return [asked]


def open_session(
    model: bytes, sha256: str, asked: Provider, options: onnxruntime.SessionOptions, *, build_engine: bool
) -> tuple[onnxruntime.InferenceSession, Provider]:
    """Session of a model on the first provider that works, and which one that is.

    ONNX Runtime falls back to the CPU without an error when a GPU library does not load, so what runs is read
    back.
    """
    candidates = attempts(asked)
    if candidates[0] is not Provider.CPU and hasattr(onnxruntime, "preload_dlls"):
        # CUDA and cuDNN from pip lie where the loader does not look; what it prints of their absence is said
        # below.
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()
    tries = [(p, entries) for p in candidates for entries in _session_providers(p, sha256, build_engine)]
    for provider, entries in tries:
        try:
            session = onnxruntime.InferenceSession(model, options, providers=entries)
        except Exception:
            if entries is tries[-1][1]:
                raise
            continue
        if session.get_providers()[0] == EXECUTION_PROVIDERS[provider]:
            return session, provider
    raise ModelError(
        f"provider {asked.value} was asked for and is built into this onnxruntime, but it did not start "
        f"({_readable(session.get_providers())} runs instead); {_START}"
    )


def describe(asked: Provider, runs: Provider) -> str:
    """One line: asked, available, runs."""
    available = _readable(onnxruntime.get_available_providers())
    line = f"runs on {runs.value} (asked for: {asked.value}; available: {available})"
    if gpu_did_not_start(asked, runs):
        line += f"; cuda did not start: {_START}"
    return line


def engine_cache_directory(sha256: str, *, create: bool) -> Path:
    """Private folder for the TensorRT engine of one model on this runtime and driver; engines fit nothing else."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = f"{sha256[:16]}-ort{onnxruntime.__version__}-trt{_tensorrt_version()}-driver{_driver_version() or 'none'}"
    folder = base / "blur_imu_ros" / "tensorrt" / key
    if create:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.exists():
        state = folder.stat()
        # Loading an engine runs code: nobody else may have put it there.
        if state.st_uid != os.getuid() or state.st_mode & 0o022:
            raise ModelError(
                f"engine cache {folder} can be written by others; remove it and run 'blur_imu warm' again"
            )
    return folder


def _session_providers(provider: Provider, sha256: str, build_engine: bool) -> list[list[Any]]:
    """What to ask ONNX Runtime for, best first."""
    if provider is Provider.CPU:
        return [[_CPU]]
    if provider is Provider.CUDA:
        # As one recorded graph the GPU runs without waiting for the CPU; not where an operator needs the CPU.
        return [[(_CUDA, {"enable_cuda_graph": "1", "prefer_nhwc": "1"}), _CPU], [_CUDA, _CPU]]
    cache = engine_cache_directory(sha256, create=build_engine)
    if not build_engine and not any(cache.glob("*.engine")):
        raise ModelError(
            f"no TensorRT engine in {cache}; build it once with 'blur_imu warm', or choose provider cuda"
        )
    options = {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(cache), "trt_fp16_enable": True}
    return [[(_TENSORRT, options), _CUDA, _CPU]]


def _mend(provider: Provider) -> str:
    return _NO_TENSORRT if provider is Provider.TENSORRT else _MEND


def _readable(providers: list[str]) -> str:
    known = {name: provider.value for provider, name in EXECUTION_PROVIDERS.items()}
    return ", ".join(known[name] for name in providers if name in known)


def _driver_version() -> str | None:
    """Version of the loaded NVIDIA driver: the desktop module or the Tegra one, None without either."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        tegra = Path("/etc/nv_tegra_release")
        return re.sub(r"\W+", "", tegra.read_text())[:24] if tegra.is_file() else None
    found = re.search(r"\s(\d+\.[\d.]+)\s", text)
    return found.group(1) if found else "unknown"


def _tensorrt_version() -> str:
    try:
        return str(importlib.import_module("tensorrt").__version__)
    except ImportError:
        return "system"
