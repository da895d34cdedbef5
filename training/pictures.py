"""`python -m training pictures`: a sheet of samples with what the network says of them, beside the truth."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from blur_imu_ros.errors import ConfigurationError
from training.learn.batches import Batch, Shards, assemble
from training.learn.losses import double_angle
from training.learn.weights import load_network
from training.numbers import positive_int

COLUMNS = ("input", "flow", "true flow", "depth", "true depth")
FULL_FLOW_RAD = 0.08
DEPTH_RANGE_M = (0.5, 8.0)
HEADER_PX = 18


def flow_colours(q: np.ndarray, full_px: float) -> np.ndarray:
    """q [2,h,w] px in double-angle form -> RGB uint8 [h,w,3]: hue is the direction (modulo sign), brightness the length.

    Red is horizontal, cyan vertical; brightness grows with the square root, full from full_px on.
    """
    hue = np.degrees(np.arctan2(q[1], q[0])) % 360 / 2
    value = np.sqrt(np.clip(np.hypot(q[0], q[1]) / full_px, 0, 1)) * 255
    hsv = np.stack((hue, np.full_like(hue, 255), value), axis=-1).astype(np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def depth_colours(inverse_depth: np.ndarray) -> np.ndarray:
    """Inverse depth [h,w] in 1/m -> RGB uint8 [h,w,3]: near is yellow, far is dark blue, even steps of ln depth."""
    near, far = np.log(DEPTH_RANGE_M)
    share = (far + np.log(np.maximum(inverse_depth, 1e-3))) / (far - near)
    return cv2.applyColorMap((np.clip(share, 0, 1) * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]


@torch.no_grad()
def sheet(model: nn.Module, batch: Batch) -> np.ndarray:
    """RGB uint8 picture, one sample a row: COLUMNS from left to right. Depth without a true scale is left dark."""
    model.eval()
    q, _, inverse_depth, *_ = (output.cpu().numpy() for output in model(batch.image))
    true_q = double_angle(batch.labels.flow).permute(0, 3, 1, 2).cpu().numpy()
    true_depth, metric = batch.labels.inverse_depth.cpu().numpy(), batch.labels.metric.cpu().numpy()
    images = batch.image.permute(0, 2, 3, 1).cpu().numpy().astype(np.uint8)
    size = (images.shape[2], images.shape[1])
    full_px = FULL_FLOW_RAD * batch.canonical_px
    rows = [_header(size[0])]
    for index, image in enumerate(images):
        known = depth_colours(true_depth[index]) * np.uint8(metric[index])
        maps = (
            flow_colours(q[index], full_px),
            flow_colours(true_q[index], full_px),
            depth_colours(inverse_depth[index, 0]),
            known,
        )
        rows.append(
            np.hstack([image, *(cv2.resize(part, size, interpolation=cv2.INTER_NEAREST) for part in maps)])
        )
    return np.vstack(rows)


def _header(width: int) -> np.ndarray:
    header = np.zeros((HEADER_PX, width * len(COLUMNS), 3), np.uint8)
    for number, name in enumerate(COLUMNS):
        cv2.putText(
            header, name, (number * width + 4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255,) * 3, 1, cv2.LINE_AA
        )
    return header


def draw_samples(shards: Shards, count: int, seed: int = 0) -> Batch:
    """The same random samples for the same seed, of the largest size that there is, whole and not mirrored."""
    rng, whole = np.random.default_rng(seed), shards.sizes()[-1]
    return assemble([shards.pick(rng, whole) for _ in range(count)], (0, 0), whole)


def write_sheet(path: Path, model: nn.Module, shards: Shards, count: int = 8, seed: int = 0) -> None:
    """Draw a sheet into an image file."""
    batch = draw_samples(shards, count, seed)
    picture = sheet(model, batch.to(next(model.parameters()).device))
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture[..., ::-1]):
        raise ConfigurationError(f"{path}: cannot be written; give a .png or .jpg in a folder that can be")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training pictures`."""
    parser.add_argument("checkpoint", type=Path, help="such as RUN/last.pt")
    parser.add_argument("--samples", type=Path, nargs="+", required=True, help="folders of shards")
    parser.add_argument("--output", type=Path, default=Path("output/sheet.png"), help="the sheet")
    parser.add_argument("--count", type=positive_int, default=8, help="how many samples to show")
    parser.add_argument("--seed", type=int, default=0)


def run(arguments: argparse.Namespace) -> int:
    """Draw one sheet."""
    write_sheet(
        arguments.output,
        load_network(arguments.checkpoint),
        Shards(arguments.samples),
        arguments.count,
        arguments.seed,
    )
    print(f"{arguments.output}: {arguments.count} samples")
    return 0
