"""`python -m training blurcheck`: how near exposures warped from one key frame come to exposures rendered instant by instant."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training import canonical
from training.asset_pack.pack import Pack
from training.asset_pack.split import Split
from training.imaging.blur import View, integrate_exposure, view_inverse_depth
from training.imaging.keyframe import FOCAL_PX, HEIGHT, WIDTH, KeyFrame, encode_linear
from training.imaging.motion import ExposureMotion, median_blur_px
from training.imaging.poses import moved
from training.keyframes import camera_poses, exposed
from training.room.renderer import Renderer
from training.room.rooms import Room, build_room

VIEW = View(canonical.WIDTH, canonical.HEIGHT, canonical.FOCAL_PX, np.eye(3))
BLUR_PX = (0.0, 6.0, 16.0, 40.0)
GAMMA = 2.2


@dataclass(frozen=True)
class Comparison:
    """Peak signal-to-noise ratio in dB of the tone-mapped picture: warped, and left sharp, against rendered."""

    blur_px: float
    warped_db: float
    sharp_db: float


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two linear-light images, as an 8-bit picture shows them."""
    toned = [np.clip(image, 0, 1) ** (1 / GAMMA) for image in (first, second)]
    return float(-10 * np.log10(np.mean((toned[0] - toned[1]) ** 2) + 1e-12))


def rendered_exposure(
    renderer: Renderer,
    pose: np.ndarray,
    motion: ExposureMotion,
    view: View,
    gain: float,
    step_px: float,
    blur_px: float,
) -> np.ndarray:
    """Mean of whole renderings along the motion, about one per step_px of blur: linear light [H,W,3]."""
    count = int(max(1, np.ceil(2 * blur_px / step_px)))
    total = np.zeros((view.height, view.width, 3), np.float32)
    for time in (np.arange(count) + 0.5) / count - 0.5:
        there = moved(pose, motion.displacement(float(time)))
        total += renderer.render(there, view.focal_px, view.width, view.height)[0]
    return np.minimum(gain * total / count, 8.0)


def compare(
    renderer: Renderer, pose: np.ndarray, rng: np.random.Generator, view: View, lengths: tuple[float, ...]
) -> Iterator[Comparison]:
    """One view of the loaded room, blurred in a random direction of all six axes to each median length."""
    colour, depth = renderer.render(pose, FOCAL_PX, WIDTH, HEIGHT)
    bright = exposed(colour, rng)
    gain = float(bright.sum() / colour.sum())
    key = KeyFrame(encode_linear(bright), (1 / depth).astype(np.float32), FOCAL_PX)
    coarse = view_inverse_depth(key, view)[2::4, 2::4]
    unit = np.concatenate((rng.normal(size=3), rng.normal(size=3) / np.median(coarse)))
    still = ExposureMotion(np.zeros(6), np.zeros(6))
    for blur_px in lengths:
        motion = ExposureMotion(unit * blur_px / median_blur_px(unit, coarse, view.focal_px), np.zeros(6))
        truth = rendered_exposure(renderer, pose, motion, view, gain, 1.0, blur_px)
        warped, sharp = (integrate_exposure(key, view, m)[0] for m in (motion, still))
        yield Comparison(blur_px, psnr(warped, truth), psnr(sharp, truth))


def compare_room(
    room: Room, renderer: Renderer, seed: int, view: View = VIEW, lengths: tuple[float, ...] = BLUR_PX
) -> list[Comparison]:
    """Two views of one room."""
    renderer.load(room.scene)
    rng = np.random.default_rng(seed)
    return [
        one
        for pose in camera_poses(room, renderer, rng, 2)
        for one in compare(renderer, pose, rng, view, lengths)
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training blurcheck`."""
    parser.add_argument("--pack", type=Path, required=True, help="folder made by `python -m training assets`")
    parser.add_argument(
        "--split", choices=[s.value for s in Split], default=Split.TRAIN.value, help="part of the pack"
    )
    parser.add_argument("--rooms", type=int, default=4, help="how many rooms to look at")
    parser.add_argument("--seed", type=int, default=0)


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    cv2.setNumThreads(1)
    pack, renderer = Pack(arguments.pack, Split(arguments.split)), Renderer()
    rooms = (build_room(pack, index, arguments.seed) for index in range(arguments.rooms))
    found = [
        one
        for index, room in enumerate(rooms)
        for one in compare_room(room, renderer, arguments.seed + index)
    ]
    print("blur [px]  views  warped against rendered [dB]  sharp against rendered [dB]")
    for blur_px in BLUR_PX:
        these = [one for one in found if one.blur_px == blur_px]
        warped, sharp = (
            np.median([getattr(one, name) for one in these]) for name in ("warped_db", "sharp_db")
        )
        print(f"{blur_px:9.0f}  {len(these):5d}  {warped:28.1f}  {sharp:27.1f}")
    return 0
