"""Where training computes, and in which precision."""

from __future__ import annotations

import os

import torch

CPU_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")


def compute_device() -> torch.device:
    """This process's GPU, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cpu")


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 where the hardware computes in it; a CPU that has to emulate it would take 2.6 times as long as in float32."""
    capabilities = torch.cpu.get_capabilities()
    computes = device.type != "cpu" or any(capabilities.get(name) for name in CPU_BFLOAT16)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=computes)
