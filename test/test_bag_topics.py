"""Which topics of a recording are taken: never those of another camera, and never a guess between two."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
from bags import START_NS, Recorder

from blur_imu_ros.bag import BagReader
from blur_imu_ros.errors import BagError
from blur_imu_ros.recordings.bag_topics import BagTopics, add_topic_arguments, choose_topics

PIXELS = np.zeros((48, 64, 3), np.uint8)


def chosen(folder: Path, topics: dict[str, str], *arguments: str) -> BagTopics:
    """What is chosen from a recording of these topics (name: image, packed, info, exposure or imu)."""
    recorder = Recorder("mcap")
    make = recorder.messages
    messages = {
        "image": lambda: make.image(START_NS, PIXELS),
        "packed": lambda: make.compressed(START_NS, PIXELS),
        "info": lambda: make.camera_info(START_NS, 64, 48, 50.0),
        "exposure": lambda: make.exposure(START_NS, 5000.0),
        "imu": lambda: make.imu(START_NS, (0, 0, 0)),
    }
    for name, kind in topics.items():
        recorder.add(name, START_NS, messages[kind]())
    parser = argparse.ArgumentParser()
    add_topic_arguments(parser)
    with BagReader(recorder.write(folder / "bag")) as reader:
        return choose_topics(reader, parser.parse_args(arguments))


def test_raw_is_taken_where_the_same_is_packed_too(tmp_path: Path) -> None:
    topics = {"/cam/image_raw": "image", "/cam/image_raw/compressed": "packed", "/cam/camera_info": "info"}
    assert chosen(tmp_path, topics).image == "/cam/image_raw"


@pytest.mark.parametrize("debug", ["/blur_imu/debug_image", "/robot/blur_imu/debug_image"])
def test_the_nodes_own_pictures_are_no_camera(tmp_path: Path, debug: str) -> None:
    topics = {"/cam/image_raw/compressed": "packed", "/cam/camera_info": "info", debug: "image"}
    assert chosen(tmp_path, topics).image == "/cam/image_raw/compressed"


def test_between_a_packed_camera_and_a_raw_one_the_user_chooses(tmp_path: Path) -> None:
    topics = {
        "/color/image_raw/compressed": "packed",
        "/color/camera_info": "info",
        "/color/exposure": "exposure",
        "/infra/image_rect": "image",
        "/infra/camera_info": "info",
    }
    with pytest.raises(BagError, match=r"several image topics; .*/color/image_raw/compressed .*/infra"):
        chosen(tmp_path, topics)
    assert chosen(tmp_path / "infra", topics, "--image-topic", "/infra/image_rect").exposure is None
    color = chosen(tmp_path / "color", topics, "--image-topic", "/color/image_raw/compressed").exposure
    assert color is not None
    assert color.topic == "/color/exposure"


def test_between_two_packed_cameras_the_user_chooses_whatever_their_names(tmp_path: Path) -> None:
    topics = {"/left/jpeg": "packed", "/left/camera_info": "info"}
    topics |= {"/right/image/compressed": "packed", "/right/camera_info": "info"}
    with pytest.raises(BagError, match=r"several image topics; .*/left/jpeg .*/right/image/compressed"):
        chosen(tmp_path, topics)


def test_diagnostics_are_anybodys(tmp_path: Path) -> None:
    topics = {"/cam/image_raw": "image", "/cam/camera_info": "info", "/preview": "image"}
    found = chosen(tmp_path, {**topics, "/diagnostics": "exposure"}).exposure
    assert found is not None
    assert found.topic == "/diagnostics"


def test_the_calibration_of_another_camera_is_not_taken(tmp_path: Path) -> None:
    topics = {"/left/image_raw": "image", "/left/camera_info": "info", "/right/image_raw": "image"}
    with pytest.raises(BagError, match=r"no CameraInfo beside /right/image_raw; choose one"):
        chosen(tmp_path, topics, "--image-topic", "/right/image_raw")


def test_a_calibration_and_an_exposure_beside_no_camera_are_anybodys(tmp_path: Path) -> None:
    topics = {"/cam/image_raw": "image", "/calibration/camera_info": "info", "/driver/exposure": "exposure"}
    found = chosen(tmp_path, topics)
    assert found.camera_info == "/calibration/camera_info"
    assert found.exposure is not None
    assert found.exposure.topic == "/driver/exposure"


def test_between_two_gyros_the_user_chooses(tmp_path: Path) -> None:
    topics = {"/cam/image_raw": "image", "/cam/camera_info": "info", "/imu/base": "imu", "/imu/camera": "imu"}
    with pytest.raises(BagError, match=r"several sensor_msgs/msg/Imu topics; .*/imu/base .*/imu/camera"):
        chosen(tmp_path, topics)
    assert chosen(tmp_path / "one", topics, "--imu-topic", "/imu/camera").imu == "/imu/camera"
    assert chosen(tmp_path / "none", topics, "--imu-topic", "").imu is None
