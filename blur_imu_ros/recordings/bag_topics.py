"""Which topics of a recording to use: what the user names, else the only candidate, else an error with a list."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ..bag import BagReader, BagTopic
from ..errors import BagError, ConfigurationError, ExposureError
from ..exposure_field import DRIVERS, ExposureField, ExposureUnit, exposure_field
from .ros_types import CAMERA_INFO, COMPRESSED_IMAGE, DIAGNOSTICS, IMAGE, IMU

IMU_TOPIC, TWIST_TOPIC = "/blur_imu/imu", "/blur_imu/twist"
OWN_TOPICS = (IMU_TOPIC, TWIST_TOPIC, "/blur_imu/debug_image")
"""What the node publishes, by the name that it ships with, below any namespace."""
LOOKED_AT = 50
"""Messages of a topic after which one that states no exposure is taken to state none."""


@dataclass(frozen=True)
class BagExposure:
    """A topic that states exposure times, and where in its messages."""

    topic: str
    field: ExposureField


@dataclass(frozen=True)
class BagTopics:
    """The chosen topics; camera_info or camera_file is set; imu and exposure may be None."""

    image: str
    camera_info: str | None
    camera_file: Path | None
    imu: str | None
    exposure: BagExposure | None
    exposure_tolerance_s: float


def add_topic_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that `choose_topics` reads."""
    group = parser.add_argument_group("topics of a bag (found by themselves where only one can be meant)")
    group.add_argument("--image-topic", metavar="TOPIC", help="Image or CompressedImage topic")
    group.add_argument("--camera-info-topic", metavar="TOPIC", help="CameraInfo topic")
    group.add_argument(
        "--camera-info", metavar="FILE", type=Path, help="camera_info YAML file, instead of a topic"
    )
    group.add_argument("--imu-topic", metavar="TOPIC", help="real Imu topic to compare with ('' for none)")
    group.add_argument(
        "--exposure-topic", metavar="TOPIC", help="topic whose messages state the exposure time"
    )
    group.add_argument("--exposure-field", metavar="PATH", help="dotted path of the field that holds it")
    group.add_argument(
        "--exposure-key", metavar="KEY", default="", help="key inside a JSON or key-value field"
    )
    group.add_argument(
        "--exposure-source", metavar="NAME", help="of diagnostics: name or hardware_id of the camera's status"
    )
    group.add_argument(
        "--exposure-unit",
        choices=[u.value for u in ExposureUnit],
        default="s",
        help="unit of that field or key (default s, as of the node)",
    )
    group.add_argument(
        "--exposure-tolerance-s",
        metavar="S",
        type=float,
        default=0.001,
        help="largest stamp difference of image and exposure (default 0.001)",
    )


def choose_topics(reader: BagReader, args: argparse.Namespace) -> BagTopics:
    """Resolve the arguments of `add_topic_arguments` against a bag. Raises BagError, ConfigurationError."""
    image = _image_topic(reader, args.image_topic)
    camera_info = None if args.camera_info else _camera_info_topic(reader, args.camera_info_topic, image)
    imu = None if args.imu_topic == "" else _imu_topic(reader, args.imu_topic)
    exposure = _exposure_source(reader, args, image)
    if exposure and args.exposure_source:
        exposure = replace(exposure, field=replace(exposure.field, source=args.exposure_source))
    return BagTopics(image, camera_info, args.camera_info, imu, exposure, args.exposure_tolerance_s)


def _image_topic(reader: BagReader, name: str | None) -> str:
    types = (IMAGE, COMPRESSED_IMAGE)
    if name:
        return _named(reader, name, types, "--image-topic")
    found = reader.topics_of(*types)
    if not found:
        raise BagError(
            f"{reader.path}: holds no images ({_listing(list(reader.topics.values()))}); "
            "record an Image or CompressedImage topic"
        )
    names = {topic.name for topic in found if topic.type == IMAGE}
    # A compressed topic beside its raw one says the same again; the node's own pictures are no camera's.
    cameras = [
        t
        for t in found
        if (t.type == IMAGE or _base(t.name) not in names) and not _base(t.name).endswith(OWN_TOPICS)
    ] or found
    # Depth and processed images often come without a CameraInfo of their own beside them.
    described = [t for t in cameras if _sibling(t.name, "camera_info") in reader.topics] or cameras
    if len(described) > 1:
        raise BagError(
            f"{reader.path}: several image topics; choose one with --image-topic: {_listing(described)}"
        )
    return described[0].name


def _camera_info_topic(reader: BagReader, name: str | None, image: str) -> str:
    if name:
        return _named(reader, name, (CAMERA_INFO,), "--camera-info-topic")
    found = reader.topics_of(CAMERA_INFO)
    names = [topic.name for topic in found]
    if _sibling(image, "camera_info") in names:
        return _sibling(image, "camera_info")
    if len(found) == 1 and not _is_of_another(reader, names[0], image):
        return names[0]
    if not found:
        raise BagError(
            f"{reader.path}: holds no CameraInfo; give the calibration with --camera-info FILE.yaml"
        )
    raise BagError(
        f"{reader.path}: no CameraInfo beside {image}; choose one with --camera-info-topic: {_listing(found)}"
    )


def _exposure_source(reader: BagReader, args: argparse.Namespace, image: str) -> BagExposure | None:
    path, key, unit = args.exposure_field or "", args.exposure_key, ExposureUnit(args.exposure_unit)
    if args.exposure_topic:
        topic = _named(reader, args.exposure_topic, (), "--exposure-topic")
        return BagExposure(topic, exposure_field(reader.topics[topic].type, path, key, unit))
    if path or key:
        raise ConfigurationError("--exposure-field and --exposure-key need --exposure-topic")
    known = reader.topics_of(*DRIVERS)
    beside = [t for t in known if t.name.rsplit("/", 1)[0] == _base(image).rsplit("/", 1)[0]]
    candidates = beside or [t for t in known if t.type != DIAGNOSTICS] or known
    candidates = [
        t for t in candidates if t.name == "/diagnostics" or not _is_of_another(reader, t.name, image)
    ]
    stating = candidates if len(candidates) == 1 else [t for t in candidates if _states(reader, t)]
    if len(stating) > 1:
        raise BagError(
            f"{reader.path}: several topics state an exposure; choose one with --exposure-topic: {_listing(stating)}"
        )
    return BagExposure(stating[0].name, DRIVERS[stating[0].type]) if stating else None


def _states(reader: BagReader, topic: BagTopic) -> bool:
    """Whether one of the first messages of a topic states an exposure."""
    for raw in islice(reader.messages([topic.name]), LOOKED_AT):
        with suppress(ExposureError):
            if DRIVERS[topic.type].read(reader.decode(raw)) is not None:
                return True
    return False


def _imu_topic(reader: BagReader, name: str | None) -> str | None:
    if name:
        return _named(reader, name, (IMU,), "--imu-topic")
    found = reader.topics_of(IMU)
    virtual = [topic for topic in found if is_virtual(reader, topic.name)]
    if virtual:
        print(
            f"ignored, since it states neither orientation nor acceleration, as the Imu of this package: {_listing(virtual)}; to "
            "compare with it all the same give --imu-topic",
            file=sys.stderr,
        )
    real = [topic for topic in found if topic not in virtual]
    if len(real) > 1:
        raise BagError(f"{reader.path}: several {IMU} topics; choose one with --imu-topic: {_listing(real)}")
    return real[0].name if real else None


def is_virtual(reader: BagReader, topic: str) -> bool:
    """Whether an Imu topic knows neither orientation nor acceleration, as the node's, which is made from images."""
    for raw in reader.messages([topic]):
        message = reader.decode(raw)
        return bool(message.orientation_covariance[0] == message.linear_acceleration_covariance[0] == -1)
    return False


def _named(reader: BagReader, name: str, types: tuple[str, ...], option: str) -> str:
    topic = reader.topics.get(name) or reader.topics.get(f"/{name}")
    if topic is None or topic.count == 0:
        raise BagError(
            f"{reader.path}: {option} {name} holds no messages; it has {_listing(list(reader.topics.values()))}"
        )
    if types and topic.type not in types:
        raise BagError(f"{reader.path}: {option} {name} is a {topic.type}, not {' or '.join(types)}")
    return topic.name


def _is_of_another(reader: BagReader, topic: str, image: str) -> bool:
    """Whether a topic lies beside images, but beside others than these."""
    place = topic.rsplit("/", 1)[0]
    places = {_base(t.name).rsplit("/", 1)[0] for t in reader.topics_of(IMAGE, COMPRESSED_IMAGE)}
    return place in places and place != _base(image).rsplit("/", 1)[0]


def _base(image: str) -> str:
    """The image_transport base topic: /camera/image_raw of /camera/image_raw/compressed."""
    return image.removesuffix("/compressed")


def _sibling(image: str, name: str) -> str:
    return f"{_base(image).rsplit('/', 1)[0]}/{name}"


def _listing(topics: list[Any]) -> str:
    return ", ".join(f"{t.name} [{t.type.rsplit('/', 1)[-1]}, {t.count}]" for t in topics) or "no topics"
