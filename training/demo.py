"""`python -m training demo`: the short recording that ships, hand-held in a furnished test room, with exact truth."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.errors import ConfigurationError
from blur_imu_ros.recordings.sequence_writer import SequenceWriter
from training.asset_pack.pack import Pack
from training.asset_pack.split import Split
from training.imaging.poses import moved
from training.imaging.sensor import Sensor, draw_sensor
from training.keyframes import camera_poses
from training.room.renderer import Renderer
from training.room.rooms import build_room
from training.sequences import RATE_HZ, CameraSize, ClipCamera, Shot, photograph

# Amplitudes of rotation (rad) and translation (m) at each frequency: slow looking around, quick corrections, tremor.
SWAYS = ((0.45, 0.22, 0.12), (1.1, 0.15, 0.06), (2.6, 0.045, 0.012), (5.5, 0.008, 0.002))
CALM_S = 0.6
STEP_S = 1e-4
EPOCH_S = 1000.0
JPEG_QUALITY = 82


class HandheldPath:
    """Camera-to-world poses that sway about `home` [4,4]: at rest at the start, then ever livelier."""

    def __init__(self, rng: np.random.Generator, home: np.ndarray) -> None:
        self.home = home
        self.frequency = np.array([sway[0] for sway in SWAYS])[:, None] * rng.uniform(
            0.8, 1.25, (len(SWAYS), 6)
        )
        self.amplitude = np.array([[sway[1]] * 3 + [sway[2]] * 3 for sway in SWAYS]) * rng.uniform(
            0.6, 1.2, (len(SWAYS), 6)
        )
        self.amplitude[:, 2] *= 0.7
        self.phase = rng.uniform(0, 2 * np.pi, (len(SWAYS), 6))

    def pose(self, time_s: float) -> np.ndarray:
        """Camera-to-world pose [4,4] at a time since the start."""
        waves = np.sin(2 * np.pi * self.frequency * time_s + self.phase) - np.sin(self.phase)
        sway = (1 - np.exp(-((time_s / CALM_S) ** 2))) * (self.amplitude * waves).sum(axis=0)
        return moved(self.home, sway)

    def twist(self, time_s: float) -> np.ndarray:
        """The camera's own twist [6] (rad/s, m/s), from the poses just before and after."""
        before, after = self.pose(time_s - STEP_S), self.pose(time_s + STEP_S)
        change = np.linalg.inv(before) @ after
        half = cv2.Rodrigues(0.5 * cv2.Rodrigues(change[:3, :3])[0])[0]
        return np.concatenate((cv2.Rodrigues(change[:3, :3])[0].ravel(), half.T @ change[:3, 3])) / (
            2 * STEP_S
        )

    def shot(self, time_s: float) -> Shot:
        """What the renderer needs to expose a frame at that time."""
        rate = (self.twist(time_s + STEP_S) - self.twist(time_s - STEP_S)) / (2 * STEP_S)
        return Shot(self.pose(time_s), self.twist(time_s), rate)


def demo_sensor(rng: np.random.Generator) -> Sensor:
    """A good colour camera in a lit room: the sensor model without its extremes."""
    return replace(
        draw_sensor(rng, dark=False), defocus=0.4, level=0.28, shot=0.004, read=0.002, mono=False,
        white_balance=(1.03, 1.0, 0.98), gamma=2.2, contrast=0.2, black=0.0, white=1.0, jpeg_quality=0,
    )  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training demo`."""
    parser.add_argument("--pack", type=Path, required=True, help="folder made by `python -m training assets`")
    parser.add_argument("--out", type=Path, required=True, help="sequence folder to write")
    parser.add_argument("--room", type=int, default=4, help="number of the test room")
    parser.add_argument("--seed", type=int, default=1, help="of the path and the camera")
    parser.add_argument("--seconds", type=float, default=3.5, help="length of the recording")
    parser.add_argument("--exposure", type=float, default=0.012, help="of every frame, in seconds")


def run(arguments: argparse.Namespace) -> int:
    """Render the recording. Raises ConfigurationError where the path runs into something."""
    cv2.setNumThreads(1)
    size = CameraSize(336, 252, 262.0)
    rng = np.random.default_rng((arguments.seed, arguments.room))
    room, renderer = build_room(Pack(arguments.pack, Split.TEST), arguments.room), Renderer()
    renderer.load(room.scene)
    homes = camera_poses(room, renderer, rng, 1)
    if not homes:
        raise ConfigurationError(
            f"room {arguments.room} has no fair view with seed {arguments.seed}: try another --seed or --room"
        )
    path, camera = HandheldPath(rng, homes[0]), ClipCamera(size, demo_sensor(rng), arguments.exposure, 0.0)
    with SequenceWriter(
        arguments.out,
        CameraModel.pinhole(size.width, size.height, size.focal_px),
        image_suffix=".jpg",
        jpeg_quality=JPEG_QUALITY,
    ) as writer:
        for number in range(round(arguments.seconds * RATE_HZ)):
            shot = path.shot(number / RATE_HZ)
            frame = photograph(renderer, shot, camera, rng)
            if frame is None:
                raise ConfigurationError(
                    f"frame {number} comes too close to something: try another --seed or --room"
                )
            stamp_ns = round((EPOCH_S + number / RATE_HZ) * 1e9)
            writer.add(stamp_ns, frame[0], exposure_s=arguments.exposure, twist=shot.twist)
    print(f"{arguments.out}: {number + 1} frames")
    return 0
