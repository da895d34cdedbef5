"""One turn for a whole picture: found without signs, from few clear places, at every size of view."""
# ruff: noqa: E402  the modules below need torch

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="requirements/training.txt is not installed")

from blur_imu_ros.motion_field import grid_points, interaction_matrix
from training import canonical
from training.learn.losses import double_angle
from training.looks.consistent import consistent, solve


def turning(rotation: list[float], columns: int = 20, rows: int = 14) -> torch.Tensor:
    """q [1,2,rows,columns] of a camera that turns by `rotation` [3] rad during the exposure."""
    cell = canonical.WIDTH / 20
    focal_px = canonical.FOCAL_PX * columns / 20
    x, y = grid_points(round(columns * cell), round(rows * cell), round(cell))
    flow = interaction_matrix(x, y, focal_px, np.zeros_like(x)) @ np.array([*rotation, 0.0, 0.0, 0.0])
    q = double_angle(torch.from_numpy(flow.astype(np.float32)))
    return q.T.reshape(1, 2, rows, columns)


def quiet(q: torch.Tensor, sigma_px: float) -> torch.Tensor:
    return torch.full_like(q[:, :1], np.log(sigma_px))


@pytest.mark.parametrize(
    "rotation", [[0.05, 0.0, 0.0], [0.0, -0.04, 0.0], [0.0, 0.0, 0.09], [0.03, -0.05, 0.06]]
)
def test_a_turn_is_found_as_it_is(rotation: list[float]):
    q = turning(rotation)
    assert float((consistent(q, quiet(q, 0.3)) - q).abs().max()) < 0.02 * float(q.abs().max())


def test_a_smaller_view_is_of_the_same_angles():
    q = turning([0.03, -0.05, 0.06], columns=14, rows=10)
    assert float((consistent(q, quiet(q, 0.3)) - q).abs().max()) < 0.02 * float(q.abs().max())


def test_a_few_clear_places_speak_for_the_picture():
    rng = np.random.default_rng(0)
    truth = turning([0.02, 0.05, 0.04])
    clear = torch.from_numpy(rng.random((1, 1, 14, 20)) < 0.1)
    noise = torch.from_numpy(rng.normal(0, 15, (1, 2, 14, 20)).astype(np.float32))
    q = torch.where(clear, truth, truth + noise)
    log_sigma = torch.where(clear, quiet(q, 0.5), quiet(q, 15.0))
    error = (consistent(q, log_sigma) - truth).norm(dim=1).median()
    assert float(error) < 0.1 * float((q - truth).norm(dim=1).median())


def test_nothing_read_is_no_turn():
    q = torch.zeros((1, 2, 14, 20))
    found = consistent(q, quiet(q, 5.0))
    assert torch.isfinite(found).all()
    assert float(found.abs().max()) < 0.5


def test_each_picture_of_a_batch_is_on_its_own():
    q = torch.cat((turning([0.05, 0.0, 0.02]), turning([0.0, -0.01, 0.08])))
    together = consistent(q, quiet(q, 1.0))
    for number in range(2):
        alone = consistent(q[number : number + 1], quiet(q[:1], 1.0))
        torch.testing.assert_close(together[number : number + 1], alone, atol=1e-3, rtol=1e-3)


def test_elimination_solves():
    rng = np.random.default_rng(1)
    half = rng.normal(size=(5, 6, 8)) * 10.0 ** rng.integers(-3, 3, (5, 6, 1))
    normal, right = half @ half.transpose(0, 2, 1), rng.normal(size=(5, 6, 1))
    found = solve(torch.from_numpy(np.concatenate((normal, right), axis=2)))
    np.testing.assert_allclose(found, np.linalg.solve(normal, right), rtol=1e-6)
