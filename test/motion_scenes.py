"""Random rigid scenes whose exact flow is known, for the tests of the solver."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from blur_imu_ros.model.spec import FlowRepresentation
from blur_imu_ros.motion_field import double_angle, grid_points, interaction_matrix
from blur_imu_ros.solve.motion_points import MotionPoints, PointGeometry

WIDTH, HEIGHT, FOCAL_PX = 320, 224, 300.0
EXPOSURE_S = 0.01


class Motion(Enum):
    """Which of (wx wy wz vx vy vz) are not zero."""

    ANY = (0, 1, 2, 3, 4, 5)
    TRANSLATION = (3, 4, 5)
    ROTATION = (0, 1, 2)
    ROLL = (2,)
    FORWARD = (5,)
    SIDEWAYS = (3,)


class Outliers(Enum):
    """30 % of the points that do not follow the camera."""

    UNIFORM = "uniform"  # anywhere within 20 px
    EQUAL = "equal"  # one moving object, scattered
    REGION = "region"  # one moving object, in one rectangle


@dataclass(frozen=True)
class Scene:
    """True velocity [6] over EXPOSURE_S, exact flow [N, 2] px and inverse depth [N] 1/m on the grid x, y [N]."""

    twist: np.ndarray
    flow: np.ndarray
    inverse_depth: np.ndarray
    x: np.ndarray
    y: np.ndarray


def random_scene(
    rng: np.random.Generator, blur_px: float, motion: Motion = Motion.ANY, *, stride: int = 4
) -> Scene:
    """A room of fronto-parallel surfaces at 0.8 to 6 m, or a slanted plane, seen with a median flow of `blur_px`."""
    x, y = grid_points(WIDTH, HEIGHT, stride)
    if rng.random() < 0.5:
        tiles = rng.uniform(0.8, 6, (4, 5))
        depth = tiles[((y + HEIGHT / 2) * 4 / HEIGHT).astype(int), ((x + WIDTH / 2) * 5 / WIDTH).astype(int)]
    else:
        slope = rng.normal(0, 0.5, 2)
        depth = rng.uniform(1, 4) / np.clip(1 + (slope[0] * x + slope[1] * y) / FOCAL_PX, 0.3, 3)
    direction = np.zeros(6)
    chosen = list(motion.value)
    direction[chosen] = (rng.normal(size=6) * [1, 1, 1, 2, 2, 2])[chosen]
    flow = interaction_matrix(x, y, FOCAL_PX, 1 / depth) @ direction
    scale = blur_px / np.median(np.hypot(flow[:, 0], flow[:, 1]))
    return Scene(direction * scale / EXPOSURE_S, flow * scale, 1 / depth, x, y)


def measure(
    scene: Scene,
    representation: FlowRepresentation,
    sigma_px: float,
    rng: np.random.Generator | None = None,
    outliers: Outliers | None = None,
    depth_sigma: float = 0.0,
    correlation_px: float = 0.0,
) -> MotionPoints:
    """What a network with Gaussian noise (none without rng) on what it emits would say of the scene.

    correlation_px: half of the noise is a field as smooth as that, along and across the flow; 0: none of it.
    """
    emitted = emit(scene.flow, representation)
    if rng is not None:
        noise = rng.normal(size=emitted.shape) * sigma_px
        if correlation_px:
            smooth = np.linalg.cholesky(smooth_field(scene, correlation_px) + 1e-9 * np.eye(scene.x.size))
            noise = (noise + smooth @ rng.normal(size=emitted.shape) * sigma_px) / np.sqrt(2)
            turned = (noise @ [1, 1j]) * (emitted @ [1, 1j]) / np.hypot(*emitted.T)
            noise = np.stack([turned.real, turned.imag], axis=1)
        emitted = emitted + noise
    if outliers is not None:
        assert rng is not None
        chosen = outlying_points(scene, outliers, rng)
        if outliers is Outliers.UNIFORM:
            emitted[chosen] = rng.uniform(-20, 20, (chosen.size, 2))
        else:
            emitted[chosen] = emit(rng.uniform(-20, 20, (1, 2)), representation)
    geometry = PointGeometry(scene.x, scene.y, FOCAL_PX, correlation_px=correlation_px)
    sigma = np.full(len(emitted), sigma_px)
    return geometry.points(
        emitted.T, sigma, scene.inverse_depth, scene.inverse_depth * depth_sigma, representation
    )


def smooth_field(scene: Scene, correlation_px: float) -> np.ndarray:
    """Correlation [N, N] of a field at the scene's points that falls off exponentially."""
    return np.exp(-np.hypot(scene.x[:, None] - scene.x, scene.y[:, None] - scene.y) / correlation_px)


def emit(flow: np.ndarray, representation: FlowRepresentation) -> np.ndarray:
    return double_angle(flow) if representation is FlowRepresentation.DOUBLE_ANGLE else flow.copy()


def outlying_points(scene: Scene, outliers: Outliers, rng: np.random.Generator) -> np.ndarray:
    if outliers is Outliers.REGION:
        width = rng.uniform(0.35, 0.85)
        corner = rng.uniform(-0.5, 0.5 - np.array([width, 0.3 / width]))
        within = [
            (scene.x / WIDTH > corner[0]) & (scene.x / WIDTH < corner[0] + width),
            (scene.y / HEIGHT > corner[1]) & (scene.y / HEIGHT < corner[1] + 0.3 / width),
        ]
        return np.flatnonzero(within[0] & within[1])
    return rng.permutation(scene.x.size)[: round(0.3 * scene.x.size)]


def nees(twist: np.ndarray, covariance: np.ndarray, truth: np.ndarray) -> float:
    """Normalised squared error per degree of freedom, against the nearer of plus and minus truth."""
    information = np.linalg.inv(covariance)
    return min((twist - s * truth) @ information @ (twist - s * truth) for s in (1, -1)) / 6
