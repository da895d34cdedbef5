"""`blur_imu benchmark speed`: time per stage and provider, beside the published architecture in the same run."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import onnxruntime
from tqdm import tqdm

from ..errors import BlurImuError, ConfigurationError
from ..model.finding import SIZES as MODEL_SIZES
from ..model.finding import find_model
from ..model.providers import EXECUTION_PROVIDERS
from ..network import Provider
from ..output_files import check_output_file, write_json
from ..sequence import Sequence
from .machine import describe_machine
from .markdown import write_section
from .published_model import published_model
from .stopwatch import Run, time_provider
from .tables import provider_table, scaling_table
from .workload import Workload

IMAGE_SIZES = ((320, 240), (640, 480), (1280, 720), (1920, 1080))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "--model",
        nargs="+",
        default=list(MODEL_SIZES),
        help="small, large, names, or paths of ONNX files (default: small and large)",
    )
    parser.add_argument(
        "--provider",
        nargs="+",
        choices=[p.value for p in EXECUTION_PROVIDERS],
        help="default: all that this onnxruntime has",
    )
    parser.add_argument(
        "--threads", type=int, default=0, help="CPU threads of both networks (default 0: one per core)"
    )
    parser.add_argument("--frames", type=int, default=200, help="images per measurement (default 200)")
    parser.add_argument(
        "--sequence", type=Path, help="sequence folder to take images from (default: synthetic 640x480)"
    )
    parser.add_argument("--no-published", action="store_true", help="leave the published architecture out")
    parser.add_argument(
        "--no-scaling", action="store_true", help="leave other image sizes and thread counts out"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every figure to this file")
    parser.add_argument(
        "--markdown", type=Path, metavar="OUT", help="write the tables into this file's speed section"
    )


def run(args: argparse.Namespace) -> int:
    """Measure, write, print; returns the exit code."""
    for path in (args.json, args.markdown):
        check_output_file(path)
    if args.frames < 10 or args.threads < 0:
        raise ConfigurationError("--frames must be at least 10, and --threads at least 0")
    workload = Workload.of_sequence(Sequence.load(args.sequence)) if args.sequence else Workload.synthetic()
    published = None if args.no_published else _published()
    providers = [Provider(name) for name in args.provider] if args.provider else _present()
    runs = [
        Run(find_model(model, provider), provider, args.threads, args.frames, workload, published)
        for provider in providers
        for model in args.model
    ]
    scaling = [] if args.no_scaling else list(_scaling(runs[0]))
    load = os.getloadavg()[0]
    measured = [
        _in_own_process(one) for one in tqdm([*runs, *scaling], unit="run", disable=not sys.stderr.isatty())
    ]
    result = {
        "input": f"{workload.name}, {workload.camera.width}x{workload.camera.height} bgr8",
        "date": date.today().isoformat(),
        "machine": {**describe_machine(), "load_before": load},
        "providers": measured[: len(runs)],
        "scaling": measured[len(runs) :],
    }
    text = _markdown(result)
    if args.json:
        write_json(args.json, result)
    if args.markdown:
        write_section(args.markdown, "speed", text)
    print(text)
    return 0


def _present() -> list[Provider]:
    available = onnxruntime.get_available_providers()
    return [provider for provider, name in EXECUTION_PROVIDERS.items() if name in available]


def _published() -> Path | None:
    try:
        return published_model()
    except (BlurImuError, OSError, subprocess.TimeoutExpired) as error:
        print(f"not compared: {error}", file=sys.stderr)
        return None


def _scaling(first: Run) -> Iterator[Run]:
    """Other image sizes and thread counts on the first provider, with fewer images."""
    frames = max(10, first.frames // 4)
    for width, height in IMAGE_SIZES:
        yield Run(first.model, first.provider, first.threads, frames, Workload.synthetic(width, height))
    cores = len(os.sched_getaffinity(0))
    for threads in sorted({1, 2, 4, 8, 16, cores}):
        if threads <= cores:
            yield Run(first.model, first.provider, threads, frames, first.workload)


def _in_own_process(one: Run) -> dict[str, Any]:
    """One measurement, its memory its own; a provider that does not start is reported, not an end."""
    size = {"width": one.workload.camera.width, "height": one.workload.camera.height}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return {**pool.submit(time_provider, one).result(), **size}
        except BlurImuError as error:
            if one.provider is Provider.CPU:
                raise
            print(f"{one.provider.value}: {error}", file=sys.stderr)
            about = {"model": one.model.stem, "provider": one.provider.value, "threads": one.threads}
            return {**about, **size, "failure": str(error)}


def _markdown(result: dict[str, Any]) -> str:
    machine = result["machine"]
    about = (
        f"Images: {result['input']}, {result['date']}, {machine['summary']}, "
        f"load {machine['load_before']:.1f} before the run."
    )
    parts = [about, provider_table(result["providers"])]
    if result["scaling"]:
        parts.append(scaling_table(result["scaling"]))
    return "\n\n".join(parts)
