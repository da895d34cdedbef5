"""The pipeline of one camera taken apart."""

import numpy as np
import pytest
from onnx_models import write_model

from blur_imu_ros.camera import CameraModel
from blur_imu_ros.errors import ImageError
from blur_imu_ros.network import FlowDepthNetwork, Provider
from blur_imu_ros.offline.sequence_solver import SequenceSolver, Solver
from blur_imu_ros.options import EstimatorOptions
from blur_imu_ros.velocity import SolverOptions

CAMERA = CameraModel(320, 224, np.array([[250.8, 0, 159.5], [0, 250.8, 111.5], [0, 0, 1]]))


@pytest.mark.parametrize("for_fit", [False, True])
def test_a_view_with_too_few_cells_is_the_fault_of_its_frames(tmp_path, for_fit: bool):
    """A replay leaves such frames out; the camera alone must not end it."""
    network = FlowDepthNetwork(write_model(tmp_path / "net.onnx"), provider=Provider.CPU)
    options = EstimatorOptions(solver=SolverOptions(border_px=111.0))
    solver = SequenceSolver(CAMERA, network, Solver.DEFAULT, options)
    prediction = solver.predict(np.zeros((224, 320, 3), np.uint8))
    for _ in range(2):
        with pytest.raises(ImageError, match="usable"):
            solver.prepare(prediction, for_fit=for_fit)
