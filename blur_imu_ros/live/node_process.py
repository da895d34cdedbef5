"""The process of the node: it spins until it is told to stop, and nothing that comes in ends it before."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from ..errors import ConfigurationError, first_line
from ..node import BlurImuNode


def _keep_buffers() -> None:
    """Let glibc keep image-sized buffers instead of mapping each anew, which halves the time to receive an image."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-3, 64 << 20)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 256 << 20)  # M_TRIM_THRESHOLD
    except (OSError, AttributeError):
        return


def _collect_signals() -> list[int]:
    """Return a list to which SIGINT and SIGTERM append themselves, and do nothing else."""
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: received.append(number))
    return received


def _spin(node: BlurImuNode, signals: list[int]) -> None:
    """Run callbacks until a signal came or ROS was shut down; what one of them raises is reported and ends nothing."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    # Housekeeping wakes the executor, so no signal waits longer than its period.
    while not signals and rclpy.ok():
        try:
            executor.spin_once()
        except Exception as error:
            # Such as a message whose bytes no type support can read: the sender's fault, not the end of this sensor.
            node.report_fault("callback", error)
    executor.shutdown()


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT, SIGTERM or shutdown; exit code 2 with one line for arguments that are not allowed."""
    _keep_buffers()
    signals = _collect_signals()
    try:
        # rclpy's own handlers shut ROS down from a thread of theirs, which crashes while this one takes the executor down.
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # rclpy has several for arguments, none of them in common
        return _refuse(error)
    try:
        node = BlurImuNode()
        _spin(node, signals)
        node.destroy_node()
    except (ConfigurationError, ParameterException) as error:
        return _refuse(error)
    finally:
        rclpy.try_shutdown()
    if threading.active_count() > 1:
        # A frame is still in the network, whose native code crashes when the interpreter goes first.
        os._exit(0)
    return 0


def _refuse(error: Exception) -> int:
    print(f"blur_imu_node: {first_line(error)}", file=sys.stderr)
    return 2
