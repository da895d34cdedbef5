"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
from pathlib import Path

import onnxruntime


def describe_machine() -> dict[str, str | int]:
    """Processor, cores this process may use, GPU, system and runtime, and all of them in one line as `summary`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts: dict[str, str | int] = {
        "processor": _processor(),
        "cores": cores,
        "gpu": _gpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
    }
    gpu = f", {parts['gpu']}" if parts["gpu"] else ", no GPU"
    parts["summary"] = f"{cores} cores of {parts['processor']}{gpu}, onnxruntime {parts['onnxruntime']}"
    return parts


def peak_memory_mb() -> float:
    """Most memory this process has had resident, in MB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        lines = []
    # getrusage counts on from the process that started this one, so it is only asked where there is no /proc.
    peak_kb = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return float(peak_kb or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024


def _processor() -> str:
    """Model name as /proc/cpuinfo gives it, with its base clock where it has one."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    names = {key.strip(): value.strip() for key, value in fields.items()}
    return names.get("model name") or platform.processor() or platform.machine()


def _gpu() -> str:
    """Names of the NVIDIA GPUs; empty without one."""
    if not shutil.which("nvidia-smi"):
        return ""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return ", ".join(answer.stdout.split("\n")).strip(", ") if answer.returncode == 0 else ""
