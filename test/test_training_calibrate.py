"""What a network's errors on validation frames make of its covariance: each axis, all six together, and the scale of depth."""

import json
from pathlib import Path

import numpy as np
import pytest
from motion_network import CAMERA, UNIT, image_of, inverse_depth, write_motion_network
from motion_scenes import EXPOSURE_S, measure, random_scene

from blur_imu_ros.errors import ConfigurationError
from blur_imu_ros.model.spec import FlowRepresentation
from blur_imu_ros.network import FlowDepthNetwork, Provider
from blur_imu_ros.offline.metrics import CHI2_95
from blur_imu_ros.recordings.sequence_writer import SequenceWriter
from blur_imu_ros.velocity import Calibration
from training import __main__ as training
from training.calibrate import (
    COVERAGE,
    Case,
    axis_scales,
    collect,
    depth_scale_sigma,
    errors_and_covariances,
    fit,
    squared_distances,
)


def case(truth: np.ndarray, depth_offset: float = np.nan) -> Case:
    """A frame of which only the truth counts."""
    return Case(CAMERA, None, EXPOSURE_S, truth, depth_offset)


def test_the_variance_of_an_axis_is_scaled_to_its_own_errors() -> None:
    rng = np.random.default_rng(0)
    factors = np.array([1.0, 4.0, 0.5, 9.0, 2.0, 16.0])
    root = rng.normal(size=(6, 6))
    stated = np.tile(root @ root.T, (4000, 1, 1))
    errors = rng.multivariate_normal(np.zeros(6), stated[0], 4000)
    np.testing.assert_allclose(axis_scales(errors * np.sqrt(factors), stated), factors, rtol=0.15)
    np.testing.assert_allclose(squared_distances(errors, stated).mean(), 6, rtol=0.05)


def test_the_scale_of_depth_is_as_uncertain_as_it_was_off() -> None:
    offsets = np.random.default_rng(0).normal(0, 0.2, 2000)
    offsets[::3] = np.nan
    offsets[1] = 50.0
    assert depth_scale_sigma([case(np.zeros(6), offset) for offset in offsets]) == pytest.approx(0.2, rel=0.1)
    assert depth_scale_sigma([case(np.zeros(6))]) == 0.15


def test_the_fraction_that_explains_most_is_taken_and_its_covariance_covers_the_errors() -> None:
    rng = np.random.default_rng(0)
    scenes = [random_scene(rng, 6.0, stride=16) for _ in range(40)]
    # No image tells the sign of its motion, so errors are counted of the nearer one.
    cases = [case(scene.twist * rng.choice([-1.0, 1.0]), 0.02 * rng.normal()) for scene in scenes]
    points = {
        fraction: [measure(scene, FlowRepresentation.DOUBLE_ANGLE, sigma_px, rng) for scene in scenes]
        for fraction, sigma_px in ((0.9, 3.0), (1.0, 1.0))
    }
    found = fit(cases, points.__getitem__, 0.4, points)
    assert (found["independent_fraction"], found["min_blur_px"]) == (1.0, 0.4)
    assert found["depth_scale_sigma"] == pytest.approx(depth_scale_sigma(cases), abs=1e-4)
    calibration = Calibration(1.0, tuple(found["covariance_scale"]), found["depth_scale_sigma"], 0.4)
    errors, covariances = errors_and_covariances(cases, points[1.0], calibration)
    assert np.quantile(squared_distances(errors, covariances), COVERAGE) <= 1.05 * CHI2_95[6]
    # Exposure and scale of depth have a share of their own in the covariance, which the factors do not reach.
    np.testing.assert_allclose(axis_scales(errors, covariances), 1, atol=0.3)


def test_every_frame_of_known_velocity_and_exposure_counts_and_what_is_fitted_is_written(
    tmp_path: Path,
) -> None:
    motions = [np.array([10 * k, 20, -30, 5, 8, -12]) * UNIT for k in range(1, 5)]
    depth_m = np.full((CAMERA.height, CAMERA.width), 2 / np.median(inverse_depth()))
    with SequenceWriter(tmp_path / "s", CAMERA) as writer:
        for k, motion in enumerate(motions):
            twist = motion / EXPOSURE_S
            twist[5] = np.nan if k == 1 else twist[5]
            writer.add(
                k * 33_000_000,
                image_of(motion),
                exposure_s=None if k == 2 else EXPOSURE_S,
                twist=twist,
                depth_m=depth_m if k == 3 else None,
            )
    network = FlowDepthNetwork(write_motion_network(tmp_path / "m.onnx"), provider=Provider.CPU)
    first, last = collect(network, [tmp_path / "s"])
    for found, motion in ((first, motions[0]), (last, motions[3])):
        np.testing.assert_allclose(found.truth * found.exposure_s, motion, rtol=1e-6)
    assert not np.allclose(first.prediction.flow, last.prediction.flow)
    assert np.isnan(first.depth_offset)
    assert last.depth_offset == pytest.approx(-np.log(2), abs=0.05)

    words = ["--fractions", "0.5", "--correlation-px", "30", "--min-blur-px", "0.2", "--write"]
    out = ["--sequences", str(tmp_path / "s"), "--output", str(tmp_path / "c.json")]
    assert training.main(["calibrate", str(tmp_path / "m.onnx"), *out, *words]) == 0
    written = json.loads((tmp_path / "c.json").read_text())
    assert written["depth_scale_sigma"] == pytest.approx(1.4826 * abs(last.depth_offset), abs=1e-3)
    spec = FlowDepthNetwork(tmp_path / "m.onnx", provider=Provider.CPU).spec
    assert list(spec.covariance_scale) == written["covariance_scale"]
    assert (spec.independent_fraction, spec.min_blur_px, spec.error_correlation_px) == (0.5, 0.2, 30.0)

    with SequenceWriter(tmp_path / "t", CAMERA) as writer:
        writer.add(0, image_of(motions[0]), exposure_s=EXPOSURE_S)
    with pytest.raises(ConfigurationError, match="no frame has both"):
        collect(network, [tmp_path / "t"])
