"""Canonical view: one precomputed remap from any calibrated camera into the pinhole camera of the network."""

from functools import cached_property

import cv2
import numpy as np

from .camera import CameraModel
from .distortion import fold_radius, radial_profile
from .errors import CameraError, ImageError

# Where a lens folds over there is nothing to read.
FILL = 114
MIN_VALID_SHARE = 0.1
# A picture beside the optical axis fills the view on its shorter side too, unless that side is shorter than this share of the
# mean of both: a longer focal length costs more than an empty strip.
_SHORTER_SIDE = 0.8
_BAND = 32  # rows that are traced at once
_OUTSIDE = -4.0  # a map coordinate that is outside of every picture


class CanonicalView:
    """Undistortion, crop, resize and focal normalisation of one camera in one remap.

    The view is `width` x `height` px with the optical axis in its middle, ((width-1)/2, (height-1)/2), and
    focal length `focal_px` both ways: the canonical one, or a longer f' where the camera sees less than the
    canonical view, so that its picture still fills the network's input. Depth learnt at the canonical focal
    is then `depth_scale` = f'/canonical times too small. Flow in the view is solved with f'. Build anew only
    when a camera no longer `resembles` this one.
    """

    def __init__(self, camera: CameraModel, width: int, height: int, focal_px: float) -> None:
        self.camera = camera
        self.width = width
        self.height = height
        self._fold = fold_radius(camera.model, camera.distortion)
        self.focal_px = max(focal_px, self._filling_focal())
        self.depth_scale = self.focal_px / focal_px
        # Source pixels per canonical pixel decide the box filter that keeps the remap from aliasing.
        pace = np.diag(camera.matrix)[:2] / self.focal_px
        self._box = np.clip(np.rint(pace), 1, [camera.width // 2, camera.height // 2]).astype(int)
        self._shrunk = (camera.width // int(self._box[0]), camera.height // int(self._box[1]))
        self._build()

    def source_pixels(self, points: np.ndarray) -> np.ndarray:
        """Pixels [N, 2] of the source image that canonical pixels [N, 2] are read from."""
        return self.camera.project(self.rays_of(points))

    def rays_of(self, points: np.ndarray) -> np.ndarray:
        """Rays (x, y, 1) as [N, 2] through canonical pixels [N, 2], camera optical frame."""
        # By columns, here as below: numpy is several times slower along an axis of two.
        x, y = np.asarray(points, np.float64).T
        offsets = np.stack([x - (self.width - 1) / 2, y - (self.height - 1) / 2], axis=1)
        return offsets / self.focal_px

    def warp(self, image: np.ndarray) -> np.ndarray:
        """Canonical view uint8 [height, width, 3] of an image uint8 [H, W] or [H, W, 3].

        The channel order is kept, a mono image repeated. Raises ImageError when the image is not the one
        that the camera's intrinsics are for.
        """
        self._check(image)
        (across, down), (columns, rows) = self._box, self._shrunk
        if across > 1 or down > 1:
            whole = image[: rows * down, : columns * across]
            image = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
        # The picture's own edge goes on beside it: an edge against grey is sharp whatever the blur, and is read as rest.
        view = cv2.remap(image, *self._maps, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
        if self._unreadable is not None:
            view[self._unreadable] = FILL
        return view if view.ndim == 3 else cv2.cvtColor(view, cv2.COLOR_GRAY2RGB)

    def valid_on_grid(self, stride: int) -> np.ndarray:
        """bool [height/stride, width/stride]: grid cells whose pixels are all valid."""
        rows, columns = self.height // stride, self.width // stride
        blocks = self.valid[: rows * stride, : columns * stride].reshape(rows, stride, columns, stride)
        return np.asarray(blocks.all(axis=(1, 3)))

    @cached_property
    def valid_share(self) -> float:
        """Share of the view that the camera really sees."""
        return float(self.valid.mean())

    def _filling_focal(self) -> float:
        """Shortest focal length at which the camera's field, axis by axis, is as wide as the view."""
        camera = self.camera
        edges = np.array([[-0.5, -0.5], [camera.width - 0.5, camera.height - 0.5]])
        plane = (edges - camera.matrix[:2, 2]) / np.diag(camera.matrix)[:2]
        # tan(89 deg): a pinhole view never reaches further. Even steps of the angle resolve both narrow and
        # fisheye lenses.
        radius = np.tan(np.linspace(0, min(np.arctan(self._fold), np.radians(89)), 4096))
        profile = np.maximum.accumulate(radial_profile(camera.model, camera.distortion, radius))
        # How far the picture reaches from the optical axis to the left and up, to the right and down.
        near, far = [[-1.0], [1.0]] * np.sign(plane) * np.interp(np.abs(plane), profile, radius)
        field = np.maximum(2 * np.minimum(near, far), _SHORTER_SIDE * (near + far))
        return float(((self.width, self.height) / np.maximum(field, 1e-9)).max())

    def _build(self) -> None:
        """Fixed-point maps into the box-filtered image, and the mask of pixels that lie inside the picture."""
        with np.errstate(all="ignore"):
            source, unfolded = self._trace()
            shrunk = (source + 0.5) / self._box[:, None, None].astype(np.float32) - 0.5
            last = np.reshape(self._shrunk, (2, 1, 1)) - 1
            inside = ((shrunk >= 0) & (shrunk <= last)).all(axis=0)
            unfolded &= _keeps_orientation(source)
        self.valid = inside & unfolded
        self.valid.setflags(write=False)
        if self.valid_share < MIN_VALID_SHARE:
            camera = self.camera
            raise CameraError(
                f"the image shows only {100 * self.valid_share:.0f} % of the view around the optical axis "
                f"(principal point {camera.matrix[:2, 2].round(1).tolist()} in {camera.width}x{camera.height} px, "
                f"distortion {camera.model.value}); check the calibration, region of interest and binning"
            )
        readable = unfolded & np.isfinite(shrunk)
        x, y = np.where(readable, np.clip(shrunk, _OUTSIDE, 32000), np.float32(_OUTSIDE))
        whole, parts = cv2.convertMaps(x, y, cv2.CV_16SC2)
        self._maps = whole, parts
        self._unreadable = None if readable.all() else ~readable.all(axis=0)

    def _trace(self) -> tuple[np.ndarray, np.ndarray]:
        """Source pixels float32 [2, H, W] of all view pixels, and bool [H, W]: inside the lens's fold.

        In bands of rows that stay in the cache: the first image of a camera waits for this.
        """
        source = np.empty((2, self.height, self.width), np.float32)
        unfolded = np.empty((self.height, self.width), bool)
        for top in range(0, self.height, _BAND):
            band = slice(top, min(top + _BAND, self.height))
            rows, columns = np.mgrid[band, : self.width]
            rays = self.rays_of(np.stack([columns.ravel(), rows.ravel()], axis=1))
            source[:, band] = self.camera.project(rays).T.reshape(2, -1, self.width)
            unfolded[band] = (rays[:, 0] ** 2 + rays[:, 1] ** 2 < self._fold**2).reshape(-1, self.width)
        return source, unfolded

    def _check(self, image: np.ndarray) -> None:
        expected = (self.camera.height, self.camera.width)
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
            raise ImageError(
                f"image is {image.dtype} {image.shape}; the view takes uint8 [H, W] or [H, W, 3]"
            )
        if image.shape[:2] != expected:
            raise ImageError(
                f"image is {image.shape[1]}x{image.shape[0]} px but its CameraInfo describes "
                f"{expected[1]}x{expected[0]} px; make the driver publish both for the same resolution, "
                "with binning and roi filled in"
            )


def _keeps_orientation(source: np.ndarray) -> np.ndarray:
    """bool [H, W]: where the map [2, H, W] does not mirror its neighbourhood, as one that folds over does."""
    # Central differences; only the sign of the determinant counts.
    (xx, yx), (xy, yy) = (
        [cv2.Sobel(plane, cv2.CV_32F, *axis, ksize=1, borderType=cv2.BORDER_REPLICATE) for plane in source]
        for axis in ((1, 0), (0, 1))
    )
    return np.asarray(xx * yy - yx * xy > 0)
