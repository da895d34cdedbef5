"""Launch files, parameter file, tables of docs/node.md and node name the same arguments, parameters and topics."""

import ast
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import ros_rig
import yaml

from blur_imu_ros.live.settings import FIELDS, allowed, plain

ROOT = ros_rig.ROOT
TOPICS_IN = {"image", "camera_info", "exposure"}
TOPICS_OUT = {"~/imu", "~/twist", "~/debug_image", "/diagnostics"}


def tables(path: Path) -> dict:
    """The literal tables at the top of a launch file, read without importing launch."""
    found = {}
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict):
            found[statement.targets[0].id] = ast.literal_eval(statement.value)
    return found


CAMERA = tables(ROOT / "launch" / "camera.launch.py")
REPLAY = tables(ROOT / "launch" / "replay.launch.py")


def documented(heading: str) -> list[list[str]]:
    section = (ROOT / "docs" / "node.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def test_launch_arguments_are_of_one_name_each():
    assert set(CAMERA["TOPICS"]) == TOPICS_IN
    names = [*CAMERA["TOPICS"], *FIELDS, "use_sim_time", *CAMERA["OTHERS"], *REPLAY["OTHERS"]]
    assert len(names) == len(set(names))


def test_parameter_file_holds_every_parameter_with_its_default():
    text = (ROOT / "config" / "camera.yaml").read_text()
    content = yaml.safe_load(text)
    # A key by node name would not match a node in a namespace.
    assert list(content) == ["/**"]
    values = content["/**"]["ros__parameters"]
    assert list(values) == list(FIELDS)
    for name, item in FIELDS.items():
        assert values[name] == plain(item.default), name
        assert type(values[name]) is type(plain(item.default)), name


def test_parameter_file_explains_every_parameter():
    lines = (ROOT / "config" / "camera.yaml").read_text().splitlines()
    for name, item in FIELDS.items():
        row = next(index for index, line in enumerate(lines) if line.strip().startswith(f"{name}:"))
        comment = " ".join(line.strip().lstrip("# ") for line in lines[max(0, row - 2) : row])
        assert item.metadata["meaning"] in comment, name
        assert f"[{allowed(item)}]" in comment, name
        starred = any(line.strip().startswith("# * ") for line in lines[row - 1 : row]) or (
            "# * " in lines[row - 2] and lines[row - 1].strip().startswith("# [")
        )
        assert starred == item.metadata["live"], name


def test_the_docs_list_every_parameter_with_its_default_and_range():
    rows = {row[0].strip("`"): row for row in documented("Parameters")}
    assert list(rows) == list(FIELDS)
    for name, item in FIELDS.items():
        stated = yaml.safe_load(rows[name][1].strip("`") or "''")
        default = plain(item.default)
        assert stated == default or (isinstance(default, float) and math.isclose(float(stated), default)), (
            name
        )
        assert allowed(item) in rows[name], name


def test_the_docs_list_every_topic():
    rows = {row[0].strip("`"): row for row in documented("Topics")}
    assert set(rows) == TOPICS_IN | TOPICS_OUT
    for name, row in rows.items():
        assert row[2] == ("in" if name in TOPICS_IN else "out")


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_configuration_files_are_valid_yaml(path):
    assert yaml.safe_load(path.read_text())


def test_filter_example_takes_the_node_s_topics_once():
    parameters = yaml.safe_load((ROOT / "config" / "robot_localization.yaml").read_text())["/**"][
        "ros__parameters"
    ]
    assert parameters["twist0"] == "/blur_imu/twist"
    assert len(parameters["twist0_config"]) == 15
    # x y z roll pitch yaw are no velocities; the prior of the linear ones must not be counted with every message, nor the
    # angular velocity come a second time as imu0.
    assert parameters["twist0_config"] == [False] * 9 + [True] * 3 + [False] * 3
    assert "imu0" not in parameters


def test_layout_shows_topics_of_the_node():
    text = (ROOT / "config" / "foxglove.json").read_text()
    layout = json.loads(text)
    shown = {topic for topic in re.findall(r'"(/[a-z_/]+)', text) if topic != "/blur_imu"}
    assert shown == {name.replace("~", "/blur_imu") for name in TOPICS_OUT}
    placed = re.findall(r'"(?:first|second)": "([^"]+)"', text)
    assert sorted(placed) == sorted(layout["configById"])


def test_transport_profile_holds_a_large_image():
    tree = ElementTree.parse(ROOT / "config" / "fastdds_large_images.xml")
    space = "{http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles}"
    segment = int(tree.find(f".//{space}segment_size").text)
    assert segment > 1280 * 720 * 3
    declared = {item.text for item in tree.iterfind(f".//{space}transport_descriptor/{space}transport_id")}
    used = {item.text for item in tree.iterfind(f".//{space}userTransports/{space}transport_id")}
    assert declared == used


def test_loggers_are_called_as_every_distribution_has_them():
    """Since Lyrical those of rclpy have no `warn` any more."""
    sources = [*(ROOT / "blur_imu_ros").rglob("*.py"), *(ROOT / "launch").glob("*.py")]
    assert not [path.name for path in sources if "get_logger().warn(" in path.read_text()]
