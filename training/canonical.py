"""The canonical view that the network is taught, and the arguments by which a command looks at another one."""

from __future__ import annotations

import argparse

WIDTH, HEIGHT, FOCAL_PX = 640, 448, 501.6
# Of the network's answers, and so of the labels.
STRIDE = 16
# Samples are windows of the view, with its focal length: many windows teach more than few views.
WINDOW = (384, 256)


def add_arguments(parser: argparse.ArgumentParser, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """--size and --focal-px."""
    parser.add_argument("--size", type=int, nargs=2, default=size, metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--focal-px", type=float, default=FOCAL_PX, help="canonical focal length")
