"""A recorded 640x480 camera at 30 Hz, played by `blur_imu play` from its own process into the node's."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from bags import Recorder
from onnx_models import write_model
from ros_rig import EXPOSURE_S, ROOT, NodeProcess, Rig, drops, exit_limit_s, values

FRAMES = 90
START_NS = 1_700_000_000 * 10**9


@pytest.fixture
def bag(tmp_path):
    recorder = Recorder("mcap")
    make = recorder.messages
    texture = np.random.default_rng(0).integers(0, 256, (480, 640 + FRAMES, 3), np.uint8)
    for index in range(FRAMES):
        stamp = START_NS + index * 10**9 // 30
        recorder.add("/image", stamp, make.image(stamp, texture[:, index : index + 640]))
        recorder.add("/camera_info", stamp + 1000, make.camera_info(stamp, 640, 480, 520.0))
    return recorder.write(tmp_path / "bag")


def test_every_played_image_is_answered_or_counted(bag, tmp_path):
    rig = Rig()
    model = write_model(tmp_path / "tiny.onnx")
    node = NodeProcess(
        tmp_path / "node.log",
        model=model,
        provider="cpu",
        exposure_s=EXPOSURE_S,
        stale_after_s=20,
        use_sim_time=True,
        # All of them, so that an image can only be missing because the player did not get it across.
        **{"qos_overrides./image.subscription.depth": FRAMES},
    )
    try:
        rig.wait_until_listened(node)
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-c", "import sys; from blur_imu_ros.cli import main; sys.exit(main())"]
        played = subprocess.run(
            [*command, "play", str(bag), "--wait", "30"],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert played.returncode == 0, played.stderr
        assert f"{FRAMES} messages of /image" in played.stdout
        status = rig.wait_for_status(
            lambda status: (
                values(status)["images received"] == str(FRAMES) and values(status)["images in work"] == "0"
            )
        )
        answered = int(values(status)["images answered"])
        assert answered + sum(drops(status).values()) == FRAMES
        # Whatever the load of the machine, images are only left out because newer ones were there.
        assert set(drops(status)) <= {"superseded by a newer image"}
        assert rig.wait_for(lambda: len(rig.imu) == answered)
        stamps = [message.header.stamp.sec * 10**9 + message.header.stamp.nanosec for message in rig.imu]
        assert all(later > earlier for earlier, later in itertools.pairwise(stamps))
        assert min(stamps) >= START_NS
        code, seconds = node.end()
        assert (code, seconds < exit_limit_s()) == (0, True)
    finally:
        node.kill()
        rig.close()
