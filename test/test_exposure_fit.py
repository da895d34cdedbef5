"""The fitted exposure: found from the scale, whatever the sign, also where a prior shrinks slow and fast motion."""

import numpy as np
import pytest

from blur_imu_ros.errors import ExposureError
from blur_imu_ros.offline.exposure_fit import fit_exposure, limit_note

TRUTH = np.random.default_rng(0).normal(size=(120, 3)) * 2


def solver(exposure_s: float, *, noise_px: float = 0.0, prior: float = np.inf, failed: int = 0):
    """Velocities of a solve with a zero-mean prior and unit noise in pixels, at 250 px of focal length."""
    rng = np.random.default_rng(1)
    motion = TRUTH * exposure_s + rng.normal(size=TRUTH.shape) * noise_px / 250
    motion *= rng.choice([-1.0, 1.0], (len(TRUTH), 1))
    motion[:failed] = 9.0
    calls = []

    def solve(i: int, assumed_s: float) -> np.ndarray:
        calls.append(i)
        shrink = 1 / (1 + (1 / 250) ** 2 / (prior * assumed_s) ** 2)
        return shrink * motion[i] / assumed_s

    return solve, calls


@pytest.mark.parametrize("exposure_s", [0.001, 0.0071, 0.015, 0.03])
def test_the_exposure_is_found(exposure_s: float) -> None:
    solve, calls = solver(exposure_s)
    assert fit_exposure(solve, TRUTH, 0.0333) == pytest.approx(exposure_s, rel=0.003)
    assert len(calls) <= 12 * len(TRUTH)


def test_the_dependence_on_the_prior_is_followed() -> None:
    solve, _ = solver(0.004, prior=1.0)
    fitted = fit_exposure(solve, TRUTH, 0.0333)
    grid = np.linspace(0.002, 0.006, 400)
    typical = np.median(np.linalg.norm(TRUTH, axis=1))
    errors = []
    for s in grid:
        w = np.array([solve(i, s) for i in range(len(TRUTH))])
        error = np.minimum(*(np.linalg.norm(k * w - TRUTH, axis=1) for k in (1, -1)))
        errors.append(np.mean(error / (error + typical)))
    assert fitted == pytest.approx(grid[int(np.argmin(errors))], rel=0.01)


def test_failed_frames_do_not_pull_it() -> None:
    solve, _ = solver(0.01, noise_px=1.0, failed=12)
    truth = TRUTH.copy()
    truth[50:60] = np.nan
    assert fit_exposure(solve, truth, 0.0333) == pytest.approx(0.01, rel=0.03)


def test_it_never_exceeds_the_frame_interval() -> None:
    solve, _ = solver(0.05)
    assert fit_exposure(solve, TRUTH, 0.0333) <= 0.0334


@pytest.mark.parametrize(
    ("fitted_s", "told"), [(0.0005, True), (0.0006, False), (0.031, False), (0.0333, True)]
)
def test_an_exposure_at_either_end_of_its_range_is_told(fitted_s: float, told: bool) -> None:
    assert ("at an end of its range" in limit_note(fitted_s, 0.0333)) is told


@pytest.mark.parametrize(
    ("truth", "longest_s", "says"),
    [
        (np.zeros((5, 3)), 0.03, "turning rate"),
        (np.full((5, 3), np.nan), 0.03, "turning rate"),
        (np.ones((5, 3)), 0.0, "stamps"),
    ],
)
def test_nothing_to_fit_is_said(truth: np.ndarray, longest_s: float, says: str) -> None:
    with pytest.raises(ExposureError, match=says):
        fit_exposure(lambda i, s: np.ones(3), truth, longest_s)
