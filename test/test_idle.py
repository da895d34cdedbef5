"""Between images the processor is the robot's: no numeric library's thread stays awake on it."""

import os
import subprocess
import sys

import pytest

THREADS_STARTED = """
import blur_imu_ros, os
before = len(os.listdir("/proc/self/task"))
import numpy
print(len(os.listdir("/proc/self/task")) - before)
"""

# A program that loaded NumPy before this package, and with it OpenBLAS's threads. What is done once per camera may wake them.
AWAKE_AFTER_AN_ESTIMATE = """
import numpy, time
from blur_imu_ros.benchmark.workload import Workload
from blur_imu_ros.estimate import Frame
from blur_imu_ros.estimator import BlurImuEstimator
from blur_imu_ros.image_message import decode_image
from blur_imu_ros.model.finding import find_model
from blur_imu_ros.network import FlowDepthNetwork, Provider
estimator = BlurImuEstimator(FlowDepthNetwork(find_model("small", Provider.CPU), provider=Provider.CPU))
workload = Workload.synthetic()
image = decode_image(workload.messages[0])
for stamp_ns in (1, 2):
    time.sleep(0.5)
    estimator.estimate(Frame(image, workload.camera, stamp_ns, workload.exposure_s))
used = time.process_time()
time.sleep(0.1)
print(time.process_time() - used)
"""


def printed_by(program: str) -> float:
    """The number that a fresh Python process prints, threads of numeric libraries not limited by its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads as Linux lists them")
def test_no_thread_is_started_for_small_products():
    assert printed_by(THREADS_STARTED) == 0


def test_nothing_is_awake_after_an_estimate():
    assert printed_by(AWAKE_AFTER_AN_ESTIMATE) < 0.05


def test_the_network_runtime_reports_to_nobody(tmp_path):
    """ONNX Runtime 1.29 and newer would leave a device identifier behind and send what it runs to its maker."""
    environment = {
        name: value for name, value in os.environ.items() if "TELEMETRY" not in name and name != "CI"
    }
    program = (
        "import blur_imu_ros.network, onnxruntime; onnxruntime.SessionOptions(); onnxruntime.get_device()"
    )
    subprocess.run([sys.executable, "-c", program], env={**environment, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.rglob("*")) == []
