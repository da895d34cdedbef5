"""The benchmark commands end to end: every output, a baseline that fails, and what is kept between runs."""

import csv
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from motion_network import CAMERA, UNIT, image_of, write_motion_network

from blur_imu_ros.benchmark import baselines, published_model
from blur_imu_ros.benchmark.cache import TrajectoryCache, fingerprint
from blur_imu_ros.benchmark.charts import error_against_blur, reliability, series
from blur_imu_ros.benchmark.failures import worst_frames
from blur_imu_ros.benchmark.markdown import write_section
from blur_imu_ros.benchmark.reliability import chi2_probability, coverage, inside_probability
from blur_imu_ros.benchmark.scores import MethodFrames, by_blur, score
from blur_imu_ros.benchmark.stopwatch import STAGES
from blur_imu_ros.benchmark.tables import (
    answered_table,
    blur_table,
    method_table,
    provider_table,
    scaling_table,
    sequence_table,
)
from blur_imu_ros.benchmark.trajectory import Trajectory
from blur_imu_ros.cli import main
from blur_imu_ros.errors import BlurImuError
from blur_imu_ros.network import FlowDepthNetwork, Provider
from blur_imu_ros.offline.metrics import CHI2_95, EvaluatedFrames
from blur_imu_ros.recordings.sequence_writer import SequenceWriter
from blur_imu_ros.sequence import Sequence, read_image

EXPOSURE_S = 0.01
FRAMES = 12


def motion_of(i: int) -> np.ndarray:
    """Motion over the exposure, whole grey levels of the network, slow enough for every trajectory."""
    return np.array([20, -30, 25, 4, -6, 8]) * UNIT * (1 + i / 4)


def write_sequence(folder: Path) -> Path:
    with SequenceWriter(folder, CAMERA) as writer:
        for i in range(FRAMES):
            stamp_ns, motion = 10**18 + i * 33_333_333, np.rint(motion_of(i) / UNIT) * UNIT
            writer.add(stamp_ns, image_of(motion), exposure_s=EXPOSURE_S, twist=motion / EXPOSURE_S)
    return folder


@pytest.fixture
def accuracy(tmp_path: Path) -> list[str]:
    model = write_motion_network(tmp_path / "motion.onnx")
    sequence = write_sequence(tmp_path / "first")
    common = [
        "--model",
        str(model),
        "--provider",
        "cpu",
        "--threads",
        "1",
        "--cache",
        str(tmp_path / "cache"),
    ]
    return ["benchmark", "accuracy", str(sequence), *common]


def evaluated(
    twist: np.ndarray, truth: np.ndarray, covariance: np.ndarray, blur_px: np.ndarray
) -> EvaluatedFrames:
    n = len(twist)
    unused = {
        name: np.full(n, 1.0)
        for name in ("sign_probability", "pixel_rate", "inverse_depth_error", "latency_ms")
    }
    return EvaluatedFrames(
        stamps_ns=np.arange(n),
        twist=twist,
        covariance=covariance,
        truth=truth,
        truth_sigma=np.zeros((n, 6)),
        blur_px=blur_px,
        exposure_s=np.full(n, EXPOSURE_S),
        **unused,
    )


def test_accuracy_writes_every_output(accuracy: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "results.md").write_text(
        "# Results\n\n<!-- begin accuracy -->\nold\n<!-- end accuracy -->\n\nAfterwards.\n"
    )
    outputs = [
        "--json",
        "a.json",
        "--csv",
        "a.csv",
        "--html",
        "a.html",
        "--markdown",
        "results.md",
        "--plots",
        "plots",
    ]
    named = [str(folder / text) if not text.startswith("--") else text for text in outputs]
    assert main([*accuracy, "--baselines", "zero", "odometry", *named]) == 0

    result = json.loads((folder / "a.json").read_text())
    (sequence,) = result["sequences"]
    ours, alone, zero, odometry = sequence["methods"]
    assert [ours["method"], alone["method"]] == ["blur_imu", "blur_imu, one image"]
    assert ours["angular_rmse"] != alone["angular_rmse"]
    assert ours["answered"] == 1
    # Six grey squares stay where they are, whatever the motion that they stand for: its sign may be wrong for some.
    assert alone["angular_median_error"] < 0.1
    assert zero["angular_ratio"] == zero["linear_ratio"] == 1
    assert zero["sign_accuracy"] is None
    # Six grey squares are no scene: nothing to track, and the frames count as predictions of zero.
    assert odometry["answered"] == 0
    assert odometry["angular_ratio"] == 1
    assert odometry["failures"] == {"first": "no frames could be connected"}
    assert [bins["bin_px"] for bins in result["by_blur"][0]][-1] == [3.0, None]
    assert sum(b["frames"] for b in result["by_blur"][0][:-1]) == FRAMES

    text = (folder / "results.md").read_text()
    assert text.startswith("# Results")
    assert text.endswith("Afterwards.\n")
    assert "old" not in text
    assert text.count("<!-- begin accuracy -->") == 1
    assert "| blur_imu |" in text
    assert set(re.findall(r"\]\((.*)\)", text)) == {f"plots/{p.name}" for p in (folder / "plots").iterdir()}
    assert "- visual odometry (KLT + essential matrix) on first: no frames could be connected" in text
    with (folder / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"first", "pooled", "blur 3-8 px"} <= {row["group"] for row in rows}
    page = (folder / "a.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("<img") == 4
    assert {p.name for p in (folder / "plots").iterdir()} == {
        *("error_against_blur.png", "reliability.png", "series_first.png", "worst_first.jpg")
    }


def test_a_trajectory_from_elsewhere_enters_the_table(accuracy: list[str], tmp_path: Path) -> None:
    # A camera that does not turn and moves along x, sampled at the frames.
    (tmp_path / "first.tum").write_text(
        "".join(f"{(10**18 + i * 33_333_333) / 1e9:.6f} {i} 0 0 0 0 0 1\n" for i in range(FRAMES))
    )
    theirs = f"Theirs={tmp_path}/{{sequence}}.tum"
    absent = f"Absent={tmp_path}/nowhere.tum"
    out = tmp_path / "a.json"
    arguments = [*accuracy, "--baselines", "--trajectory", theirs, "--trajectory", absent, "--json", str(out)]
    assert main(arguments) == 0
    ours, _, found, missing = json.loads(out.read_text())["sequences"][0]["methods"]
    assert found["answered"] == 1
    assert found["angular_ratio"] == pytest.approx(1)
    assert found["linear_ratio"] < 1
    assert missing["answered"] == 0
    assert "nowhere.tum" in missing["failures"]["first"]
    assert ours["angular_ratio"] < found["angular_ratio"]


def test_a_baseline_that_fails_is_a_row_not_an_end(
    accuracy: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from blur_imu_ros.benchmark import colmap

    def fail(sequence: Sequence) -> list:
        raise BlurImuError(f"COLMAP lost {sequence.name}")

    monkeypatch.setattr(colmap, "reconstruct", fail)
    out = tmp_path / "a.json"
    assert main([*accuracy, "--baselines", "colmap", "--json", str(out)]) == 0
    row = json.loads(out.read_text())["sequences"][0]["methods"][2]
    assert row["answered"] == 0
    assert "COLMAP lost first" in row["failures"]["first"]
    assert "COLMAP lost first" in capfd.readouterr().err


def test_a_baseline_runs_once_for_the_same_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from blur_imu_ros.benchmark import visual_odometry

    runs = []
    monkeypatch.setattr(
        visual_odometry, "track_sequence", lambda sequence, progress: runs.append(sequence.name) or []
    )
    cache = TrajectoryCache(tmp_path / "cache")
    first = Sequence.load(write_sequence(tmp_path / "first"))
    for _ in range(2):
        answers = baselines.answer(first, baselines.Baseline.ODOMETRY, cache, iter)
        assert answers.failure == "no frames could be connected"
    (tmp_path / "first").rename(tmp_path / "second")
    baselines.answer(Sequence.load(tmp_path / "second"), baselines.Baseline.ODOMETRY, cache, iter)
    assert runs == ["first"], "the same content under another name is the same sequence"


def test_images_may_lie_anywhere_in_the_folder(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "first")
    (folder / "images").rename(folder / "rgb")
    frames = folder / "frames.csv"
    frames.write_text(frames.read_text().replace("images/", "rgb/"))
    cache = TrajectoryCache(tmp_path / "cache")
    cache.keep(Sequence.load(folder), "odometry", [], 1.0)
    assert cache.find(Sequence.load(folder), "odometry") == ([], 1.0)
    image = next((folder / "rgb").iterdir())
    image.write_bytes(image.read_bytes() + b" ")
    # What was read of a folder is kept for the length of a process.
    fingerprint.cache_clear()
    assert cache.find(Sequence.load(folder), "odometry") is None


def test_a_result_that_cannot_be_kept_counts_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from blur_imu_ros.benchmark import visual_odometry

    sequence = Sequence.load(write_sequence(tmp_path / "first"))
    pose = Trajectory(sequence.stamps_ns, np.tile(np.eye(3), (FRAMES, 1, 1)), np.zeros((FRAMES, 3)))
    monkeypatch.setattr(visual_odometry, "track_sequence", lambda sequence, progress: [pose])
    answers = baselines.answer(
        sequence, baselines.Baseline.ODOMETRY, TrajectoryCache(Path("/proc/nowhere")), iter
    )
    assert not answers.failure
    assert np.isfinite(answers.twist).any()
    assert "/proc/nowhere cannot be written" in capsys.readouterr().err


def test_a_trajectory_of_other_stamps_is_a_failure(tmp_path: Path) -> None:
    sequence = Sequence.load(write_sequence(tmp_path / "first"))
    (tmp_path / "other.txt").write_text("".join(f"{i}.0 0 0 0 0 0 0 1\n" for i in range(5)))
    other = baselines.External("other", str(tmp_path / "other.txt"))
    answers = baselines.answer(sequence, other, TrajectoryCache(tmp_path / "cache"), iter)
    assert answers.failure == "no two neighbouring frames have poses of these stamps"


def test_scores_count_what_is_not_answered_as_zero() -> None:
    truth = np.tile([1.0, 0, 0, 0, 0.5, 0], (4, 1))
    blur_px = np.array([0.5, 2, 5, 20])
    unknown = np.full((4, 6, 6), np.nan)
    half = np.where(np.arange(4)[:, None] < 2, truth, np.nan)
    entry = MethodFrames("half", evaluated(half, truth, unknown, blur_px), 0.1, {})
    ours = evaluated(0.9 * truth, truth, unknown, blur_px)
    row = score(entry, ours)
    assert row["answered"] == 0.5
    assert row["angular_ratio"] == row["linear_ratio"] == pytest.approx(np.sqrt(0.5))
    assert row["angular_ratio_answered"] == pytest.approx(0)
    assert row["reference_angular_ratio_answered"] == pytest.approx(0.1)
    assert row["reference_linear_ratio_answered"] == pytest.approx(0.1)
    longer = MethodFrames("half", EvaluatedFrames.concatenate([entry.frames] * 3), 0.5, {})
    assert MethodFrames.pool([entry, longer]).seconds_per_frame == pytest.approx(0.4)
    assert row["coverage"]["all"]["95%"] is None
    # A path whose scale nobody knows still answers with its rotation.
    unscaled = truth * [1, 1, 1, np.nan, np.nan, np.nan]
    assert (
        score(MethodFrames("turn", evaluated(unscaled, truth, unknown, blur_px), 0.1, {}), ours)["answered"]
        == 1
    )
    bins = by_blur(entry, ours)
    assert [b["frames"] for b in bins] == [1, 1, 1, 0, 1, 2]
    assert [b["angular_ratio"] for b in bins] == pytest.approx([0, 0, 1, None, 1, 1])


def test_coverage_of_errors_as_large_as_stated() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    covariance = root @ root.T
    truth = np.zeros((4000, 6))
    twist = rng.multivariate_normal(np.zeros(6), covariance, 4000)
    frames = evaluated(twist, truth, np.tile(covariance, (4000, 1, 1)), np.ones(4000))
    for part in ("all", "w", "v"):
        assert list(coverage(frames)[part].values()) == pytest.approx([0.5, 0.9, 0.95], abs=0.025)
    for freedom, quantile in CHI2_95.items():
        assert chi2_probability(np.array([quantile]), freedom) == pytest.approx(0.95)


def columns(table: str) -> list[dict[str, str]]:
    """The rows of a Markdown table, by its header."""
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n"))
    return [dict(zip(header, row, strict=True)) for row in rows]


def scored(method: str, shift: float = 0.0) -> dict:
    """Measures of which no two are alike."""
    names = ("angular_ratio", "linear_ratio", "angular_ratio_answered", "linear_ratio_answered")
    names += ("reference_angular_ratio_answered", "reference_linear_ratio_answered", "seconds_per_frame")
    return {
        "method": method,
        "frames": 40,
        "answered": 0.5,
        **{name: 0.1 * (k + 1) + shift for k, name in enumerate(names)},
        "angular_rmse": [0.01, 0.02, 0.03],
        "linear_rmse": [0.04, None, 0.06],
        "sign_accuracy": 0.77,
        "coverage": {"all": {"50%": 0.51, "90%": 0.91, "95%": 0.96}, "w": {}, "v": {}},
    }


def test_every_column_of_the_accuracy_tables_is_what_its_head_says() -> None:
    assert columns(method_table([scored("ours")])) == [
        {
            "Method": "ours",
            "Frames answered": "50 %",
            "Angular ratio": "0.10",
            "Linear ratio": "0.20",
            "Both on the frames it answers": "0.30 / 0.40",
            "Ours on these": "0.50 / 0.60",
            "RMSE wx, wy, wz [rad/s]": "0.01, 0.02, 0.03",
            "RMSE vx, vy, vz [m/s]": "0.04, -, 0.06",
            "Sign right": "77 %",
            "Inside 50, 90, 95 % (w and v together)": "51, 91, 96 %",
            "s per frame": "0.70",
        }
    ]
    methods = [scored("ours"), scored("theirs", 0.05), {**scored("none"), "linear_ratio": None}]
    sequence = {"name": "walk", "frames": 40, "methods": methods}
    row = {"Frames": "40", "ours": "**0.20**", "theirs": "0.25", "none": "-"}
    assert columns(sequence_table([sequence], "linear_ratio")) == [{"Sequence": "walk", **row}]
    bins = [[{**method, "bin_px": [3.0, None]}] for method in methods]
    assert columns(blur_table(bins, "linear_ratio")) == [{"Blur [px]": "3+", **row}]
    assert columns(answered_table(bins[1:2])) == [{"Blur [px]": "3+", "theirs": "0.35, 0.55, 50 %"}]


def test_every_row_of_the_speed_tables_is_what_its_name_says() -> None:
    stages = {stage: {"p50": k + 0.5, "p99": k + 0.9} for k, stage in enumerate(STAGES)}
    measured = {
        **{"model": "small", "provider": "cpu", "threads": 0, "width": 640, "height": 480},
        "image_to_estimate_ms": {"p50": 11.0, "p99": 12.0},
        "all_but_network_ms": {"p50": 13.0, "p99": 14.0},
        "stages_ms": {**stages, "publish": None},
        **{"frames_per_second": 15.0, "processor_percent": 16.0, "peak_memory_mb": 17.0},
        **{
            "published_network_ms": 18.0,
            "speedup_vs_published": 19.0,
            "processor_speedup_vs_published": None,
        },
    }
    failed = {"model": "large", "provider": "cuda", "threads": 2, "failure": "no GPU"}
    first, ours, theirs = "Median / 99th percentile", "small, cpu, all threads", "large, cuda, 2 threads"
    rows = columns(provider_table([measured, failed]))
    assert {row[theirs] for row in rows} == {"-"}
    assert {row[first]: row[ours] for row in rows} == {
        "image to estimate [ms]": "11.00 / 12.00",
        "all but the network [ms]": "13.00 / 14.00",
        "decode [ms]": "0.50 / 0.90",
        "remap [ms]": "1.50 / 1.90",
        "network [ms]": "2.50 / 2.90",
        "solve [ms]": "3.50 / 3.90",
        "direction [ms]": "4.50 / 4.90",
        "between frames [ms]": "5.50 / 5.90",
        "publish [ms]": "-",
        "frames per second": "15",
        "processor use": "16 %",
        "peak memory [MB]": "17",
        "published network [ms]": "18.00",
        "times faster than it": "19.00",
        "times faster than it, processor time": "-",
    }
    assert columns(scaling_table([measured, failed])) == [
        {
            "Image": "640x480",
            "Threads": "all",
            "image to estimate [ms]": "11.00 / 12.00",
            "decode": "0.50 / 0.90",
            "remap": "1.50 / 1.90",
            "network": "2.50 / 2.90",
        }
    ]


def test_charts_draw_what_was_measured() -> None:
    truth, blur_px = np.tile([1.0, 0, 0, 0, 0.5, 0], (5, 1)), np.array([0.5, 2, 5, 20, 30])
    covariance = np.tile(np.diag([0.01, 0.04, 0.01, 0.01, 0.0025, 0.01]), (5, 1, 1))
    frames = replace(
        evaluated(0.9 * truth, truth, covariance, blur_px), stamps_ns=np.array([0, 1, 2, 10, 11]) * 10**9
    )
    half = np.where(np.arange(5)[:, None] < 2, truth, np.nan)
    theirs = replace(frames, twist=half, covariance=np.full_like(covariance, np.nan))
    methods = [MethodFrames("ours", frames, 0.1, {}), MethodFrames("theirs", theirs, 0.1, {})]

    for panel, error, moved in zip(error_against_blur(methods).axes, (0.1, 0.05), (1.0, 0.5), strict=True):
        drawn = {line.get_label(): line for line in panel.get_lines()}
        np.testing.assert_allclose(drawn["ours"].get_xdata(), [0.5, 2, 5, 25])
        np.testing.assert_allclose(drawn["ours"].get_ydata(), error)
        np.testing.assert_allclose(drawn["theirs"].get_ydata(), [0, 0, moved, moved])

    figure = series("walk", methods)
    for panel, axis, estimate, sigma in ((figure.axes[0], 0, 0.9, 0.1), (figure.axes[3], 4, 0.45, 0.05)):
        drawn = {line.get_label(): line.get_ydata() for line in panel.get_lines()}
        # Nothing is drawn across the eight seconds that were not reported.
        across = np.array([1, 1, 1, np.nan, 1, 1])
        np.testing.assert_allclose(drawn["truth"], truth[0, axis] * across)
        np.testing.assert_allclose(drawn["ours"], estimate * across)
        np.testing.assert_allclose(drawn["theirs"], truth[0, axis] * np.array([1, 1, *[np.nan] * 4]))
        band = np.concatenate([path.vertices[:, 1] for path in panel.collections[0].get_paths()])
        np.testing.assert_allclose([band.min(), band.max()], [estimate - 2 * sigma, estimate + 2 * sigma])
    assert [panel.get_ylabel() for panel in figure.axes[:4]] == [
        "x [rad/s]",
        "x [m/s]",
        "y [rad/s]",
        "y [m/s]",
    ]

    for panel, part in zip(reliability(["walk"], [methods]).axes, ("all", "w", "v"), strict=True):
        curve = panel.get_lines()[1]
        np.testing.assert_allclose(curve.get_xdata(), np.sort(inside_probability(frames, part)))
        np.testing.assert_allclose(curve.get_ydata(), [0.2, 0.4, 0.6, 0.8, 1.0])


def test_the_worst_frames_are_shown_the_worst_first(tmp_path: Path) -> None:
    sequences = [Sequence.load(write_sequence(tmp_path / name)) for name in ("first", "second")]
    network = FlowDepthNetwork(write_motion_network(tmp_path / "motion.onnx"), provider=Provider.CPU)
    found = []
    for sequence, worst_rad_s in zip(sequences, (3.0, 4.0), strict=True):
        twist = sequence.truth.copy()
        twist[7, 1] += worst_rad_s
        twist[4, 5] += 1.2  # as bad as 2.4 rad/s
        frames = evaluated(twist, sequence.truth, np.tile(np.eye(6), (FRAMES, 1, 1)), np.arange(FRAMES))
        found.append(replace(frames, stamps_ns=sequence.stamps_ns))
    second, first = worst_frames(sequences, network, found)
    assert "of second (number 7, 7.0 px of blur): off by 4.0 rad/s and 0.0 m/s" in second.caption
    assert "of first (number 7, 7.0 px of blur): off by 3.0 rad/s and 0.0 m/s" in first.caption
    shown = first.figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(shown, read_image(sequences[0].frames[7].image))


def test_a_section_is_appended_once_and_then_replaced(tmp_path: Path) -> None:
    path = tmp_path / "r.md"
    for text in ("first", "second"):
        write_section(path, "speed", text)
    assert path.read_text() == "<!-- begin speed -->\n\nsecond\n\n<!-- end speed -->\n"


def test_speed_writes_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = write_motion_network(tmp_path / "motion.onnx")
    # Any network stands for the published one here: exporting that takes a minute.
    stand_in = published_model.published_path()
    stand_in.parent.mkdir(parents=True)
    stand_in.write_bytes(model.read_bytes())
    out, document = tmp_path / "s.json", tmp_path / "r.md"
    other = tmp_path / "other.onnx"
    other.write_bytes(model.read_bytes())
    models = ["--model", str(model), str(other)]
    arguments = [*models, "--provider", "cpu", "--threads", "1", "--frames", "10"]
    held = np.ones(1 << 29, np.uint8)  # by this process, which is not the one that is measured
    assert (
        main(
            [
                "benchmark",
                "speed",
                *arguments,
                "--no-scaling",
                "--json",
                str(out),
                "--markdown",
                str(document),
            ]
        )
        == 0
    )
    result = json.loads(out.read_text())
    entry, second = result["providers"]
    assert [entry["model"], second["model"]] == ["motion", "other"]
    assert entry["provider"] == second["provider"] == "cpu"
    assert entry["frames"] == 10
    assert entry["image_to_estimate_ms"]["p99"] >= entry["image_to_estimate_ms"]["p50"] > 0
    stages = {name: spread["p50"] for name, spread in entry["stages_ms"].items()}
    assert stages.keys() == {"decode", "remap", "network", "solve", "direction", "between_frames", "publish"}
    del stages["publish"]
    assert sum(stages.values()) == pytest.approx(entry["image_to_estimate_ms"]["p50"], rel=0.5)
    assert entry["published_network_ms"] > 0
    assert entry["speedup_vs_published"] > 0
    assert 30 < entry["peak_memory_mb"] < len(held) >> 20
    assert result["machine"]["cores"] >= 1
    assert result["machine"]["processor"]
    assert "times faster than it" in document.read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["accuracy", "nowhere"], "no such folder"),
        (["accuracy", "nowhere", "--json", "nowhere/a.json"], "its folder does not exist"),
        (["accuracy", "nowhere", "--html", "."], ". cannot be written (Is a directory)"),
        (["accuracy", "nowhere", "--csv", "/proc/a.csv"], "/proc/a.csv cannot be written"),
        (["accuracy", "nowhere", "--plots", "setup.py"], "setup.py: plots cannot be written there"),
        (["accuracy", "nowhere", "--plots", "/proc/plots"], "/proc/plots: plots cannot be written there"),
        (["speed", "--json", "."], ". cannot be written (Is a directory)"),
        (["speed", "--markdown", "."], ". cannot be written (Is a directory)"),
        (["speed", "--frames", "1"], "--frames must be at least 10"),
        (["speed", "--model", "nowhere.onnx"], "nowhere.onnx does not exist"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    capfd: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["benchmark", *arguments]) == 2
    error = capfd.readouterr().err.strip().splitlines()
    assert error[-1].startswith("blur_imu: error: ")
    assert says in error[-1]


def test_a_damaged_entry_is_computed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from blur_imu_ros.benchmark import visual_odometry

    sequence = Sequence.load(write_sequence(tmp_path / "first"))
    pose = Trajectory(sequence.stamps_ns, np.tile(np.eye(3), (FRAMES, 1, 1)), np.zeros((FRAMES, 3)))
    monkeypatch.setattr(visual_odometry, "track_sequence", lambda sequence, progress: [pose])
    cache = TrajectoryCache(tmp_path / "cache")
    for damaged in ("done.json", "0.tum"):
        assert not baselines.answer(sequence, baselines.Baseline.ODOMETRY, cache, iter).failure
        (kept,) = cache.folder.glob(f"odometry*/{damaged}")
        kept.write_text("{")
    assert not baselines.answer(sequence, baselines.Baseline.ODOMETRY, cache, iter).failure


def test_a_missing_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    sequence = Sequence.load(write_sequence(tmp_path / "first"))
    cache = TrajectoryCache(tmp_path / "cache")
    answers = baselines.answer(sequence, baselines.Baseline.COLMAP, cache, iter)
    assert "pip install 'blur_imu_ros[benchmark]'" in answers.failure


def test_colmap_is_left_out_where_it_is_neither_installed_nor_asked_for(
    accuracy: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    out = tmp_path / "a.json"
    assert main([*accuracy, "--json", str(out)]) == 0
    methods = json.loads(out.read_text())["sequences"][0]["methods"]
    assert not any("COLMAP" in method["method"] for method in methods)
    assert "left out" in capfd.readouterr().err
