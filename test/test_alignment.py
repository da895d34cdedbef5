"""Camera against gyro: a known offset and rotation are found, and what cannot be known is called so."""

import numpy as np
import pytest

from blur_imu_ros.offline.alignment import Alignment, AlignmentProblem, align
from blur_imu_ros.recordings.gyro import Gyro

ROTATION = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
ROTATION *= np.sign(np.linalg.det(ROTATION))


def turning(t: np.ndarray, axes: int = 3) -> np.ndarray:
    rates = np.stack([2 * np.sin(3.1 * t), 1.5 * np.sin(4.7 * t + 1), np.cos(2.3 * t + 2)], axis=1)
    rates[:, axes:] = 0
    return rates


def recording(
    *,
    offset_s: float,
    axes: int = 3,
    noise: float = 0.1,
    flipped: float = 0.0,
    scale: float = 1.0,
    frames: int = 200,
    seed: int = 5,
    repeated: float = 0.0,
    poor: float = 0.0,
) -> Alignment:
    """repeated: correlation of the noise of neighbouring frames; poor: noise of every third frame on top, stated as such."""
    rng = np.random.default_rng(seed)
    gyro_t = np.arange(0, 12, 0.005)
    gyro = Gyro(
        (gyro_t * 1e9).astype(np.int64) + 10**18,
        turning(gyro_t, axes) + rng.normal(0, 0.01, (len(gyro_t), 3)),
    )
    camera_t = 1 + np.arange(frames) / 30
    error = rng.normal(0, noise, (frames, 3))
    for i in range(1, frames):
        error[i] = repeated * error[i - 1] + np.sqrt(1 - repeated**2) * error[i]
    error[::3] += poor * rng.normal(size=error[::3].shape)
    w = scale * turning(camera_t + offset_s, axes) @ ROTATION.T + error
    w[rng.random(frames) < flipped] *= -1
    stamps = (camera_t * 1e9).astype(np.int64) + 10**18
    sigma = np.full(frames, noise)
    sigma[::3] += poor
    return align(stamps, w, sigma, np.full(frames, 0.01), gyro)


def angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1)))


def test_a_gyro_s_rate_is_the_mean_over_a_window_within_what_it_saw() -> None:
    t = np.concatenate([np.arange(0, 1, 0.005), np.arange(2, 3, 0.005)])
    gyro = Gyro((t * 1e9).astype(np.int64) + 10**18, np.stack([t**2, t, -2 * t], axis=1))
    # In the middle over nothing and over 0.2 s; in the gap; and beyond both ends.
    centre, window_s = np.array([0.5, 0.5, 1.5, 0.001, 2.999]), np.array([0.0, 0.2, 0.01, 0.01, 0.01])
    stamps = (centre * 1e9).astype(np.int64) + 10**18
    rates = gyro.mean_rates(stamps, window_s)
    np.testing.assert_allclose(rates[0], [0.25, 0.5, -1.0], atol=1e-4)
    np.testing.assert_allclose(rates[1], [0.25 + 0.2**2 / 12, 0.5, -1.0], atol=1e-4)
    assert np.isnan(rates[2:]).all()
    np.testing.assert_allclose(gyro.mean_rates(stamps, window_s, 0.1)[0], [0.36, 0.6, -1.2], atol=1e-4)


@pytest.mark.parametrize("offset_s", [-0.4, -0.0123, 0.0, 0.031, 0.25])
def test_offset_and_rotation_are_found_within_their_sigma(offset_s: float) -> None:
    found = recording(offset_s=offset_s)
    assert found.usable
    assert found.frames > 190
    assert abs(found.offset_s - offset_s) < 4 * found.offset_sigma_s < 0.01
    assert angle(found.rotation, ROTATION) < 4 * found.rotation_sigma_rad < np.radians(3)
    assert found.scale == pytest.approx(1, abs=0.03)


def test_offset_and_rotation_are_off_by_as_much_as_their_sigmas_say() -> None:
    found = [recording(offset_s=0.02, seed=seed) for seed in range(16)]
    assert 0.7 < np.sqrt(np.mean([((one.offset_s - 0.02) / one.offset_sigma_s) ** 2 for one in found])) < 1.4
    # Of three angles, each of about that sigma.
    off = [angle(one.rotation, ROTATION) / one.rotation_sigma_rad for one in found]
    assert 0.7 < np.sqrt(np.mean(np.square(off)) / 3) < 1.4


def test_the_offset_is_finer_than_its_grid() -> None:
    assert recording(offset_s=0.01225, noise=0.003).offset_s == pytest.approx(0.01225, abs=1e-4)


def test_errors_that_last_for_frames_tell_less() -> None:
    independent, lasting = recording(offset_s=0.05), recording(offset_s=0.05, repeated=0.8)
    # (1 + 0.8) / (1 - 0.8) frames in a row tell the same.
    assert 2 < lasting.offset_sigma_s / independent.offset_sigma_s < 4
    assert 2 < lasting.rotation_sigma_rad / independent.rotation_sigma_rad < 4


def test_frames_known_poorly_hardly_count() -> None:
    found = recording(offset_s=0.05, poor=5.0)
    assert found.usable
    assert found.offset_s == pytest.approx(0.05, abs=0.005)
    assert angle(found.rotation, ROTATION) < np.radians(3)


def test_frames_beyond_the_gyros_recording_are_left_out() -> None:
    # It ends after 12 s, the camera begins after one.
    found = recording(offset_s=0.05, frames=400)
    assert found.usable
    assert 315 < found.frames < 330
    assert found.offset_s == pytest.approx(0.05, abs=0.005)


def test_unknown_signs_and_a_wrong_exposure_do_not_matter() -> None:
    found = recording(offset_s=0.05, flipped=0.5, scale=1.6)
    assert found.usable
    assert found.offset_s == pytest.approx(0.05, abs=0.003)
    assert angle(found.rotation, ROTATION) < np.radians(2)
    assert found.scale == pytest.approx(1.6, abs=0.05)


@pytest.mark.parametrize("seed", range(6))
def test_of_two_rotations_that_fit_a_pan_and_tilt_the_signs_tell(seed: int) -> None:
    found = recording(offset_s=0.05, axes=2, noise=0.3, seed=seed)
    assert found.usable
    assert angle(found.rotation, ROTATION) < np.radians(4)


def test_rotation_about_one_axis_is_not_enough() -> None:
    found = recording(offset_s=0.05, axes=1)
    assert found.problem is AlignmentProblem.ONE_AXIS_ONLY
    assert not found.usable


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"offset_s": 0.51}, AlignmentProblem.OFFSET_AT_LIMIT),
        ({"offset_s": -0.51}, AlignmentProblem.OFFSET_AT_LIMIT),
        ({"offset_s": 0.0, "noise": 20.0}, AlignmentProblem.NO_CORRELATION),
        ({"offset_s": 0.0, "frames": 10}, AlignmentProblem.TOO_FEW_FRAMES),
    ],
)
def test_what_does_not_match_is_refused(changes: dict, problem: AlignmentProblem) -> None:
    found = recording(**changes)
    assert not found.usable
    assert found.problem is problem
