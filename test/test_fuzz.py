"""Hostile messages: 20,000 into the live node over DDS, and as many into the decoders; it stays up and stays sane."""

import os
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from onnx_models import write_model
from rclpy.duration import Duration
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from ros_rig import NodeProcess, Rig, camera_info, frame, keeping_all, values
from sensor_msgs.msg import CameraInfo, Image

from blur_imu_ros.errors import BlurImuError
from blur_imu_ros.image_message import ENCODINGS, decode_compressed, decode_image

MESSAGES = 20_000
BATCH = 500
WIDTH, HEIGHT = 64, 48
RELIABLE = QoSProfile(depth=2 * BATCH, reliability=ReliabilityPolicy.RELIABLE)
NUMBERS = [0.0, -1.0, 1e-300, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), 0.5, 1e6]
SIZES = [0, 1, 2, 3, WIDTH, HEIGHT, WIDTH + 1, 3 * WIDTH, 640, 65535, 2**31, 2**32 - 1]
TEXTS = ["", "rgb8\0", "RGB8", "nv12", "16UC1", "ä" * 50, "x" * 10_000, "bayer_rggb16", *ENCODINGS]
EXPOSURES = [
    "10000",
    "9000.5",
    "0",
    "-5",
    "nan",
    "inf",
    "1e999",
    "",
    "auto",
    "0x10",
    "1" * 400,
    "ten thousand",
]
MODELS = ["", "plumb_bob", "rational_polynomial", "equidistant", "fisheye", "thin_prism", "x" * 1000]


class Mutator:
    """Sound messages with one to three fields spoiled, or with spoiled bytes."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.stamp_ns = time.time_ns()
        self.image_bytes = frame(WIDTH, HEIGHT)
        self.last_ns = 0

    def pick(self, choices):
        return choices[self.random.integers(len(choices))]

    def stamp(self, header):
        self.stamp_ns += 33_000_000
        header.stamp.sec, header.stamp.nanosec = divmod(self.stamp_ns, 10**9)
        if self.random.random() < 0.1:
            header.stamp.sec = int(
                self.pick([-(2**31), -1, 0, 2**31 - 1, header.stamp.sec - 10, header.stamp.sec + 10])
            )
        if self.random.random() < 0.05:
            header.stamp.nanosec = int(self.pick([10**9, 2**32 - 1]))
        header.frame_id = self.pick(["camera", "", "y" * 5000]) if self.random.random() < 0.05 else "camera"

    def image(self):
        message = frame(WIDTH, HEIGHT)
        self.stamp(message.header)
        for _ in range(self.random.integers(0, 4)):
            field = self.pick(
                ["encoding", "width", "height", "step", "is_bigendian", "cut", "longer", "empty", "fit"]
            )
            if field == "encoding":
                message.encoding = self.pick(TEXTS)
            elif field == "is_bigendian":
                message.is_bigendian = self.pick([0, 1, 255])
            elif field in ("cut", "longer"):
                change = int(self.random.integers(1, 300))
                data = message.data.tobytes()
                message.data = data[:-change] if field == "cut" else data + bytes(change)
            elif field == "empty":
                message.data = b""
            elif field == "fit":
                # Consistent after all, in another encoding: reaches the converters.
                name = self.pick(list(ENCODINGS))
                message.encoding, message.step = name, WIDTH * ENCODINGS[name].pixel_bytes
                message.width, message.height = WIDTH, HEIGHT
                message.data = os.urandom(message.step * HEIGHT)
            else:
                setattr(message, field, self.pick(SIZES))
        return message

    def info(self):
        message = camera_info(WIDTH, HEIGHT)
        self.stamp(message.header)
        for _ in range(self.random.integers(0, 4)):
            field = self.pick(["k", "p", "r", "d", "d_length", "model", "width", "height", "binning", "roi"])
            if field in ("k", "p", "r", "d"):
                array = list(getattr(message, field)) or [0.0]
                array[self.random.integers(len(array))] = self.pick(NUMBERS)
                setattr(message, field, array)
            elif field == "d_length":
                message.d = [self.pick(NUMBERS) for _ in range(self.pick([0, 1, 4, 5, 8, 12, 14, 50]))]
            elif field == "model":
                message.distortion_model = self.pick(MODELS)
            elif field == "binning":
                message.binning_x, message.binning_y = self.pick(SIZES), self.pick(SIZES)
            elif field == "roi":
                for name in ("x_offset", "y_offset", "width", "height"):
                    setattr(message.roi, name, self.pick(SIZES))
            else:
                setattr(message, field, self.pick(SIZES))
        return message

    def exposure(self, stamp_ns):
        pairs = [
            KeyValue(key=self.pick(["ExposureTime", "", "Gain"]), value=self.pick(EXPOSURES))
            for _ in range(2)
        ]
        message = DiagnosticArray(status=[DiagnosticStatus(name="z" * 100, values=pairs)])
        self.stamp(message.header)
        if self.random.random() < 0.8:
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        return message

    def spoiled(self, message):
        """Bytes on the wire with some changed, or with the end missing."""
        data = bytearray(serialize_message(message))
        for _ in range(self.random.integers(1, 8)):
            # The first bytes hold lengths and sizes, where it hurts.
            position = self.random.integers(4, min(len(data), self.pick([80, len(data)])))
            data[position] = self.random.integers(256)
        return bytes(data[: self.random.integers(4, len(data))] if self.random.random() < 0.3 else data)


@pytest.fixture
def rig():
    rig = Rig(qos=RELIABLE)
    yield rig
    rig.close()


def test_hostile_messages_into_the_live_node(rig, tmp_path):
    model = write_model(tmp_path / "tiny.onnx")
    exposure = {"exposure_type": "diagnostic_msgs/msg/DiagnosticArray"}
    node = NodeProcess(
        tmp_path / "node.log",
        model=model,
        provider="cpu",
        stale_after_s=20,
        dropout_s=60,
        **exposure,
        **keeping_all(("image", "camera_info", "exposure"), 2 * BATCH),
    )
    publishers = {
        Image: rig.image_publisher,
        CameraInfo: rig.info_publisher,
        DiagnosticArray: rig.node.create_publisher(DiagnosticArray, "exposure", RELIABLE),
    }
    mutator = Mutator(seed=4)
    try:
        rig.wait_until_listened(node)
        sent = 0
        while sent < MESSAGES:
            for _ in range(BATCH):
                kind = mutator.pick(["image"] * 5 + ["info"] * 2 + ["exposure"] * 3)
                message = (
                    mutator.exposure(mutator.stamp_ns) if kind == "exposure" else getattr(mutator, kind)()
                )
                raw = mutator.random.random() < 0.25
                publishers[type(message)].publish(mutator.spoiled(message) if raw else message)
                sent += 1
            for publisher in publishers.values():
                publisher.wait_for_all_acked(Duration(seconds=20))
            # The node has worked off the batch when it has said so since.
            rig.wait_for_status(lambda status: "images received" in values(status))
            assert node.alive, node.log[-3000:]
        for message in rig.twist:
            covariance = np.reshape(message.twist.covariance, (6, 6))
            linear, angular = message.twist.twist.linear, message.twist.twist.angular
            assert np.isfinite([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z]).all()
            assert np.isfinite(covariance).all()
            assert np.linalg.eigvalsh(covariance)[0] > 0
        for message in rig.imu:
            covariance = np.reshape(message.angular_velocity_covariance, (3, 3))
            assert np.linalg.eigvalsh(covariance)[0] > 0
        # The next good frame is answered.
        answered = len(rig.imu)
        begin = time.monotonic()
        while len(rig.imu) == answered:
            assert time.monotonic() - begin < 40, rig.status[-1]
            stamp_ns = rig.send(image=frame(WIDTH, HEIGHT), info=camera_info(WIDTH, HEIGHT))
            pair = KeyValue(key="ExposureTime", value="10000")
            message = DiagnosticArray(status=[DiagnosticStatus(values=[pair])])
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
            publishers[DiagnosticArray].publish(message)
            time.sleep(1 / 30)
        status = rig.wait_for_status(lambda status: values(status)["images in work"] == "0")
        counted = {key: int(value) for key, value in values(status).items() if key.startswith("images ")}
        # Half were images; spoiled bytes may not even arrive as one.
        assert counted["images received"] > 0.3 * MESSAGES
        assert counted.pop("images received") == sum(counted.values())
        assert "Traceback" not in node.log
        assert node.resident_mb() < 600
    finally:
        node.kill()


def test_hostile_messages_into_the_decoders():
    """The worker of the live node skips superseded frames; here every single one is decoded."""
    mutator = Mutator(seed=5)
    decoded = 0
    refusals = []
    for _ in range(MESSAGES):
        message = mutator.image()
        try:
            pixels = decode_image(message)
        except BlurImuError as error:
            refusals.append(str(error))
            continue
        decoded += 1
        assert pixels.dtype == np.uint8
        assert pixels.shape[:2] == (message.height, message.width)
    assert decoded > 1000
    assert len(refusals) > 1000
    assert max(map(len, refusals)) < 500


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_hostile_bytes_into_the_decompressor(extension):
    random = np.random.default_rng(6)
    pixels = random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    sound = cv2.imencode(extension, pixels)[1].tobytes()
    refusals = []
    for _ in range(300):
        data = bytearray(sound)
        for _ in range(random.integers(1, 5)):
            data[random.integers(len(data))] = random.integers(256)
        try:
            assert decode_compressed(SimpleNamespace(format="", data=bytes(data))).dtype == np.uint8
        except BlurImuError as error:
            refusals.append(str(error))
    assert refusals
    assert all("compressed" in text or "image size" in text for text in refusals)
