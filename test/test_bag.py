"""Recordings: every format comes out as the same CDR messages, and a damaged one says so."""

from pathlib import Path

import numpy as np
import pytest
from bags import CUSTOM, FORMATS, LATCHED, START_NS, Recorder, as_humble, write_bag

from blur_imu_ros.bag import BagMessage, BagReader, BagWriter, read_imu
from blur_imu_ros.errors import BagError
from blur_imu_ros.image_message import decode_image
from blur_imu_ros.recordings.ros_types import CAMERA_INFO, IMAGE, IMU
from blur_imu_ros.timing import stamp_ns


@pytest.fixture(params=FORMATS)
def bag(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_bag(tmp_path, request.param)


def test_all_formats_read_alike(bag: Path) -> None:
    with BagReader(bag) as reader:
        assert {name: topic.type for name, topic in reader.topics.items()} == {
            "/camera/image_raw": IMAGE,
            "/camera/camera_info": CAMERA_INFO,
            "/imu": IMU,
        }
        assert [t.name for t in reader.topics_of(IMAGE)] == ["/camera/image_raw"]
        assert reader.topics["/imu"].count == 30
        images = [reader.decode(m) for m in reader.messages(["/camera/image_raw"])]
        infos = [reader.decode(m) for m in reader.messages(["/camera/camera_info"])]
    assert len(images) == 3
    assert decode_image(images[2])[0, 0].tolist() == [2, 102, 202]
    assert stamp_ns(images[1].header.stamp) == 100_000_000_003_300_000
    assert infos[0].k[0] == 50.0
    assert infos[0].distortion_model == "plumb_bob"


def test_messages_come_in_order_of_recording(bag: Path) -> None:
    with BagReader(bag) as reader:
        received = [m.received_ns for m in reader.messages()]
        assert len(received) == 36
        assert received == sorted(received)


def test_imu_is_sorted_by_stamp_and_finite(bag: Path) -> None:
    with BagReader(bag) as reader:
        stamps, rates, frame_id = read_imu(reader, "/imu")
    assert frame_id == "imu_link"
    assert len(stamps) == 29, "one sample is NaN"
    assert (np.diff(stamps) > 0).all()
    np.testing.assert_allclose(rates[3], [3, 0.5, -1])


@pytest.mark.parametrize("kind", ["rosbag1", "mcap"])
def test_copied_messages_are_unchanged(tmp_path: Path, kind: str) -> None:
    with BagReader(write_bag(tmp_path, kind)) as reader, BagWriter(tmp_path / "copy") as writer:
        originals = list(reader.messages())
        for message in originals:
            writer.write(message, reader.typestore)
    with BagReader(tmp_path / "copy") as copy:
        assert [(m.topic, m.type, m.received_ns, bytes(m.data)) for m in copy.messages()] == [
            (m.topic, m.type, m.received_ns, bytes(m.data)) for m in originals
        ]


@pytest.mark.parametrize("kind", ["sqlite3", "mcap"])
def test_what_was_latched_stays_latched(tmp_path: Path, kind: str) -> None:
    recorder = Recorder(kind)
    recorder.add("/imu", START_NS, recorder.messages.imu(START_NS, (0, 0, 0)))
    recorder.latch("/imu")
    with BagReader(recorder.write(tmp_path / "bag")) as reader, BagWriter(tmp_path / "copy") as writer:
        for message in reader.messages():
            writer.write(message, reader.typestore, reader.topics[message.topic].qos)
    with BagReader(tmp_path / "copy") as copy:
        assert copy.topics["/imu"].qos == (LATCHED,)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_type_of_its_own_is_copied_with_its_definition(tmp_path: Path, kind: str) -> None:
    recorder = Recorder(kind)
    recorder.add("/gain", START_NS, recorder.messages.custom(2.5))
    bag = recorder.write(tmp_path / ("bag.bag" if kind == "rosbag1" else "bag"))
    with BagReader(bag) as reader, BagWriter(tmp_path / "copy") as writer:
        for message in reader.messages():
            writer.write(message, reader.typestore)
    with BagReader(tmp_path / "copy") as copy:
        assert [copy.decode(message).gain for message in copy.messages()] == [2.5]


def test_a_type_that_is_defined_nowhere_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder("sqlite3")
    for i in range(3):
        recorder.add("/gain", START_NS + i, recorder.messages.custom(2.5))
        recorder.add("/imu", START_NS + i, recorder.messages.imu(START_NS + i, (0, 0, 0)))
    with (
        BagReader(as_humble(recorder.write(tmp_path / "bag"))) as reader,
        BagWriter(tmp_path / "copy") as writer,
    ):
        for message in reader.messages():
            writer.write(message, reader.typestore)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("/gain is left out")
    assert line.endswith(f"does not define {CUSTOM}")
    with BagReader(tmp_path / "copy") as copy:
        assert {name: topic.count for name, topic in copy.topics.items()} == {"/imu": 3}


def test_types_of_ros_1_that_have_other_fields_in_ros_2_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder("rosbag1")
    make = recorder.messages
    measured = dict.fromkeys(("field_of_view", "min_range", "max_range", "range"), 1.0)
    held = make.holding("sensor_msgs/msg/Range")
    for i in range(3):
        stamp = START_NS + i
        header = make.header(stamp, "sonar")
        sonar = make.make("sensor_msgs/msg/Range", header=header, radiation_type=0, **measured)
        recorder.add("/sonar", stamp, sonar)
        recorder.add("/sonars", stamp, held(sonar))
        recorder.add("/imu", stamp, make.imu(stamp, (0, 0, 0)))
    with BagReader(recorder.write(tmp_path / "bag.bag")) as reader, BagWriter(tmp_path / "copy") as writer:
        assert list(reader.topics) == ["/imu"]
        for message in reader.messages():
            writer.write(message, reader.typestore)
    assert [line.split(" has")[0] for line in capsys.readouterr().err.splitlines()] == [
        "/sonar is left out: sensor_msgs/msg/Range",
        f"/sonars is left out: {CUSTOM}",
    ]
    with BagReader(tmp_path / "copy") as copy:
        assert {name: topic.count for name, topic in copy.topics.items()} == {"/imu": 3}


def test_the_writer_never_overwrites(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "out"):
        pass
    with pytest.raises(BagError, match="exists already"):
        BagWriter(tmp_path / "out")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="no such recording"):
        BagReader(tmp_path / "none.bag")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BagError, match=r"metadata\.yaml.*frames\.csv"):
        BagReader(tmp_path / "folder")
    for suffix, mending in (
        (".bag", "rosbag reindex"),
        (".mcap", "mcap recover"),
        (".db3", "ros2 bag reindex"),
        (".txt", "ros2 bag reindex"),
    ):
        path = tmp_path / f"garbage{suffix}"
        path.write_bytes(b"not a recording at all" * 20)
        with pytest.raises(BagError, match=rf"garbage\{suffix}.*cannot be read.*try `{mending}`"):
            BagReader(path)


@pytest.mark.parametrize("kind", ["rosbag1", "mcap"])
def test_a_truncated_recording_is_named(tmp_path: Path, kind: str) -> None:
    bag = write_bag(tmp_path, kind)
    file = bag if bag.is_file() else next(bag.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(BagError, match="cannot be read as a recording"), BagReader(file) as reader:
        list(reader.messages())


def test_a_message_that_does_not_decode_is_named(tmp_path: Path) -> None:
    with BagReader(write_bag(tmp_path, "mcap")) as reader:
        message = next(reader.messages(["/imu"]))
        with pytest.raises(BagError, match=r"/imu.*sensor_msgs/msg/Imu"):
            reader.decode(BagMessage(message.topic, message.type, message.received_ns, message.data[:40]))
