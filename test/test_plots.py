"""Plots show what they are given: curves, bands and limits are read back from the figures."""

from pathlib import Path

import numpy as np
from motion_network import CAMERA, STRIDE, UNIT, image_of, write_motion_network

from blur_imu_ros.network import FlowDepthNetwork
from blur_imu_ros.offline.sequence_solver import SequenceSolver, Solver
from blur_imu_ros.offline.series import EstimateSeries
from blur_imu_ros.options import EstimatorOptions
from blur_imu_ros.plots import Reference, draw_all, draw_confidence, draw_picture, draw_rates

N = 40


def series() -> EstimateSeries:
    t = np.arange(N)
    twist = np.stack([np.sin(t / 5 + k) for k in range(6)], axis=1)
    return EstimateSeries(
        stamps_ns=10**18 + t * 33_000_000,
        twist=twist,
        covariance=np.tile(np.diag(np.arange(1, 7) ** 2 * 0.01), (N, 1, 1)),
        sign_probability=np.linspace(0.5, 1, N),
        blur_px=np.linspace(0, 9, N),
        exposure_s=np.full(N, 0.01),
        residual_px=np.full(N, 0.2),
        points_used=np.full(N, 900),
        overlap=np.full(N, 0.8),
        observability=np.full((N, 6), 0.9),
    )


def reference(linear: bool) -> Reference:
    values = series().twist * 0.9
    return Reference("true", series().stamps_ns, values[:, :3], values[:, 3:] if linear else None)


def test_rates_are_drawn_with_their_band_beside_the_reference() -> None:
    figure = draw_rates(series(), reference(True), slice(3, 6), "linear velocity", "m/s")
    axes = figure.axes[1]
    drawn = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    np.testing.assert_allclose(drawn["blur_imu"], series().twist[:, 4])
    np.testing.assert_allclose(drawn["true"], series().twist[:, 4] * 0.9)
    band = axes.collections[0].get_paths()[0].vertices
    np.testing.assert_allclose(np.ptp(band[band[:, 0] == 0][:, 1]), 4 * 0.5)
    assert axes.get_ylabel() == "y [m/s]"
    length = {line.get_label(): line.get_ydata() for line in figure.axes[3].get_lines()}
    np.testing.assert_allclose(length["blur_imu"], np.linalg.norm(series().twist[:, 3:], axis=1))


def test_without_a_linear_reference_only_the_estimate_is_drawn() -> None:
    figure = draw_rates(series(), reference(False), slice(3, 6), "linear velocity", "m/s")
    assert [line.get_label() for line in figure.axes[0].get_lines()] == ["blur_imu"]


def test_confidence_shows_blur_sign_and_exposure() -> None:
    axes = draw_confidence(series()).axes
    rows = [row.get_lines()[0].get_ydata() for row in axes]
    np.testing.assert_allclose(rows, [series().blur_px, series().sign_probability, np.full(N, 10.0)])
    assert [row.get_ylabel() for row in axes] == [
        "blur [px of the network's input]",
        "probability of the sign",
        "exposure [ms]",
    ]


def test_all_are_written(tmp_path: Path) -> None:
    paths = draw_all(series(), None, tmp_path)
    assert [path.name for path in paths] == ["angular.png", "linear.png", "confidence.png"]
    assert all(path.stat().st_size > 10_000 for path in paths)


def test_the_picture_shows_flow_on_the_side_of_the_measured_motion(tmp_path: Path) -> None:
    network = FlowDepthNetwork(write_motion_network(tmp_path / "motion.onnx"))
    solver = SequenceSolver(CAMERA, network, Solver.DEFAULT, EstimatorOptions())
    motion = UNIT * np.array([0, 40, 0, 0, 0, 0])
    prediction = solver.predict(image_of(motion))
    twist = motion / 0.01
    forward = solver.signed_flow(prediction, twist, 0.01)
    np.testing.assert_allclose(forward, -solver.signed_flow(prediction, -twist, 0.01))
    # Turning right (about y, down) moves the picture to the left.
    assert (forward[0] < 0).all()
    figure = draw_picture(solver.canonical, forward, prediction.inverse_depth, twist, twist * 0.9)
    (arrows,) = figure.axes[1].collections
    column, row = (np.rint(place / STRIDE - 0.5).astype(int) for place in (arrows.X, arrows.Y))
    np.testing.assert_allclose([arrows.X, arrows.Y], (np.array([column, row]) + 0.5) * STRIDE)
    np.testing.assert_allclose([arrows.U, arrows.V], forward[:, row, column])
    labels = [label.get_text() for label in figure.axes[3].get_xticklabels()]
    assert labels == [rf"${kind}_{axis}$" for kind in (r"\omega", "v") for axis in "xyz"]
    bars = [patch.get_height() for patch in figure.axes[3].patches]
    np.testing.assert_allclose(bars, [*twist, *(twist * 0.9)])
    assert [axes.get_title() for axes in figure.axes[:3]] == [
        "one blurred frame",
        "predicted flow",
        "predicted depth",
    ]
