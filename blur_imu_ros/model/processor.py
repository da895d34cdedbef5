"""What the processor can do."""

from pathlib import Path

_VNNI = {"avx512_vnni", "avx_vnni"}


def eight_bits_are_fast(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether it multiplies bytes by instructions of their own (x86: VNNI); without, eight bits gain a third
    on 32 and not the half that lets the large network keep up with a camera."""
    try:
        return not _VNNI.isdisjoint(cpuinfo.read_text(encoding="utf-8").split())
    except OSError:
        return False
