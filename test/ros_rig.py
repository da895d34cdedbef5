"""Real processes over real DDS for the tests: the node as a subprocess, a camera and a consumer in this one."""

import copy
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

# Before rclpy is imported: discovery stays on this machine and apart from other tests that run here.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = os.environ.get("ROS_RIG_DOMAIN") or str(1 + os.getpid() % 100)
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TwistWithCovarianceStamped
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, Imu

ROOT = Path(__file__).resolve().parents[1]
RUN_NODE = "import sys; from blur_imu_ros.live.node_process import main; sys.exit(main())"
WIDTH, HEIGHT = 160, 120
EXPOSURE_S = 0.01
PERIOD_S = 1 / 30


class NodeProcess:
    """`blur_imu_node` in a process of its own, its output in a file."""

    def __init__(
        self, log: Path, *, name: str = "/blur_imu", arguments: tuple[str, ...] = (), **parameters: object
    ) -> None:
        command = [sys.executable, "-c", RUN_NODE, "--ros-args", *arguments]
        for key, value in parameters.items():
            command += ["-p", f"{key}:={str(value).lower() if isinstance(value, bool) else value}"]
        path = os.pathsep.join([str(ROOT), str(ROOT / "pip_ros" / "src"), os.environ.get("PYTHONPATH", "")])
        self.name = name
        self.log_file = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": path}
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self, number: int = signal.SIGINT) -> tuple[int, float]:
        """Send a signal; return exit code and seconds until the end."""
        start = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(20)
        return code, time.monotonic() - start

    def resident_mb(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 1e6

    def kill(self) -> None:
        if self.alive:
            self.process.kill()
            self.process.wait(20)


class Nodes:
    """Nodes of one test over a model, patient on a loaded machine; as a context manager, it kills them at the end."""

    def __init__(self, folder: Path, **defaults: object) -> None:
        self._folder = folder
        # Patient: there a frame may wait long for its turn.
        self._defaults = {"provider": "cpu", "stale_after_s": 20, **defaults}
        self._nodes: list[NodeProcess] = []

    def __enter__(self) -> "Nodes":
        return self

    def __exit__(self, *_: object) -> None:
        for node in self._nodes:
            node.kill()

    def start(self, listening: "Rig | None" = None, **parameters: object) -> NodeProcess:
        """Start one more; returns once it listens to the camera of a rig, where one is given."""
        log = self._folder / f"node{len(self._nodes)}.log"
        node = NodeProcess(log, **{**self._defaults, **parameters})
        self._nodes.append(node)
        if listening:
            listening.wait_until_listened(node)
        return node


class Rig:
    """A camera driver and a consumer of the node's topics, spinning in a thread of this process."""

    def __init__(
        self,
        node_name: str = "/blur_imu",
        namespace: str = "",
        image_type: type = Image,
        qos: QoSProfile = qos_profile_sensor_data,
    ) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("rig", namespace=namespace, context=self.context)
        self.node_name = node_name
        self.imu: list[Imu] = []
        self.twist: list[TwistWithCovarianceStamped] = []
        self.status: list[DiagnosticStatus] = []
        self.sent: list[int] = []
        self._lock = threading.Condition()
        self.image_publisher = self.node.create_publisher(image_type, "image", qos)
        self.info_publisher = self.node.create_publisher(CameraInfo, "camera_info", qos)
        self.extra: list[object] = []
        self.node.create_subscription(Imu, f"{node_name}/imu", lambda m: self._keep(self.imu, m), 1000)
        self.node.create_subscription(
            TwistWithCovarianceStamped, f"{node_name}/twist", lambda m: self._keep(self.twist, m), 1000
        )
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._keep_status, 100)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while not self._ended.is_set():
            self._executor.spin_once()

    def close(self) -> None:
        # By a task, since rclpy's shutdown takes from a thread that still spins what it waits on: it waits for ever or crashes.
        self._executor.create_task(self._ended.set)
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()

    def _keep(self, store: list, message: object) -> None:
        with self._lock:
            store.append(message)
            self._lock.notify_all()

    def _keep_status(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == self.node_name:
                self._keep(self.status, status)

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 30) -> bool:
        """Wait until something that arrived makes the condition true."""
        with self._lock:
            return self._lock.wait_for(condition, timeout_s)

    def wait_for_status(
        self, condition: Callable[[DiagnosticStatus], bool], timeout_s: float = 30
    ) -> DiagnosticStatus:
        """Return the next status from now on that fulfils the condition; fail with the last one seen."""
        start = len(self.status)
        found = self.wait_for(lambda: any(condition(status) for status in self.status[start:]), timeout_s)
        assert found, (
            f"no such status within {timeout_s} s; the last was {self.status[-1] if self.status else None}"
        )
        return next(status for status in self.status[start:] if condition(status))

    def wait_until_listened(self, node: NodeProcess, timeout_s: float = 40) -> None:
        """Wait until the node is active: it subscribes to image and camera info, and its outputs are matched."""
        publishers = (self.image_publisher, self.info_publisher)
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and node.alive:
            outputs = self.node.count_publishers(f"{self.node_name}/imu")
            if outputs and all(publisher.get_subscription_count() for publisher in publishers):
                time.sleep(0.3)
                return
            time.sleep(0.05)
        raise AssertionError(f"the node did not subscribe within {timeout_s} s; its log:\n{node.log}")

    def listen(self, kind: type, topic: str) -> None:
        """Collect another topic in `extra`."""
        self.node.create_subscription(
            kind, topic, lambda message: self._keep(self.extra, message), qos_profile_sensor_data
        )

    def send(
        self,
        stamp_ns: int | None = None,
        *,
        image: Image | None = None,
        info: CameraInfo | None = None,
        offset_ns: int = 0,
    ) -> int:
        """Publish camera info and image with one stamp, of now plus an offset unless given; return it."""
        stamp_ns = time.time_ns() + offset_ns if stamp_ns is None else stamp_ns
        info = info or camera_info()
        image = image or frame()
        for message in (info, image):
            message.header.frame_id = "camera_optical_frame"
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
        self.info_publisher.publish(info)
        self.image_publisher.publish(image)
        self.sent.append(stamp_ns)
        return stamp_ns

    def stream(self, count: int, **arguments: object) -> list[int]:
        """Send frames at camera rate; return their stamps."""
        stamps = []
        due = time.monotonic()
        for _ in range(count):
            stamps.append(self.send(**arguments))
            due += PERIOD_S
            time.sleep(max(0.0, due - time.monotonic()))
        return stamps

    def stream_until(
        self, condition: Callable[[], bool], timeout_s: float = 40, **arguments: object
    ) -> float:
        """Send frames at camera rate until the condition holds; return the seconds it took."""
        start = time.monotonic()
        while not condition():
            assert time.monotonic() - start < timeout_s, f"not within {timeout_s} s; last: {self.status[-1:]}"
            self.stream(1, **copy.deepcopy(arguments))
        return time.monotonic() - start

    def stream_until_answered(self, count: int = 1, **arguments: object) -> float:
        """Send frames at camera rate until so many more are answered; return the seconds it took."""
        target = len(self.imu) + count
        return self.stream_until(lambda: len(self.imu) >= target, **arguments)

    def stream_until_status(
        self, condition: Callable[[DiagnosticStatus], bool], **arguments: object
    ) -> DiagnosticStatus:
        """Send frames at camera rate until a new status fulfils the condition; return it."""
        start = len(self.status)
        self.stream_until(lambda: any(condition(status) for status in self.status[start:]), **arguments)
        return next(status for status in self.status[start:] if condition(status))

    def change_state(self, transition: int) -> bool:
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, "change_state", request).success

    def state(self) -> str:
        return self.call(GetState, "get_state", GetState.Request(), repeat_s=5).current_state.label

    def set_parameter(self, name: str, value: object) -> tuple[bool, str]:
        message: ParameterMessage = Parameter(name, value=value).to_parameter_msg()
        result = self.call(
            SetParameters, "set_parameters", SetParameters.Request(parameters=[message])
        ).results[0]
        return result.successful, result.reason

    def call(
        self, kind: type, name: str, request: object, timeout_s: float = 30, repeat_s: float = math.inf
    ) -> object:
        """Answer of a service. A question that changes nothing is asked again every repeat_s: discovery may know the service
        before the way back to this client, and the first answer is then lost."""
        client = self.node.create_client(kind, f"{self.node_name}/{name}")
        try:
            assert client.wait_for_service(timeout_s), f"service {name} is not offered"
            end = time.monotonic() + timeout_s
            while time.monotonic() < end:
                future = client.call_async(request)
                patience = min(end, time.monotonic() + repeat_s)
                while not future.done() and time.monotonic() < patience:
                    time.sleep(0.01)
                if future.done():
                    break
            assert future.done(), f"service {name} did not answer"
            return future.result()
        finally:
            self.node.destroy_client(client)


def stretched(limit_s: float) -> float:
    """The limit, longer on a machine that has more to do than cores."""
    return limit_s * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def exit_limit_s() -> float:
    """The two seconds in which the node must end."""
    return stretched(2)


def keeping_all(topics: tuple[str, ...], depth: int) -> dict[str, object]:
    """Parameters by which the node loses no message of these inputs, however long its callbacks have to wait."""
    policies = {"reliability": "reliable", "depth": depth}
    return {
        f"qos_overrides./{topic}.subscription.{policy}": value
        for topic in topics
        for policy, value in policies.items()
    }


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def drops(status: DiagnosticStatus) -> dict[str, int]:
    """Drops by cause, those that happened."""
    prefix = "images dropped: "
    found = {
        key[len(prefix) :]: int(value) for key, value in values(status).items() if key.startswith(prefix)
    }
    return {cause: count for cause, count in found.items() if count}


def camera_info(width: int = WIDTH, height: int = HEIGHT) -> CameraInfo:
    """A camera of about 65 degrees without distortion."""
    focal = 0.78 * width
    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [focal, 0.0, width / 2 - 0.5, 0.0, focal, height / 2 - 0.5, 0.0, 0.0, 1.0]
    info.p = [focal, 0.0, width / 2 - 0.5, 0.0, 0.0, focal, height / 2 - 0.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


_TEXTURE = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def frame(width: int = WIDTH, height: int = HEIGHT) -> Image:
    """An rgb8 image with texture."""
    pixels = np.resize(_TEXTURE, (height, width, 3))
    image = Image(width=width, height=height, encoding="rgb8", step=3 * width)
    image.data.frombytes(pixels.tobytes())
    return image
