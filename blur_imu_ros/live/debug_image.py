"""The picture to look at when an estimate surprises: the network's view, its flow, and the estimate in words."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..estimate import Estimate
from ..estimator import BlurImuEstimator
from ..motion_field import flow_up_to_sign
from ..network import FlowRepresentation

COLUMNS = 20
FLOW_COLOUR = (255, 220, 0)
TEXT_COLOUR = (255, 255, 255)


@dataclass(frozen=True)
class Seen:
    """What an estimate was made from: the canonical view uint8 RGB [H, W, 3] and its flow [2, h, w]."""

    view: np.ndarray
    flow: np.ndarray
    representation: FlowRepresentation


def newest(estimator: BlurImuEstimator) -> Seen | None:
    """What the estimator's newest estimate was made from, to be kept; None before the first."""
    prediction = estimator.last_prediction
    if estimator.last_canonical is None or prediction is None:
        return None
    return Seen(estimator.last_canonical, prediction.flow.copy(), prediction.representation)


def draw(seen: Seen, estimate: Estimate) -> np.ndarray:
    """Draw the blur of every few grid cells as a line over the canonical view; return a new one.

    The lines have no arrow head: a single image does not tell the sign of its blur.
    """
    picture = np.ascontiguousarray(seen.view).copy()
    rows, columns = seen.flow.shape[1:]
    stride = picture.shape[1] / columns
    step = max(1, columns // COLUMNS)
    y, x = np.mgrid[step // 2 : rows : step, step // 2 : columns : step]
    half = _vectors(seen)[:, y, x] / 2
    centre = np.stack([x + 0.5, y + 0.5]) * stride
    lines = np.stack([centre - half, centre + half]).reshape(2, 2, -1).transpose(2, 0, 1)
    cv2.polylines(picture, np.rint(lines).astype(np.int32), False, FLOW_COLOUR, 1, cv2.LINE_AA)
    w, v = estimate.twist[:3], estimate.twist[3:]
    for row, (name, value, unit) in enumerate((("w", w, "rad/s"), ("v", v, "m/s"))):
        text = f"{name} {value[0]:+.2f} {value[1]:+.2f} {value[2]:+.2f} {unit}"
        cv2.putText(
            picture, text, (4, 14 + 14 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.4, TEXT_COLOUR, 1, cv2.LINE_AA
        )
    text = f"blur {estimate.blur_px:.1f} px, sign {100 * estimate.sign_probability:.0f} %"
    cv2.putText(picture, text, (4, 42), cv2.FONT_HERSHEY_SIMPLEX, 0.4, TEXT_COLOUR, 1, cv2.LINE_AA)
    return picture


def _vectors(seen: Seen) -> np.ndarray:
    """Return the flow [2, h, w] in pixels, up to sign for the double-angle representation."""
    signed = seen.representation is FlowRepresentation.SIGNED
    return seen.flow if signed else flow_up_to_sign(seen.flow)
