"""`python -m training keyframes`: rooms seen from many places, one RGB-D key frame file per view."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from enum import Enum
from functools import partial
from pathlib import Path

import numpy as np

from training.asset_pack.pack import Pack
from training.asset_pack.split import Split
from training.imaging.keyframe import FOCAL_PX, HEIGHT, WIDTH, encode_linear
from training.imaging.poses import look_along, moved
from training.room.renderer import FAR_M, Renderer
from training.room.rooms import Room, build_room

NEAREST_M, MEDIAN_M = 0.35, (0.6, 5.0)
# Share of views that a camera in motion has turned away from what it was held at, and by how much per axis (rad, m).
GLANCES, GLANCE = 0.6, (0.4, 0.1)
PROBE_SHRINK = 8
TRIES = 25
GREY = 0.18


class Carrier(Enum):
    """Who or what moves a camera about a room."""

    HAND = "hand"
    ROBOT = "robot"
    DRONE = "drone"


# Height above the floor, for all of them below the ceiling.
HEIGHTS_M = {Carrier.HAND: (0.6, 1.9), Carrier.ROBOT: (0.2, 0.6), Carrier.DRONE: (0.4, np.inf)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pack", type=Path, required=True, help="folder made by `python -m training assets`")
    parser.add_argument(
        "--split", choices=[s.value for s in Split], default=Split.TRAIN.value, help="part of the pack"
    )
    parser.add_argument("--rooms", type=int, default=200, help="how many rooms to draw")
    parser.add_argument(
        "--first-room", type=int, default=0, help="number of the first room; also part of the seed"
    )
    parser.add_argument("--views", type=int, default=6, help="views per room")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--out", type=Path, required=True, help="folder for the key frames")


def run(arguments: argparse.Namespace) -> int:
    arguments.out.mkdir(parents=True, exist_ok=True)
    indices = range(arguments.first_room, arguments.first_room + arguments.rooms)
    work = partial(
        _write_rooms, arguments.pack, Split(arguments.split), arguments.views, arguments.seed, arguments.out
    )
    shares = [list(indices)[k :: arguments.workers] for k in range(arguments.workers)]
    if arguments.workers == 1:
        written = [work(shares[0])]
    else:
        with ProcessPoolExecutor(arguments.workers) as workers:
            written = list(workers.map(work, shares))
    print(f"{sum(written)} key frames in {arguments.out}")
    return 0


def _write_rooms(
    pack_folder: Path, split: Split, views: int, seed: int, out: Path, indices: list[int]
) -> int:
    os.environ.setdefault("LP_NUM_THREADS", "1")
    pack, renderer, written = Pack(pack_folder, split), Renderer(), 0
    for index in indices:
        if (out / f"room{index:05d}_0.npz").exists():
            continue
        rng = np.random.default_rng((seed, index, 1))
        found = []
        for pose in room_views(pack, renderer, index, seed, views, rng):
            colour, depth = renderer.render(pose, FOCAL_PX, WIDTH, HEIGHT)
            found.append((exposed(colour, rng), depth, pose))
        # The first view is written last: where it is, the room is complete.
        for view, (colour, depth, pose) in reversed([*enumerate(found)]):
            save_view(out / f"room{index:05d}_{view}.npz", colour, depth, pose, index, split)
            written += 1
    return written


def exposed(colour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The scene scaled so that its log-mean luminance is near mid grey, as an automatic exposure would."""
    luminance = colour @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    mean = np.exp(np.log(luminance + 1e-3 * luminance.mean() + 1e-6).mean())
    return colour * np.float32(GREY * np.exp(rng.normal(0, 0.4)) / mean)


def save_view(
    path: Path,
    colour: np.ndarray,
    depth: np.ndarray,
    pose: np.ndarray,
    room: int,
    split: Split,
    focal_px: float = FOCAL_PX,
) -> None:
    """Write one key frame in a single step, so that a reader never sees half a file.

    colour uint16 [H,W,3] as keyframe.encode_linear; inverse_depth float16 [H,W] in 1/m; pose camera-to-world [4,4].
    """
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.savez(
            file,
            colour=encode_linear(colour),
            inverse_depth=(1 / depth).astype(np.float16),
            focal_px=np.float32(focal_px),
            pose=pose.astype(np.float32),
            room=np.int32(room),
            split=np.array(split.value),
        )
    temporary.rename(path)


def room_views(
    pack: Pack, renderer: Renderer, index: int, seed: int, count: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Up to `count` camera-to-world poses in room number `index`, which is loaded into the renderer first."""
    room = build_room(pack, index, seed)
    renderer.load(room.scene)
    for pose in camera_poses(room, renderer, rng, count):
        yield glanced_away(pose, room, renderer, rng) if rng.random() < GLANCES else pose


def camera_poses(room: Room, renderer: Renderer, rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Up to `count` camera-to-world poses with a fair view; the renderer must have the room loaded."""
    poses: list[np.ndarray] = []
    for _ in range(TRIES * count):
        if len(poses) == count:
            break
        pose = _candidate(room, rng)
        if _inside_something(room, pose[:3, 3]):
            continue
        depth = _probe(renderer, pose)
        if _clear(depth) and (np.std(1 / depth) > 0.03 or rng.random() < 0.2):
            poses.append(pose)
    return poses


def glanced_away(pose: np.ndarray, room: Room, renderer: Renderer, rng: np.random.Generator) -> np.ndarray:
    """A pose nearby, turned and rolled at random: often at bare walls and ceilings, as cameras see while they swing."""
    for _ in range(TRIES):
        turned = moved(pose, np.concatenate((rng.normal(0, GLANCE[0], 3), rng.normal(0, GLANCE[1], 3))))
        if not _inside_something(room, turned[:3, 3]) and _clear(_probe(renderer, turned)):
            return turned
    return pose


def _probe(renderer: Renderer, pose: np.ndarray) -> np.ndarray:
    """Depth [h,w] m of a small rendering."""
    return renderer.depth(pose, FOCAL_PX / PROBE_SHRINK, WIDTH // PROBE_SHRINK, HEIGHT // PROBE_SHRINK)


def _clear(depth: np.ndarray) -> bool:
    """Whether a view is neither too close to something nor too far, and sees no hole."""
    return bool(
        depth.min() > NEAREST_M
        and MEDIAN_M[0] < np.median(depth) < MEDIAN_M[1]
        and (depth > 0.9 * FAR_M).mean() < 0.02
    )


def _carrier(draw: float) -> Carrier:
    """What carries the camera: by hand in 70 % of the views, a robot in 15 %, a drone in the others."""
    if draw < 0.7:
        return Carrier.HAND
    return Carrier.ROBOT if draw < 0.85 else Carrier.DRONE


def _candidate(room: Room, rng: np.random.Generator) -> np.ndarray:
    """A camera's pose, in general looking at something."""
    size, carrier = np.array(room.size), _carrier(rng.random())
    target = rng.uniform((0.2, 0.2, 0.3), size - 0.2)
    if room.focus and rng.random() < 0.85:
        weights = np.array([f.weight for f in room.focus])
        target = np.array(room.focus[int(rng.choice(len(weights), p=weights / weights.sum()))].place)
    target = target + rng.normal(0, 0.2, 3)
    lowest, highest = HEIGHTS_M[carrier]
    height = rng.uniform(lowest, min(highest, size[2] - 0.3))
    angle, distance = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(np.log(0.5), np.log(3.0)))
    position = np.array([target[0] + distance * np.cos(angle), target[1] + distance * np.sin(angle), height])
    position = np.clip(position, 0.25, size - 0.25)
    if carrier is Carrier.ROBOT:
        target[2] = height + rng.normal(0, 0.15)
    forward = target - position
    if np.linalg.norm(forward[:2]) < 0.1:
        forward[:2] += rng.normal(0, 0.2, 2)
    return look_along(position, forward, float(rng.normal(0, 0.12)))


def _inside_something(room: Room, place: np.ndarray) -> bool:
    x, y, z = place
    return any(x0 < x < x1 and y0 < y < y1 and z < height + 0.1 for x0, x1, y0, y1, height in room.solids)
