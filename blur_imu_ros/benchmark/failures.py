"""The frames that went worst, as pictures: nobody learns from averages what a method cannot do."""

from __future__ import annotations

import numpy as np

from ..network import FlowDepthNetwork
from ..offline.metrics import EvaluatedFrames
from ..offline.sequence_solver import SequenceSolver, Solver
from ..options import EstimatorOptions
from ..plots import draw_picture
from ..sequence import Sequence, read_image
from .charts import Drawing

SHOWN = 4
AS_BAD_M_S = 0.5
"""Linear velocity that counts as much as 1 rad/s: what turns and shifts a room's picture alike at 2 m."""


def worst_frames(
    sequences: list[Sequence], network: FlowDepthNetwork, evaluated: list[EvaluatedFrames]
) -> list[Drawing]:
    """The worst frame of each of the SHOWN worst sequences: input, prediction, measured and true velocity."""
    found = []
    for sequence, frames in zip(sequences, evaluated, strict=True):
        error = np.nan_to_num(frames.twist - frames.truth) / np.repeat([1.0, AS_BAD_M_S], 3)
        badness = np.linalg.norm(error, axis=1)
        worst = int(np.argmax(badness))
        found.append((float(badness[worst]), sequence, frames, worst))
    found.sort(key=lambda entry: -entry[0])
    return [_draw(sequence, network, frames, worst) for _, sequence, frames, worst in found[:SHOWN]]


def _draw(sequence: Sequence, network: FlowDepthNetwork, frames: EvaluatedFrames, row: int) -> Drawing:
    number = int(np.searchsorted(sequence.stamps_ns, frames.stamps_ns[row]))
    solver = SequenceSolver(sequence.camera, network, Solver.DEFAULT, EstimatorOptions())
    prediction = solver.predict(read_image(sequence.frames[number].image))
    twist, truth = frames.twist[row], frames.truth[row]
    flow = solver.signed_flow(prediction, twist, float(frames.exposure_s[row]))
    inverse_depth = solver.camera_solver.inverse_depth(prediction)
    figure = draw_picture(solver.canonical, flow, inverse_depth, twist, truth)
    error = twist - truth
    off = [(np.linalg.norm(error[:3]), "rad/s"), (np.linalg.norm(error[3:]), "m/s")]
    caption = (
        f"Worst frame of {sequence.name} (number {number}, {frames.blur_px[row]:.1f} px of blur): off by "
        + " and ".join(f"{length:.1f} {unit}" for length, unit in off if np.isfinite(length))
    )
    return Drawing(f"worst_{sequence.name}.jpg", caption, figure)
