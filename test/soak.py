"""Soak: the node for a long time behind a 640x480 camera in another process (`make soak`); not part of the test suite.

SOAK_MINUTES (30), SOAK_RATE in Hz (60) and SOAK_MODEL (auto) choose another run; `SOAK_RATE=30 SOAK_MINUTES=2` measures
the latency of a usual camera. Prints what it measured as JSON.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
from ros_rig import EXPOSURE_S, ROOT, NodeProcess, Rig, camera_info, drops, exit_limit_s, frame, values

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
RATE_HZ = float(os.environ.get("SOAK_RATE", "60"))
MODEL = os.environ.get("SOAK_MODEL", "auto")
WIDTH, HEIGHT = 640, 480
WARM_UP_S = 300
STALL_AT_S, STALL_S = 60, 1.0
MEMORY_LIMIT_MB = 600


class Watch(Rig):
    """A rig that keeps the time of every arrival, and no more of the messages than it needs."""

    def __init__(self):
        self.latencies_s = []
        self.stamps = []
        super().__init__()

    def _keep(self, store, message):
        if store is self.imu:
            stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            self.latencies_s.append((time.time_ns() - stamp_ns) / 1e9 + EXPOSURE_S / 2)
            self.stamps.append(stamp_ns)
        elif store is not self.twist:
            super()._keep(store, message)


def run_camera(seconds: float) -> None:
    """The camera's process: publish until the time is over, then print how many."""
    rig = Rig()
    try:
        while not rig.image_publisher.get_subscription_count():
            time.sleep(0.05)
        time.sleep(1)
        images = [frame(WIDTH, HEIGHT) for _ in range(8)]
        info = camera_info(WIDTH, HEIGHT)
        begin = due = time.monotonic()
        while due - begin < seconds:
            rig.send(image=images[len(rig.sent) % len(images)], info=info)
            due += 1 / RATE_HZ
            time.sleep(max(0.0, due - time.monotonic()))
        time.sleep(1)
        print(json.dumps({"sent": len(rig.sent)}), flush=True)
    finally:
        rig.close()


def gaps_at_s(stamps: list[int]) -> list[float]:
    """Seconds after the first answer at which images in between went unanswered."""
    late = [later for earlier, later in itertools.pairwise(stamps) if later - earlier > 1.5e9 / RATE_HZ]
    return [round((stamp - stamps[0]) / 1e9, 2) for stamp in late]


def stall(process: psutil.Process) -> None:
    """Hold the node still once, so that its queue and the camera's shared memory fill up: what grows afterwards is a leak."""
    time.sleep(STALL_AT_S)
    process.send_signal(signal.SIGSTOP)
    time.sleep(STALL_S)
    process.send_signal(signal.SIGCONT)


def test_soak(tmp_path):
    """Memory stays, no stamp goes back, every image is accounted for."""
    watch = Watch()
    node = NodeProcess(tmp_path / "node.log", model=MODEL, exposure_s=EXPOSURE_S)
    profile = str(ROOT / "config" / "fastdds_large_images.xml")
    camera = subprocess.Popen(
        [sys.executable, __file__, str(60 * MINUTES)],
        env={
            **os.environ,
            "FASTRTPS_DEFAULT_PROFILES_FILE": profile,
            "ROS_RIG_DOMAIN": os.environ["ROS_DOMAIN_ID"],
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    memory, load = [], []
    watched = psutil.Process(node.process.pid)
    stop = threading.Event()

    def sample():
        begin = time.monotonic()
        while not stop.wait(5):
            memory.append((time.monotonic() - begin, watched.memory_info().rss / 1e6))
            load.append(psutil.cpu_percent())

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    if 60 * MINUTES > WARM_UP_S:
        threading.Thread(target=stall, args=(watched,), daemon=True).start()
    try:
        output, _ = camera.communicate(timeout=60 * MINUTES + 120)
        sent = json.loads(output.splitlines()[-1])["sent"]
        status = watch.wait_for_status(lambda status: values(status).get("images in work") == "0")
        stop.set()
        counted = values(status)
        received, answered = int(counted["images received"]), int(counted["images answered"])
        settled = [megabytes for second, megabytes in memory if second >= min(WARM_UP_S, 30 * MINUTES)]
        report = {
            "minutes": MINUTES,
            "rate_hz": RATE_HZ,
            "model": counted["model"],
            "sent": sent,
            "received": received,
            "answered": answered,
            "drops": drops(status),
            "gaps_at_s": gaps_at_s(watch.stamps),
            "image_to_imu_ms": {p: 1e3 * float(np.percentile(watch.latencies_s, p)) for p in (50, 99)},
            "diagnostics_ms": {key: value for key, value in counted.items() if key.startswith("latency")},
            "resident_mb": {"settled": settled[0], "end": settled[-1], "largest": max(m for _, m in memory)},
            "resident_mb_by_minute": [round(megabytes, 1) for _, megabytes in memory[::12]],
            "cpu_ms_per_answer": 1e3 * sum(watched.cpu_times()[:2]) / max(1, answered),
            "machine": {
                "cores": os.cpu_count(),
                "cpu_percent": float(np.mean(load)),
                "load": os.getloadavg(),
            },
        }
        print(json.dumps(report, indent=2))
        assert received == answered + sum(drops(status).values())
        assert all(later > earlier for earlier, later in itertools.pairwise(watch.stamps))
        assert settled[-1] < 1.02 * settled[0]
        assert max(settled) < MEMORY_LIMIT_MB
        code, seconds = node.end()
        assert (code, seconds < exit_limit_s()) == (0, True)
    finally:
        stop.set()
        camera.kill()
        node.kill()
        watch.close()


if __name__ == "__main__":
    run_camera(float(sys.argv[1]))
