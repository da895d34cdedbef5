"""Key frames on their way to a GPU: worker processes build and draw rooms and settle how each view is exposed, a thread
of the training process reads what they leave in a folder."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training.asset_pack.pack import Pack
from training.asset_pack.split import Split
from training.imaging.blur import STEP_PX, SUB_FRAMES, View, view_inverse_depth
from training.imaging.collage import make_collage
from training.imaging.keyframe import FOCAL_PX, HEIGHT, WIDTH, KeyFrame, encode_linear
from training.imaging.motion import blur_lengths_px, draw_motion
from training.imaging.sensor import draw_sensor
from training.keyframes import exposed, room_views
from training.room.renderer import Renderer
from training.samples import SampleConfig, draw_view

# Files that wait to be read before the workers pause.
BACKLOG = 300
# Subsampling of the depth that motions are drawn for.
COARSE = 8

PLAN_DTYPE = np.dtype(
    [
        ("rotation", "f4", (3, 3)),
        ("focal_px", "f4"),
        ("twist", "f4", 6),
        ("change", "f4", 6),
        ("readout", "f4"),
        ("sensor", "f4", len(draw_sensor(np.random.default_rng(0)).row())),
        ("count", "i4"),
    ]
)


@dataclass(frozen=True)
class Supply:
    """Where key frames come from and how they are used: views per room, exposures per key frame."""

    pack: Path
    folder: Path
    config: SampleConfig
    workers: int
    seed: int
    views: int = 8
    exposures: int = 4


@dataclass(frozen=True)
class PlannedKey:
    """A key frame and how it is exposed: plans PLAN_DTYPE [K]."""

    key: KeyFrame
    plans: np.ndarray


def draw_plans(rng: np.random.Generator, key: KeyFrame, config: SampleConfig, count: int) -> np.ndarray:
    """`count` random exposures of a key frame, as PLAN_DTYPE."""
    plans = np.zeros(count, PLAN_DTYPE)
    for plan in plans:
        view = draw_view(rng, key, config)
        # The same view in pixels of a coarse grid.
        small = View(view.width // COARSE, view.height // COARSE, view.focal_px / COARSE, view.rotation)
        coarse = view_inverse_depth(key, small)
        motion = draw_motion(rng, coarse, view.focal_px, config.max_blur_px, COARSE, config.everyday_share)
        plan["rotation"], plan["focal_px"] = view.rotation, view.focal_px
        plan["twist"], plan["change"], plan["readout"] = motion.twist, motion.change, motion.readout
        plan["sensor"] = draw_sensor(rng).row()
        lengths = blur_lengths_px(motion.twist, coarse, view.focal_px, COARSE)
        plan["count"] = np.clip(np.ceil(np.percentile(lengths, 99) / STEP_PX), *SUB_FRAMES)
    return plans


def _room_keys(supply: Supply, worker: int, rng: np.random.Generator) -> Iterator[KeyFrame]:
    pack, renderer, room = Pack(supply.pack, Split.TRAIN), Renderer(), worker
    while True:
        for pose in room_views(pack, renderer, room, supply.seed, supply.views, rng):
            colour, depth = renderer.render(pose, FOCAL_PX, WIDTH, HEIGHT)
            # Should a driver compute what is no number, its view is worth nothing.
            if np.isfinite(colour).all():
                yield KeyFrame(encode_linear(exposed(colour, rng)), (1 / depth).astype(np.float32), FOCAL_PX)
        room += supply.workers


def _collages(supply: Supply, rng: np.random.Generator) -> Iterator[KeyFrame]:
    kinds = (supply.pack / "textures" / Split.TRAIN.value / kind for kind in ("photograph", "picture"))
    photographs = sorted(path for kind in kinds for path in kind.glob("*.*"))
    while True:
        yield make_collage(rng, photographs)


def _work(supply: Supply, worker: int) -> None:
    """Fill the folder for ever with key frames of rooms and, as many as configured, of collages."""
    cv2.setNumThreads(1)
    os.environ.setdefault("LP_NUM_THREADS", "1")
    rng = np.random.default_rng((supply.seed, worker, 2))
    rooms, collages = _room_keys(supply, worker, rng), _collages(supply, rng)
    for number in itertools.count():
        key = next(collages if rng.random() < supply.config.collage_share else rooms)
        plans = draw_plans(rng, key, supply.config, supply.exposures)
        path = supply.folder / f"{number:06d}_{worker:03d}.key"
        facts = np.array([key.focal_px, key.metric], np.float32)
        with path.with_suffix(".tmp").open("wb") as file:
            for array in (key.colour, key.inverse_depth.astype(np.float16), facts, plans):
                np.save(file, array)
        path.with_suffix(".tmp").rename(path)
        while sum(1 for _ in supply.folder.iterdir()) > BACKLOG:
            time.sleep(0.2)


def start_workers(supply: Supply) -> list[multiprocessing.process.BaseProcess]:
    """Start the worker processes; they end with this one."""
    supply.folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_work, args=(supply, number), daemon=True) for number in range(supply.workers)
    ]
    for worker in workers:
        worker.start()
    return workers


def read_keys(folder: Path, depth: int = 64) -> queue.Queue[PlannedKey]:
    """A queue that a daemon thread fills with the folder's key frames; what is read is deleted."""
    ready: queue.Queue[PlannedKey] = queue.Queue(depth)

    def work() -> None:
        while True:
            found = sorted(folder.glob("*.key"))
            for path in found:
                with path.open("rb") as file:
                    colour, inverse_depth, (focal_px, metric), plans = (np.load(file) for _ in range(4))
                path.unlink()
                ready.put(PlannedKey(KeyFrame(colour, inverse_depth, float(focal_px), bool(metric)), plans))
            if not found:
                time.sleep(0.05)

    threading.Thread(target=work, daemon=True).start()
    return ready
