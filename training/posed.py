"""`python -m training posed`: training samples from posed RGB-D recordings, blurred along their own recorded paths."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from blur_imu_ros.errors import SequenceError
from training import canonical
from training.imaging.blur import View
from training.imaging.keyframe import FOCAL_PX, WIDTH
from training.imaging.motion import ExposureMotion, median_blur_px
from training.imaging.posed_layouts import Layout, read_recording
from training.imaging.posed_rgbd import CameraPath, PosedFrame, Recording, read_key_frame, seen_from
from training.numbers import positive_int
from training.samples import SampleConfig, check_kept, make_sample, write_shard

EXPOSURE_S = (0.003, 0.1)
# The recording's own exposure is taken to be this when sharp frames are picked; blur up to that counts as sharp.
OWN_EXPOSURE_S, OWN_BLUR_PX = 0.01, 2.8
TYPICAL_DEPTH_M = 1.5
ROLLING_SHARE, ROLLING_READOUT = 0.3, (0.3, 1.5)
SAMPLES_PER_FRAME = 4


def is_sharp(path: CameraPath, stamp_s: float) -> bool:
    """Whether the camera moved so little at that time that the frame can serve as a key frame."""
    motion = path.motion(stamp_s, OWN_EXPOSURE_S)
    if motion is None:
        return False
    grid = np.full((6, 8), 1 / TYPICAL_DEPTH_M)
    return median_blur_px(motion.twist, grid, FOCAL_PX, stride=WIDTH // 8) <= OWN_BLUR_PX


def recorded_motion(
    rng: np.random.Generator,
    path: CameraPath,
    stamp_s: float,
    max_blur_px: float,
    view: View,
    coarse: np.ndarray,
) -> ExposureMotion:
    """The path's motion over a drawn exposure, halved until the blur fits; coarse: inverse depth on a stride-4 grid."""
    exposure_s = float(np.exp(rng.uniform(*np.log(EXPOSURE_S))))
    readout = float(rng.uniform(*ROLLING_READOUT)) if rng.random() < ROLLING_SHARE else 0.0
    while True:
        motion = path.motion(stamp_s, exposure_s, readout)
        assert motion is not None, "frames are chosen where the path has no gap"
        motion = seen_from(view, motion)
        if median_blur_px(motion.twist, coarse, view.focal_px) <= max_blur_px:
            return motion
        exposure_s /= 2


def samples_of(rng: np.random.Generator, recording: Recording, config: SampleConfig) -> Iterator[tuple]:
    """Endless samples. Raises SequenceError where no frame is sharp, with depth, and on the path."""
    usable = [frame for frame in recording.frames if _on_path(recording.path, frame)]
    while True:
        if not usable:
            raise SequenceError(
                f"{recording.folder}: no frame is sharp, has enough depth and lies on the path"
            )
        frame = usable[rng.integers(len(usable))]
        key = read_key_frame(frame, recording.depth_per_metre)
        if key is None:
            usable.remove(frame)
            continue
        for _ in range(SAMPLES_PER_FRAME):
            motion = None
            if recording.path is not None and frame.stamp_s is not None:
                motion = partial(recorded_motion, rng, recording.path, frame.stamp_s, config.max_blur_px)
            yield make_sample(rng, key, config, motion)


def _on_path(path: CameraPath | None, frame: PosedFrame) -> bool:
    return path is None or (frame.stamp_s is not None and is_sharp(path, frame.stamp_s))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training posed`."""
    parser.add_argument("folder", type=Path, help="the recording")
    parser.add_argument(
        "--layout", choices=[layout.value for layout in Layout], required=True, help="of the recording"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--shards", type=int, default=1, help="how many shards to make")
    parser.add_argument("--shard-size", type=positive_int, default=256, help="samples in a shard")
    canonical.add_arguments(parser, canonical.WINDOW)
    parser.add_argument("--seed", type=int, default=0)


def run(arguments: argparse.Namespace) -> int:
    """Make shards; existing ones are kept."""
    canonical.check_size(*arguments.size)
    cv2.setNumThreads(1)
    config = SampleConfig(*arguments.size, arguments.focal_px, shard_size=arguments.shard_size)
    recording = read_recording(arguments.folder, Layout(arguments.layout))
    for number in range(arguments.shards):
        folder = arguments.out / f"shard_{number:05d}"
        if folder.exists():
            check_kept(folder, config)
        else:
            rng = np.random.default_rng((arguments.seed, number))
            write_shard(folder, samples_of(rng, recording, config), config)
            print(
                f"{folder}: {config.shard_size} samples from {len(recording.frames)} frames of {recording.folder}"
            )
    return 0
