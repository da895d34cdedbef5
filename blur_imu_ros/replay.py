"""`blur_imu replay INPUT`: a recording through the same estimator as the node, offline and complete.

Writes into the output folder: estimates.csv; bag/ (MCAP: the input topics beside /blur_imu/imu and /blur_imu/twist);
metrics.json; angular.png, linear.png, confidence.png.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .bag import BagReader
from .command_arguments import add_estimator_arguments, add_network_arguments, chosen_estimator, open_network
from .errors import ConfigurationError
from .exposure_field import check_exposure
from .network import FlowDepthNetwork
from .offline.exposure_fit import limit_note
from .offline.gyro_fit import fit_to_gyro
from .offline.progress import frame_bar
from .offline.replay_measures import describe
from .offline.replay_output import explain, write_all
from .offline.replay_run import run_all
from .options import EstimatorOptions
from .recordings.bag_recording import BagRecording
from .recordings.bag_topics import IMU_TOPIC, add_topic_arguments, choose_topics, is_virtual
from .recordings.recording import Recording, Timing
from .recordings.sequence_recording import SequenceRecording
from .timing import StampReference


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "input", type=Path, help=".bag, .mcap or .db3 file, rosbag2 folder, or sequence folder"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="default: INPUT's name with _blur_imu, here"
    )
    add_network_arguments(parser)
    parser.add_argument(
        "--exposure-s",
        type=float,
        metavar="S",
        help="exposure time of every frame in seconds, whatever the recording states",
    )
    parser.add_argument(
        "--fit-exposure",
        action="store_true",
        help="where exposure is unknown, fit it to the recording's real Imu",
    )
    add_estimator_arguments(parser)
    parser.add_argument(
        "--picture",
        type=int,
        metavar="N",
        help="explain frame N (from 0) in picture.png: flow, depth, velocity",
    )
    parser.add_argument("--no-bag", action="store_true", help="write no MCAP")
    parser.add_argument("--no-plots", action="store_true", help="write no plots")
    add_bag_arguments(parser)


def add_bag_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of what bags leave open."""
    parser.add_argument(
        "--stamp-reference",
        choices=[r.value for r in StampReference],
        default=StampReference.FIRST_ROW_START.value,
        help="the moment the driver stamps an image with (default first_row_start)",
    )
    parser.add_argument(
        "--readout-s", type=float, default=0.0, metavar="S", help="rolling shutter readout (default 0)"
    )
    parser.add_argument(
        "--rectified", action="store_true", help="the image is rectified: use P of CameraInfo, ignore D"
    )
    add_topic_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Replay, write, print; returns the exit code."""
    output = args.output or Path(f"{args.input.resolve().stem}_blur_imu")
    if output.exists():
        raise ConfigurationError(f"{output} exists already; choose another --output or remove it first")
    options = chosen_estimator(args)
    recording = open_recording(args)
    try:
        if args.picture is not None and not 0 <= args.picture < recording.frame_count:
            raise ConfigurationError(f"--picture {args.picture}: give 0 to {recording.frame_count - 1}")
        network = open_network(args)
        with _new_folder(output):
            fitted_s = _fitted(recording, network, options) if args.fit_exposure else None
            replayed = run_all(
                recording, network, options, fitted_s, frame_bar("estimating", recording.frame_count)
            )
            width = network.spec.width
            written = {"bag": not args.no_bag, "plots": not args.no_plots}
            alignment = write_all(
                recording, replayed, output, fitted_s=fitted_s, network_width=width, **written
            )
            if args.picture is not None:
                picture = explain(recording, replayed, network, args.picture)
                picture.savefig(output / "picture.png", dpi=110)
            network.close()
    finally:
        recording.close()
    if alignment is not None:
        print(describe(alignment, recording.gyro_label))
    print(f"{len(replayed.answered)} of {len(replayed.estimates)} frames estimated, written to {output}")
    for cause, count in replayed.skipped.items():
        print(f"{count} frames skipped: {cause}")
    if replayed.reason:
        print(f"the first of them: {replayed.reason}")
    if complaint := replayed.exposure.complaint:
        print(complaint, file=sys.stderr)
    return 0


@contextmanager
def _new_folder(path: Path) -> Iterator[None]:
    """A folder made before the work that fills it, and gone again where that fails before anything is written."""
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be created ({error.strerror}); choose another --output"
        ) from error
    try:
        yield
    except BaseException:
        # Only an empty folder can be removed in this way.
        with suppress(OSError):
            path.rmdir()
        raise


def _fitted(recording: Recording, network: FlowDepthNetwork, options: EstimatorOptions) -> float:
    fit = fit_to_gyro(recording, network, options, frame_bar("fitting exposure", recording.frame_count))
    if note := limit_note(fit.exposure_s, fit.interval_s):
        print(note, file=sys.stderr)
    if fit.stated:
        print(
            f"exposure fitted to {recording.gyro_label}: {fit.exposure_s:.6f} s, not used: the recording states its own"
        )
    else:
        print(
            f"exposure fitted to {recording.gyro_label}: set the parameter exposure_s to {fit.exposure_s:.6f}"
        )
    return fit.exposure_s


def _check_gyro(reader: BagReader, topic: str) -> None:
    """Raise ConfigurationError where an exposure would be fitted to what this node made of one itself."""
    if topic.endswith(IMU_TOPIC):
        raise ConfigurationError(
            f"--fit-exposure needs a real Imu, and {topic} is made from the images; name another --imu-topic, or give "
            "--exposure-s"
        )
    if is_virtual(reader, topic):
        print(
            f"{topic} states neither orientation nor acceleration: fine for a gyro; if it was made from the images, the fit "
            "only repeats the exposure that made it",
            file=sys.stderr,
        )


def _refuse_options_of_bags(args: argparse.Namespace) -> None:
    """Raise ConfigurationError for an option that a sequence folder, which states all of it itself, would leave unheeded."""
    defaults = argparse.ArgumentParser()
    add_bag_arguments(defaults)
    for name, default in vars(defaults.parse_args([])).items():
        if getattr(args, name) != default:
            raise ConfigurationError(
                f"--{name.replace('_', '-')} is for bags: {args.input} is a sequence folder, whose files state it; leave it out"
            )


def open_recording(args: argparse.Namespace) -> Recording:
    """The input as frames, whatever it is stored in. Raises BagError, SequenceError, ExposureError, ConfigurationError."""
    for name in ("readout_s", "exposure_tolerance_s"):
        if not 0 <= (value := getattr(args, name)) <= 1:
            raise ConfigurationError(f"--{name.replace('_', '-')} {value:g}: give 0 to 1 second")
    if args.exposure_s is not None:
        check_exposure(args.exposure_s, None)
    if (args.input / "frames.csv").is_file():
        _refuse_options_of_bags(args)
        return SequenceRecording(args.input, exposure_s=args.exposure_s)
    reader = BagReader(args.input)
    try:
        topics = choose_topics(reader, args)
        if args.fit_exposure and topics.imu:
            _check_gyro(reader, topics.imu)
        timing = Timing(StampReference(args.stamp_reference), args.readout_s)
        return BagRecording(
            reader, topics, exposure_s=args.exposure_s, timing=timing, rectified=args.rectified
        )
    except BaseException:
        reader.close()
        raise
