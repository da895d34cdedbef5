"""The pipeline as a whole: exact through a real network, signed by the frame before, honest in what it publishes."""

import math
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from model_specs import spec_of
from motion_network import CAMERA as BLOCK_CAMERA
from motion_network import image_of, write_motion_network
from moving_camera import CAMERA, FOCAL_PX, HEIGHT, INTERVAL_NS, TWIST, WIDTH, photograph, rolling_photograph
from two_frames import true_geometry

from blur_imu_ros import estimator as estimator_module
from blur_imu_ros.between_frames import SignedEstimate, with_neighbours
from blur_imu_ros.camera import CameraModel
from blur_imu_ros.depth_before import DepthBefore, with_depth_before
from blur_imu_ros.direction import SignedVelocity
from blur_imu_ros.errors import ConfigurationError, ExposureError, ImageError, ModelError
from blur_imu_ros.estimate import Estimate, Frame
from blur_imu_ros.estimator import BlurImuEstimator
from blur_imu_ros.model.spec import ModelSpec
from blur_imu_ros.motion_field import double_angle, grid_points, interaction_matrix
from blur_imu_ros.network import FlowDepthNetwork, Prediction, Provider
from blur_imu_ros.options import EstimatorOptions, UndecidedSign
from blur_imu_ros.rigid_motion import displacement
from blur_imu_ros.solve.camera_solver import CameraSolver
from blur_imu_ros.solve.depth_field import FIELD_SIZE, field_of
from blur_imu_ros.velocity import SolverOptions

EXPOSURE_S = 0.01
STRIDE = 4
X, Y = grid_points(WIDTH, HEIGHT, STRIDE)


class Oracle:
    """A network that knows the motion: double-angle flow of a twist seen at a focal length, at one depth."""

    def __init__(self, twist: np.ndarray, inverse_depth: float = 0.35, *, min_blur_px: float = 0.5) -> None:
        self.twist = twist
        self.inverse_depth = inverse_depth
        self.depth_sigma = 0.057
        self.flow_sigma = 0.1
        self.seen_focal_px = FOCAL_PX
        self.seen_inverse_depth = inverse_depth
        self.spec = spec_of(
            WIDTH, HEIGHT, STRIDE, FOCAL_PX, name="oracle", depth_scale_sigma=0.1, min_blur_px=min_blur_px
        )

    def predict(self, image: np.ndarray) -> Prediction:
        assert image.shape == (HEIGHT, WIDTH, 3)
        assert image.dtype == np.uint8
        depth = np.full(X.size, self.seen_inverse_depth)
        flow = interaction_matrix(X, Y, self.seen_focal_px, depth) @ (self.twist * EXPOSURE_S)
        grid = (HEIGHT // STRIDE, WIDTH // STRIDE)
        return Prediction(
            flow=double_angle(flow).T.reshape(2, *grid).astype(np.float32),
            flow_log_sigma=np.full(grid, np.log(self.flow_sigma), np.float32),
            inverse_depth=np.full(grid, self.inverse_depth, np.float32),
            inverse_depth_log_sigma=np.full(grid, np.log(self.depth_sigma * self.inverse_depth), np.float32),
            representation=self.spec.representation,
        )


def frame(index: int, twist: np.ndarray = TWIST, camera: CameraModel = CAMERA) -> Frame:
    image = photograph(*displacement(twist, index * INTERVAL_NS * 1e-9))
    image = cv2.resize(image, (camera.width, camera.height))
    return Frame(image, camera, 10**18 + index * INTERVAL_NS, EXPOSURE_S)


def run(network: Oracle, options: EstimatorOptions | None = None, frames: int = 2) -> list[Estimate]:
    estimator = BlurImuEstimator(network, options)
    return [estimator.estimate(frame(index)) for index in range(frames)]


def test_exact_through_a_real_network(tmp_path: Path) -> None:
    network = FlowDepthNetwork(
        write_motion_network(tmp_path / "m.onnx"), provider=Provider.CPU, verify_hash=False
    )
    motion = np.array([0.02, -0.012, 0.008, 0.01, 0.006, -0.008])
    estimate = BlurImuEstimator(network).estimate(Frame(image_of(motion), BLOCK_CAMERA, 5, EXPOSURE_S))
    network.close()
    sign = 1 if estimate.twist @ motion > 0 else -1
    # The weak prior pulls by less than a hundredth.
    np.testing.assert_allclose(sign * estimate.twist * EXPOSURE_S, motion, atol=2e-4)
    assert estimate.stamp_ns == 5
    assert estimate.exposure_s == EXPOSURE_S


@pytest.mark.parametrize("sign_of_network", [1, -1])
def test_the_frame_before_gives_the_sign(sign_of_network: int) -> None:
    network = Oracle(sign_of_network * TWIST)
    network.seen_inverse_depth = true_geometry().inverse_depth
    network.inverse_depth = network.seen_inverse_depth.reshape(HEIGHT // STRIDE, WIDTH // STRIDE)
    first, second, third = run(network, frames=3)
    assert first.sign_probability == 0.5
    assert not first.decided
    for estimate in (second, third):
        # As far as the depth of the first frame goes for all.
        np.testing.assert_allclose(estimate.twist, TWIST, rtol=0.02, atol=0.04)
        assert estimate.sign_probability > 0.95
        assert estimate.decided
        assert set(estimate.stages_ms) == {"warp", "network", "solve", "direction", "between_frames"}


class Told(NamedTuple):
    """What `with_neighbours` was asked and what it answered."""

    stamps_ns: list[int]
    previous: SignedVelocity | None
    found: SignedEstimate


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    """Every call of `with_neighbours` from here on."""
    calls: list[Told] = []

    def recorded(*arguments) -> SignedEstimate:
        found = with_neighbours(*arguments)
        calls.append(Told([view.stamp_ns for view in arguments[3]], arguments[5], found))
        return found

    monkeypatch.setattr(estimator_module, "with_neighbours", recorded)
    return calls


def test_a_frame_is_told_all_that_was_found_of_the_one_before(told: list[Told]) -> None:
    estimates = run(Oracle(TWIST), frames=3)
    assert told[0].previous is None
    for (_, _, found), (_, previous, _), estimate in zip(told, told[1:], estimates, strict=False):
        assert previous is not None
        assert (previous.stamp_ns, previous.probability) == (estimate.stamp_ns, found.probability)
        assert previous.twist is found.twist
        assert previous.covariance is found.covariance
        assert previous.way is found.way
    assert told[1].found.way is not None


def test_what_the_way_told_of_depth_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    nearer = np.linspace(-0.3, 0.4, FIELD_SIZE)

    def found(*arguments) -> SignedEstimate:
        return replace(with_neighbours(*arguments), nearer=nearer)

    monkeypatch.setattr(estimator_module, "with_neighbours", found)
    network = Oracle(TWIST)
    estimator = BlurImuEstimator(network)
    estimator.estimate(frame(0))
    assert estimator.last_prediction is not None
    told = np.log(estimator.last_prediction.inverse_depth / network.inverse_depth)
    np.testing.assert_allclose(told.ravel(), field_of(*told.shape).at_points(nearer), atol=1e-5)


def test_depth_of_the_frame_before_is_carried_to_the_moment_of_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stamps: list[tuple[int, int]] = []

    def recorded(
        prediction: Prediction, solver: CameraSolver, before: DepthBefore, now_ns: int
    ) -> Prediction:
        stamps.append((before.velocity.stamp_ns, now_ns))
        return with_depth_before(prediction, solver, before, now_ns)

    monkeypatch.setattr(estimator_module, "with_depth_before", recorded)
    run(Oracle(TWIST), frames=3)
    assert stamps == [(frame(index).stamp_ns, frame(index + 1).stamp_ns) for index in range(2)]


def test_where_nothing_is_seen_the_sign_goes_on() -> None:
    estimator = BlurImuEstimator(Oracle(-TWIST))
    for index in range(2):
        estimator.estimate(frame(index))
    for index in (2, 3):
        blank = replace(frame(index), image=np.full((HEIGHT, WIDTH), 90, np.uint8))
        estimate = estimator.estimate(blank)
    np.testing.assert_allclose(estimate.twist, TWIST, rtol=0.02, atol=0.02)
    assert estimate.sign_probability > 0.7


def test_a_colour_image_and_a_mono_image_of_it_agree() -> None:
    mono = frame(0)
    colour = Frame(cv2.cvtColor(mono.image, cv2.COLOR_GRAY2RGB), mono.camera, mono.stamp_ns, mono.exposure_s)
    results = [BlurImuEstimator(Oracle(TWIST)).estimate(one).twist for one in (mono, colour)]
    np.testing.assert_array_equal(*results)


def test_an_undecided_sign_inflates_until_the_other_sign_is_covered() -> None:
    inflated, dropped = (
        run(Oracle(TWIST), EstimatorOptions(undecided_sign=choice), frames=1)[0] for choice in UndecidedSign
    )
    # P = 0.5: C + 2 p p^T, which puts the other sign, 2 p away, within 1.5 sigma.
    extra = inflated.covariance - dropped.covariance
    np.testing.assert_allclose(extra, 2 * np.outer(inflated.twist, inflated.twist), atol=1e-6)
    distance = 2 * inflated.twist
    assert distance @ np.linalg.solve(inflated.covariance, distance) < 2
    assert not dropped.decided


def test_below_the_smallest_blur_the_sign_is_open() -> None:
    slow = run(Oracle(TWIST, min_blur_px=1000.0), EstimatorOptions(between_frames=False))[1]
    assert slow.sign_probability == 0.5
    chosen = run(Oracle(TWIST, min_blur_px=1000.0), EstimatorOptions(min_blur_px=0.5))[1]
    assert chosen.sign_probability > 0.95
    assert np.trace(slow.covariance) > np.trace(chosen.covariance)


def test_a_still_camera_is_not_reported_as_moving() -> None:
    estimator = BlurImuEstimator(Oracle(np.zeros(6)))
    estimate = [estimator.estimate(frame(index, np.zeros(6))) for index in range(2)][-1]
    assert np.linalg.norm(estimate.twist) < 1e-6
    assert estimate.blur_px < 1e-3
    # 0.5 px over 10 ms at 260 px: about 0.2 rad/s cannot be told from rest.
    assert (np.sqrt(np.diag(estimate.covariance))[:3] > 0.1).all()


def test_covariance_is_symmetric_and_bounded() -> None:
    for options in (
        EstimatorOptions(),
        EstimatorOptions(min_variance=0.5, max_variance=1.0),
        EstimatorOptions(max_variance=2e-6),
    ):
        for estimate in run(Oracle(TWIST), options):
            assert np.array_equal(estimate.covariance, estimate.covariance.T)
            eigenvalues = np.linalg.eigvalsh(estimate.covariance)
            assert eigenvalues[0] >= options.min_variance * (1 - 1e-9)
            assert eigenvalues[-1] <= options.max_variance * (1 + 1e-9)


def test_reset_forgets_the_frame_before() -> None:
    estimator = BlurImuEstimator(Oracle(TWIST))
    estimator.estimate(frame(0))
    estimator.reset()
    assert estimator.estimate(frame(1)).sign_probability == 0.5
    assert estimator.revised() is None


def test_warming_leaves_nothing_behind() -> None:
    warmed, fresh = BlurImuEstimator(Oracle(TWIST)), BlurImuEstimator(Oracle(TWIST))
    warmed.warm()
    assert warmed.solver is warmed.last_canonical is warmed.last_prediction is None
    first, expected = warmed.estimate(frame(0)), fresh.estimate(frame(0))
    np.testing.assert_array_equal(first.twist, expected.twist)
    assert first.sign_probability == 0.5


def test_a_network_that_fails_on_noise_still_answers_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: np.ndarray) -> None:
        raise ModelError("not finite")

    network = Oracle(TWIST)
    estimator = BlurImuEstimator(network)
    with monkeypatch.context() as patch:
        patch.setattr(network, "predict", fail)
        estimator.warm()
    assert estimator.solver is None
    assert estimator.estimate(frame(0)).sign_probability == 0.5


def test_a_narrower_camera_zooms_and_its_depth_is_scaled() -> None:
    narrow = CameraModel(WIDTH, HEIGHT, np.array([[520, 0, 159.5], [0, 520, 119.5], [0, 0, 1.0]]))
    network = Oracle(TWIST)
    # What little a narrow view tells would be drawn towards a prior.
    solver = SolverOptions(prior_angular_rad_s=np.inf, prior_linear_m_s=np.inf)
    estimator = BlurImuEstimator(network, EstimatorOptions(solver=solver))
    network.seen_focal_px = 520.0
    # What the network takes for 1/0.35 m through its canonical lens is twice as far through this one.
    network.seen_inverse_depth = network.inverse_depth / 2
    estimate = estimator.estimate(frame(0, camera=narrow))
    sign = 1 if estimate.twist @ TWIST > 0 else -1
    assert estimator.solver is not None
    assert estimator.solver.view.focal_px == pytest.approx(520)
    np.testing.assert_allclose(sign * estimate.twist, TWIST, rtol=0.03, atol=0.03)


def test_a_view_of_a_quarter_of_the_scene_tells_a_quarter() -> None:
    """Twice the focal length shows a quarter of the surfaces, of each of which the points err alike."""
    network = Oracle(TWIST)
    spec = replace(network.spec, depth_scale_sigma=0.0)
    solver = SolverOptions(prior_angular_rad_s=np.inf, prior_linear_m_s=np.inf, exposure_relative_sigma=0.0)
    options = EstimatorOptions(solver=solver)
    narrow = CameraModel(
        WIDTH, HEIGHT, CAMERA.matrix * [[2], [2], [1]] - [[0, 0, 159.5], [0, 0, 119.5], [0, 0, 0]]
    )
    whole, part = (CameraSolver(camera, spec, options) for camera in (CAMERA, narrow))
    assert part.view.depth_scale == pytest.approx(2 * whole.view.depth_scale)
    prediction = network.predict(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    points, zoomed = whole.points(prediction), part.points(prediction)
    # What it shows is twice as far as it looks, and known half as well: a step draws as much.
    np.testing.assert_allclose(zoomed.rows[3:5, 0], points.rows[3:5, 0])
    np.testing.assert_allclose(zoomed.depth_rows[3:5, 0], points.depth_rows[3:5, 0])
    sigmas = [each.geometry(prediction).inverse_depth_sigma * each.view.depth_scale for each in (whole, part)]
    np.testing.assert_allclose(sigmas, network.depth_sigma * network.inverse_depth, rtol=1e-6)
    one, other = (each.solve(points, EXPOSURE_S, options).covariance for each in (whole, part))
    np.testing.assert_allclose(other, 4 * one, rtol=1e-3, atol=1e-9)


def test_what_a_model_states_of_its_errors_reaches_the_solve() -> None:
    network = Oracle(TWIST)
    spec = replace(network.spec, depth_scale_sigma=0.0)
    solver = SolverOptions(prior_angular_rad_s=np.inf, prior_linear_m_s=np.inf, exposure_relative_sigma=0.0)
    options = EstimatorOptions(solver=solver)
    prediction = network.predict(np.zeros((HEIGHT, WIDTH, 3), np.uint8))

    def covariance(spec: ModelSpec, options: EstimatorOptions = options) -> np.ndarray:
        camera = CameraSolver(CAMERA, spec, options)
        return camera.solve(camera.points(prediction), EXPOSURE_S, options).covariance

    plain, scale = covariance(spec), (4.0, 1.0, 1.0, 1.0, 1.0, 9.0)
    scaled = covariance(replace(spec, covariance_scale=scale))
    np.testing.assert_allclose(scaled, plain * np.sqrt(np.outer(scale, scale)), rtol=1e-9)
    # Flow below a pixel count is "slow": the model's, or as chosen.
    slow = covariance(replace(spec, min_blur_px=50.0))
    assert np.diag(slow).min() > 10 * np.diag(plain).max()
    np.testing.assert_allclose(covariance(spec, replace(options, min_blur_px=50.0)), slow)
    for correlation_px in (0.0, 60.0):
        camera = CameraSolver(CAMERA, replace(spec, error_correlation_px=correlation_px), options)
        assert (camera.points(prediction).precision is not None) is (correlation_px > 0)


def test_only_what_the_camera_sees_within_the_border_is_used() -> None:
    network = Oracle(TWIST)
    beside = CameraModel(WIDTH, HEIGHT, CAMERA.matrix + 100 * np.eye(3, k=2))
    options = EstimatorOptions(solver=SolverOptions(border_px=40, max_points=X.size))
    solver = CameraSolver(beside, replace(network.spec, independent_fraction=1.0), options)
    points = solver.points(network.predict(np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
    within = (np.abs(X) <= WIDTH / 2 - 40) & (np.abs(Y) <= HEIGHT / 2 - 40)
    assert (within & ~solver.seen).any()
    assert points.count == np.count_nonzero(within & solver.seen)


def test_a_new_camera_rebuilds_the_view_and_starts_anew() -> None:
    estimator = BlurImuEstimator(Oracle(TWIST))
    estimator.estimate(frame(0))
    camera = estimator.solver
    estimator.estimate(frame(1))
    assert estimator.solver is camera
    other = CameraModel(WIDTH, HEIGHT, CAMERA.matrix * [[1.1], [1.1], [1]])
    assert estimator.estimate(frame(2, camera=other)).sign_probability == 0.5
    assert estimator.solver is not camera


def test_intrinsics_that_breathe_are_of_one_camera() -> None:
    """As an autofocus or an online calibration moves them from frame to frame: the sign still comes from the frame before."""
    estimator = BlurImuEstimator(Oracle(TWIST))
    for index in range(3):
        matrix = CAMERA.matrix + np.diag([0.01, 0.01, 0.0]) * (index % 2)
        estimate = estimator.estimate(frame(index, camera=CameraModel(WIDTH, HEIGHT, matrix)))
    assert estimate.sign_probability > 0.95


@pytest.mark.parametrize("use_next_frame", [False, True])
def test_the_next_frame_revises_the_first_and_every_one_where_asked_to(use_next_frame: bool) -> None:
    estimator = BlurImuEstimator(Oracle(-TWIST), EstimatorOptions(use_next_frame=use_next_frame))
    first = estimator.estimate(frame(0))
    assert first.sign_probability == 0.5
    assert estimator.revised() is None
    estimator.estimate(frame(1))
    revised = estimator.revised()
    assert revised is not None
    assert revised.stamp_ns == first.stamp_ns
    assert revised.sign_probability > 0.95
    # The next frame tells the way to it too, as far as one depth for all goes.
    assert (first.overlap, revised.overlap) == (0, pytest.approx(0.95, abs=0.05))
    np.testing.assert_allclose(revised.twist[:3], TWIST[:3], rtol=0.02, atol=0.04)
    np.testing.assert_allclose(revised.twist[3:], TWIST[3:], rtol=0.02, atol=0.12)
    estimator.estimate(frame(2))
    assert (estimator.revised() is not None) is use_next_frame


def test_a_frame_is_made_again_with_both_its_neighbours(told: list[Told]) -> None:
    estimator = BlurImuEstimator(Oracle(TWIST), EstimatorOptions(use_next_frame=True))
    for index in range(3):
        estimator.estimate(frame(index))
    assert estimator.revised() is not None
    assert told[-1].stamps_ns == [frame(0).stamp_ns, frame(2).stamp_ns]


@pytest.mark.parametrize(
    ("indices", "waiting"),
    [
        ((0, 1, 2), (True, False, False)),
        ((0, 1, 12, 13), (True, False, True, False)),
    ],
)
def test_the_first_frame_and_that_after_a_gap_wait_for_the_next(
    indices: tuple[int, ...], waiting: tuple[bool, ...]
) -> None:
    estimator = BlurImuEstimator(Oracle(TWIST))
    waits = []
    for index in indices:
        estimator.estimate(frame(index))
        waits.append(estimator.waits)
    assert tuple(waits) == waiting


def test_bad_input_is_named_and_leaves_the_history_as_it_was() -> None:
    estimator = BlurImuEstimator(Oracle(TWIST))
    good = frame(0)
    estimator.estimate(good)
    with pytest.raises(ExposureError, match="positive"):
        estimator.estimate(Frame(good.image, CAMERA, good.stamp_ns + 1, 0.0))
    with pytest.raises(ImageError, match="320x240"):
        estimator.estimate(Frame(good.image[:100], CAMERA, good.stamp_ns + 1, EXPOSURE_S))
    assert estimator.estimate(frame(1)).sign_probability > 0.95


@pytest.mark.parametrize(
    ("between_frames", "gap", "reset", "kept"),
    [(True, 1, False, 0.745), (False, 1, False, 0), (True, 10, False, 0), (True, 1, True, 0)],
)
def test_depth_is_drawn_towards_that_of_the_frame_before(
    between_frames: bool, gap: int, reset: bool, kept: float
) -> None:
    network = Oracle(TWIST)
    estimator = BlurImuEstimator(network, EstimatorOptions(between_frames=between_frames))
    estimator.estimate(frame(0))
    network.inverse_depth *= 1.25
    if reset:
        estimator.reset()
    estimator.estimate(frame(gap))
    assert estimator.last_prediction is not None
    drawn = np.log(network.inverse_depth / np.median(estimator.last_prediction.inverse_depth)) / np.log(1.25)
    assert drawn == pytest.approx(kept, abs=0.02)


def test_options_that_change_while_it_runs_hold_from_the_next_frame_on() -> None:
    options = EstimatorOptions(between_frames=False, undecided_sign=UndecidedSign.DROP)
    estimator = BlurImuEstimator(Oracle(TWIST), options)
    before = [estimator.estimate(frame(index)) for index in range(2)][-1]
    wide = replace(estimator.options.solver, exposure_relative_sigma=0.5)
    estimator.options = replace(estimator.options, solver=wide)
    unsure = estimator.estimate(frame(2))
    spread = TWIST @ unsure.covariance @ TWIST - TWIST @ before.covariance @ TWIST
    assert spread == pytest.approx((0.5**2 - 0.05**2) * (TWIST @ TWIST) ** 2, rel=0.05)
    still = SolverOptions(prior_angular_rad_s=1e-3, prior_linear_m_s=1e-3)
    estimator.options = replace(estimator.options, solver=still, min_blur_px=1e3)
    held = estimator.estimate(frame(3))
    np.testing.assert_allclose(held.twist, 0, atol=1e-2)
    assert held.sign_probability == 0.5


def test_options_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="min_variance"):
        EstimatorOptions(min_variance=2.0, max_variance=1.0)
    with pytest.raises(ConfigurationError, match="min_sign_probability"):
        EstimatorOptions(min_sign_probability=0.2)


def test_a_picture_published_twice_is_of_the_moment_of_the_first() -> None:
    """The later stamps are of a camera that may have accelerated since."""
    options = EstimatorOptions()
    estimator, once = BlurImuEstimator(Oracle(TWIST), options), BlurImuEstimator(Oracle(TWIST), options)
    acceleration = np.repeat([options.direction.acceleration_rad_s2, options.direction.acceleration_m_s2], 3)
    for index in range(3):
        estimates = [
            estimator.estimate(replace(frame(index), stamp_ns=frame(index).stamp_ns + late_ns))
            for late_ns in (0, INTERVAL_NS // 3, INTERVAL_NS // 2)
        ]
        alone = once.estimate(frame(index))
        for estimate in estimates:
            since_s = (estimate.stamp_ns - frame(index).stamp_ns) * 1e-9
            np.testing.assert_array_equal(estimate.twist, alone.twist)
            np.testing.assert_allclose(
                estimate.covariance, alone.covariance + np.diag((acceleration * since_s) ** 2), rtol=1e-9
            )
        assert len({estimate.stamp_ns for estimate in estimates}) == 3


def test_a_sharp_picture_shown_again_is_of_a_camera_at_rest() -> None:
    estimator = BlurImuEstimator(Oracle(np.zeros(6)))
    still = [
        estimator.estimate(replace(frame(0), stamp_ns=frame(0).stamp_ns + late_ns)) for late_ns in (0, 10**7)
    ]
    np.testing.assert_array_equal(still[0].covariance, still[1].covariance)


def test_one_image_alone_is_compared_with_the_frame_before_it_alone(told: list[Told]) -> None:
    run(Oracle(TWIST), EstimatorOptions(between_frames=False), frames=4)
    assert [len(one.stamps_ns) for one in told] == [0, 1, 1, 1]


@pytest.mark.parametrize("grey", [0, 255])
def test_a_frame_that_shows_nothing_does_not_part_its_neighbours(grey: int) -> None:
    estimator = BlurImuEstimator(Oracle(TWIST))
    for index in range(2):
        estimator.estimate(frame(index))
    empty = np.full_like(frame(2).image, grey)
    nothing = estimator.estimate(replace(frame(2), image=empty))
    assert nothing.overlap == 0
    estimate = estimator.estimate(frame(3))
    assert estimate.overlap > 0.5
    np.testing.assert_allclose(estimate.twist[:3], TWIST[:3], atol=0.1)


@pytest.mark.parametrize("factor", [0.7, 1.0, 2.0])
def test_the_way_between_frames_tells_how_long_the_exposure_was(factor: float) -> None:
    twist = np.array([0.5, -2.5, 1.0, 0.3, -0.3, 0.4])
    estimator = BlurImuEstimator(Oracle(twist))
    frames = (replace(frame(index, twist), exposure_s=factor * EXPOSURE_S) for index in range(4))
    first, *others = map(estimator.estimate, frames)
    assert math.isnan(first.exposure_ratio)
    for estimate in others:
        assert estimate.exposure_ratio == pytest.approx(1 / factor, rel=0.05)


def test_of_a_picture_published_twice_the_later_stamp_is_revised() -> None:
    estimator = BlurImuEstimator(Oracle(TWIST))
    estimator.estimate(frame(0))
    again = estimator.estimate(replace(frame(0), stamp_ns=frame(0).stamp_ns + INTERVAL_NS // 2))
    assert estimator.revised() is None
    assert estimator.waits
    estimator.estimate(frame(1))
    revised = estimator.revised()
    assert revised is not None
    assert revised.stamp_ns == again.stamp_ns
    assert revised.sign_probability > 0.95


def test_depth_of_a_frame_that_shows_little_is_soon_forgotten() -> None:
    network = Oracle(TWIST)
    estimator, true = BlurImuEstimator(network), network.inverse_depth
    network.inverse_depth, network.depth_sigma = 1.5 * true, 0.12
    estimator.estimate(frame(0))
    network.inverse_depth, network.depth_sigma = true, 0.057
    estimator.estimate(frame(1))
    assert estimator.last_prediction is not None
    assert np.median(estimator.last_prediction.inverse_depth) == pytest.approx(true, rel=0.1)


def test_a_sharp_image_of_a_fast_camera_is_looked_for_where_the_last_one_went() -> None:
    twist = np.array([0, -4, 0, 0, 0, 0], float)
    estimator = BlurImuEstimator(Oracle(twist))
    for index in range(2):
        estimator.estimate(frame(index, twist))
    # As if the exposure had been too short for any blur to be read.
    estimator.options = EstimatorOptions(min_blur_px=1e3)
    estimate = estimator.estimate(frame(2, twist))
    assert estimate.overlap > 0.5
    np.testing.assert_allclose(estimate.twist, twist, atol=0.1)


def test_a_frame_that_shows_something_else_than_the_one_before_is_doubted() -> None:
    estimator = BlurImuEstimator(Oracle(TWIST))
    estimator.estimate(frame(0))
    assert estimator.estimate(frame(1)).doubt == 0
    mirrored = replace(frame(2), image=np.ascontiguousarray(frame(2).image[::-1]))
    assert estimator.estimate(mirrored).doubt > 0.9


def test_a_camera_at_rest_is_decided_though_it_has_no_sign() -> None:
    estimator = BlurImuEstimator(
        Oracle(np.zeros(6)), EstimatorOptions(undecided_sign=UndecidedSign.DROP, between_frames=True)
    )
    rng = np.random.default_rng(3)
    for index in range(3):
        still = frame(0)
        noisy = np.clip(still.image + rng.normal(0, 2, still.image.shape), 0, 255).astype(np.uint8)
        estimate = estimator.estimate(
            replace(still, image=noisy, stamp_ns=still.stamp_ns + index * INTERVAL_NS)
        )
    assert estimate.overlap > 0.5
    assert estimate.sign_probability < 0.95
    assert estimate.decided


def test_a_rolling_shutter_is_known_between_frames() -> None:
    """The neighbour of a fast pitch, seen row by row: stated, it costs less of the rotation than unstated."""
    twist, readout_s = np.array([3.0, 0, 0, 0, 0, 0]), 0.025
    images = [rolling_photograph(twist, index * INTERVAL_NS * 1e-9, readout_s) for index in range(3)]
    frames = [replace(frame(index, twist), image=image) for index, image in enumerate(images)]
    errors = []
    for stated_s in (0.0, readout_s):
        network = Oracle(twist)
        network.flow_sigma = 1.0
        estimator = BlurImuEstimator(network)
        estimates = [estimator.estimate(replace(one, readout_s=stated_s)) for one in frames]
        errors.append(np.abs(estimates[-1].twist[:3] - twist[:3]).max())
    assert errors[1] < 0.5 * errors[0]
