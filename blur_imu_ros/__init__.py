"""Camera velocity from single motion-blurred images, as virtual IMU messages for ROS 2."""

import os

# The solve's products are small; OpenBLAS's threads would stay awake for the next ones, on cores that the network needs.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# From 1.29 on ONNX Runtime reports to its maker over the network: a robot does not unasked. Read when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
