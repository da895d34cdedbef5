"""The camera in use follows the newest CameraInfo, and is built anew only where that says something else."""

import numpy as np
import pytest
from ros_rig import HEIGHT, WIDTH, camera_info

from blur_imu_ros.errors import CameraError
from blur_imu_ros.live.camera_source import CameraSource


def source_with(info):
    source = CameraSource(rectified=False)
    source.take(info)
    return source


def test_before_the_first_message_there_is_none():
    source = CameraSource(rectified=False)
    assert source.frame_id == ""
    with pytest.raises(CameraError, match="no CameraInfo received"):
        source.camera()


def test_a_repeated_message_is_the_same_camera():
    source = source_with(camera_info())
    camera = source.camera()
    again = camera_info()
    again.header.stamp.sec, again.header.frame_id = 5, "optical"
    source.take(again)
    assert source.camera() is camera
    assert source.frame_id == "optical"


@pytest.mark.parametrize(
    "change",
    [
        lambda info: setattr(info, "width", WIDTH // 2),
        lambda info: setattr(info, "height", HEIGHT // 2),
        lambda info: (
            setattr(info, "distortion_model", "rational_polynomial") or setattr(info, "d", [0.0] * 8)
        ),
        lambda info: setattr(info, "d", [0.1, 0.0, 0.0, 0.0, 0.0]),
        lambda info: info.k.__setitem__(0, 100.0),
        lambda info: setattr(info, "binning_x", 2) or setattr(info, "binning_y", 2),
        lambda info: setattr(info.roi, "x_offset", 8) or setattr(info.roi, "width", WIDTH - 8),
        lambda info: setattr(info.roi, "y_offset", 8) or setattr(info.roi, "height", HEIGHT - 8),
    ],
)
def test_whatever_changes_of_a_calibration_changes_the_camera(change):
    source = source_with(camera_info())
    before = source.camera()
    changed = camera_info()
    change(changed)
    source.take(changed)
    alone = source_with(changed).camera()
    camera = source.camera()
    assert (camera.width, camera.height, camera.model, camera.distortion) == (
        *(alone.width, alone.height, alone.model, alone.distortion),
    )
    np.testing.assert_array_equal(camera.matrix, alone.matrix)
    assert camera is not before


def test_an_unusable_calibration_is_refused_until_a_sound_one_comes():
    source = source_with(camera_info())
    source.camera()
    broken = camera_info()
    broken.k[0] = 0.0
    source.take(broken)
    for _ in range(2):
        with pytest.raises(CameraError, match="calibrate"):
            source.camera()
    source.take(camera_info())
    assert source.camera().width == WIDTH
