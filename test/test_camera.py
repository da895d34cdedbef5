"""The canonical view against OpenCV's own projection, and every way in which a CameraInfo can be wrong."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.canonical_view import CanonicalView
from blur_imu_ros.distortion import DistortionModel
from blur_imu_ros.errors import CameraError, ImageError

WIDTH, HEIGHT, FOCAL = 320, 224, 250.8
PLUMB_BOB = (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)
BARREL = (-0.35, 0.12, 0.001, -0.0008, -0.02)
RATIONAL = (0.45, -2.6, 0.0006, -0.0003, 1.5, 0.33, -2.4, 1.4)
THIN_PRISM = (*RATIONAL, 0.001, -0.0005, 0.0008, 0.0003)
FISHEYE = (-0.02, 0.01, -0.004, 0.0006)
LENSES = {
    "none": (DistortionModel.NONE, ()),
    "plumb_bob": (DistortionModel.PLUMB_BOB, PLUMB_BOB),
    "plumb_bob_barrel": (DistortionModel.PLUMB_BOB, BARREL),
    "plumb_bob_four": (DistortionModel.PLUMB_BOB, BARREL[:4]),
    "rational_polynomial": (DistortionModel.RATIONAL_POLYNOMIAL, RATIONAL),
    "thin_prism": (DistortionModel.RATIONAL_POLYNOMIAL, THIN_PRISM),
    "equidistant": (DistortionModel.EQUIDISTANT, FISHEYE),
    "ideal_fisheye": (DistortionModel.EQUIDISTANT, (0.0, 0.0, 0.0, 0.0)),
}


def camera_info(**changes) -> SimpleNamespace:
    """A CameraInfo of a 640x480 camera with the fields of the message."""
    fields = {
        "width": 640,
        "height": 480,
        "distortion_model": "plumb_bob",
        "d": list(PLUMB_BOB),
        "k": [517.3, 0, 318.6, 0, 516.5, 255.3, 0, 0, 1],
        "r": [1, 0, 0, 0, 1, 0, 0, 0, 1],
        "p": [480.0, 0, 322.0, -12, 0, 482.0, 240.0, 0, 0, 0, 1, 0],
        "binning_x": 0,
        "binning_y": 0,
        "roi": SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0, do_rectify=False),
    }
    return SimpleNamespace(**{**fields, **changes})


def camera(lens: str = "none", *, offset=(0.0, 0.0), focal=(420.0, 405.0), size=(640, 480)) -> CameraModel:
    """A camera with its principal point `offset` of the size away from the middle."""
    centre = [(side - 1) / 2 + share * side for side, share in zip(size, offset, strict=True)]
    matrix = [[focal[0], 0, centre[0]], [0, focal[1], centre[1]], [0, 0, 1]]
    model, coefficients = LENSES[lens]
    return CameraModel(*size, np.array(matrix), coefficients, model)


def opencv_pixels(source: CameraModel, rays: np.ndarray) -> np.ndarray:
    """What OpenCV projects the rays (x, y, 1) to."""
    points = np.column_stack([rays, np.ones(len(rays))])[:, None]
    zero = np.zeros(3)
    coefficients = np.array(source.distortion)
    if source.model is DistortionModel.EQUIDISTANT:
        return cv2.fisheye.projectPoints(points, zero, zero, source.matrix, coefficients)[0][:, 0]
    return cv2.projectPoints(points, zero, zero, source.matrix, coefficients if coefficients.size else None)[
        0
    ][:, 0]


def canonical_grid(view: CanonicalView) -> np.ndarray:
    rows, columns = np.mgrid[: view.height, : view.width]
    return np.stack([columns.ravel(), rows.ravel()], axis=1).astype(float)


@pytest.mark.parametrize("offset", [(0, 0), (0.15, 0.1), (-0.15, 0.15), (0.05, -0.15)])
@pytest.mark.parametrize("focal", [(420.0, 405.0), (310.0, 350.0), (900.0, 880.0)])
@pytest.mark.parametrize("lens", LENSES)
def test_points_agree_with_opencv(lens, focal, offset):
    source = camera(lens, offset=offset, focal=focal)
    view = CanonicalView(source, WIDTH, HEIGHT, FOCAL)
    points = canonical_grid(view)
    valid = view.valid.ravel()
    rays = (points - [(WIDTH - 1) / 2, (HEIGHT - 1) / 2]) / view.focal_px
    expected = opencv_pixels(source, rays[valid])
    assert valid.mean() > 0.6
    assert np.abs(view.source_pixels(points)[valid] - expected).max() < 0.1
    assert (expected > -0.5).all()
    assert (expected < [source.width - 0.5, source.height - 0.5]).all()


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("size", [(640, 480), (1280, 960), (1921, 1443)])
def test_warped_picture_shows_a_spot_where_its_ray_is(lens, size):
    source = camera(lens, offset=(0.06, -0.05), focal=(0.62 * size[0], 0.6 * size[0]), size=size)
    view = CanonicalView(source, WIDTH, HEIGHT, FOCAL)
    columns, rows = np.arange(size[0]), np.arange(size[1])
    for point in ([159.5, 111.5], [90.0, 60.0], [255.25, 170.5]):
        u, v = opencv_pixels(source, view.rays_of(np.array([point])))[0]
        sigma = 2.5 * source.matrix[0, 0] / view.focal_px
        across, down = (
            np.exp(-((axis - at) ** 2) / (2 * sigma**2)) for axis, at in ((columns, u), (rows, v))
        )
        spot = 200 * np.outer(down, across)
        seen = view.warp(np.rint(spot).astype(np.uint8))[..., 0].astype(float) * view.valid
        centroid = (canonical_grid(view) * seen.reshape(-1, 1)).sum(axis=0) / seen.sum()
        # A spot through a curving lens is not quite symmetric; a slip of half a pixel would show.
        assert np.abs(centroid - point).max() < 0.12


def test_folded_distortion_is_invalid():
    """Strong negative k1 without higher terms folds at r = sqrt(1 / (3 * 0.9))."""
    lens = CameraModel(
        640,
        480,
        np.array([[300.0, 0, 319.5], [0, 300, 239.5], [0, 0, 1]]),
        (-0.9, 0, 0, 0, 0),
        DistortionModel.PLUMB_BOB,
    )
    view = CanonicalView(lens, WIDTH, HEIGHT, 150.0)
    radius = np.hypot(*view.rays_of(canonical_grid(view)).T).reshape(HEIGHT, WIDTH)
    fold = np.sqrt(1 / 2.7)
    assert not view.valid[radius > fold].any()
    assert view.valid[radius < 0.98 * fold].all()
    assert (view.warp(np.full((480, 640, 3), 255, np.uint8))[radius > 1.02 * fold] == 114).all()


def test_a_fold_that_opens_again_stays_invalid():
    """k3 > 0 lets the profile rise again beyond the fold, where the picture would be seen twice."""
    coefficients = (-0.9, 0.0, 0.0, 0.0, 0.3)
    matrix = np.array([[200.0, 0, 319.5], [0, 200, 239.5], [0, 0, 1]])
    view = CanonicalView(
        CameraModel(640, 480, matrix, coefficients, DistortionModel.PLUMB_BOB), WIDTH, HEIGHT, 110.0
    )
    table = np.linspace(0, 3, 300001)
    profile = table * (1 - 0.9 * table**2 + 0.3 * table**6)
    fold = table[np.argmax(np.diff(profile) < 0)]
    radius = np.hypot(*view.rays_of(canonical_grid(view)).T).reshape(HEIGHT, WIDTH)
    assert radius.max() > fold + 0.1
    assert not view.valid[radius > fold + 1e-4].any()
    assert view.valid[radius < 0.95 * fold].all()


def test_fisheye_wider_than_half_a_sphere():
    source = camera("equidistant", focal=(190.0, 190.0))
    view = CanonicalView(source, WIDTH, HEIGHT, FOCAL)
    assert view.focal_px == FOCAL
    assert view.valid.all()
    wide = CanonicalView(source, WIDTH, HEIGHT, 20.0)
    expected = opencv_pixels(source, wide.rays_of(canonical_grid(wide)))
    assert np.abs(wide.source_pixels(canonical_grid(wide)) - expected).max() < 0.1


def test_narrow_camera_is_viewed_at_a_longer_focal_length():
    view = CanonicalView(camera(focal=(1000.0, 1000.0)), WIDTH, HEIGHT, FOCAL)
    assert view.focal_px == pytest.approx(max(WIDTH / 0.64, HEIGHT / 0.48), rel=1e-6)
    assert view.depth_scale == pytest.approx(view.focal_px / FOCAL)
    assert view.valid_share > 0.98


def test_wide_camera_is_viewed_at_the_canonical_focal_length():
    view = CanonicalView(camera(focal=(350.0, 350.0)), WIDTH, HEIGHT, FOCAL)
    assert view.focal_px == FOCAL
    assert view.depth_scale == 1.0
    assert view.valid.all()


@pytest.mark.parametrize("side", [1, -1])
def test_a_picture_beside_the_axis_fills_the_view_where_little_is_lost(side):
    middle, beside, far = (
        CanonicalView(camera(focal=(1000.0, 1000.0), offset=(side * across, 0.0)), WIDTH, HEIGHT, FOCAL)
        for across in (0, 0.06, 0.25)
    )
    assert beside.valid_share > 0.98
    assert middle.focal_px < beside.focal_px < 1.15 * middle.focal_px
    # Far from it a strip stays empty, and the view is not made narrower any more.
    assert far.focal_px == pytest.approx(middle.focal_px / 0.8, rel=0.02)
    assert far.valid_share < 0.9


def test_beside_the_picture_its_edge_goes_on():
    """An edge against grey would be sharp whatever the blur."""
    view = CanonicalView(camera(offset=(0.25, 0.0)), WIDTH, HEIGHT, FOCAL)
    image = np.random.default_rng(0).integers(0, 255, (480, 640), np.uint8)
    seen = view.warp(cv2.GaussianBlur(image, (0, 0), 4))[..., 0].astype(int)
    outside = ~view.valid[HEIGHT // 2]
    assert 0 < outside.sum() < WIDTH / 2
    row = seen[HEIGHT // 2]
    assert np.ptp(row[outside]) <= 1
    edge = np.flatnonzero(np.diff(outside))[0]
    assert abs(row[edge] - row[edge + 1]) < 10


def test_valid_on_grid_needs_every_pixel_of_a_cell():
    view = CanonicalView(camera(offset=(0.15, 0.0)), WIDTH, HEIGHT, FOCAL)
    grid = view.valid_on_grid(8)
    assert grid.shape == (HEIGHT // 8, WIDTH // 8)
    cells = [[view.valid[8 * i : 8 * i + 8, 8 * j : 8 * j + 8].all() for j in range(40)] for i in range(28)]
    assert (grid == np.array(cells)).all()
    assert 0 < grid.mean() < 1


def test_channel_order_is_kept_and_mono_is_repeated():
    view = CanonicalView(camera(), WIDTH, HEIGHT, FOCAL)
    colour = np.zeros((480, 640, 3), np.uint8)
    colour[:] = (10, 20, 30)
    assert (view.warp(colour)[view.valid] == (10, 20, 30)).all()
    warped = view.warp(np.full((480, 640), 77, np.uint8))
    assert warped.shape == (HEIGHT, WIDTH, 3)
    assert (warped[view.valid] == 77).all()
    assert (view.warp(colour[..., ::-1])[view.valid] == (30, 20, 10)).all()


def test_what_need_not_be_shrunk_keeps_its_detail():
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    for across, down in ((1, 1), (2, 1), (1, 2)):
        size, focal = (across * WIDTH, down * HEIGHT), (across * FOCAL, down * FOCAL)
        view = CanonicalView(camera(focal=focal, size=size), WIDTH, HEIGHT, FOCAL)
        assert (view.warp(image.repeat(across, axis=1).repeat(down, axis=0)) == image).all()
    small = CanonicalView(CameraModel.pinhole(111, 75, FOCAL / 3), WIDTH, HEIGHT, FOCAL)
    spot = np.zeros((75, 111), np.uint8)
    spot[37, 55] = 240
    # Beside the middle of the spot by a sixth of a pixel both ways.
    assert small.warp(spot)[111, 159, 0] == pytest.approx(240 * (5 / 6) ** 2, abs=6)


def test_strong_shrinking_does_not_alias():
    view = CanonicalView(camera(size=(1920, 1440), focal=(1433.0, 1433.0)), WIDTH, HEIGHT, FOCAL)
    stripes = np.zeros((1440, 1920, 3), np.uint8)
    stripes[:, ::2] = 200
    seen = view.warp(stripes)[view.valid].astype(float)
    assert seen.std() < 12
    assert abs(seen.mean() - 100) < 12


def test_binning_and_region_of_interest():
    """Cut out 400x300 at (120, 100), then bin 2x2: delivered pixel i is centred on full pixel 2 i + 0.5 + 120."""
    roi = SimpleNamespace(x_offset=120, y_offset=100, width=400, height=300, do_rectify=False)
    part = CameraModel.from_camera_info(camera_info(roi=roi, binning_x=2, binning_y=2))
    full = CameraModel.from_camera_info(camera_info())
    rays = np.array([[0.0, 0.0], [0.2, -0.1], [-0.25, 0.15]])
    assert (part.width, part.height) == (200, 150)
    assert np.allclose(2 * part.project(rays) + 0.5 + (120, 100), full.project(rays))
    # A width and height of zero: all that is right of the offset and below.
    rest = SimpleNamespace(x_offset=120, y_offset=100, width=0, height=0, do_rectify=False)
    cut = CameraModel.from_camera_info(camera_info(roi=rest))
    assert (cut.width, cut.height) == (520, 380)


def test_skewed_pixels():
    matrix = np.array([[500.0, 3, 320], [0, 490, 240], [0, 0, 1]])
    pixels = CameraModel(640, 480, matrix).project(np.array([[0.2, -0.1]]))
    assert np.allclose(pixels, [(matrix @ [0.2, -0.1, 1])[:2]])


def test_rectified_image_uses_the_projection_matrix_alone():
    rectified = CameraModel.from_camera_info(camera_info(), rectified=True)
    assert rectified.model is DistortionModel.NONE
    assert (rectified.width, rectified.height) == (640, 480)
    assert np.allclose(rectified.project(np.array([[0.1, -0.2]])), [[322 + 48.0, 240 - 96.4]])


@pytest.mark.parametrize("lens", LENSES)
def test_what_is_written_of_a_camera_is_read_again(lens):
    source, rays = camera(lens), np.array([[0.1, -0.2], [-0.25, 0.15]])
    model, coefficients = source.ros_distortion
    matrices = {"k": source.matrix.ravel(), "p": source.projection.ravel()}
    info = camera_info(distortion_model=model, d=coefficients, **matrices)
    assert np.allclose(CameraModel.from_camera_info(info).project(rays), source.project(rays))
    assert (CameraModel.from_camera_info(info, rectified=True).matrix == source.matrix).all()


def test_real_message_class_is_read():
    messages = pytest.importorskip("sensor_msgs.msg")
    fields = camera_info()
    message = messages.CameraInfo(width=640, height=480, distortion_model="plumb_bob", d=fields.d)
    message.k, message.p = [float(value) for value in fields.k], [float(value) for value in fields.p]
    assert CameraModel.from_camera_info(message) == CameraModel.from_camera_info(fields)


def test_cache_key_changes_with_the_camera_only():
    first, second = (CameraModel.from_camera_info(camera_info()) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert first.cache_key() != CameraModel.from_camera_info(camera_info(d=[*PLUMB_BOB[:4], 1.0])).cache_key()
    assert first.cache_key() != CameraModel.from_camera_info(camera_info(binning_x=2)).cache_key()


@pytest.mark.parametrize("lens", ["none", "plumb_bob"])
def test_cameras_resemble_each_other_within_a_calibration(lens):
    """A thousandth of the width of the picture, here 0.64 px, or of a coefficient."""
    source = camera(lens)

    def moved(by: float) -> CameraModel:
        matrix = source.matrix.copy()
        matrix[1, 2] += by
        return CameraModel(640, 480, matrix, source.distortion, source.model)

    assert source.resembles(moved(-0.6))
    assert not source.resembles(moved(-0.7))
    assert not source.resembles(moved(0.7))
    assert not source.resembles(camera(lens, size=(640, 482)))
    if source.distortion:
        for by, alike in ((-9e-4, True), (-2e-3, False), (2e-3, False)):
            bent = tuple(np.add(source.distortion, [0, by, 0, 0, 0]))
            assert source.resembles(CameraModel(640, 480, source.matrix, bent, source.model)) is alike


@pytest.mark.parametrize(("name", "expected"), [("", "NONE"), ("none", "NONE"), ("fisheye", "EQUIDISTANT")])
def test_names_of_distortion_models(name, expected):
    coefficients = FISHEYE if name == "fisheye" else [0.0] * 5
    model = CameraModel.from_camera_info(camera_info(distortion_model=name, d=coefficients))
    assert model.model is DistortionModel[expected]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": [0.0] * 9}, "uncalibrated"),
        ({"k": [517.3, 0, 318.6, 0, float("nan"), 255.3, 0, 0, 1]}, "finite"),
        ({"k": [517.3, 0, float("inf"), 0, 516, 255.3, 0, 0, 1]}, "finite"),
        ({"k": [517.3, 0, 318.6, 0, 0.0, 255.3, 0, 0, 1]}, "fy is 0"),
        ({"k": [-517.3, 0, 318.6, 0, 516, 255.3, 0, 0, 1]}, "fx is -517.3"),
        ({"k": [1e300, 0, 318.6, 0, 516, 255.3, 0, 0, 1]}, "fx is 1e"),
        ({"k": [517.3, 0, 318.6, 0, 516, 255.3, 0, 0, 0]}, "0, 0, 1"),
        ({"k": [1.0, 2.0]}, "2 values"),
        ({"width": 0}, "0 x 480"),
        ({"width": 2**31}, "whole numbers"),
        ({"d": [float("nan")] * 5}, "finite"),
        ({"d": [0.1, 0.2, 1e300, 0, 0]}, "below 1e"),
        ({"d": [0.1, 0.2, 0.3]}, "3 distortion coefficients"),
        ({"d": [0.1] * 8}, "8 distortion coefficients"),
        ({"distortion_model": ""}, "5 distortion coefficients for the model none"),
        ({"distortion_model": "equidistant"}, "5 distortion coefficients"),
        ({"distortion_model": "equidistant", "d": []}, "0 distortion coefficients"),
        ({"distortion_model": "omni"}, "'omni' is not one of"),
        ({"roi": SimpleNamespace(x_offset=600, y_offset=0, width=100, height=100)}, "does not fit"),
        ({"binning_x": 10**6}, "0 x 480"),
    ],
)
def test_wrong_camera_info_is_refused(changes, message):
    with pytest.raises(CameraError, match=message):
        CameraModel.from_camera_info(camera_info(**changes))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(3))
def test_any_camera_info_gives_a_sound_view_or_a_camera_error(seed):
    generator = np.random.default_rng(seed)
    special = [0, -1, 1e-9, 1e9, 1e300, float("nan"), float("inf"), 0.5, 5]
    answered = 0
    for _ in range(40):
        kinds = [("plumb_bob", 5), ("rational_polynomial", 8), ("equidistant", 4)]
        model, count = kinds[generator.integers(3)]
        matrix = camera_info().k
        matrix[0] *= 10 ** generator.uniform(-1, 1)
        coefficients = list(generator.normal(size=count) * 10 ** generator.uniform(-4, 1.5))
        for values in (matrix, coefficients):
            if generator.random() < 0.2:
                values[generator.integers(len(values))] = special[generator.integers(len(special))]
        info = camera_info(k=matrix, d=coefficients, distortion_model=model)
        try:
            view = CanonicalView(CameraModel.from_camera_info(info), WIDTH, HEIGHT, FOCAL)
        except CameraError:
            continue
        answered += 1
        assert np.isfinite(view.focal_px)
        assert view.focal_px >= FOCAL
        assert (view.warp(np.full((480, 640), 200, np.uint8))[view.valid] == 200).all()
    assert answered > 12


def test_uncalibrated_projection_is_refused_for_rectified_images():
    with pytest.raises(CameraError, match=r"CameraInfo.p is all zero"):
        CameraModel.from_camera_info(camera_info(p=[0.0] * 12), rectified=True)


def test_view_beside_the_picture_is_refused():
    matrix = np.array([[500.0, 0, 5000.0], [0, 500, 240], [0, 0, 1]])
    with pytest.raises(CameraError, match=r"only 0 % of the view.*5000"):
        CanonicalView(CameraModel(640, 480, matrix), WIDTH, HEIGHT, FOCAL)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((480, 320, 3), np.uint8), "320x480.*640x480"),
        (np.zeros((480, 640, 4), np.uint8), "uint8"),
        (np.zeros((480, 640), np.uint16), "uint16"),
        (np.zeros((480,), np.uint8), r"\(480,\)"),
    ],
)
def test_wrong_image_is_refused(image, message):
    view = CanonicalView(camera(), WIDTH, HEIGHT, FOCAL)
    with pytest.raises(ImageError, match=message):
        view.warp(image)


CAMERA_YAML = """
image_width: 640
image_height: 480
camera_name: test
camera_matrix: {rows: 3, cols: 3, data: [517.3, 0.0, 318.6, 0.0, 516.5, 255.3, 0.0, 0.0, 1.0]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.2624, -0.9531, -0.0054, 0.0026, 1.1633]}
projection_matrix: {rows: 3, cols: 4, data: [480, 0, 322, -12, 0, 482, 240, 0, 0, 0, 1, 0]}
"""


def test_yaml_is_read_as_the_message_is(tmp_path):
    path = tmp_path / "camera.yaml"
    path.write_text(CAMERA_YAML)
    assert CameraModel.from_yaml(path) == CameraModel.from_camera_info(camera_info())
    assert CameraModel.from_yaml(path, rectified=True) == CameraModel.from_camera_info(
        camera_info(), rectified=True
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_width: 640", "lacks 'image_height'"),
        ("[1, 2", "not a camera_info YAML"),
        ("just words", "not a camera_info YAML"),
        (CAMERA_YAML.replace("640", "wide"), "whole numbers"),
        (CAMERA_YAML.replace("517.3", "about five hundred"), "not a camera_info YAML"),
        (CAMERA_YAML.replace("517.3", ".nan"), "finite"),
    ],
)
def test_wrong_yaml_is_refused_with_its_path(tmp_path, text, message):
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    with pytest.raises(CameraError, match=f"camera.yaml.*{message}"):
        CameraModel.from_yaml(path)


def test_missing_yaml_is_refused_with_its_path(tmp_path):
    with pytest.raises(CameraError, match=r"nowhere.yaml cannot be read"):
        CameraModel.from_yaml(tmp_path / "nowhere.yaml")
