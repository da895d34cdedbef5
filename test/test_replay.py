"""Replay end to end: bags of every format and a sequence, with a gyro of another mounting and clock."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from bags import FORMATS, LATCHED, Recorder, as_humble
from motion_network import CAMERA, FOCAL, HEIGHT, WIDTH, image_of, write_motion_network

from blur_imu_ros.bag import BagReader
from blur_imu_ros.cli import main
from blur_imu_ros.exposure_check import ExposureCheck
from blur_imu_ros.offline.alignment import Alignment, AlignmentProblem
from blur_imu_ros.offline.replay_measures import measures
from blur_imu_ros.offline.series import TWIST_NAMES, EstimateSeries
from blur_imu_ros.recordings.gyro import Gyro
from blur_imu_ros.recordings.sequence_writer import SequenceWriter
from blur_imu_ros.rigid_motion import quaternion, rotations
from blur_imu_ros.timing import stamp_ns

EXPOSURE_S = 0.012
INTERVAL_NS = 33_333_333
START_NS = 10**18
OFFSET_S = 0.021
MOUNTING = cv2.Rodrigues(np.array([0.4, -1.1, 0.7]))[0]
"""Turns vectors of the gyro's frame into the camera's."""


def velocity(t: float) -> np.ndarray:
    w = [1.8 * np.sin(4.1 * t), 1.5 * np.sin(5.7 * t + 1), 1.2 * np.cos(3.3 * t + 2)]
    return np.array([*w, 0.3 * np.sin(2 * t), 0.2, -0.1])


def record(
    path: Path,
    kind: str,
    *,
    frames: int = 90,
    exposure: bool = True,
    imu: bool = True,
    info: bool = True,
    virtual: str = "",
    focal: float = FOCAL,
    exposure_late_ns: int = 0,
) -> Path:
    """A camera stamped at the start of the exposure, and a gyro whose clock is OFFSET_S ahead; virtual: topic of an Imu that
    states no acceleration; exposure_late_ns: what the stamps of the exposures are after those of the images."""
    recorder = Recorder(kind)
    make = recorder.messages
    for i in range(frames):
        start = START_NS + i * INTERVAL_NS
        motion = velocity((start - START_NS) * 1e-9 + EXPOSURE_S / 2) * EXPOSURE_S
        recorder.add("/cam/image_raw", start + 10_000, make.image(start, image_of(motion)))
        if info:
            recorder.add("/cam/camera_info", start + 10_000, make.camera_info(start, WIDTH, HEIGHT, focal))
        if exposure:
            stated = make.exposure(start + exposure_late_ns, EXPOSURE_S * 1e6)
            recorder.add("/cam/exposure", start + 9_000, stated)
        if virtual:
            rates = motion[:3] / EXPOSURE_S * 0.5
            recorder.add(virtual, start + 40_000, make.imu(start, tuple(rates), virtual=True))
    if imu:
        for i in range(-20, frames * 7 + 20):
            t = i * INTERVAL_NS // 7
            stamp = START_NS + t + round(OFFSET_S * 1e9)
            rate = MOUNTING.T @ velocity(t * 1e-9)[:3]
            recorder.add("/imu/data", START_NS + t + 20_000_000, make.imu(stamp, tuple(rate)))
    return recorder.write(path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_motion_network(tmp_path / "motion.onnx")


# The network of these tests knows the motion; a prior would pull it towards one that turns in place.
NO_PRIOR = ("--prior-linear-m-s", "inf")


def replay(source: Path, model: Path, *arguments: str) -> Path:
    output = source.parent / "out"
    named = ["--model", str(model), "--output", str(output)]
    assert main(["replay", str(source), *named, *NO_PRIOR, *arguments]) == 0
    return output


@pytest.mark.parametrize("kind", FORMATS)
def test_a_bag_of_every_format(
    tmp_path: Path, model: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = record(tmp_path / ("walk.bag" if kind == "rosbag1" else "walk"), kind)
    # The images' grey squares stand for the motion and do not move by it.
    output = replay(bag, model, "--no-between-frames")
    metrics = json.loads((output / "metrics.json").read_text())
    assert (metrics["frames"], metrics["estimates"], metrics["skipped"]) == (90, 90, {})
    assert metrics["exposure_s"]["median"] == pytest.approx(EXPOSURE_S)

    alignment = metrics["alignment"]
    assert alignment["usable"]
    assert alignment["gyro"] == "/imu/data (imu_link)"
    assert alignment["offset_s"] == pytest.approx(OFFSET_S, abs=0.002)
    np.testing.assert_allclose(alignment["rotation_gyro_to_camera"], MOUNTING, atol=0.03)
    assert abs(alignment["quaternion_xyzw"] @ quaternion(MOUNTING)) == pytest.approx(1, abs=1e-3)
    assert re.search(
        r"its time = camera's \+0\.02\d\d .* correlation (1\.000|0\.99)", capsys.readouterr().out
    )

    rows = list(csv.DictReader((output / "estimates.csv").open()))
    stamps = np.array([float(row["stamp_s"]) - START_NS * 1e-9 for row in rows])
    estimates = np.array([[float(row[name]) for name in ("wx", "wy", "wz")] for row in rows])
    assert all(0 <= float(row["observability_wz"]) <= 1 for row in rows)
    truth = np.array([velocity(t)[:3] for t in stamps])
    sign = np.sign(np.sum(truth * estimates, axis=1))
    np.testing.assert_allclose(estimates * sign[:, None], truth, atol=0.06)
    against = np.sqrt(np.mean((estimates - truth) ** 2, axis=0))
    np.testing.assert_allclose(metrics["against"]["angular_rmse"], against, atol=0.03)
    blur = np.median([float(row["blur_px"]) for row in rows]) * 320 / WIDTH
    assert metrics["blur_px"]["p50"] == pytest.approx(blur, rel=1e-3)
    assert {path.name for path in output.glob("*.png")} == {"angular.png", "linear.png", "confidence.png"}

    with BagReader(output / "bag") as reader:
        assert reader.topics["/cam/image_raw"].count == reader.topics["/blur_imu/imu"].count == 90
        imu = [reader.decode(m) for m in reader.messages(["/blur_imu/imu"])]
        twist = [reader.decode(m) for m in reader.messages(["/blur_imu/twist"])]
    assert imu[5].header.frame_id == "camera_optical"
    assert stamp_ns(imu[5].header.stamp) == START_NS + 5 * INTERVAL_NS + 6_000_000
    assert imu[5].angular_velocity.x == pytest.approx(estimates[5, 0], rel=1e-5)
    assert twist[5].twist.twist.angular.x == imu[5].angular_velocity.x
    assert imu[5].orientation_covariance[0] == imu[5].linear_acceleration_covariance[0] == -1
    assert twist[5].twist.covariance[21] == imu[5].angular_velocity_covariance[0] > 0
    variances = [float(rows[5][f"sigma_{name}"]) ** 2 for name in ("vx", "vy", "vz", "wx", "wy", "wz")]
    np.testing.assert_allclose(variances, twist[5].twist.covariance[::7], rtol=1e-5)


def test_an_unknown_exposure_is_fitted_to_the_gyro(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = replay(
        record(tmp_path / "walk", "mcap", exposure=False), model, "--fit-exposure", "--no-bag", "--no-plots"
    )
    fitted = re.search(r"set the parameter exposure_s to ([0-9.]+)", capsys.readouterr().out)
    assert fitted is not None
    assert float(fitted[1]) == pytest.approx(EXPOSURE_S, rel=0.03)
    assert sorted(path.name for path in output.iterdir()) == ["estimates.csv", "metrics.json"]
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["exposure_s"]["fitted"] == pytest.approx(metrics["exposure_s"]["median"])


def test_the_real_imu_is_taken_and_not_one_made_from_images(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = record(tmp_path / "walk", "mcap", exposure=False, virtual="/robot/imu")
    output = replay(bag, model, "--fit-exposure", "--no-bag", "--no-plots")
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["alignment"]["gyro"] == "/imu/data (imu_link)"
    assert metrics["exposure_s"]["fitted"] == pytest.approx(EXPOSURE_S, rel=0.03)
    assert "as the Imu of this package: /robot/imu" in capsys.readouterr().err


def test_an_imu_without_acceleration_may_be_named(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gyro alone looks like this; whoever names one knows."""
    bag = record(tmp_path / "walk", "mcap", exposure=False, imu=False, virtual="/robot/imu")
    output = replay(bag, model, "--fit-exposure", "--imu-topic", "/robot/imu", "--no-bag", "--no-plots")
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["alignment"]["gyro"] == "/robot/imu (imu_link)"
    assert "/robot/imu states neither orientation nor acceleration" in capsys.readouterr().err


def six_frames(kind: str) -> Iterator[tuple[Recorder, int]]:
    """A recorder, and the stamp, of each of six frames once its image and CameraInfo are in it."""
    recorder = Recorder(kind)
    make = recorder.messages
    for i in range(6):
        stamp = START_NS + i * INTERVAL_NS
        recorder.add("/cam/image_raw", stamp, make.image(stamp, image_of(velocity(i * 0.03) * EXPOSURE_S)))
        recorder.add("/cam/camera_info", stamp, make.camera_info(stamp, WIDTH, HEIGHT, FOCAL))
        yield recorder, stamp


def test_of_two_cameras_in_one_topic_none_is_guessed(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for recorder, stamp in six_frames("mcap"):
        for name, exposure_s in (("left", EXPOSURE_S / 8), ("right", EXPOSURE_S)):
            recorder.add("/diagnostics", stamp, recorder.messages.exposure(stamp, exposure_s * 1e6, name))
    bag = recorder.write(tmp_path / "walk")
    assert main(["replay", str(bag), "--model", str(model), "--output", str(tmp_path / "out")]) == 2
    assert "('left', 'right')" in capsys.readouterr().err
    output = replay(bag, model, "--exposure-source", "right", "--no-bag", "--no-plots")
    assert json.loads((output / "metrics.json").read_text())["exposure_s"]["median"] == pytest.approx(
        EXPOSURE_S
    )


def test_a_bag_of_humble_with_a_type_of_its_own(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for recorder, stamp in six_frames("sqlite3"):
        recorder.add("/cam/gain", stamp, recorder.messages.custom(2.0))
    recorder.latch("/cam/camera_info")
    bag = as_humble(recorder.write(tmp_path / "walk"))
    output = replay(bag, model, "--exposure-s", "0.012", "--no-plots")
    assert f"/cam/gain is left out of {output / 'bag'}" in capsys.readouterr().err
    with BagReader(output / "bag") as reader:
        assert "/cam/gain" not in reader.topics
        assert reader.topics["/cam/camera_info"].qos == (LATCHED,)
        assert reader.topics["/blur_imu/imu"].count == 6


def test_a_sequence_is_replayed_against_its_truth(tmp_path: Path, model: Path) -> None:
    with SequenceWriter(tmp_path / "walk", CAMERA, truth_sigma=(0.1, 0.05)) as writer:
        for i in range(60):
            twist = velocity(i * INTERVAL_NS * 1e-9)
            stamp = START_NS + i * INTERVAL_NS
            writer.add(stamp, image_of(twist * EXPOSURE_S), exposure_s=EXPOSURE_S, twist=twist)
    output = replay(tmp_path / "walk", model, "--picture", "7")
    assert cv2.imread(str(output / "picture.png")).shape[1] > 1000
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["against"]["what"] == "true"
    rows = list(csv.DictReader((output / "estimates.csv").open()))
    estimates = np.array([[float(row[name]) for name in TWIST_NAMES] for row in rows])
    truth = np.array([velocity(i * INTERVAL_NS * 1e-9) for i in range(60)])
    against = metrics["against"]["angular_rmse"] + metrics["against"]["linear_rmse"]
    np.testing.assert_allclose(against, np.sqrt(np.mean((estimates - truth) ** 2, axis=0)), rtol=1e-4)
    # Its depth stays where it is in the picture however the camera moves, which a memory of depth takes amiss.
    assert metrics["alignment"]["offset_s"] == pytest.approx(0, abs=0.005)
    with BagReader(output / "bag") as reader:
        assert reader.topics["/camera/image_raw/compressed"].count == 60
        assert reader.topics["/truth/twist"].count == 60
        image = reader.decode(next(reader.messages(["/camera/image_raw/compressed"])))
        assert image.format == "png"
        assert bytes(image.data) == (tmp_path / "walk/images/000000.png").read_bytes()
        truth = reader.decode(next(reader.messages(["/truth/twist"]))).twist
        assert truth.twist.linear.z == velocity(0.0)[5]
        np.testing.assert_allclose(np.diag(truth.covariance.reshape(6, 6)), np.repeat([0.05**2, 0.1**2], 3))
        # The recording of a replay is itself a recording to replay.
    again = ["replay", str(output / "bag"), "--model", str(model), "--output", str(tmp_path / "again")]
    assert main([*again, *NO_PRIOR, "--stamp-reference", "frame_middle", "--no-plots"]) == 0
    first = (output / "estimates.csv").read_text()
    assert (tmp_path / "again" / "estimates.csv").read_text() == first


@pytest.mark.parametrize(("options", "told"), [((), True), (("--no-between-frames",), False)])
def test_a_row_tells_whether_a_neighbour_added_to_it(
    tmp_path: Path, model: Path, options: tuple[str, ...], told: bool
) -> None:
    output = replay(record(tmp_path / "walk", "mcap", frames=5), model, "--no-bag", "--no-plots", *options)
    overlaps = [float(row["overlap"]) for row in csv.DictReader((output / "estimates.csv").open())]
    assert any(0.7 < overlap <= 1 for overlap in overlaps) is told
    assert told or overlaps == [0] * 5


def test_a_fit_is_for_the_frames_that_state_no_exposure(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def walk(name: str, exposures: list[float | None]) -> str:
        with SequenceWriter(tmp_path / name / "walk", CAMERA) as writer:
            for i, exposure_s in enumerate(exposures):
                stamp, motion = START_NS + i * INTERVAL_NS, velocity(i * INTERVAL_NS * 1e-9) * EXPOSURE_S
                twist = motion / (exposure_s or EXPOSURE_S)
                writer.add(stamp, image_of(motion), exposure_s=exposure_s, twist=twist)
        replay(tmp_path / name / "walk", model, "--fit-exposure", "--no-bag", "--no-plots")
        return capsys.readouterr().out

    (tmp_path / "some").mkdir()
    (tmp_path / "all").mkdir()
    fitted = re.search(r"exposure_s to ([0-9.]+)", walk("some", [EXPOSURE_S / 2] * 40 + [None] * 60))
    assert fitted is not None
    assert float(fitted[1]) == pytest.approx(EXPOSURE_S, rel=0.03)
    assert "not used: the recording states its own" in walk("all", [EXPOSURE_S] * 60)


def against_gyro(
    gyro: Any, stamps: np.ndarray, twist: np.ndarray, offset_s: float, mounting: np.ndarray
) -> dict[str, Any]:
    """What is measured of estimates against a gyro that is known to be mounted and set so."""
    count, each = len(twist), np.full(len(twist), EXPOSURE_S)
    series = EstimateSeries(stamps, twist, np.tile(np.eye(6), (count, 1, 1)), *[each] * 6, twist)
    recording = SimpleNamespace(name="walk", truth=None, gyro=gyro, gyro_label="/imu")
    alignment = Alignment(offset_s, 0.0, mounting, 0.0, 1.0, 1.0, count, AlignmentProblem.NONE)
    answered = [SimpleNamespace(stages_ms={"solve": 1.0})]
    run = SimpleNamespace(answered=answered, estimates=[None], skipped={}, exposure=ExposureCheck())
    return measures(recording, run, series, alignment, None, 320)["against"]


def test_errors_against_a_gyro_do_not_mind_a_clock_set_back() -> None:
    stamps = np.array([5, 6, 7, 1, 2, 3, 4], np.int64) * 10**9
    twist = np.random.default_rng(0).normal(size=(7, 6))
    gyro = SimpleNamespace(mean_rates=lambda stamps, exposure_s, offset_s: twist[:, :3])
    found = against_gyro(gyro, stamps, twist, 0.0, np.eye(3))
    assert found["angular_rmse"] == pytest.approx([0, 0, 0])


def test_errors_against_a_gyro_are_by_its_own_clock_and_mounting() -> None:
    t = np.arange(0, 2, 0.002)
    rates = np.array([velocity(one)[:3] for one in t])
    gyro = Gyro(START_NS + np.rint((t + 0.1) * 1e9).astype(np.int64), rates @ MOUNTING)
    camera_s = np.arange(0.5, 1.5, 0.05)
    twist = np.array([velocity(one) for one in camera_s])
    stamps = START_NS + np.rint(camera_s * 1e9).astype(np.int64)
    found = against_gyro(gyro, stamps, twist, 0.1, MOUNTING)
    np.testing.assert_allclose(found["angular_rmse"], 0, atol=2e-3)


def test_exposures_stamped_apart_are_told_of(
    tmp_path: Path, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bag = record(tmp_path / "walk", "mcap", frames=5, exposure_late_ns=5_000_000)
    assert main(["replay", str(bag), "--model", str(model), "--output", str(tmp_path / "out")]) == 2
    assert "stamped 0.005 s apart, --exposure-tolerance-s is 0.001" in capfd.readouterr().err


@pytest.mark.parametrize("option", [("--rectified",), ("--readout-s", "0.01"), ("--imu-topic", "/imu")])
def test_options_of_bags_are_refused_for_a_sequence(
    tmp_path: Path, model: Path, capfd: pytest.CaptureFixture[str], option: tuple[str, ...]
) -> None:
    with SequenceWriter(tmp_path / "walk", CAMERA) as writer:
        writer.add(START_NS, image_of(np.zeros(6)), exposure_s=EXPOSURE_S)
    words = ["replay", str(tmp_path / "walk"), "--model", str(model), "--output", str(tmp_path / "out")]
    assert main([*words, *option]) == 2
    assert f"{option[0]} is for bags" in capfd.readouterr().err


@pytest.fixture
def unusable(tmp_path: Path) -> Path:
    """Six frames, of which the third is cut short and the fifth is stamped as the fourth."""
    recorder = Recorder("mcap")
    make = recorder.messages
    for i in range(6):
        stamp = START_NS + max(0, i - (i == 4)) * INTERVAL_NS
        pixels = image_of(velocity(i * 0.03) * EXPOSURE_S)
        image = make.image(stamp, pixels[:50] if i == 2 else pixels)
        recorder.add("/cam/image_raw", START_NS + i * INTERVAL_NS, image)
        recorder.add(
            "/cam/camera_info", START_NS + i * INTERVAL_NS, make.camera_info(stamp, WIDTH, HEIGHT, FOCAL)
        )
    return recorder.write(tmp_path / "walk")


def test_unusable_frames_are_skipped_and_counted(
    unusable: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = replay(unusable, model, "--exposure-s", "0.012")
    metrics = json.loads((output / "metrics.json").read_text())
    assert (metrics["estimates"], metrics["skipped"]) == (4, {"ImageError": 2})
    said = capsys.readouterr().out
    assert "2 frames skipped: ImageError" in said
    assert "the first of them: image is 160x50 px" in said


@pytest.mark.parametrize("bad", [0, 3])
@pytest.mark.parametrize("arguments", [("--exposure-s", "0.012"), ("--fit-exposure",)])
def test_one_bad_camera_info_costs_one_frame(
    tmp_path: Path, model: Path, bad: int, arguments: tuple[str, ...]
) -> None:
    recorder = Recorder("mcap")
    make = recorder.messages
    for i in range(60):
        stamp = START_NS + i * INTERVAL_NS
        twist = velocity(i * INTERVAL_NS * 1e-9 + EXPOSURE_S / 2)
        recorder.add("/cam/camera_info", stamp, make.camera_info(stamp, WIDTH, HEIGHT, FOCAL * (i != bad)))
        recorder.add("/cam/image_raw", stamp + 1, make.image(stamp, image_of(twist * EXPOSURE_S)))
        for k in range(7):
            t = stamp + k * INTERVAL_NS // 7
            recorder.add("/imu/data", t, make.imu(t, tuple(velocity((t - START_NS) * 1e-9)[:3])))
    output = replay(recorder.write(tmp_path / "walk"), model, *arguments, "--no-bag", "--no-plots")
    metrics = json.loads((output / "metrics.json").read_text())
    assert (metrics["estimates"], metrics["skipped"]) == (59, {"CameraError": 1})


@pytest.mark.parametrize("bad", [0.0, -5.0, float("nan")])
def test_one_bad_exposure_or_stamp_costs_one_frame(tmp_path: Path, model: Path, bad: float) -> None:
    recorder = Recorder("mcap")
    make = recorder.messages
    for i in range(8):
        stamp = START_NS + i * INTERVAL_NS
        image = make.image(stamp, image_of(velocity(i * 0.03) * EXPOSURE_S))
        if i == 5:
            image.header.stamp.sec = -5
        recorder.add("/cam/image_raw", stamp, image)
        recorder.add("/cam/camera_info", stamp, make.camera_info(stamp, WIDTH, HEIGHT, FOCAL))
        recorder.add("/cam/exposure", stamp, make.exposure(stamp, bad if i == 2 else EXPOSURE_S * 1e6))
    sample = make.imu(START_NS, (0.0, 0.0, 0.0))
    sample.header.stamp.sec = -5
    recorder.add("/imu/data", START_NS, sample)
    output = replay(recorder.write(tmp_path / "walk"), model)
    metrics = json.loads((output / "metrics.json").read_text())
    assert (metrics["estimates"], metrics["skipped"]) == (6, {"ExposureError": 1, "ImageError": 1})


@pytest.mark.parametrize(
    ("changes", "arguments", "says"),
    [
        ({"exposure": False}, [], "exposure of the image .* is unknown; give --exposure-s"),
        ({"exposure": False, "imu": False}, ["--fit-exposure"], "needs a real Imu"),
        ({"exposure": False}, ["--exposure-s", "0"], "exposure time is 0 s"),
        ({"exposure": False}, ["--exposure-s", "-1"], "exposure time is -1 s"),
        ({"exposure": False}, ["--exposure-s", "0.5"], "longer than the frame interval"),
        (
            {"exposure": False, "virtual": "/robot/blur_imu/imu"},
            ["--fit-exposure", "--imu-topic", "/robot/blur_imu/imu"],
            "--fit-exposure needs a real Imu, and /robot/blur_imu/imu is made from the images",
        ),
        (
            {"exposure": False, "imu": False, "virtual": "/robot/imu"},
            ["--fit-exposure"],
            "needs a real Imu in",
        ),
        ({"focal": 0.0}, [], "focal length fx is 0 px.*; or give --camera-info FILE"),
        ({}, ["--readout-s", "nan"], "--readout-s nan: give 0 to 1 second"),
        ({}, ["--readout-s", "-0.1"], "--readout-s -0.1: give 0 to 1 second"),
        ({}, ["--exposure-tolerance-s", "nan"], "--exposure-tolerance-s nan: give 0 to 1 second"),
        ({}, ["--exposure-tolerance-s", "-1"], "--exposure-tolerance-s -1: give 0 to 1 second"),
        (
            {},
            ["--output", "/proc/nothere/x"],
            "/proc/nothere/x cannot be created .*; choose another --output",
        ),
        ({"info": False}, [], "holds no CameraInfo; give the calibration with --camera-info"),
        ({"frames": 0}, [], "holds no images"),
        ({}, ["--image-topic", "/imu/data"], "--image-topic /imu/data is a sensor_msgs/msg/Imu"),
        (
            {},
            ["--image-topic", "/nothing"],
            r"/nothing holds no messages; it has .*/cam/camera_info \[CameraInfo, 5\]",
        ),
        ({}, ["--camera-info", "nowhere.yaml"], r"nowhere\.yaml cannot be read"),
        ({}, ["--exposure-topic", "/imu/data"], "give exposure_field or exposure_key"),
        ({}, ["--exposure-field", "exposure"], "need --exposure-topic"),
        ({}, ["--threads", "99999"], "threads is 99999: give 0 to 256"),
        ({}, ["--picture", "5"], "--picture 5: give 0 to 4"),
        ({}, ["--model", "nowhere.onnx"], r"nowhere\.onnx does not exist"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    tmp_path: Path,
    model: Path,
    capfd: pytest.CaptureFixture[str],
    changes: dict,
    arguments: list[str],
    says: str,
) -> None:
    bag = record(tmp_path / "walk", "sqlite3", **{"frames": 5, **changes})
    output = tmp_path / "out"
    assert main(["replay", str(bag), "--model", str(model), "--output", str(output), *arguments]) == 2
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert re.search(f"^blur_imu: error: .*{says}", error), error
    assert not output.exists()


def test_an_exposure_without_a_stamp_is_refused(
    tmp_path: Path, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder("mcap")
    make = recorder.messages
    recorder.add("/cam/image_raw", START_NS, make.image(START_NS, image_of(np.zeros(6))))
    recorder.add("/cam/camera_info", START_NS, make.camera_info(START_NS, WIDTH, HEIGHT, FOCAL))
    recorder.add("/exposure_time", START_NS, make.make("std_msgs/msg/Float64", data=EXPOSURE_S))
    bag = recorder.write(tmp_path / "walk")
    named = ["--exposure-topic", "/exposure_time", "--exposure-field", "data"]
    assert main(["replay", str(bag), "--model", str(model), "--output", str(tmp_path / "out"), *named]) == 2
    assert "a std_msgs/msg/Float64 bears no stamp" in capfd.readouterr().err


def test_a_picture_that_cannot_be_drawn_costs_only_itself(
    tmp_path: Path, unusable: Path, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    chosen = ["--exposure-s", str(EXPOSURE_S), "--picture", "2", "--no-plots"]
    assert main(["replay", str(unusable), "--model", str(model), "--output", str(output), *chosen]) == 2
    assert "--picture 2: that frame gave no estimate" in capfd.readouterr().err
    assert len((output / "estimates.csv").read_text().splitlines()) == 5
    assert (output / "bag").is_dir()


def test_an_output_is_never_overwritten(tmp_path: Path, model: Path) -> None:
    (tmp_path / "out").mkdir()
    bag = record(tmp_path / "walk", "mcap", frames=3)
    assert main(["replay", str(bag), "--model", str(model), "--output", str(tmp_path / "out")]) == 2
    assert not list((tmp_path / "out").iterdir())


def test_quaternions_of_all_rotations() -> None:
    rng = np.random.default_rng(0)
    for vector in [np.zeros(3), [np.pi, 0, 0], [0, np.pi, 0], [0, 0, np.pi], *rng.normal(size=(20, 3))]:
        angle = float(np.linalg.norm(vector))
        axis = np.asarray(vector) / angle if angle else np.zeros(3)
        expected = np.array([*axis * np.sin(angle / 2), np.cos(angle / 2)])
        rotation = cv2.Rodrigues(np.asarray(vector, float))[0]
        found = quaternion(rotation)
        assert abs(found @ expected) == pytest.approx(1, abs=1e-9)
        # The length of a quaternion means nothing.
        np.testing.assert_allclose(rotations(2 * found[None])[0], rotation, atol=1e-9)
