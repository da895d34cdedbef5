"""Means of flow become measurements: longer where little is known, and only there."""
# ruff: noqa: E402  the modules below need torch

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="requirements/training.txt is not installed")

from training.looks.measurement import MOST, length_of, measurement


def measured(length: float, sigma: float) -> tuple[float, float]:
    """Length and sigma of the measurement made of a mean of this length and sigma; it must keep the direction."""
    mean = length * torch.tensor([0.6, -0.8]).view(1, 2, 1, 1)
    flow, log_sigma = measurement(mean, torch.full((1, 1, 1, 1), sigma).log())
    np.testing.assert_allclose(flow / length_of(flow), mean / length_of(mean), atol=1e-3)
    return length_of(flow).item(), log_sigma.exp().item()


def test_what_is_known_stays_as_it_is():
    assert measured(20.0, 5.0) == pytest.approx((20.0, 5.0), rel=1e-5)


@pytest.mark.parametrize("length", [4.0, 40.0])
def test_what_is_hardly_known_is_longer_and_less_sure_by_the_same_factor(length: float):
    flow, sigma = measured(length, 0.8 * length)
    assert flow == pytest.approx(1.5 * length, rel=1e-3)
    assert sigma / flow == pytest.approx(0.8, rel=1e-3)


def test_nothing_known_is_not_made_into_something():
    assert measured(5.0, 500.0)[0] == pytest.approx(MOST * 5.0)
    assert measured(0.1, 1.0)[0] < 0.2


def test_means_taken_for_measurements_make_motion_too_small():
    """Flow of a motion m seen through noise, and its mean given what was seen, when lengths are spread like m themselves: least
    squares over such means shrink m, over measurements made of them they do so less."""
    rng = np.random.default_rng(3)
    spread, noise = 10.0, 6.0
    truth = torch.from_numpy(rng.normal(0, spread, (4000, 2, 1, 1))).float()
    seen = truth + torch.from_numpy(rng.normal(0, noise, truth.shape)).float()
    share = spread**2 / (spread**2 + noise**2)
    sigma = torch.full((len(truth), 1, 1, 1), noise * share**0.5)
    flow, _ = measurement(share * seen, sigma.log())
    gain = [((estimate * truth).sum() / (truth * truth).sum()).item() for estimate in (share * seen, flow)]
    assert gain[0] == pytest.approx(share, abs=0.02)
    assert gain[0] < gain[1] < 1.15
