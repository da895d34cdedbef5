"""`blur_imu demo`: the shipped recording, played over DDS into the real node, measured beside true velocity.

Three processes as on a robot: `blur_imu play` stands for the camera driver, `blur_imu_node` measures, and this one
listens to the node's twist and prints it beside the truth of the recording.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .errors import BlurImuError, SequenceError
from .estimate import LINEAR_FIRST
from .model.finding import find_model
from .offline.child import Child
from .offline.comparison import HEADER, Comparison
from .plots import Reference, draw_velocities
from .recordings.sequence_messages import CAMERA_INFO_TOPIC, EXPOSURE_TOPIC, IMAGE_TOPIC
from .resources import share_directory
from .sequence import Sequence

RECORDING, OUTPUT = Path("demo/recording"), Path("output/demo")
NODE_READY_S = 30.0
PLAYER_START_S = 20.0
LAST_ANSWER_S = 1.0
ROW_EVERY_NS = 200_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `blur_imu demo`."""
    parser.add_argument(
        "--recording", type=Path, help="sequence folder to play (default: the one that ships)"
    )
    parser.add_argument("--model", default="auto", help="network: a size, a name or a path (default: auto)")
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, help=f"folder for plots and logs (default: {OUTPUT})"
    )


def run(args: argparse.Namespace) -> int:
    """Play, listen, print and plot. Raises BlurImuError where the recording, the node or the player fails."""
    sequence = Sequence.load(args.recording or share_directory() / RECORDING)
    sequence.require_truth()
    if any(frame.exposure_s is None for frame in sequence.frames):
        raise SequenceError(f"{sequence.folder}: the demo needs exposure_s in every row of frames.csv")
    model = find_model(args.model)
    args.output.mkdir(parents=True, exist_ok=True)
    # Nothing else on this machine or its network shall hear or disturb the demo.
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    # An interrupt unwinds through the blocks that end the two processes.
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Under nohup a hang-up is to be ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    comparison = Comparison(sequence)
    with Child(_node_command(model), args.output / "node.log") as node:
        _measure(comparison, node, args.output / "player.log")
        if not len(comparison):
            raise BlurImuError(f"the node answered no frame: {node.last_words()}")
    print(f"\n{comparison.summary()}")
    for path in _draw(comparison, args.output):
        print(f"plot: {path}")
    return 0


def _node_command(model: Path) -> list[str]:
    parameters = {
        "model": model,
        "stamp_reference": "frame_middle",
        "exposure_type": "diagnostic_msgs/msg/DiagnosticArray",
    }
    remaps = {"image": IMAGE_TOPIC, "camera_info": CAMERA_INFO_TOPIC, "exposure": EXPOSURE_TOPIC}
    command = [
        sys.executable,
        "-c",
        "from blur_imu_ros.live.node_process import main; raise SystemExit(main())",
        "--ros-args",
    ]
    for name, value in parameters.items():
        command += ["-p", f"{name}:={value}"]
    for name, topic in remaps.items():
        command += ["-r", f"{name}:={topic}"]
    return command


def _measure(comparison: Comparison, node: Child, player_log: Path) -> None:
    """Play the sequence once and gather what the node answers."""
    import rclpy
    from geometry_msgs.msg import TwistWithCovarianceStamped
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    listener = rclpy.create_node("blur_imu_demo")
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    listener.create_subscription(TwistWithCovarianceStamped, "/blur_imu/twist", _printer(comparison), 10)

    def spin_until(done: Callable[[], bool], limit_s: float, what: str) -> None:
        deadline = time.monotonic() + limit_s
        while not done():
            if node.exit_code is not None:
                raise BlurImuError(f"the node ended with exit code {node.exit_code}: {node.last_words()}")
            if time.monotonic() > deadline:
                raise BlurImuError(
                    f"{what} within {limit_s:.0f} s; the node's last words: {node.last_words()}"
                )
            executor.spin_once(timeout_sec=0.1)

    folder, stamps = comparison.sequence.folder, comparison.sequence.stamps_ns
    length_s = float(stamps[-1] - stamps[0]) * 1e-9
    try:
        print("starting the node ...", flush=True)
        spin_until(
            lambda: listener.count_subscribers(IMAGE_TOPIC) > 0, NODE_READY_S, "the node was not ready"
        )
        print(f"playing {folder.name}: {len(stamps)} frames in {length_s:.0f} s\n\n{HEADER}", flush=True)
        command = [sys.executable, "-m", "blur_imu_ros.cli", "play", str(folder)]
        with Child(command, player_log) as player:
            limit_s = 2 * length_s + PLAYER_START_S
            spin_until(
                lambda: player.exit_code is not None, limit_s, "the recording was not played to its end"
            )
            if player.exit_code:
                raise BlurImuError(f"the player failed: {player.last_words()}")
        end = time.monotonic() + LAST_ANSWER_S
        spin_until(lambda: time.monotonic() > end, 2 * LAST_ANSWER_S, "no end")
    finally:
        executor.shutdown()
        listener.destroy_node()
        rclpy.try_shutdown()


def _printer(comparison: Comparison) -> Callable[[Any], None]:
    """Return the callback that keeps every twist and prints some of them."""
    next_row_ns = 0

    def on_twist(message: Any) -> None:
        nonlocal next_row_ns
        stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        linear, angular = message.twist.twist.linear, message.twist.twist.angular
        twist = np.array([angular.x, angular.y, angular.z, linear.x, linear.y, linear.z])
        covariance = np.asarray(message.twist.covariance).reshape(6, 6)[np.ix_(LINEAR_FIRST, LINEAR_FIRST)]
        if comparison.add(stamp_ns, twist, covariance) and stamp_ns >= next_row_ns:
            next_row_ns = stamp_ns + ROW_EVERY_NS
            print(comparison.row(stamp_ns), flush=True)

    return on_twist


def _draw(comparison: Comparison, folder: Path) -> list[Path]:
    sequence = comparison.sequence
    truth = Reference("truth", sequence.stamps_ns, sequence.truth[:, :3], sequence.truth[:, 3:])
    return draw_velocities(comparison.series(), truth, folder)
