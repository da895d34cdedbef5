"""Views made comparable: blind to what the exposure control does, silent where nothing is seen, every pixel in its place."""

import cv2
import numpy as np
import pytest
from moving_camera import photograph

from blur_imu_ros import contrast_view
from blur_imu_ros.contrast_view import LEVELS, ContrastView, ContrastViews

SIZES = [(240, 320), (224, 320), (320, 448)]
STILL = photograph(np.eye(3), np.zeros(3))


def view_of(grey: np.ndarray, valid: np.ndarray | None = None) -> ContrastView:
    """The comparable view of a picture [H, W] of any numbers."""
    rgb = np.repeat(np.rint(np.clip(grey, 0, 255)).astype(np.uint8)[..., None], 3, axis=2)
    return ContrastViews(np.ones(grey.shape, bool) if valid is None else valid).of(rgb, 7)


def places(height: int, width: int, level: int) -> np.ndarray:
    """Middles of the pixels of one level, [2, h, w] px of the view from its principal point."""
    pace = LEVELS[level]
    rows, columns = np.mgrid[: height // pace, : width // pace]
    return np.stack([(columns + 0.5) * pace - width / 2, (rows + 0.5) * pace - height / 2])


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_what_a_view_holds(height: int, width: int) -> None:
    view = view_of(np.random.default_rng(0).uniform(0, 255, (height, width)))
    assert view.stamp_ns == 7
    assert list(LEVELS) == sorted(LEVELS, reverse=True)
    for picture, level in zip(view.levels, LEVELS, strict=True):
        assert picture.shape == (height // level, width // level, 3)
        assert picture.dtype == np.float32
        assert np.isfinite(picture).all()
    answer = view.at(np.zeros((2, 2, 5)), 0)
    assert answer.shape == (3, 2, 5)
    assert answer.dtype == np.float32


def test_gain_offset_and_shading_are_not_seen() -> None:
    grey = 0.5 * STILL.astype(float)
    falls_off = np.linspace(0.6, 1.4, grey.shape[1])
    for changed in (grey + 90, 1.8 * grey, 0.6 * grey + 60, falls_off * grey):
        for one, other in zip(view_of(grey).levels, view_of(changed).levels, strict=True):
            contrast, again = one[..., 0].ravel(), other[..., 0].ravel()
            assert np.corrcoef(contrast, again)[0, 1] > 0.99
            assert np.polyfit(contrast, again, 1)[0] == pytest.approx(1, abs=0.2)
    # What all pixels have more of is not seen at all.
    for one, other in zip(view_of(grey).levels, view_of(np.rint(grey) + 90).levels, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)


def test_noise_of_a_grey_level_fades_out_and_texture_does_not() -> None:
    rough = np.random.default_rng(0).normal(size=(240, 320))
    for noisy, texture in zip(view_of(128 + rough).levels, view_of(STILL).levels, strict=True):
        assert np.abs(noisy[..., 0]).mean() < 0.1
        assert np.abs(texture[..., 0]).mean() > 0.5
    for blank in view_of(np.full((240, 320), 90.0)).levels:
        np.testing.assert_allclose(blank, 0, atol=1e-3)


def test_contrast_is_of_the_surroundings_and_brighter_is_more() -> None:
    # A bright bar on one side of the view and a dim one on the other, each on ground as dark: as much contrast.
    grey = np.full((240, 320), 40.0)
    grey[100:140, 72:80] = 240
    grey[100:140, 240:248] = 140
    view = view_of(grey)
    for level in range(len(LEVELS)):
        bright, dim = view.at(np.array([[[-84.0, 84.0]], [[0.0, 0.0]]]), level)[0, 0]
        assert bright > dim > 0.7 * bright > 0.7
        # Beside it, the ground is darker than its surroundings; far from it, as they are.
        near, far = view.at(np.array([[[-100.0, 0.0]], [[0.0, 0.0]]]), level)[0, 0]
        assert near < -0.1
        assert far == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("level", range(len(LEVELS)))
def test_what_the_camera_does_not_see_and_what_is_beside_it_is_nan(level: int) -> None:
    pace = LEVELS[level]
    valid = np.ones((240, 320), bool)
    valid[:, :37] = False
    valid[120, 200] = False
    picture = view_of(STILL, valid).levels[level]
    whole = valid.reshape(240 // pace, pace, 320 // pace, pace).all(axis=(1, 3))
    padded = np.pad(whole, 1, constant_values=True)
    rows, columns = whole.shape
    shifted = [padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    np.testing.assert_array_equal(np.isfinite(picture[..., 0]), np.all(shifted, axis=0))
    assert np.isfinite(picture[..., 1:]).all()
    np.testing.assert_array_equal(picture[whole][:, 1:], view_of(STILL).levels[level][whole][:, 1:])


@pytest.mark.parametrize("level", range(len(LEVELS)))
def test_slopes_are_those_of_the_contrast_per_pixel_of_the_view(level: int) -> None:
    pace, view = LEVELS[level], view_of(STILL)
    inner = places(240, 320, level)[:, 1:-1, 1:-1]
    _, across, down = view.at(inner, level)
    for slope, way in ((across, (pace, 0)), (down, (0, pace))):
        step = np.array(way, float)[:, None, None]
        rise = view.at(inner + step, level)[0] - view.at(inner - step, level)[0]
        np.testing.assert_allclose(slope, rise / (2 * pace), atol=1e-5)
    assert np.abs(across).mean() * pace > 0.1


@pytest.mark.parametrize("level", range(len(LEVELS)))
def test_slopes_of_a_known_gradient(level: int) -> None:
    """Of a wave, where it is steepest: its own slope less that of the mean around, over how the surroundings differ."""
    length = 24 * LEVELS[level]
    wave = 128 + 100 * np.sin(2 * np.pi * (np.arange(480) - 239.5) / length)
    at = np.array([[[0.0, length / 2, -length / 2]], [[0.0, 0.0, 0.0]]])
    around = 2 * np.pi * np.arange(-4, 5) / 24
    steepest = 100 * 2 * np.pi / length * (1 - np.cos(around).mean())
    expected = steepest / (100 * np.sqrt(np.mean(np.sin(around) ** 2)) + 4) * np.array([1, -1, -1])
    for turned, slope, none in ((False, 1, 2), (True, 2, 1)):
        grey = np.tile(wave, (480, 1))
        view = view_of(grey.T if turned else grey)
        answer = view.at(at[::-1] if turned else at, level)[:, 0]
        np.testing.assert_allclose(answer[slope], expected, rtol=0.1)
        np.testing.assert_allclose(answer[none], 0, atol=1e-4)
        np.testing.assert_allclose(answer[0], 0, atol=0.02)


@pytest.mark.parametrize("level", range(len(LEVELS)))
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_what_is_seen_lies_where_it_is_in_the_view(height: int, width: int, level: int) -> None:
    reach = np.arange(-40, 40.5, 0.5)
    around = np.stack(np.meshgrid(reach, reach))
    rows, columns = np.mgrid[:height, :width]
    for x, y in ((0.0, 0.0), (-81.3, 40.7), (97.0, -61.9)):
        radius2 = (columns - (width - 1) / 2 - x) ** 2 + (rows - (height - 1) / 2 - y) ** 2
        view = view_of(40 + 180 * np.exp(-radius2 / 2 / 10**2))
        bright = np.maximum(view.at(around + np.array([x, y])[:, None, None], level)[0] - 1, 0)
        off = (around * bright).sum(axis=(1, 2)) / bright.sum()
        np.testing.assert_allclose(off, 0, atol=0.4)


@pytest.mark.parametrize("level", range(len(LEVELS)))
def test_between_pixels_it_is_bilinear_and_outside_nothing(level: int) -> None:
    pace, view = LEVELS[level], view_of(STILL)
    middle = places(240, 320, level)
    picture = view.levels[level]
    np.testing.assert_allclose(view.at(middle, level), picture.transpose(2, 0, 1), atol=1e-5)
    quarter = middle[:, :-1, :-1] + np.array([0.25, 0.5])[:, None, None] * pace
    mixed = 0.75 * picture[:, :-1] + 0.25 * picture[:, 1:]
    mixed = (mixed[:-1] + mixed[1:]) / 2
    np.testing.assert_allclose(view.at(quarter, level), mixed.transpose(2, 0, 1), atol=1e-2)
    last = np.array([320.0, 240.0]) / 2 - pace / 2
    for axis in range(2):
        for side in (1, -1):
            inside, beyond = (np.zeros((2, 1, 1)) for _ in range(2))
            inside[axis], beyond[axis] = side * (last[axis] - 0.1), side * (last[axis] + 0.1)
            assert np.isfinite(view.at(inside, level)).all()
            assert np.isnan(view.at(beyond, level)[0]).all()
            assert np.isfinite(view.at(beyond, level)[1:]).all()
    behind = view.at(np.array([[[np.nan, 0.0]], [[0.0, np.nan]]]), level)
    assert np.isnan(behind[0]).all()
    assert np.isfinite(behind[1:]).all()


def test_colours_are_seen_as_grey() -> None:
    grey = cv2.cvtColor(cv2.merge([STILL, STILL // 2, STILL // 4]), cv2.COLOR_RGB2GRAY)
    coloured = ContrastViews(np.ones(STILL.shape, bool)).of(cv2.merge([STILL, STILL // 2, STILL // 4]), 0)
    for one, other in zip(coloured.levels, view_of(grey.astype(float)).levels, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("level", range(len(LEVELS)))
def test_it_is_the_same_where_opencv_samples_in_steps(level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    valid = np.ones(STILL.shape, bool)
    valid[:40, :60] = False
    view, rng = view_of(STILL, valid), np.random.default_rng(0)
    edge = places(*STILL.shape, level).reshape(2, 1, -1)
    points = np.concatenate([rng.uniform(-170, 170, (2, 1, 3000)), edge], axis=2)
    monkeypatch.setattr(contrast_view, "_REMAP_IS_EXACT", False)
    ours = view.at(points, level)
    np.testing.assert_allclose(ours[:, 0, 3000:], view.levels[level].reshape(-1, 3).T, atol=1e-5)
    if int(cv2.__version__.split(".")[0]) >= 5:
        monkeypatch.setattr(contrast_view, "_REMAP_IS_EXACT", True)
        np.testing.assert_allclose(ours, view.at(points, level), atol=1e-4)
