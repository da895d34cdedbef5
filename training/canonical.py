"""The canonical view that the network is taught, and the arguments by which a command looks at another one."""

from __future__ import annotations

import argparse

from blur_imu_ros.errors import ConfigurationError

WIDTH, HEIGHT, FOCAL_PX = 640, 448, 501.6
# Of the network's answers, and so of the labels.
STRIDE = 16
# Of its deepest layer: images are of whole multiples of it.
DEEPEST = 64
# Samples are windows of the view, with its focal length: many windows teach more than few views.
WINDOW = (384, 256)


def add_arguments(parser: argparse.ArgumentParser, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """--size and --focal-px."""
    parser.add_argument(
        "--size", type=int, nargs=2, default=size, metavar=("WIDTH", "HEIGHT"), help="of an image, px"
    )
    parser.add_argument("--focal-px", type=float, default=FOCAL_PX, help="canonical focal length")


def check_size(width: int, height: int) -> None:
    """Raise ConfigurationError for images that the network cannot take."""
    if min(width, height) < DEEPEST or width % DEEPEST or height % DEEPEST:
        raise ConfigurationError(
            f"{width}x{height}: the network takes images of multiples of {DEEPEST} px each way, such as {WIDTH}x{HEIGHT}"
        )
