"""Error measures on small cases whose answers are known."""

import json

import numpy as np
import pytest

from blur_imu_ros.offline.metrics import (
    EvaluatedFrames,
    coverage_95,
    nees,
    sharp_frames,
    sign_accuracy,
    sign_reliability,
    summary,
    true_sign,
    velocity_errors,
)


def frames(twist: np.ndarray, truth: np.ndarray, **changes: np.ndarray) -> EvaluatedFrames:
    n = len(twist)
    values = {
        "stamps_ns": np.arange(n) * 33_000_000,
        "twist": np.asarray(twist, float),
        "truth": np.asarray(truth, float),
        "covariance": np.tile(np.eye(6) * 0.01, (n, 1, 1)),
        "truth_sigma": np.zeros((n, 6)),
        "sign_probability": np.full(n, 0.99),
        "blur_px": np.full(n, 5.0),
        "pixel_rate": np.full(n, 2.5),
        "inverse_depth_error": np.full(n, np.nan),
        "exposure_s": np.full(n, 0.01),
        "latency_ms": np.arange(n, dtype=float),
    }
    return EvaluatedFrames(**{**values, **changes})


def random_truth(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 6)) * [2, 2, 2, 0.7, 0.7, 0.7]


def test_errors_are_pooled_over_axes() -> None:
    truth = np.tile([3.0, 0, 4, 1, 0, 0], (10, 1))
    estimate = truth + np.array([0.3, 0, 0.4, 0.5, 0, 0])
    errors = velocity_errors(frames(estimate, truth))
    np.testing.assert_allclose(errors["angular_rmse"], [0.3, 0, 0.4])
    np.testing.assert_allclose(errors["angular_zero_rmse"], [3, 0, 4])
    np.testing.assert_allclose(errors["linear_rmse"], [0.5, 0, 0])
    np.testing.assert_allclose(errors["linear_zero_rmse"], [1, 0, 0])
    assert errors["angular_ratio"] == pytest.approx(0.1)
    assert errors["linear_ratio"] == pytest.approx(0.5)
    assert errors["angular_median_error"] == pytest.approx(0.5)
    assert errors["linear_median_error"] == pytest.approx(0.5)
    np.testing.assert_allclose(errors["axis_ratio"], [0.1, np.nan, 0.1, 0.5, np.nan, np.nan])


def test_predicting_zero_has_ratio_one() -> None:
    truth = random_truth(50)
    errors = velocity_errors(frames(np.zeros((50, 6)), truth))
    assert errors["angular_ratio"] == pytest.approx(1)
    assert errors["linear_ratio"] == pytest.approx(1)
    np.testing.assert_allclose(errors["axis_ratio"], 1)


def test_unknown_truth_is_left_out() -> None:
    truth = random_truth(4)
    estimate = truth + 0.1
    truth[1:, 2] = np.nan
    estimate[0, 3] += 9
    truth[0, 3] = np.nan
    errors = velocity_errors(frames(estimate, truth))
    np.testing.assert_allclose(np.concatenate([errors["angular_rmse"], errors["linear_rmse"]]), 0.1)


def test_axis_ratio_is_empty_where_the_truth_hardly_moves() -> None:
    truth = np.tile([0.31, 0.29, 1, 0.2, 0.1, 0.1], (5, 1))
    sigma = np.tile([0.1, 0.1, 0.1, 0.05, 0.05, 0.05], (5, 1))
    ratios = velocity_errors(frames(truth * 1.5, truth, truth_sigma=sigma))["axis_ratio"]
    np.testing.assert_allclose(ratios, [0.5, np.nan, 0.5, 0.5, np.nan, np.nan])


def test_the_sign_follows_rotation_and_at_standstill_translation() -> None:
    truth = np.array([[0, 0, 0.06, -1, 0, 0], [0, 0, 0.04, 1, 0, 0], [np.nan] * 6, [1.0] * 6])
    twist = np.array([[0, 0, 2.0, 9, 0, 0], [0, 0, 1.0, -1, 0, 0], [1.0] * 6, [0.0] * 6])
    np.testing.assert_array_equal(true_sign(twist, truth), [1, -1, np.nan, np.nan])
    # Of a gyro no translation is known.
    truth[:, 3:] = np.nan
    np.testing.assert_array_equal(true_sign(twist, truth), [1, 1, np.nan, np.nan])


def test_sign_accuracy_counts_blurred_frames_only() -> None:
    truth = random_truth(10)
    sign = np.array([1, 1, 1, -1, -1, -1, -1, -1, -1, -1.0])
    blur = np.array([5, 5, 5, 1.1, 1, 0.5, 0, 0, 0, 0.2])
    assert sign_accuracy(frames(truth * sign[:, None], truth, blur_px=blur)) == pytest.approx(0.75)


def test_sign_reliability_by_stated_probability() -> None:
    truth = random_truth(1000)
    probability = np.where(np.arange(1000) < 500, 0.55, 0.95)
    wrong = np.arange(1000) % 500 < np.where(np.arange(1000) < 500, 225, 25)
    twist = truth * np.where(wrong, -1, 1)[:, None]
    rows = sign_reliability(frames(twist, truth, sign_probability=probability))
    assert [row["frames"] for row in rows] == [500, 0, 0, 0, 500]
    assert rows[0]["bin"] == [0.5, 0.6]
    assert rows[0]["right"] == pytest.approx(0.55)
    assert rows[4]["right"] == pytest.approx(rows[4]["stated"])
    # A truth that is not known, or hardly moves for what it is known, tells no sign.
    sigma = np.zeros((1000, 6))
    sigma[800:900] = np.abs(truth[800:900]) / 2
    truth[900:] = np.nan
    rows = sign_reliability(frames(twist, truth, truth_sigma=sigma, sign_probability=probability))
    assert [row["frames"] for row in rows] == [500, 0, 0, 0, 300]


def test_nees_of_matching_noise_covers_95_percent() -> None:
    rng = np.random.default_rng(1)
    n = 4000
    truth = random_truth(n)
    half = rng.normal(size=(6, 6)) * 0.1
    covariance = half @ half.T + np.eye(6) * 0.01
    sigma = np.full((n, 6), 0.2)
    noise = rng.multivariate_normal(np.zeros(6), covariance, n) + rng.normal(size=(n, 6)) * sigma
    case = frames(truth + noise, truth, covariance=np.tile(covariance, (n, 1, 1)), truth_sigma=sigma)
    assert np.mean(nees(case)) == pytest.approx(6, rel=0.05)
    assert coverage_95(nees(case), 6) == pytest.approx(0.95, abs=0.015)
    assert coverage_95(nees(case, slice(0, 3)), 3) == pytest.approx(0.95, abs=0.015)


def test_sharp_frames_are_judged_by_their_own_covariance() -> None:
    truth = np.full((4, 6), 0.7)
    twist = truth.copy()
    twist[:, 0] += [0.1, 0.1, -0.5, 9]
    case = sharp_frames(frames(twist, truth, blur_px=np.array([0.1, 0.2, 0.4, 0.6])))
    assert case["frames"] == 3
    np.testing.assert_allclose(case["within_two_sigma"], [2 / 3, 1, 1])
    np.testing.assert_allclose(case["two_sigma_px"], [0.5] * 3)
    truth[:, 3:] = np.nan
    assert sharp_frames(frames(twist, truth, blur_px=np.zeros(4)))["frames"] == 0


def test_the_summary_is_strict_json_even_without_any_truth() -> None:
    text = json.dumps(summary(frames(np.ones((3, 6)), np.full((3, 6), np.nan))), allow_nan=False)
    assert json.loads(text)["angular_ratio"] is None
    assert json.loads(text)["nees_coverage_95"] == {"all": None, "w": None}


def test_the_summary_tells_rotation_and_time_by_their_measures() -> None:
    truth = random_truth(101)
    twist = truth + np.array([0.16, 0.16, 0.16, 9, 0, 0])
    twist[:25] = truth[:25] + np.array([0.3, 0, 0, 9, 0, 0])
    found = summary(frames(twist, truth, blur_px=np.arange(101.0)))
    assert found["nees_coverage_95"] == {"all": 0, "w": pytest.approx(76 / 101)}
    assert found["latency_ms"] == {"p50": 50, "p99": 99}
    assert found["blur_px"] == {"p50": 50, "p95": 95}


def test_frames_concatenate() -> None:
    truth = random_truth(3)
    both = EvaluatedFrames.concatenate([frames(truth, truth), frames(-truth, truth)])
    assert len(both) == 6
    assert velocity_errors(both)["angular_ratio"] == pytest.approx(np.sqrt(2))
