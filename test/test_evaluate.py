"""Evaluation end to end: a network whose answer is known, on sequences whose truth is known."""

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from motion_network import CAMERA as BLOCK_CAMERA
from motion_network import image_of, write_motion_network
from onnx_models import write_model

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.canonical_view import CanonicalView
from blur_imu_ros.cli import main
from blur_imu_ros.motion_field import double_angle, grid_points, interaction_matrix
from blur_imu_ros.network import FlowDepthNetwork, Provider
from blur_imu_ros.offline.evaluation import EvaluationOptions, evaluate_sequence
from blur_imu_ros.output_files import check_output_file
from blur_imu_ros.recordings.sequence_writer import SequenceWriter
from blur_imu_ros.sequence import Sequence

KEYS = {
    *(
        "name",
        "frames",
        "angular_rmse",
        "linear_rmse",
        "angular_zero_rmse",
        "linear_zero_rmse",
        "angular_ratio",
    ),
    *("linear_ratio", "axis_ratio", "sign_accuracy", "nees_coverage_95", "exposure_s_fitted", "latency_ms"),
}
WIDTH, HEIGHT, STRIDE, FOCAL = 320, 224, 8, 250.8
CAMERA = CameraModel(WIDTH, HEIGHT, np.array([[FOCAL, 0, 159.5], [0, FOCAL, 111.5], [0, 0, 1]]))
MOTION = np.array([0.03, -0.02, 0.05, 0.02, -0.01, 0.03])
TURN = np.array([0.03, -0.02, 0.05, 0, 0, 0])
EXPOSURE_S = 0.0125


def field(motion: np.ndarray, inverse_depth: np.ndarray) -> np.ndarray:
    x, y = grid_points(WIDTH, HEIGHT, STRIDE)
    flow = interaction_matrix(x, y, FOCAL, inverse_depth.ravel()) @ motion
    return flow.T.reshape(2, *inverse_depth.shape)


def inverse_depth() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.2, 1.2, (HEIGHT // STRIDE, WIDTH // STRIDE))


def network(folder: Path, *, signed: bool = False, motion: np.ndarray = MOTION) -> Path:
    """A network that answers with the motion and its depth whatever it is shown."""
    flow = field(motion, inverse_depth())
    values = flow if signed else double_angle(flow.transpose(1, 2, 0)).transpose(2, 0, 1)
    return write_model(
        folder / ("signed.onnx" if signed else "double.onnx"),
        width=WIDTH,
        height=HEIGHT,
        stride=STRIDE,
        flow=values.astype(np.float32),
        inverse_depth=inverse_depth().astype(np.float32),
        metadata={
            "focal_px": str(FOCAL),
            "flow_representation": "signed" if signed else "double_angle",
        },
    )


def sequence(
    folder: Path,
    *,
    frames: int = 4,
    exposure_s: float | None = EXPOSURE_S,
    scale: float = 1.0,
    depth: bool = False,
    step_known: bool = True,
    interval_ns: int = 300_000_000,
) -> Path:
    """Truth is what the network answers, times scale, with the sign of every second frame turned. All show the same, too far
    apart in time to be compared."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    depth_m = np.kron(1 / inverse_depth(), np.ones((STRIDE, STRIDE))) * 1.25 if depth else None
    with SequenceWriter(folder, CAMERA, truth_sigma=(0.01, 0.01), image_suffix=".jpg") as writer:
        for i in range(frames):
            twist = scale * MOTION / EXPOSURE_S * (-1) ** i
            twist[3:] = twist[3:] if step_known else np.nan
            writer.add(10**18 + i * interval_ns, image, exposure_s=exposure_s, depth_m=depth_m, twist=twist)
    return folder


def turning_sequence(folder: Path) -> Path:
    """A texture turned by TURN from frame to frame, forth and, from the fifth frame on, back."""
    noise = np.random.default_rng(2).normal(size=(HEIGHT, WIDTH))
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX).astype(
        np.uint8
    )
    pose = np.eye(3)
    with SequenceWriter(folder, CAMERA) as writer:
        for i in range(8):
            sign = 1 if i < 4 else -1
            pose = pose @ cv2.Rodrigues(sign * TURN[:3])[0]
            turned = CAMERA.matrix @ pose.T @ np.linalg.inv(CAMERA.matrix)
            image = cv2.warpPerspective(texture, turned, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
            stamp = 10**18 + round(i * EXPOSURE_S * 1e9)
            writer.add(stamp, image, exposure_s=EXPOSURE_S, twist=sign * TURN / EXPOSURE_S)
    return folder


def evaluate(*arguments: object) -> dict:
    out = Path(str(arguments[0])) / "out.json"
    assert main(["evaluate", *map(str, arguments), "--json", str(out)]) == 0
    return json.loads(out.read_text())


def test_the_camera_of_these_tests_is_the_canonical_one() -> None:
    view = CanonicalView(CAMERA, WIDTH, HEIGHT, FOCAL)
    assert view.depth_scale == pytest.approx(1)
    assert view.valid.all()


def test_every_key_and_the_exact_answer_with_the_oracle(tmp_path: Path) -> None:
    result = evaluate(
        sequence(tmp_path / "s", depth=True), "--model", network(tmp_path), "--direction", "oracle"
    )
    assert result["model"] == "double"
    (entry,) = result["sequences"]
    assert entry.keys() >= KEYS
    assert entry["name"] == "s"
    assert entry["frames"] == 4
    assert entry["angular_ratio"] < 0.05
    assert entry["linear_ratio"] < 0.1
    assert entry["sign_accuracy"] == 1.0
    assert entry["exposure_s_fitted"] is None
    assert entry["inverse_depth_abs_rel"] == pytest.approx(0.25, abs=0.01)
    assert entry["latency_ms"]["p99"] >= entry["latency_ms"]["p50"] > 0
    np.testing.assert_allclose(entry["angular_zero_rmse"], np.abs(MOTION[:3]) / EXPOSURE_S, rtol=1e-6)
    flow = field(MOTION, inverse_depth())
    assert entry["blur_px"]["p50"] == pytest.approx(np.median(np.linalg.norm(flow, axis=0)), rel=1e-3)


def test_a_gyro_alone_tells_of_blur_and_sign_but_not_of_rest(tmp_path: Path) -> None:
    folder = sequence(tmp_path / "s", step_known=False)
    (entry,) = evaluate(folder, "--model", network(tmp_path), "--direction", "oracle")["sequences"]
    turn = field(MOTION * [1, 1, 1, 0, 0, 0], inverse_depth())
    assert entry["blur_px"]["p50"] == pytest.approx(np.median(np.linalg.norm(turn, axis=0)), rel=1e-3)
    assert entry["sign_accuracy"] == 1.0
    assert entry["linear_ratio"] is None


def test_pixels_are_those_of_a_width_of_320_whatever_the_network_has(tmp_path: Path) -> None:
    roll = np.array([0, 0, 2.0, 0, 0, 0])
    with SequenceWriter(tmp_path / "s", BLOCK_CAMERA) as writer:
        for i in range(2):
            writer.add(10**18 + i * 33_000_000, image_of(0 * roll), exposure_s=0.01, twist=roll)
    network = FlowDepthNetwork(write_motion_network(tmp_path / "blocks.onnx"), provider=Provider.CPU)
    assert network.spec.width == 160
    frames = evaluate_sequence(Sequence.load(tmp_path / "s"), network, EvaluationOptions()).frames
    x, y = grid_points(BLOCK_CAMERA.width, BLOCK_CAMERA.height, network.spec.stride)
    np.testing.assert_allclose(frames.blur_px, 2 * 0.02 * np.median(np.hypot(x, y)))
    np.testing.assert_allclose(frames.pixel_rate, 2 * BLOCK_CAMERA.matrix[0, 0] * 0.01)


def test_without_direction_half_the_signs_are_wrong(tmp_path: Path) -> None:
    result = evaluate(sequence(tmp_path / "s"), "--model", network(tmp_path), "--direction", "none")
    assert result["between_frames"] is False
    assert result["sequences"][0]["sign_accuracy"] == 0.5
    assert result["sequences"][0]["angular_ratio"] > 1


def test_the_exposure_is_fitted_on_even_and_reported_on_odd_blocks(tmp_path: Path) -> None:
    folder = sequence(tmp_path / "s", frames=70, exposure_s=None)
    result = evaluate(folder, "--model", network(tmp_path), "--direction", "oracle", "--fit-exposure")
    (entry,) = result["sequences"]
    assert entry["exposure_s_fitted"] == pytest.approx(EXPOSURE_S, rel=0.02)
    assert entry["frames"] == 30
    assert entry["angular_ratio"] < 0.05


def test_frames_of_known_exposure_have_no_say_in_the_unknown_one(tmp_path: Path) -> None:
    folder = sequence(tmp_path / "s", frames=130, exposure_s=None)
    frames, truth = folder / "frames.csv", folder / "truth.csv"
    rows, twists = (
        list(csv.reader(path.read_text(encoding="utf-8").splitlines())) for path in (frames, truth)
    )
    # Half of the exposure and twice the velocity: the same blur.
    for row, twist in zip(rows[1:71], twists[1:71], strict=True):
        row[2] = str(EXPOSURE_S / 2)
        twist[1:7] = [str(2 * float(value)) for value in twist[1:7]]
    for path, table in ((frames, rows), (truth, twists)):
        path.write_text("".join(",".join(row) + "\n" for row in table), encoding="utf-8")
    result = evaluate(folder, "--model", network(tmp_path), "--direction", "oracle", "--fit-exposure")
    (entry,) = result["sequences"]
    assert entry["exposure_s_fitted"] == pytest.approx(EXPOSURE_S, rel=0.02)
    assert entry["angular_ratio"] < 0.05


def test_an_exposure_at_its_limit_is_pointed_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = sequence(tmp_path / "s", frames=70, exposure_s=None, scale=0.3, interval_ns=33_000_000)
    result = evaluate(folder, "--model", network(tmp_path), "--direction", "oracle", "--fit-exposure")
    assert result["sequences"][0]["exposure_s_fitted"] == pytest.approx(0.033, rel=0.05)
    assert "s: the fitted exposure 0.03" in capfd.readouterr().err


def test_the_photometric_sign_is_found_from_the_frame_before(tmp_path: Path) -> None:
    folder = turning_sequence(tmp_path / "s")
    for arguments in ([], ["--solver", "published"]):
        model = network(tmp_path, signed=bool(arguments), motion=TURN)
        (entry,) = evaluate(folder, "--model", model, "--direction", "photometric", *arguments)["sequences"]
        # The first frame has none before it, and its sign is arbitrary.
        assert entry["sign_accuracy"] >= 7 / 8
        assert sum(row["frames"] for row in entry["sign_reliability"]) == 8


@pytest.mark.parametrize("options", [(), ("--use-next-frame",)])
def test_the_next_frame_tells_the_sign_of_the_first(tmp_path: Path, options: tuple[str, ...]) -> None:
    folder, model = turning_sequence(tmp_path / "s"), network(tmp_path, motion=TURN)
    (entry,) = evaluate(folder, "--model", model, *options)["sequences"]
    assert entry["sign_accuracy"] == 1.0
    assert entry["frames"] == 8


def test_a_replay_tells_the_sign_of_the_first_frame_as_well(tmp_path: Path) -> None:
    folder, model = turning_sequence(tmp_path / "s"), network(tmp_path, motion=TURN)
    words = ["replay", folder, "--model", model, "--output", tmp_path / "out", "--no-plots"]
    assert main([str(word) for word in words]) == 0
    with (tmp_path / "out/estimates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert float(rows[0]["sign_probability"]) > 0.9
    measured = [float(rows[0][axis]) for axis in ("wx", "wy", "wz")]
    assert np.dot(measured, TURN[:3]) > 0


def test_the_next_frame_is_refused_where_it_would_be_ignored(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = turning_sequence(tmp_path / "s")
    assert main(["evaluate", str(folder), "--direction", "oracle", "--use-next-frame"]) != 0
    assert "--use-next-frame" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "ratio"), [("--prior-linear-m-s", "linear_ratio"), ("--prior-angular-rad-s", "angular_ratio")]
)
def test_a_camera_said_to_be_slow_is_measured_slow(tmp_path: Path, name: str, ratio: str) -> None:
    folder, model = sequence(tmp_path / "s"), network(tmp_path)
    usual, slow = (
        evaluate(folder, "--model", model, "--direction", "oracle", *words)["pooled"][ratio]
        for words in ((), (name, "1e-4"))
    )
    assert usual < 0.2
    assert slow > 0.9


def test_a_replay_takes_the_prior_as_well(tmp_path: Path) -> None:
    folder, model = sequence(tmp_path / "s"), network(tmp_path)
    largest = []
    for name, words in (("usual", ()), ("slow", ("--prior-linear-m-s", "1e-4"))):
        output = tmp_path / name
        fixed = ["replay", folder, "--model", model, "--output", output, "--no-plots", "--no-bag"]
        assert main([str(word) for word in (*fixed, *words)]) == 0
        with (output / "estimates.csv").open() as file:
            largest.append(max(abs(float(row["vz"])) for row in csv.DictReader(file)))
    assert largest[0] > 1
    assert largest[1] < 0.1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prior-linear-m-s", "0"], "prior_linear_m_s is 0.0: give a positive number"),
        (
            ["--prior-linear-m-s", "1,0.1,-1"],
            "prior_linear_m_s is (1.0, 0.1, -1.0): give a positive number, or three",
        ),
        (["--prior-linear-m-s", "nan"], "prior_linear_m_s is nan: give a positive number"),
        (["--prior-angular-rad-s", "3", "--solver", "published"], "--solver published has no prior"),
        (["--lever-arm-m", "0", "0", "inf"], "lever_arm_m is (0.0, 0.0, inf): give three finite numbers"),
    ],
)
def test_a_prior_that_would_do_nothing_sensible_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["evaluate", str(sequence(tmp_path / "s")), *words]) == 2
    assert message in capfd.readouterr().err


def test_several_sequences_are_pooled(tmp_path: Path) -> None:
    exact, double = sequence(tmp_path / "a"), sequence(tmp_path / "b", scale=2.0)
    result = evaluate(exact, double, "--model", network(tmp_path), "--direction", "oracle")
    assert [entry["name"] for entry in result["sequences"]] == ["a", "b"]
    assert result["sequences"][1]["angular_ratio"] == pytest.approx(0.5, abs=0.03)
    assert result["pooled"]["frames"] == 8
    assert result["pooled"]["angular_ratio"] == pytest.approx(np.sqrt(1 / 5), abs=0.03)


def test_the_published_solve_on_signed_flow(tmp_path: Path) -> None:
    arguments = ("--model", network(tmp_path, signed=True), "--direction", "oracle", "--solver", "published")
    (entry,) = evaluate(sequence(tmp_path / "s"), *arguments)["sequences"]
    assert entry["angular_ratio"] < 1e-4
    assert entry["linear_ratio"] < 1e-4
    assert entry["nees_coverage_95"] == {"all": None, "w": None}


def test_all_sequences_are_looked_at_before_the_first_is_measured(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    good, bad = sequence(tmp_path / "good"), sequence(tmp_path / "bad")
    (bad / "truth.csv").unlink()
    # The network, which would be missed as soon as it was wanted, is not there.
    assert main(["evaluate", str(good), str(bad), "--model", "nowhere.onnx"]) == 2
    assert re.search(r"bad: truth\.csv is missing", capfd.readouterr().err)


def test_depth_of_another_size_than_the_image_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = sequence(tmp_path / "s", depth=True)
    path = sorted((folder / "depth").iterdir())[1]
    half = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[::2, ::2]
    cv2.imwrite(str(path), half)
    assert main(["evaluate", str(folder), "--model", str(network(tmp_path)), "--direction", "oracle"]) == 2
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert re.search(rf"{path.name}: is 160x112 px and camera\.yaml says 320x224", error), error


def test_an_output_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text("old")
    for path in (old, tmp_path / "new.json", None):
        check_output_file(path)
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert old.read_text() == "old"


@pytest.mark.parametrize(
    ("change", "arguments", "says"),
    [
        ("", ["--solver", "published"], "published solve needs signed flow"),
        ("no exposure", [], "exposure_s of frame 0 is unknown.*--fit-exposure"),
        ("no exposure", ["--fit-exposure"], "too few to fit the exposure"),
        ("no truth", [], r"truth\.csv is missing"),
        ("", ["--model", "nowhere.onnx"], r"nowhere\.onnx does not exist"),
        ("", ["--json", "nowhere/out.json"], "its folder does not exist"),
        ("", ["--json", "/proc/out.json"], r"/proc/out\.json cannot be written .*; name another file"),
        ("", ["--json", "."], r"\. cannot be written \(Is a directory\); name another file"),
        ("wrong size", [], "s: image is 160x224"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], change: str, arguments: list[str], says: str
) -> None:
    folder = sequence(tmp_path / "s", exposure_s=None if change == "no exposure" else EXPOSURE_S)
    if change == "no truth":
        (folder / "truth.csv").unlink()
    if change == "wrong size":
        narrow = CameraModel(160, HEIGHT, CAMERA.matrix)
        with SequenceWriter(tmp_path / "t", narrow) as writer:
            writer.add(0, np.zeros((HEIGHT, 160), np.uint8))
        (tmp_path / "t" / "images" / "000000.png").rename(folder / "images" / "000001.jpg")
    argv = ["evaluate", str(folder), "--model", str(network(tmp_path)), "--direction", "oracle", *arguments]
    assert main(argv) == 2
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("blur_imu: error: ")
    assert re.search(says, error), error
