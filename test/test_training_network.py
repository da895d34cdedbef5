"""The network reads every scale of the image with the same weights, and answers on one grid."""
# ruff: noqa: E402  the modules below need torch

import pytest

torch = pytest.importorskip("torch", reason="requirements/training.txt is not installed")

from training.network import FlowDepthNetwork, NetworkConfig, normalised, on_grid

TINY = NetworkConfig(local=(4, 8, 8), local_blocks=1, context=(8, 8, 8))
HEIGHT, WIDTH = 64, 128


@pytest.fixture
def network() -> FlowDepthNetwork:
    torch.manual_seed(0)
    return FlowDepthNetwork(TINY).eval()


def test_a_blur_is_read_alike_at_every_level(network: FlowDepthNetwork):
    luma = torch.rand((1, 1, HEIGHT, WIDTH))
    with torch.no_grad():
        readings = [network.reader(luma, level) for level in range(TINY.levels)]
    for reading in readings[1:]:
        for expected, actual in zip(readings[0], reading, strict=True):
            torch.testing.assert_close(actual, expected)


def test_all_levels_meet_on_the_grid_of_the_answers():
    for level in range(TINY.levels):
        size = (HEIGHT >> level) // 8, (WIDTH >> level) // 8
        met = on_grid(torch.full((1, 3, *size), 2.0), level)
        assert met.shape == (1, 3, HEIGHT // 16, WIDTH // 16)
        torch.testing.assert_close(met, torch.full_like(met, 2.0))


def test_light_that_is_twice_as_strong_is_the_same_blur():
    """Contrast is taken out before the reader looks, so that it need not learn every brightness by itself."""
    luma = 0.4 * torch.rand((1, 1, HEIGHT, WIDTH))
    torch.testing.assert_close(normalised(2 * luma)[:, :1], normalised(luma)[:, :1], rtol=0.05, atol=0.05)
