"""From CameraInfo messages to the camera in use."""

from __future__ import annotations

from typing import Any

from ..camera import CameraModel
from ..errors import CameraError


class CameraSource:
    """The camera of the newest CameraInfo message, built anew only when its content changes."""

    def __init__(self, *, rectified: bool) -> None:
        self._rectified = rectified
        self._content: tuple[Any, ...] | None = None
        self._camera: CameraModel | CameraError = CameraError("no CameraInfo received")
        self._newest: Any = None

    def take(self, info: Any) -> None:
        """Take in a CameraInfo message; callable from any thread."""
        self._newest = info

    @property
    def frame_id(self) -> str:
        """Frame of the newest CameraInfo, empty before the first."""
        return "" if self._newest is None else str(self._newest.header.frame_id)

    def camera(self) -> CameraModel:
        """Return the camera to use now. Raises CameraError where there is none."""
        info = self._newest
        if info is not None:
            content = _content(info)
            if content != self._content:
                self._content = content
                try:
                    self._camera = CameraModel.from_camera_info(info, rectified=self._rectified)
                except CameraError as error:
                    self._camera = error
        if isinstance(self._camera, CameraError):
            raise CameraError(str(self._camera))
        return self._camera


def _content(info: Any) -> tuple[Any, ...]:
    """Return everything of a CameraInfo but its header, to compare by."""
    roi = info.roi
    return (
        *(info.width, info.height, info.distortion_model, info.binning_x, info.binning_y),
        *(roi.x_offset, roi.y_offset, roi.width, roi.height, roi.do_rectify),
        *(bytes(memoryview(values)) for values in (info.k, info.d, info.r, info.p)),
    )
