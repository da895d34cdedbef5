"""The second look: patches that turn and scale with the flow, and what a blurred picture has lost in them."""
# ruff: noqa: E402  the modules below need torch

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="requirements/training.txt is not installed")

from blur_imu_ros.errors import ConfigurationError
from training.learn.batches import Batch
from training.learn.configuration import TrainingConfig
from training.learn.layers import Learning, hold
from training.learn.losses import make_labels
from training.learn.run import Run
from training.looks.consistent import consistent
from training.looks.measurement import length_of
from training.looks.patches import half_sizes
from training.looks.steered import SteeredReader
from training.network import FlowDepthNetwork, NetworkConfig
from training.train import batch_loss, train_step

WIDTH, HEIGHT, CELL = 256, 192, 32
TINY = NetworkConfig(widths=(4, 8, 8, 8, 8), blocks=(1, 1, 1, 1))


def steady(
    length: float, angle: float, rows: int = HEIGHT // CELL, columns: int = WIDTH // CELL
) -> torch.Tensor:
    """q [1,2,rows,columns] of one flow for the whole picture."""
    q = length * torch.tensor([math.cos(2 * angle), math.sin(2 * angle)])
    return q.view(1, 2, 1, 1).expand(1, 2, rows, columns).contiguous()


def blurred_noise(length: int, seed: int = 0) -> torch.Tensor:
    """Luma [1,1,H,W] of noise smeared over `length` pixels to the right."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 40, (HEIGHT, WIDTH + length))
    luma = np.mean([noise[:, k : k + WIDTH] for k in range(length)], axis=0) * math.sqrt(length) + 128
    return torch.from_numpy(luma.astype(np.float32))[None, None]


def test_all_sizes_lie_beside_each_other():
    luma = torch.rand(2, 1, 64, 128)
    atlas = half_sizes(luma)
    assert atlas.shape == (2, 1, 64, 192)
    torch.testing.assert_close(atlas[..., :128], luma)
    for top, size in ((0, 32), (32, 16), (48, 8)):
        small = torch.nn.functional.avg_pool2d(luma, 64 // size)
        torch.testing.assert_close(atlas[..., top : top + size, 128 : 128 + 2 * size], small)


@pytest.mark.parametrize("length", [3.0, 8.0, 12.0, 30.0, 50.0])
@pytest.mark.parametrize("angle", [0.0, 0.5, 1.4, -0.7])
def test_a_patch_lies_along_the_flow(length: float, angle: float):
    reader = SteeredReader(4, width=8)
    _, scale, direction = reader.steering(steady(length, angle))
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    patches = reader.patches(half_sizes((0.5 * x + 0.2 * y).float()[None, None]), scale, direction)
    middle = 3 * (WIDTH // CELL) + 4
    centre = np.array([4.5 * CELL, 3.5 * CELL])
    step = max(length, reader.SHORTEST) / reader.patches.STEPS
    # A direction and its opposite are the same flow: the patch may lie either way round.
    along = step * np.array([math.cos(angle), math.sin(angle)])
    along *= 1 if along[0] > 0 else -1
    across = np.array([-along[1], along[0]])
    reach = reader.patches.along.numpy()[:, None] * along + reader.patches.across.numpy()[:, None] * across
    expected = (centre + reach) @ [0.5, 0.2]
    inside = np.all((centre + reach > 8) & (centre + reach < [WIDTH - 8, HEIGHT - 8]), axis=1)
    np.testing.assert_allclose(patches[0, middle].numpy()[inside], expected[inside], atol=0.02)


@pytest.mark.parametrize("length", [12, 24, 40])
def test_waves_that_fit_into_the_flow_are_lost(length: int):
    reader = SteeredReader(4, width=8)
    energy, _ = reader.energies(half_sizes(blurred_noise(length)), *reader.steering(steady(length, 0.0))[1:])
    # Waves straight along the flow: the middle one of seven across, twelve along.
    straight = energy[0, 36:48].mean(dim=(1, 2)).detach()
    per_length = np.array([*(np.arange(8) * 0.25 + 0.125), 2.25, 2.75, 3.25, 3.75])
    sharp = (
        reader.energies(half_sizes(blurred_noise(1)), *reader.steering(steady(length, 0.0))[1:])[0][0, 36:48]
        .mean(dim=(1, 2))
        .detach()
    )
    left = (straight / sharp).numpy()
    lost, kept = left[np.abs(per_length - 1) < 0.2], left[np.abs(per_length - 1.5) < 0.2]
    assert lost.max() < 0.1 * left[0]
    assert lost.min() < 0.8 * kept.max()


def test_a_picture_turned_with_its_flow_shows_the_same():
    reader = SteeredReader(4, width=8)
    luma = blurred_noise(20)[..., :HEIGHT]
    aside = luma.rot90(-1, (2, 3))
    upright, _ = reader.energies(half_sizes(luma), *reader.steering(steady(20.0, 0.0, 6, 6))[1:])
    turned, _ = reader.energies(half_sizes(aside), *reader.steering(steady(20.0, math.pi / 2, 6, 6))[1:])
    torch.testing.assert_close(turned.rot90(1, (2, 3)), upright, rtol=1e-3, atol=1e-4)


def test_untrained_it_leaves_the_flow_of_a_turn():
    reader = SteeredReader(4).eval()
    seen = torch.rand((1, 4, HEIGHT // 16, WIDTH // 16))
    quiet = torch.zeros((1, 1, HEIGHT // 16, WIDTH // 16))
    turn = consistent(steady(20.0, 0.3, HEIGHT // 16, WIDTH // 16), quiet)
    with torch.no_grad():
        better, log_sigma = reader(half_sizes(blurred_noise(20)), turn, quiet, seen)
    assert float(length_of(better - turn).mean()) < 0.2
    assert log_sigma.shape == quiet.shape


def test_untrained_it_mends_what_no_turn_explains():
    reader = SteeredReader(4).eval()
    seen = torch.rand((1, 4, HEIGHT // 16, WIDTH // 16))
    quiet = torch.zeros((1, 1, HEIGHT // 16, WIDTH // 16))
    turn = consistent(steady(20.0, 0.3, HEIGHT // 16, WIDTH // 16), quiet)
    read = turn + 4 * torch.randn(turn.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        better, _ = reader(half_sizes(blurred_noise(20)), read, quiet, seen)
    assert float(length_of(better - turn).mean()) < 0.7 * float(length_of(read - turn).mean())


def test_it_learns_to_use_what_the_first_look_saw():
    torch.manual_seed(0)
    reader = SteeredReader(4, width=8).eval()
    rows, columns = HEIGHT // 16, WIDTH // 16
    turn, quiet = steady(20.0, 0.0, rows, columns), torch.zeros((1, 1, rows, columns))
    atlas = half_sizes(blurred_noise(20))

    def sigma(seen: float) -> torch.Tensor:
        return reader(atlas, turn, quiet, torch.full((1, 4, rows, columns), seen))[1].mean()

    assert float(sigma(0.0)) == float(sigma(1.0))
    optimiser = torch.optim.Adam(reader.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        ((sigma(1.0) - 1) ** 2 + (sigma(0.0) - 2) ** 2).backward()
        optimiser.step()
    assert float(sigma(1.0)) < float(sigma(0.0)) - 0.5


def test_it_learns_to_mend_a_wrong_gain():
    torch.manual_seed(0)
    reader = SteeredReader(4, width=16).eval()
    optimiser = torch.optim.Adam(reader.parameters(), lr=3e-3)
    lengths = (10, 16, 24, 36)
    atlas = half_sizes(torch.cat([blurred_noise(length, seed=length) for length in lengths]))
    truth = torch.cat([steady(length, 0.0, HEIGHT // 16, WIDTH // 16) for length in lengths])
    seen = torch.zeros((4, 4, HEIGHT // 16, WIDTH // 16))

    def error(gain: torch.Tensor) -> torch.Tensor:
        better, _ = reader(atlas, gain.view(-1, 1, 1, 1) * truth, torch.zeros_like(truth[:, :1]), seen)
        return (length_of(better - truth) / length_of(truth)).mean()

    held_out = torch.tensor([0.75, 1.3, 0.8, 1.25])
    before = float(error(held_out).detach())
    afterwards = []
    for step in range(200):
        optimiser.zero_grad()
        error(torch.exp(0.3 * torch.randn(4))).backward()
        optimiser.step()
        if step >= 150 and step % 10 == 0:
            afterwards.append(float(error(held_out).detach()))
    # One step more or less changes much: the usual of the last ones.
    assert np.median(afterwards) < 0.5 * before


def tiny_batch() -> Batch:
    focal_px = torch.tensor([200.0, 200.0])
    twist = torch.tensor([[0.02, 0.05, 0.01, 0.0, 0.0, 0.0]] * 2)
    labels = make_labels(
        twist, torch.full((2, 12, 16), 0.5), torch.ones(2, dtype=torch.bool), focal_px, 200.0, 16
    )
    return Batch(blurred_noise(12).expand(2, 3, HEIGHT, WIDTH).contiguous(), labels, 200.0)


def disturbed_run(config: TrainingConfig, folder: Path) -> Run:
    """A run in which no layer adds nothing: those that start so would keep the ones before them from learning."""
    state = Run(folder, config, TINY, torch.device("cpu"))
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return state


def changed_by_training(config: TrainingConfig, folder: Path) -> dict[str, torch.Tensor]:
    """What two steps change, by name: the new values less the old."""
    state = disturbed_run(config, folder)
    before = {name: value.clone() for name, value in state.model.state_dict().items()}
    state.model.train()
    for _ in range(2):
        train_step(state, state.model, tiny_batch(), 1e-2, with_velocity=True)
    after = state.model.state_dict()
    return {
        name: after[name] - value for name, value in before.items() if not torch.equal(after[name], value)
    }


EARLY = ("stem.", "products.", "structure.", "entries.0.", "stages.0.")


def test_losses_weigh_as_the_run_was_told(tmp_path: Path):
    config = TrainingConfig(depth_weight=3.0, velocity_weight=5.0, covariance_weight=7.0)
    torch.manual_seed(0)
    state = Run(tmp_path, config, replace(TINY, looks=2), torch.device("cpu"))
    weights = {"first": 1.0, "depth": 3.0, "flow": 1.0, "velocity": 5.0, "covariance": 7.0}
    for with_velocity in (False, True):
        losses = batch_loss(state.model.eval(), tiny_batch(), config, with_velocity)
        total = losses.pop("total").item()
        assert losses.keys() == (weights.keys() if with_velocity else {"first", "depth", "flow"})
        assert total == pytest.approx(
            sum(weights[name] * loss.item() for name, loss in losses.items()), rel=1e-5
        )


def test_everything_learns_where_nothing_is_said(tmp_path: Path):
    changed = changed_by_training(TrainingConfig(), tmp_path)
    for part in (*EARLY, "stages.1.", "flow_head.", "scene.", "further_looks.0.", "further_looks.1."):
        assert any(name.startswith(part) for name in changed), part


def test_the_further_looks_can_be_taught_alone(tmp_path: Path):
    changed = changed_by_training(TrainingConfig(learns=Learning.LOOKS), tmp_path)
    assert changed
    assert all(name.startswith("further_looks.") for name in changed)


def test_depth_can_be_taught_alone(tmp_path: Path):
    changed = changed_by_training(TrainingConfig(learns=Learning.DEPTH), tmp_path)
    assert changed
    assert all(name.startswith("scene.") for name in changed)


def test_early_layers_and_their_norms_can_be_held(tmp_path: Path):
    changed = changed_by_training(TrainingConfig(learns=Learning.LATE), tmp_path)
    assert not any(name.startswith(EARLY) for name in changed)
    for part in ("entries.1.", "stages.1.", "flow_head.", "scene.", "further_looks.1."):
        assert any(name.startswith(part) for name in changed), part


def test_how_sure_it_is_can_be_taught_alone(tmp_path: Path):
    changed = changed_by_training(TrainingConfig(learns=Learning.SIGMA), tmp_path)
    last = f"further_looks.{TINY.looks - 2}.answer."
    assert set(changed) == {last + "weight", last + "bias"}
    for change in changed.values():
        moved = change.flatten(1).abs().sum(dim=1) if change.dim() > 1 else change.abs()
        assert torch.equal(moved > 0, torch.tensor([False, False, True, False]))


@pytest.mark.parametrize("learns", [Learning.LOOKS, Learning.SIGMA])
def test_a_network_that_looks_once_has_no_looks_to_teach(learns: Learning):
    with pytest.raises(ConfigurationError, match="--looks 2"):
        hold(FlowDepthNetwork(replace(TINY, looks=1)), learns)


def test_features_learn_from_the_further_looks_where_asked(tmp_path: Path):
    gradients = []
    for asked in (False, True):
        config = TrainingConfig(looks_teach_features=asked)
        state = disturbed_run(config, tmp_path / str(asked))
        batch_loss(state.model.train(), tiny_batch(), config, with_velocity=True)["total"].backward()
        gradients.append(state.model.merge[0].second[0].weight.grad)
    assert not torch.allclose(*gradients)


def test_one_look_more_leaves_the_earlier_ones_as_they_are():
    twice, thrice = (FlowDepthNetwork(replace(TINY, looks=looks)).eval() for looks in (2, 3))
    thrice.load_state_dict(twice.state_dict(), strict=False)
    image = blurred_noise(12).expand(1, 3, HEIGHT, WIDTH).contiguous()
    with torch.no_grad():
        two, three = twice(image), thrice(image)
    # Four answers, then flow and ln sigma of every look, the last look's first.
    assert (len(two), len(three)) == (8, 10)
    for earlier, later in zip(two[4:], three[6:], strict=True):
        torch.testing.assert_close(earlier, later)


def saved_run(folder: Path, looks: int) -> Run:
    """A run in whose checkpoint the averaged weights are others than those that a new run begins with."""
    state = Run(folder, TrainingConfig(), replace(TINY, looks=looks), torch.device("cpu"))
    with torch.no_grad():
        for parameter in state.average.module.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    state.save()
    return state


def test_a_look_that_is_new_starts_as_the_one_before_it(tmp_path: Path):
    twice = saved_run(tmp_path / "twice", looks=2)
    thrice = Run(tmp_path / "thrice", TrainingConfig(), TINY, torch.device("cpu"))
    thrice.start_from(twice.checkpoint)
    learnt = twice.average.module.further_looks[0].state_dict()
    for look in thrice.model.further_looks:
        for name, value in look.state_dict().items():
            torch.testing.assert_close(value, learnt[name])


def test_looks_can_be_left_out(tmp_path: Path):
    thrice = saved_run(tmp_path / "thrice", looks=3)
    twice = Run(tmp_path / "twice", TrainingConfig(), replace(TINY, looks=2), torch.device("cpu"))
    twice.start_from(thrice.checkpoint)
    learnt = thrice.average.module.state_dict()
    for name, value in twice.model.state_dict().items():
        torch.testing.assert_close(value, learnt[name])


def test_norms_that_are_held_keep_what_they_know_of_the_data():
    for norms in (True, False):
        network = FlowDepthNetwork(TINY)
        hold(network, Learning.EVERYTHING, norms)
        network.train()
        before = {name: value.clone() for name, value in network.named_buffers()}
        network(blurred_noise(13).expand(2, 3, HEIGHT, WIDTH).contiguous())
        assert norms == all(torch.equal(value, before[name]) for name, value in network.named_buffers())
