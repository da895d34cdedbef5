"""`blur_imu play INPUT`: publish a recording or a sequence folder with /clock over rclpy, without ros2bag.

Raw CDR goes out as it was recorded, at the pace it was recorded. It needs ROS, as `blur_imu demo` does.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from .bag import BagMessage, BagReader, BagTopic
from .errors import BagError, ConfigurationError
from .recordings.bag_topics import OWN_TOPICS
from .recordings.ros_types import MessageFactory
from .recordings.sequence_messages import sequence_messages, sequence_topics
from .sequence import Sequence

if TYPE_CHECKING:
    from .recordings.play_publisher import RosPublisher

CLOCK_PERIOD_S = 0.01
CLOCK_TOPIC = "/clock"


class Reliability(Enum):
    """Whether lost messages are sent again."""

    RECORDED = "recorded"
    RELIABLE = "reliable"
    BEST_EFFORT = "best_effort"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "input", type=Path, help=".bag, .mcap or .db3 file, rosbag2 folder, or sequence folder"
    )
    parser.add_argument("--rate", type=float, default=1.0, help="speed, 2 is twice as fast (default 1)")
    parser.add_argument("--loop", action="store_true", help="start again at the end, until interrupted")
    parser.add_argument(
        "--topics",
        nargs="+",
        metavar="TOPIC",
        help="play only these (default: all but the node's own outputs)",
    )
    parser.add_argument(
        "--remap", nargs="+", default=[], metavar="OLD:=NEW", help="publish under other names"
    )
    parser.add_argument(
        "--reliability",
        choices=[r.value for r in Reliability],
        default=Reliability.RECORDED.value,
        help="of all topics (default: as recorded, reliable where unknown)",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=5.0,
        metavar="S",
        help="wait this long for a subscriber to the images (default 5)",
    )
    parser.add_argument("--no-clock", action="store_true", help="do not publish /clock")


@dataclass(frozen=True)
class Source:
    """What is played: topics, their number of messages, and the messages from the start each time it is called."""

    name: str
    topics: list[BagTopic]
    messages: Callable[[set[str]], Iterator[BagMessage]]
    close: Callable[[], None]


def run(args: argparse.Namespace) -> int:
    """Play to the end, or until interrupted; returns the exit code."""
    if not 0 < args.rate < float("inf"):
        raise ConfigurationError(f"--rate {args.rate:g}: give a positive number")
    source = open_source(args.input)
    try:
        topics = chosen_topics(source, args.topics)
        names = remapped(topics, args.remap)
        unreliable = {topic.name for topic in topics if is_best_effort(topic, Reliability(args.reliability))}
        # Needs ROS, which reading the arguments must not.
        from .recordings.play_publisher import RosPublisher

        # ROS's own handler would end the context between two messages; and a script's background jobs start deaf to SIGINT.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        with RosPublisher(topics, names, unreliable, clock=not args.no_clock) as publisher:
            publisher.wait_for_subscribers(args.wait)
            sent = play(
                source, {topic.name for topic in publisher.topics}, publisher, args.rate, loop=args.loop
            )
            publisher.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 0
    finally:
        source.close()
    for name, count in sorted(sent.items()):
        print(f"{count} messages of {names[name]}")
    return 0


def open_source(path: Path) -> Source:
    """A bag or a sequence folder as messages. Raises BagError, SequenceError."""
    if (path / "frames.csv").is_file():
        sequence = Sequence.load(path)
        factory = MessageFactory()
        topics = sequence_topics(sequence)

        def messages(wanted: set[str]) -> Iterator[BagMessage]:
            return (message for message in sequence_messages(sequence, factory) if message.topic in wanted)

        return Source(sequence.name, topics, messages, lambda: None)
    reader = BagReader(path)
    return Source(path.name, [t for t in reader.topics.values() if t.count], reader.messages, reader.close)


def chosen_topics(source: Source, wanted: list[str] | None) -> list[BagTopic]:
    """The topics to play: those named, else all but a recorded clock and, with a word on stderr, what the node published.

    Raises BagError for a name that is not recorded.
    """
    if wanted is None:
        own = [topic.name for topic in source.topics if topic.name.endswith(OWN_TOPICS)]
        if own:
            print(
                f"left out as the node's own outputs, --topics plays them: {', '.join(own)}", file=sys.stderr
            )
        return [topic for topic in source.topics if topic.name not in (*own, CLOCK_TOPIC)]
    names = {topic.name for topic in source.topics}
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise BagError(
            f"{source.name}: no messages of {', '.join(unknown)}; it has {', '.join(sorted(names))}"
        )
    return [topic for topic in source.topics if topic.name in wanted]


def is_best_effort(topic: BagTopic, reliability: Reliability) -> bool:
    """Whether lost messages are not sent again: as recorded, or as asked for; reliable where nothing was recorded."""
    if reliability is Reliability.RECORDED:
        return bool(topic.qos) and all(profile.reliability.name == "BEST_EFFORT" for profile in topic.qos)
    return reliability is Reliability.BEST_EFFORT


def remapped(topics: list[BagTopic], remaps: list[str]) -> dict[str, str]:
    """Published name by recorded name. Raises ConfigurationError for a malformed or useless remap."""
    names = {topic.name: topic.name for topic in topics}
    for remap in remaps:
        old, separator, new = remap.partition(":=")
        if not separator or not new:
            raise ConfigurationError(f"--remap {remap}: write OLD:=NEW, such as /cam/image:=/image")
        if old not in names:
            raise ConfigurationError(
                f"--remap {remap}: {old} is not played; it can be {', '.join(sorted(names))}"
            )
        names[old] = new
    return names


def play(
    source: Source, topics: set[str], publisher: RosPublisher, rate: float, *, loop: bool
) -> Counter[str]:
    """Publish every message when it is due; returns how many of each topic were sent."""
    total = sum(topic.count for topic in source.topics if topic.name in topics)
    sent: Counter[str] = Counter()
    while True:
        pace = Pace(rate, publisher.publish_clock)
        with tqdm(
            total=total, desc=source.name, unit="msg", leave=False, disable=not sys.stderr.isatty()
        ) as bar:
            for message in source.messages(topics):
                pace.wait_until(message.received_ns)
                publisher.publish(message)
                sent[message.topic] += 1
                bar.update()
        if not loop:
            return sent


class Pace:
    """Wait for recorded moments in wall time, ticking the clock meanwhile."""

    def __init__(self, rate: float, tick: Callable[[int], None]) -> None:
        self._rate = rate
        self._tick = tick
        self._start: tuple[int, float] | None = None

    def wait_until(self, recorded_ns: int) -> None:
        """Return when a moment of the recording is due; a player that lags behind does not wait."""
        if self._start is None:
            self._start = (recorded_ns, time.monotonic())
        recorded_start, wall_start = self._start
        due = wall_start + (recorded_ns - recorded_start) * 1e-9 / self._rate
        while (left := due - time.monotonic()) > 0:
            time.sleep(min(left, CLOCK_PERIOD_S))
            now_ns = recorded_start + round((time.monotonic() - wall_start) * self._rate * 1e9)
            self._tick(min(now_ns, recorded_ns))
        self._tick(recorded_ns)
