"""Rendered sequences with exact truth, in the sequence-folder format: the standard test split, validation, the demo."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.recordings.sequence_writer import SequenceWriter
from blur_imu_ros.solve.lever_arm import camera_of_centre
from blur_imu_ros.solve.prior import PerAxis, each_axis
from training.asset_pack.pack import Pack
from training.asset_pack.split import Split
from training.imaging.blur import View, integrate_exposure
from training.imaging.keyframe import KeyFrame, encode_linear
from training.imaging.motion import ExposureMotion
from training.imaging.poses import moved
from training.imaging.sensor import Sensor, draw_sensor, expose
from training.keyframes import camera_poses
from training.room.renderer import Renderer
from training.room.rooms import build_room

RATE_HZ = 30.0
CLIP_GAP_S = 2.0
MARGIN = 1.3
OVERSAMPLING = 1.2
CORRELATION_S = 0.2
NEAREST_M, MEDIAN_M = 0.25, (0.8, 6.0)


@dataclass(frozen=True)
class Kind:
    """What a sequence shows: standard deviations per axis of (w, v), exposure range, shares of clips with rolling shutter,
    in the dark (None: as the sensor model draws it) and aimed at plain surfaces, and where the camera is, in its own frame, seen
    from the point that it turns about and that v is of."""

    angular_rad_s: PerAxis = 2.0
    linear_m_s: PerAxis = 0.7
    exposure_s: tuple[float, float] = (0.005, 0.020)
    rolling: float = 0.2
    dark: float | None = None
    plain: float = 0.15
    lever_arm_m: tuple[float, float, float] = (0.0, 0.0, 0.0)


KINDS = {
    "standard": Kind(),
    "fast_rotation": Kind(angular_rad_s=4.0, linear_m_s=0.3, rolling=0.0, dark=0.0),
    "fast_translation": Kind(angular_rad_s=0.4, linear_m_s=1.5, rolling=0.0, dark=0.0),
    "mixed": Kind(rolling=0.0, dark=0.0),
    "low_light": Kind(rolling=0.0, dark=1.0),
    "low_texture": Kind(rolling=0.0, dark=0.0, plain=1.0),
    "rolling_shutter": Kind(rolling=1.0, dark=0.0),
    "arm": Kind(linear_m_s=0.2, rolling=0.0, dark=0.0, lever_arm_m=(0.1, 0.0, 0.4)),
    "wheels": Kind(
        angular_rad_s=(0.15, 1.5, 0.15),
        linear_m_s=(0.05, 0.03, 1.2),
        rolling=0.0,
        dark=0.0,
        lever_arm_m=(0.0, 0.0, 0.3),
    ),
}

# What the benchmark's table is made of, each in a folder of its own: what is added to the seed.
BENCHMARK = "benchmark"
BENCHMARK_SEEDS = {
    "mixed": 0,
    "fast_translation": 0,
    "low_light": 0,
    "fast_rotation": 1,
    "rolling_shutter": 2,
    "low_texture": 3,
}


@dataclass(frozen=True)
class CameraSize:
    """Pixels and focal length of the rendered camera."""

    width: int = 640
    height: int = 480
    focal_px: float = 510.0


def smooth_twists(rng: np.random.Generator, kind: Kind, count: int, step_s: float) -> np.ndarray:
    """A camera's own twist [count,6] over time: Gaussian, smooth over CORRELATION_S, with the kind's deviations."""
    reach = int(3 * CORRELATION_S / step_s)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step_s / (CORRELATION_S / np.sqrt(2))) ** 2)
    noise = rng.standard_normal((count + 2 * reach, 6))
    smooth = np.stack([np.convolve(noise[:, axis], kernel, mode="valid") for axis in range(6)], axis=1)
    sigma = np.concatenate([each_axis(kind.angular_rad_s), each_axis(kind.linear_m_s)])
    return smooth / np.sqrt(np.sum(kernel**2)) * sigma @ camera_of_centre(kind.lever_arm_m).T


@dataclass(frozen=True)
class Shot:
    """One frame of a clip: pose at mid exposure, twist and its rate of change there."""

    pose: np.ndarray
    twist: np.ndarray
    twist_rate: np.ndarray


def clip_shots(rng: np.random.Generator, kind: Kind, pose: np.ndarray, frames: int) -> Iterator[Shot]:
    """Frames at RATE_HZ along a smooth path through `pose`, integrated in steps of a tenth of a frame."""
    steps = 10
    step_s = 1 / RATE_HZ / steps
    twists = smooth_twists(rng, kind, frames * steps + 2, step_s)
    for number in range(frames * steps):
        if number % steps == 0:
            yield Shot(pose, twists[number], (twists[number + 1] - twists[number]) / step_s)
        pose = moved(pose, 0.5 * (twists[number] + twists[number + 1]) * step_s)


@dataclass(frozen=True)
class ClipCamera:
    """What stays the same over a clip."""

    size: CameraSize
    sensor: Sensor
    exposure_s: float
    readout_s: float


def photograph(
    renderer: Renderer, shot: Shot, camera: ClipCamera, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """RGB image and depth [H,W] m of a shot, or None where the view is too close to something or sees too far."""
    size = camera.size
    focal_px = size.focal_px * OVERSAMPLING
    width, height = (round(side * OVERSAMPLING * MARGIN) for side in (size.width, size.height))
    colour, depth = renderer.render(shot.pose, focal_px, width, height)
    if depth.min() < NEAREST_M or not MEDIAN_M[0] < np.median(depth) < MEDIAN_M[1]:
        return None
    key = KeyFrame(encode_linear(colour), (1 / depth).astype(np.float32), focal_px)
    motion = ExposureMotion(
        shot.twist * camera.exposure_s,
        shot.twist_rate * camera.exposure_s**2,
        camera.readout_s / camera.exposure_s,
    )
    view = View(size.width, size.height, size.focal_px, np.eye(3))
    light, inverse_depth = integrate_exposure(key, view, motion)
    return expose(camera.sensor, light, rng), 1 / np.maximum(inverse_depth, 1e-3)


def plainest(renderer: Renderer, poses: list[np.ndarray]) -> np.ndarray:
    """The pose whose view has the least texture."""

    def texture(pose: np.ndarray) -> float:
        grey = np.sqrt(renderer.render(pose, 80.0, 128, 96)[0].mean(axis=2))
        return float(np.abs(np.diff(grey, axis=0)).mean() / grey.mean())

    return min(poses, key=texture)


def render_clips(
    pack: Pack, kind: Kind, size: CameraSize, clips: int, clip_frames: int, seed: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray, float, np.ndarray]]:
    """Frames (stamp in ns, image, depth, exposure in s, twist) of `clips` whole clips, each in a room of its own."""
    renderer, room_index, stamp_s, done = Renderer(), 0, 1000.0, 0
    while done < clips:
        rng = np.random.default_rng((seed, room_index))
        room = build_room(pack, room_index, seed)
        renderer.load(room.scene)
        room_index += 1
        poses = camera_poses(room, renderer, rng, 1)
        if poses and rng.random() < kind.plain:
            poses = [plainest(renderer, [poses[0], *camera_poses(room, renderer, rng, 5)])]
        exposure_s = float(rng.uniform(*kind.exposure_s))
        readout_s = float(rng.uniform(0.008, 0.025)) if rng.random() < kind.rolling else 0.0
        dark = None if kind.dark is None else bool(rng.random() < kind.dark)
        camera = ClipCamera(size, draw_sensor(rng, dark), exposure_s, readout_s)
        shots = [shot for pose in poses for shot in clip_shots(rng, kind, pose, clip_frames)]
        frames = []
        for shot in shots:
            frame = photograph(renderer, shot, camera, rng)
            if frame is None:
                break
            frames.append((shot, frame))
        if not shots or len(frames) < clip_frames:
            continue
        for number, (shot, (image, depth)) in enumerate(frames):
            yield round((stamp_s + number / RATE_HZ) * 1e9), image, depth, exposure_s, shot.twist
        stamp_s += clip_frames / RATE_HZ + CLIP_GAP_S
        done += 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training sequences`."""
    parser.add_argument("--pack", type=Path, required=True, help="folder made by `python -m training assets`")
    parser.add_argument("--out", type=Path, required=True, help="sequence folder to write")
    parser.add_argument(
        "--kind",
        choices=[*KINDS, BENCHMARK],
        default="standard",
        help=f"how the camera moves, and in what; {BENCHMARK}: the six kinds of docs/results.md, each in OUT/KIND",
    )
    parser.add_argument(
        "--split", choices=[split.value for split in Split], default="test", help="part of the pack"
    )
    parser.add_argument("--clips", type=int, default=50, help="how many clips to render")
    parser.add_argument("--clip-frames", type=int, default=10, help="frames in a clip")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--size", type=int, nargs=2, default=(640, 480), metavar=("WIDTH", "HEIGHT"), help="of an image, px"
    )
    parser.add_argument("--no-depth", action="store_true", help="leave the depth images out")


def run(arguments: argparse.Namespace) -> int:
    """Render one sequence folder, or those of the benchmark."""
    cv2.setNumThreads(1)
    pack = Pack(arguments.pack, Split(arguments.split))
    if arguments.kind == BENCHMARK:
        for kind, added in BENCHMARK_SEEDS.items():
            write_sequence(pack, arguments, kind, arguments.out / kind, arguments.seed + added)
    else:
        write_sequence(pack, arguments, arguments.kind, arguments.out, arguments.seed)
    return 0


def write_sequence(pack: Pack, arguments: argparse.Namespace, kind: str, folder: Path, seed: int) -> None:
    """Render one sequence folder of a kind, sized as the arguments say."""
    width, height = arguments.size
    size = CameraSize(width, height, 510.0 * width / 640)
    camera = CameraModel.pinhole(width, height, size.focal_px)
    with SequenceWriter(folder, camera, image_suffix=".jpg") as writer:
        clips = render_clips(pack, KINDS[kind], size, arguments.clips, arguments.clip_frames, seed)
        for stamp_ns, image, depth, exposure_s, twist in clips:
            depth_m = None if arguments.no_depth else depth
            writer.add(stamp_ns, image, exposure_s=exposure_s, depth_m=depth_m, twist=twist)
    print(f"{folder}: {arguments.clips * arguments.clip_frames} frames")
