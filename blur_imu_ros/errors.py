"""The exceptions of the package: every message names what is wrong, where, and how to mend it; and how others are quoted."""


class BlurImuError(Exception):
    """Root of all errors a user can cause or mend; the command line prints it as one line and exits with 2."""


class CameraError(BlurImuError):
    """Intrinsics or a distortion model that cannot describe a camera."""


class ImageError(BlurImuError):
    """An image whose size, encoding or data cannot be used."""


class ExposureError(BlurImuError):
    """An exposure time that is missing, not positive, not finite, or longer than the frame interval."""


class ModelError(BlurImuError):
    """An ONNX model that is missing, altered, malformed or outside the model contract."""


class SequenceError(BlurImuError):
    """A sequence folder that breaks the sequence format."""


class BagError(BlurImuError):
    """A recording that cannot be read or lacks the topics that are needed."""


class ConfigurationError(BlurImuError):
    """An option or parameter outside its range, or options that contradict each other."""


def first_line(error: Exception) -> str:
    """The first line of what another library's error says, its type where it says nothing: one line is what we quote."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def file_fault(error: OSError) -> str:
    """What the system says of a file or folder, its path first where that is known, and what to check: on one line."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; check the path, its permissions and the space left"
