"""`python -m training recorded`: a TUM RGB-D recording as a sequence folder with true velocity, to evaluate on."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from blur_imu_ros.errors import SequenceError
from blur_imu_ros.recordings.sequence_writer import SequenceWriter
from blur_imu_ros.sequence import read_image
from training.imaging.posed_layouts import Layout, read_recording
from training.imaging.posed_rgbd import read_depth_m

# What motion capture leaves open of rotation and translation, rad/s and m/s per axis, after velocities are fitted to it.
TRUTH_SIGMA = (0.1, 0.05)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training recorded`."""
    parser.add_argument(
        "folder", type=Path, help="the unpacked recording, such as rgbd_dataset_freiburg1_rpy"
    )
    parser.add_argument("--out", type=Path, required=True, help="the sequence folder")
    parser.add_argument("--frames", type=int, help="how many from the start (default: all)")
    parser.add_argument("--depth-every", type=int, default=4, help="keep the depth of every so many frames")


def run(arguments: argparse.Namespace) -> int:
    """Write the sequence: colour as JPEG, its exposure unknown, velocity where motion capture saw the camera."""
    recording = read_recording(arguments.folder, Layout.TUM)
    frames, path = recording.frames[: arguments.frames], recording.path
    if arguments.depth_every < 1 or not frames:
        raise SequenceError("nothing to write: give --frames and --depth-every of 1 or more")
    assert path is not None
    with SequenceWriter(
        arguments.out, frames[0].camera, truth_sigma=TRUTH_SIGMA, image_suffix=".jpg"
    ) as writer:
        known = 0
        for number, frame in enumerate(frames):
            assert frame.stamp_s is not None
            twist = path.velocity(frame.stamp_s)
            known += bool(np.isfinite(twist).all())
            kept = number % arguments.depth_every == 0
            writer.add(
                round(frame.stamp_s * 1e9),
                read_image(frame.image),
                depth_m=read_depth_m(frame.depth, recording.depth_per_metre) if kept else None,
                twist=twist,
            )
    print(f"{arguments.out}: {len(frames)} frames, {known} of known velocity")
    return 0
