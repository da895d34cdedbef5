"""Fit what the metadata says of the network's errors, on validation sequences, through the product's own solve."""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.errors import ConfigurationError
from blur_imu_ros.network import FlowDepthNetwork, Prediction, Provider
from blur_imu_ros.offline.metrics import CHI2_95
from blur_imu_ros.offline.sequence_solver import SequenceSolver, Solver
from blur_imu_ros.options import EstimatorOptions
from blur_imu_ros.output_files import check_output_file
from blur_imu_ros.sequence import Sequence, read_image
from blur_imu_ros.solve.motion_points import MotionPoints
from blur_imu_ros.velocity import Calibration, solve_velocity
from training.metadata import write_calibration

FRACTIONS = np.geomspace(1e-4, 0.1, 10)
SCALE_RANGE = (0.25, 50.0)
OUTLIER = 40.0
# Below 95 %: a few failed frames should not widen the covariance of all the others threefold.
COVERAGE = 0.93


@dataclass(frozen=True)
class Case:
    """One validation frame: what the network says of it, truth [6], and the log ratio of true to predicted inverse depth."""

    camera: CameraModel
    prediction: Prediction
    exposure_s: float
    truth: np.ndarray
    depth_offset: float


def collect(network: FlowDepthNetwork, folders: list[Path]) -> list[Case]:
    """Predict every frame of the sequences (with exposure and truth) once. Raises ConfigurationError where there is none."""
    cases = []
    for folder in folders:
        sequence = Sequence.load(folder)
        solver = SequenceSolver(sequence.camera, network, Solver.DEFAULT, EstimatorOptions())
        for frame, truth in zip(sequence.frames, sequence.truth, strict=True):
            if frame.exposure_s is None or not np.isfinite(truth).all():
                continue
            prediction = solver.predict(read_image(frame.image))
            depth = sequence.depth_of(frame)
            offset = np.nan if depth is None else depth_offset(solver, prediction, depth)
            # The next prediction overwrites this one's buffers.
            own = copy.deepcopy(prediction)
            cases.append(Case(sequence.camera, own, frame.exposure_s, truth, offset))
    if not cases:
        raise ConfigurationError(
            f"{', '.join(map(str, folders))}: no frame has both an exposure and a true velocity of all six axes"
        )
    return cases


def points_of(
    cases: list[Case], network: FlowDepthNetwork, correlation_px: float, fraction: float
) -> list[MotionPoints]:
    """What each case is solved from: as many points as the product takes where this fraction of them errs independently."""
    solvers: dict[object, SequenceSolver] = {}
    points = []
    for case in cases:
        key = case.camera.cache_key()
        if key not in solvers:
            solvers[key] = SequenceSolver(
                case.camera, network, Solver.DEFAULT, EstimatorOptions(), correlation_px, fraction
            )
        prepared = solvers[key].prepare(case.prediction).points
        assert prepared is not None
        points.append(prepared)
    return points


def depth_offset(solver: SequenceSolver, prediction: Prediction, depth_m: np.ndarray) -> float:
    """Median over the image of ln(true / predicted inverse depth), both at about the same places."""
    true = np.nanmedian(np.where(depth_m > 0, 1 / np.maximum(depth_m, 1e-3), np.nan))
    return float(np.log(true / np.median(solver.camera_solver.inverse_depth(prediction))))


def errors_and_covariances(
    cases: list[Case], points: list[MotionPoints], calibration: Calibration
) -> tuple[np.ndarray, np.ndarray]:
    """Errors [n,6], of the sign that turns as the truth does, and covariances [n,6,6]."""
    errors, covariances = [], []
    for case, measured in zip(cases, points, strict=True):
        solution = solve_velocity(measured, case.exposure_s, calibration, EstimatorOptions().solver)
        sign = 1.0 if solution.twist[:3] @ case.truth[:3] >= 0 else -1.0
        errors.append(sign * solution.twist - case.truth)
        covariances.append(solution.covariance)
    return np.array(errors), np.array(covariances)


def axis_scales(errors: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Factor per axis [6] on the variance that puts 95 % of the errors within 1.96 sigma."""
    sigma = np.sqrt(np.einsum("nii->ni", covariances))
    reach = np.quantile(np.abs(errors) / sigma, 0.95, axis=0) / 1.96
    return np.clip(reach**2, *SCALE_RANGE)


def squared_distances(errors: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Normalised squared errors [n]."""
    return np.einsum("ni,ni->n", errors, np.linalg.solve(covariances, errors[..., None])[..., 0])


def depth_scale_sigma(cases: list[Case]) -> float:
    """Robust standard deviation of the error of the scale of depth; 0.15 where no frame has depth."""
    offsets = np.array([case.depth_offset for case in cases])
    known = offsets[np.isfinite(offsets)]
    return float(1.4826 * np.median(np.abs(known))) if known.size else 0.15


def fit(
    cases: list[Case],
    points_for: Callable[[float], list[MotionPoints]],
    min_blur_px: float,
    fractions: Iterable[float],
) -> dict:
    """The calibration with the best robust Gaussian likelihood over the fractions; points_for: the cases' points for one."""
    depth_sigma = depth_scale_sigma(cases)
    best: dict = {}
    for fraction in fractions:
        plain = Calibration(fraction, (1.0,) * 6, depth_sigma, min_blur_px)
        errors, covariances = errors_and_covariances(cases, points_for(fraction), plain)
        scales = axis_scales(errors, covariances)
        widened = covariances * np.sqrt(scales)[:, None] * np.sqrt(scales)
        distances = squared_distances(errors, widened)
        joint = max(1.0, float(np.quantile(distances, COVERAGE)) / CHI2_95[6])
        cost = np.mean(np.linalg.slogdet(widened * joint)[1] + np.minimum(distances / joint, OUTLIER))
        print(
            f"fraction {fraction:.1e}: cost {cost:.3f}, rmse w {rms(errors[:, :3]):.3f} v {rms(errors[:, 3:]):.3f}"
        )
        if np.isfinite(cost) and (not best or cost < best["cost"]):
            best = {
                "cost": float(cost),
                "independent_fraction": float(fraction),
                "covariance_scale": [round(float(scale * joint), 4) for scale in scales],
                "depth_scale_sigma": round(depth_sigma, 4),
                "min_blur_px": min_blur_px,
            }
    if not best:
        raise ConfigurationError("no fraction gives a finite likelihood: are the network's answers numbers?")
    return best


def rms(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training calibrate`."""
    parser.add_argument("model", type=Path, help="exported ONNX file")
    parser.add_argument(
        "--sequences", type=Path, nargs="+", required=True, help="validation sequence folders"
    )
    parser.add_argument(
        "--min-blur-px",
        type=float,
        default=0.4,
        help="blur of the network's view below which the sign is open",
    )
    parser.add_argument(
        "--correlation-px",
        type=float,
        default=40.0,
        help="how far apart points of the network's view share their errors, 0: not at all",
    )
    parser.add_argument(
        "--fractions",
        type=float,
        nargs="+",
        default=FRACTIONS.tolist(),
        help="independent fractions to try (default: ten from 0.0001 to 0.1)",
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="also write it into the model, and its new hash into the manifest",
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="JSON for `python -m training export --calibration`"
    )


def run(arguments: argparse.Namespace) -> int:
    """Fit and write."""
    check_output_file(arguments.output)
    fractions = np.asarray(arguments.fractions)
    if not ((fractions > 0) & (fractions <= 1)).all():
        raise ConfigurationError("--fractions: each is a share of the points, above 0 and at most 1")
    if not arguments.min_blur_px >= 0 or not arguments.correlation_px >= 0:
        raise ConfigurationError("--min-blur-px and --correlation-px are lengths: 0 or more")
    network = FlowDepthNetwork(arguments.model, provider=Provider.CPU)
    cases = collect(network, arguments.sequences)
    points_for = partial(points_of, cases, network, arguments.correlation_px)
    calibration = fit(cases, points_for, arguments.min_blur_px, arguments.fractions)
    calibration["error_correlation_px"] = arguments.correlation_px
    network.close()
    arguments.output.write_text(json.dumps(calibration, indent=1) + "\n")
    if arguments.write:
        write_calibration(arguments.model, calibration)
    print(f"{arguments.output}: {calibration} from {len(cases)} frames")
    return 0
