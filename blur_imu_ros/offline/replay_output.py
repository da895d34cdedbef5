"""What a replay leaves behind: a table, an MCAP beside the input topics, measures and plots."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..bag import BagMessage, BagWriter
from ..errors import ConfigurationError
from ..network import FlowDepthNetwork
from ..options import EstimatorOptions
from ..output_files import write_json
from ..plots import draw_all, draw_picture
from ..recordings.bag_topics import IMU_TOPIC, TWIST_TOPIC
from ..recordings.recording import Recording
from ..recordings.ros_types import IMU, TWIST, MessageFactory
from .alignment import Alignment
from .replay_measures import align_series, measures, reference
from .replay_run import ReplayRun
from .sequence_solver import SequenceSolver, Solver
from .series import EstimateSeries

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_bag(recording: Recording, run: ReplayRun, path: Path) -> None:
    """The input's topics, and after each image its estimate, recorded at the same moment."""
    factory = MessageFactory()
    estimates = iter(run.estimates)
    with BagWriter(path) as writer:
        for message in recording.messages():
            # A recording of an earlier run already holds topics of these names.
            if message.topic in (IMU_TOPIC, TWIST_TOPIC):
                continue
            writer.write(message, recording.typestore, recording.qos.get(message.topic, ()))
            if message.topic != recording.image_topic:
                continue
            estimate = next(estimates, None)
            if estimate is None:
                continue
            stamp, twist, covariance = estimate.stamp_ns, estimate.twist, estimate.covariance
            imu = factory.imu(stamp, recording.frame_id, twist[:3], covariance[:3, :3])
            both = factory.twist(stamp, recording.frame_id, twist, covariance)
            writer.write(BagMessage(IMU_TOPIC, IMU, message.received_ns, factory.cdr(imu)))
            writer.write(BagMessage(TWIST_TOPIC, TWIST, message.received_ns, factory.cdr(both)))


def explain(recording: Recording, run: ReplayRun, network: FlowDepthNetwork, number: int) -> Figure:
    """One frame, counted from 0, as a picture: input, predicted flow and depth, measured velocity beside the true one.

    Raises ConfigurationError where that frame gave no estimate.
    """
    estimate = run.estimates[number]
    if estimate is None:
        raise ConfigurationError(f"--picture {number}: that frame gave no estimate; choose another")
    recorded = next(islice(recording.frames(), number, None))
    solver = SequenceSolver(recorded.camera, network, Solver.DEFAULT, EstimatorOptions())
    prediction = solver.predict(recorded.image())
    flow = solver.signed_flow(prediction, estimate.twist, estimate.exposure_s)
    inverse_depth = solver.camera_solver.inverse_depth(prediction)
    truth = None if recording.truth is None else recording.truth[1][number]
    known = truth is not None and np.isfinite(truth).all()
    return draw_picture(solver.canonical, flow, inverse_depth, estimate.twist, truth if known else None)


def write_all(
    recording: Recording,
    run: ReplayRun,
    output: Path,
    *,
    fitted_s: float | None,
    network_width: int,
    bag: bool,
    plots: bool,
) -> Alignment | None:
    """Write everything into the output folder, which must exist; returns the alignment with the gyro."""
    series = EstimateSeries.from_estimates(run.answered)
    series.write_csv(output / "estimates.csv")
    alignment = align_series(recording, series)
    result = measures(recording, run, series, alignment, fitted_s, network_width)
    write_json(output / "metrics.json", result)
    if plots:
        draw_all(series, reference(recording, series, alignment), output)
    if bag:
        write_bag(recording, run, output / "bag")
    return alignment
