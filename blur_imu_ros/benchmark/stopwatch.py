"""Timing one provider: frames through the pipeline, and the published architecture in turns with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..estimate import Estimate, Frame
from ..estimator import BlurImuEstimator
from ..image_message import decode_image
from ..network import FlowDepthNetwork, Provider
from .machine import peak_memory_mb
from .publishing import open_publisher
from .workload import INTERVAL_NS, Workload

STAGES = ("decode", "remap", "network", "solve", "direction", "between_frames", "publish")
TO_ESTIMATE = STAGES[:-1]
ROUNDS = 5
WARM_UP = 5
_NAMES = {"warp": "remap"}


@dataclass(frozen=True)
class Run:
    """What to time: `frames` images of ours and a tenth as many of the published network (none without its file)."""

    model: Path
    provider: Provider
    threads: int
    frames: int
    workload: Workload
    published: Path | None = None


@dataclass
class Laps:
    """Times in ms per stage and frame, and the processor time all of them took."""

    stages: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    wall_s: float = 0.0
    processor_s: float = 0.0

    def sum(self, stages: tuple[str, ...]) -> np.ndarray:
        """Time per frame [n] of several stages together."""
        return np.sum([self.stages[stage] for stage in stages], axis=0)


@dataclass
class NetworkTimes:
    """Time of a network alone per image, in ms."""

    wall_ms: list[float] = field(default_factory=list)
    processor_ms: list[float] = field(default_factory=list)

    def add(self, network: FlowDepthNetwork, runs: int) -> None:
        """Time some runs on noise; what the image shows does not change how long a convolution takes."""
        spec = network.spec
        image = np.random.default_rng(0).integers(0, 256, (spec.height, spec.width, 3), dtype=np.uint8)
        for _ in range(runs):
            wall_s, processor_s = time.perf_counter(), time.process_time()
            network.predict(image)
            self.wall_ms.append(1e3 * (time.perf_counter() - wall_s))
            self.processor_ms.append(1e3 * (time.process_time() - processor_s))


def time_provider(run: Run) -> dict[str, Any]:
    """Time ours and the published architecture on one provider in turns, so that both meet the same machine.

    Meant for a process of its own: `peak_memory_mb` is that of the process before the published model is loaded.
    """
    network = FlowDepthNetwork(run.model, provider=run.provider, threads=run.threads, build_engine=True)
    laps, ours, theirs = Laps(), NetworkTimes(), NetworkTimes()
    estimator = BlurImuEstimator(network)
    with open_publisher() as publish:
        _feed(estimator, run.workload, WARM_UP, publish, Laps())
        _feed(estimator, run.workload, max(1, run.frames // ROUNDS), publish, laps)
        memory_mb = peak_memory_mb()
        published = _open_published(run)
        for _ in range(ROUNDS - 1):
            if published is not None:
                theirs.add(published, max(1, run.frames // 10 // (ROUNDS - 1)))
                ours.add(network, max(1, run.frames // 10 // (ROUNDS - 1)))
            _feed(estimator, run.workload, max(1, run.frames // ROUNDS), publish, laps)
    network_ms = float(np.median(laps.stages["network"]))
    total, rest = laps.sum(TO_ESTIMATE), laps.sum(tuple(s for s in TO_ESTIMATE if s != "network"))
    return {
        "model": run.model.stem,
        "provider": run.provider.value,
        "threads": run.threads,
        "frames": len(total),
        "image_to_estimate_ms": spread(total),
        "all_but_network_ms": spread(rest),
        "stages_ms": {stage: spread(laps.stages[stage]) for stage in STAGES},
        "network_ms": network_ms,
        **_compared(network_ms, ours, theirs),
        "frames_per_second": 1e3 / float(np.mean(total)),
        "processor_percent": 100 * laps.processor_s / laps.wall_s,
        "peak_memory_mb": memory_mb,
    }


def spread(values: Any) -> dict[str, float] | None:
    """Median and 99th percentile; None without values."""
    if not len(values):
        return None
    return {"p50": float(np.percentile(values, 50)), "p99": float(np.percentile(values, 99))}


def _feed(
    estimator: BlurImuEstimator,
    workload: Workload,
    frames: int,
    publish: Callable[[Estimate], None] | None,
    laps: Laps,
) -> None:
    wall_s, processor_s = time.perf_counter(), time.process_time()
    for i in range(frames):
        start = time.perf_counter()
        image = decode_image(workload.messages[i % len(workload.messages)])
        decoded = time.perf_counter()
        estimate = estimator.estimate(
            Frame(image, workload.camera, (i + 1) * INTERVAL_NS, workload.exposure_s)
        )
        laps.stages["decode"].append(1e3 * (decoded - start))
        for name, lap_ms in estimate.stages_ms.items():
            laps.stages[_NAMES.get(name, name)].append(lap_ms)
        if publish is not None:
            start = time.perf_counter()
            publish(estimate)
            laps.stages["publish"].append(1e3 * (time.perf_counter() - start))
    laps.wall_s += time.perf_counter() - wall_s
    laps.processor_s += time.process_time() - processor_s
    estimator.reset()


def _open_published(run: Run) -> FlowDepthNetwork | None:
    if run.published is None:
        return None
    return FlowDepthNetwork(run.published, provider=run.provider, threads=run.threads, build_engine=True)


def _compared(network_ms: float, ours: NetworkTimes, theirs: NetworkTimes) -> dict[str, float | None]:
    """Ours against the published network, by the clock and by processor time, which other programs cannot lengthen."""
    if not theirs.wall_ms:
        return dict.fromkeys(
            ("published_network_ms", "speedup_vs_published", "processor_speedup_vs_published")
        )
    published_ms = float(np.median(theirs.wall_ms))
    return {
        "published_network_ms": published_ms,
        "speedup_vs_published": published_ms / network_ms,
        "network_processor_ms": float(np.median(ours.processor_ms)),
        "published_network_processor_ms": float(np.median(theirs.processor_ms)),
        "processor_speedup_vs_published": float(
            np.median(theirs.processor_ms) / np.median(ours.processor_ms)
        ),
    }
