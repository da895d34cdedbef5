"""Training samples made ahead of time: blurred images with the motion and inverse depth that made them, in shards on disk."""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from blur_imu_ros.errors import ConfigurationError
from training import canonical
from training.imaging.blur import View, integrate_exposure, view_inverse_depth
from training.imaging.collage import make_collage
from training.imaging.keyframe import KeyFrame, load_keyframe
from training.imaging.motion import ExposureMotion, draw_motion
from training.imaging.sensor import draw_sensor, expose
from training.numbers import positive_int

# Longest median blur.
MAX_BLUR_RAD = 80.0 / canonical.FOCAL_PX
# A view stays this much inside its key frame, so that turns and blur do not run over the edge.
MARGIN = 1.12


@dataclass(frozen=True)
class SampleConfig:
    """Image size, canonical focal length, share of collages among the key frames, samples per shard, share of motions that are
    everyday ones."""

    width: int = canonical.WINDOW[0]
    height: int = canonical.WINDOW[1]
    canonical_px: float = canonical.FOCAL_PX
    collage_share: float = 0.4
    shard_size: int = 256
    everyday_share: float = 0.0

    @property
    def max_blur_px(self) -> float:
        return MAX_BLUR_RAD * self.canonical_px


SAMPLE_DTYPE = np.dtype([("twist", "f4", 6), ("focal_px", "f4"), ("canonical_px", "f4"), ("metric", "?")])


def draw_view(rng: np.random.Generator, key: KeyFrame, config: SampleConfig) -> View:
    """A view that lies inside the key frame, turned and zoomed at random."""
    zoom = float(np.exp(abs(rng.normal(0, 0.15))) * rng.uniform(0.97, 1.03))
    height, width = key.inverse_depth.shape
    inside = MARGIN * key.focal_px * max(config.width / width, config.height / height)
    focal_px = max(config.canonical_px * zoom, inside)
    half, seen = np.array([height, width]) / 2, np.array([config.height, config.width]) / 2
    spare = np.maximum(np.arctan(half / key.focal_px) - np.arctan(MARGIN * seen / focal_px), 0)
    pitch, yaw = rng.uniform(-spare, spare)
    roll = np.radians(rng.normal(0, 6.0))
    rotation = cv2.Rodrigues(np.array([pitch, yaw, 0.0]))[0] @ cv2.Rodrigues(np.array([0.0, 0.0, roll]))[0]
    return View(config.width, config.height, focal_px, rotation)


def make_sample(
    rng: np.random.Generator,
    key: KeyFrame,
    config: SampleConfig,
    recorded: Callable[[View, np.ndarray], ExposureMotion] | None = None,
) -> tuple[np.ndarray, np.ndarray, tuple]:
    """One sample: uint8 RGB image [H,W,3], inverse depth float16 [H/16,W/16] in 1/m, and a SAMPLE_DTYPE record.

    recorded: the motion for a view and its inverse depth on a stride-4 grid; without it one is drawn.
    """
    view = draw_view(rng, key, config)
    coarse = view_inverse_depth(key, view)[2::4, 2::4]
    if recorded:
        motion = recorded(view, coarse)
    else:
        motion = draw_motion(
            rng, coarse, view.focal_px, config.max_blur_px, everyday_share=config.everyday_share
        )
    light, inverse_depth = integrate_exposure(key, view, motion)
    grid = (config.width // canonical.STRIDE, config.height // canonical.STRIDE)
    label = cv2.resize(inverse_depth, grid, interpolation=cv2.INTER_AREA)
    return (
        expose(draw_sensor(rng), light, rng),
        label.astype(np.float16),
        (motion.twist, view.focal_px, config.canonical_px, key.metric),
    )


def key_frames(rng: np.random.Generator, rooms: list[Path], photographs: list[Path], config: SampleConfig):
    """Endless key frames, rooms and collages mixed; each room view is used for two samples in a row to spare decoding."""
    while True:
        if rooms and rng.random() > config.collage_share:
            key = load_keyframe(rooms[rng.integers(len(rooms))])
        else:
            key = make_collage(rng, photographs)
        yield from itertools.repeat(key, 2)


def check_sources(rooms: list[Path], photographs: list[Path], config: SampleConfig) -> None:
    """Raise ConfigurationError where samples are to be made from what is not there."""
    if not photographs and (not rooms or config.collage_share > 0):
        raise ConfigurationError(
            "no photographs for collages: give folders of them as --photos (PACK/textures/train/photograph), or key frames "
            "as --keyframes and --collages 0"
        )


def check_kept(folder: Path, config: SampleConfig) -> None:
    """Raise ConfigurationError where a shard that is kept is of other views than those asked for."""
    images, records = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "records"))
    kept = (*images.shape[2:0:-1], float(records["canonical_px"][0]))
    asked = (config.width, config.height, float(np.float32(config.canonical_px)))
    if kept != asked:
        of = "{}x{} px at a focal length of {:g} px".format
        raise ConfigurationError(
            f"{folder} holds views of {of(*kept)}, not of {of(*asked)}: give another --out"
        )


def write_shard(folder: Path, samples: Iterator[tuple], config: SampleConfig) -> None:
    """Write the next `shard_size` samples as a folder of arrays, whole or not at all."""
    count = config.shard_size
    images = np.empty((count, config.height, config.width, 3), np.uint8)
    depths = np.empty(
        (count, config.height // canonical.STRIDE, config.width // canonical.STRIDE), np.float16
    )
    records = np.empty(count, SAMPLE_DTYPE)
    for index, sample in zip(range(count), samples, strict=False):
        images[index], depths[index], records[index] = sample
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    temporary.mkdir(parents=True)
    for name, array in (("images", images), ("inverse_depth", depths), ("records", records)):
        np.save(temporary / f"{name}.npy", array)
    os.replace(temporary, folder)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training samples`."""
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--keyframes", type=Path, nargs="*", default=[], help="folders of key frames")
    parser.add_argument(
        "--photos", type=Path, nargs="*", default=[], help="folders of photographs for collages"
    )
    parser.add_argument("--shards", type=int, default=4, help="how many shards to make")
    parser.add_argument(
        "--first", type=int, default=0, help="number of the first shard; also part of the seed"
    )
    parser.add_argument("--seed", type=int, default=0)
    canonical.add_arguments(parser, canonical.WINDOW)
    parser.add_argument("--shard-size", type=positive_int, default=256, help="samples in a shard")
    parser.add_argument("--collages", type=float, default=0.4, help="share of collages among the key frames")
    add_everyday(parser)


def add_everyday(parser: argparse.ArgumentParser) -> None:
    """--everyday."""
    parser.add_argument(
        "--everyday",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of motions as cameras in use make them",
    )


def run(arguments: argparse.Namespace) -> int:
    """Make shards of samples; existing ones are kept, new key frames are picked up shard by shard."""
    cv2.setNumThreads(1)
    canonical.check_size(*arguments.size)
    config = SampleConfig(
        *arguments.size, arguments.focal_px, arguments.collages, arguments.shard_size, arguments.everyday
    )
    for number in range(arguments.first, arguments.first + arguments.shards):
        folder = arguments.out / f"shard_{number:05d}"
        if folder.exists():
            check_kept(folder, config)
            continue
        rng = np.random.default_rng((arguments.seed, number))
        empty = [root for root in arguments.keyframes if not any(root.glob("*.npz"))]
        if empty:
            raise ConfigurationError(
                f"{', '.join(map(str, empty))}: no key frames there (*.npz); correct --keyframes, or wait for those of "
                "`python -m training keyframes`"
            )
        rooms = sorted(path for root in arguments.keyframes for path in root.glob("*.npz"))
        photographs = sorted(path for root in arguments.photos for path in root.glob("*.*"))
        check_sources(rooms, photographs, config)
        keys = key_frames(rng, rooms, photographs, config)
        write_shard(folder, (make_sample(rng, key, config) for key in keys), config)
        print(
            f"{folder}: {config.shard_size} samples from {len(rooms)} key frames, {len(photographs)} photographs"
        )
    return 0
