"""The flow-and-depth network: one ONNX session of the model contract, warm and of fixed shape."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from .errors import ConfigurationError, ImageError, ModelError, first_line
from .model.blank_cells import BlankCells
from .model.contract import CHANNELS, check_file, read_spec
from .model.finding import find_model, read_model
from .model.onnx_file import OnnxFile
from .model.providers import Provider, describe, gpu_did_not_start, open_session
from .model.spec import (
    DEFAULT_FLOW_SIGMA_PX,
    DEFAULT_RELATIVE_DEPTH_SIGMA,
    REMEDY,
    UNKNOWN_FLOW_SIGMA_PX,
    FlowRepresentation,
    ModelSpec,
)

__all__ = ["FlowDepthNetwork", "FlowRepresentation", "ModelSpec", "Prediction", "Provider"]

MOST_THREADS = 256
LEAST_INVERSE_DEPTH = 1e-3  # 1/m: an inverse depth of zero would leave a step no flow to be seen by
LOG_SIGMA_LIMIT = 20.0  # wider or narrower says nothing more, and its exponential still fits float32
FARTHEST_INVERSE_DEPTH = 0.05  # 1/m: the floor of a default depth sigma, 20 m


@dataclass(frozen=True)
class Prediction:
    """Network outputs on the grid [h, w], float32: views of buffers that the next prediction overwrites.

    `flow` [2, h, w] in canonical pixels per exposure, signed or double-angle by `representation`;
    `flow_log_sigma` the natural logarithm of its standard deviation per component, wide where the image is blank;
    `inverse_depth` (> 0) in 1/m with `inverse_depth_log_sigma` likewise.
    """

    flow: np.ndarray
    flow_log_sigma: np.ndarray
    inverse_depth: np.ndarray
    inverse_depth_log_sigma: np.ndarray
    representation: FlowRepresentation


class FlowDepthNetwork:
    """A loaded and warmed network; `spec` says what it is and `provider_message` what it runs on.

    `model` is a path or a name for `find_model`. `threads` 0 leaves their number to ONNX Runtime; `spinning`
    keeps them busy between frames, a little faster at the cost of a processor. TensorRT runs only from an
    engine that `build_engine` made once, since building takes minutes. Raises ModelError for a file outside
    the model contract or a provider that cannot run.
    """

    def __init__(
        self,
        model: str | Path = "auto",
        *,
        provider: Provider = Provider.AUTO,
        threads: int = 0,
        spinning: bool = False,
        verify_hash: bool = True,
        build_engine: bool = False,
    ) -> None:
        start = time.perf_counter()
        self._session: Any = None
        self._binding: Any = None
        self._on_gpu: dict[str, Any] = {}
        options = _options(threads, spinning)
        path = find_model(model, provider)
        runs = self._load(path, provider, options, verify_hash, build_engine)
        if gpu_did_not_start(provider, runs):
            # Another network may have been chosen for it.
            fitting = find_model(model, Provider.CPU)
            if fitting != path:
                self._load(fitting, Provider.CPU, options, verify_hash, build_engine)
        self.provider_message = describe(provider, runs)
        self.start_s = time.perf_counter() - start

    def _load(
        self,
        path: Path,
        provider: Provider,
        options: onnxruntime.SessionOptions,
        verify_hash: bool,
        build_engine: bool,
    ) -> Provider:
        """Open, bind and warm the network of a file; on what it runs."""
        data, sha256, notes = read_model(path, verify_hash=verify_hash)
        try:
            check_file(OnnxFile.parse(data))
            self._session, runs = _open(data, sha256, provider, options, build_engine)
            self.spec = read_spec(self._session, path, sha256, notes)
            self._bind(on_gpu=runs is Provider.CUDA)
            # The first runs choose algorithms, allocate memory and record a GPU's graph; a frame must not wait for that.
            for _ in range(3 if self._on_gpu else 2):
                self.predict(np.full((self.spec.height, self.spec.width, 3), 114, np.uint8))
        except ModelError as error:
            raise ModelError(f"model {path}: {error}") from error
        return runs

    def predict(self, image: np.ndarray) -> Prediction:
        """Run the network on a canonical view uint8 [H, W, 3] RGB; ModelError when it answers with NaN or infinity."""
        if self._session is None:
            raise ModelError(f"model {self.spec.name} is closed; load it again")
        if image.shape != self._image.shape[1:] or image.dtype != np.uint8:
            raise ImageError(
                f"network input is {image.dtype} {list(image.shape)} instead of uint8 {list(self._image.shape[1:])}; "
                "warp the frame into the canonical view of this model"
            )
        self._image[0] = image
        try:
            self._run()
        except Exception as error:  # ONNX Runtime's exceptions share no other base
            raise ModelError(
                f"model {self.spec.name} failed to run: {first_line(error)}; try provider cpu"
            ) from error
        self._check_finite()
        return self._prediction()

    def close(self) -> None:
        """Free the session and its memory, on the GPU too."""
        self._session = self._binding = None
        self._on_gpu = {}

    def _run(self) -> None:
        if self._on_gpu:
            self._on_gpu["image"].update_inplace(self._image)
        self._session.run_with_iobinding(self._binding)
        for name in self._produced if self._on_gpu else ():
            np.copyto(self._outputs[name], self._on_gpu[name].numpy())

    def _bind(self, on_gpu: bool) -> None:
        """Inputs and outputs live in arrays of ours for good, those of a GPU in its memory: nothing is allocated per frame."""
        spec = self.spec
        rows, columns = spec.height // spec.stride, spec.width // spec.stride
        self._image = np.zeros((1, spec.height, spec.width, 3), np.uint8)
        self._outputs = {
            name: np.zeros((1, count, rows, columns), np.float32) for name, count in CHANNELS.items()
        }
        self._produced = [output.name for output in self._session.get_outputs()]
        self._blank = BlankCells(spec.height, spec.width, spec.stride)
        self._binding = self._session.io_binding()
        if on_gpu:
            arrays = {"image": self._image, **{name: self._outputs[name] for name in self._produced}}
            self._on_gpu = {
                name: onnxruntime.OrtValue.ortvalue_from_numpy(array, "cuda", 0)
                for name, array in arrays.items()
            }
            self._binding.bind_ortvalue_input("image", self._on_gpu["image"])
            for name in self._produced:
                self._binding.bind_ortvalue_output(name, self._on_gpu[name])
            return
        self._binding.bind_cpu_input("image", self._image)
        for name in self._produced:
            array = self._outputs[name]
            self._binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    def _check_finite(self) -> None:
        for name in self._produced:
            finite = np.isfinite(self._outputs[name])
            if not finite.all():
                raise ModelError(
                    f"model {self.spec.name} gave {finite.size - np.count_nonzero(finite)} of {finite.size} "
                    f"non-finite values in '{name}'; try provider cpu: if they persist, the model is at fault"
                )

    def _prediction(self) -> Prediction:
        """The outputs within bounds, with defaults for those that are not there, and of no weight where the image is blank."""
        outputs = {name: array[0, 0] for name, array in self._outputs.items() if CHANNELS[name] == 1}
        depth, depth_sigma = outputs["inverse_depth"], outputs["inverse_depth_log_sigma"]
        np.maximum(depth, LEAST_INVERSE_DEPTH, out=depth)
        if "flow_log_sigma" not in self._produced:
            outputs["flow_log_sigma"].fill(np.log(DEFAULT_FLOW_SIGMA_PX))
        if not self.spec.has_depth_sigma:
            np.log(DEFAULT_RELATIVE_DEPTH_SIGMA * np.maximum(depth, FARTHEST_INVERSE_DEPTH), out=depth_sigma)
        for sigma in (outputs["flow_log_sigma"], depth_sigma):
            np.clip(sigma, -LOG_SIGMA_LIMIT, LOG_SIGMA_LIMIT, out=sigma)
        flow_sigma, blank = outputs["flow_log_sigma"], self._blank.find(self._image[0])
        np.maximum(flow_sigma, np.log(UNKNOWN_FLOW_SIGMA_PX), out=flow_sigma, where=blank)
        return Prediction(flow=self._outputs["flow"][0], representation=self.spec.representation, **outputs)


def _options(threads: int, spinning: bool) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    if not 0 <= threads <= MOST_THREADS:
        raise ConfigurationError(
            f"threads is {threads}: give 0 to {MOST_THREADS}; 0 lets ONNX Runtime choose"
        )
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised, not printed
    # Dark images drive activations into denormal numbers, which some processors compute many times slower.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    # Threads wait for each other awake while the network runs, two milliseconds faster on two cores, and sleep between frames.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "0" if spinning else "1")
    return options


def _open(
    data: bytes, sha256: str, provider: Provider, options: onnxruntime.SessionOptions, build_engine: bool
) -> tuple[onnxruntime.InferenceSession, Provider]:
    try:
        return open_session(data, sha256, provider, options, build_engine=build_engine)
    except ModelError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions share no other base
        raise ModelError(
            f"onnxruntime {onnxruntime.__version__} cannot load it: {first_line(error)}; {REMEDY}"
        ) from error
