"""ROS image messages, checked and decoded to plain arrays; duck-typed, so bags and live topics share it.

Everything a converter would trust blindly (size, step, data length, endianness, encoding) is checked first.
Source: sensor_msgs/msg/Image, sensor_msgs/msg/CompressedImage, sensor_msgs/image_encodings.hpp.
"""

from __future__ import annotations

import re
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from .errors import ImageError

MAX_PIXELS = 1 << 25
"""Larger images are refused before memory is taken for them."""


@dataclass(frozen=True)
class Encoding:
    """Bytes of one pixel, whether it carries colour, and OpenCV's code to RGB (None: used as it is)."""

    pixel_bytes: int
    colour: bool
    code: int | None = None


# OpenCV names a Bayer pattern by the second row's middle pixels, ROS by the first two: RGGB is OpenCV's BG.
ENCODINGS = {
    "mono8": Encoding(1, False),
    "mono16": Encoding(2, False),
    "rgb8": Encoding(3, True),
    "bgr8": Encoding(3, True, cv2.COLOR_BGR2RGB),
    "rgba8": Encoding(4, True, cv2.COLOR_RGBA2RGB),
    "bgra8": Encoding(4, True, cv2.COLOR_BGRA2RGB),
    "bayer_rggb8": Encoding(1, True, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": Encoding(1, True, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": Encoding(1, True, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": Encoding(1, True, cv2.COLOR_BayerGB2RGB),
    "yuv422_yuy2": Encoding(2, True, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": Encoding(2, True, cv2.COLOR_YUV2RGB_YUY2),
    "uyvy": Encoding(2, True, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422": Encoding(2, True, cv2.COLOR_YUV2RGB_UYVY),
}

# The names every release of cv_bridge knows.
_OLD_NAMES = {"uyvy": "yuv422", "yuyv": "yuv422_yuy2"}
_MOSAIC = re.compile(r"\s*(bayer_\w+)\s*;.*compressed\s*$")
_BIG_ENDIAN = sys.byteorder == "big"

Converter = Callable[[Any, str], np.ndarray]
"""cv_bridge's `CvBridge.imgmsg_to_cv2(message, desired_encoding)`, or `convert_plain` without cv_bridge."""


def decode_image(message: Any, convert: Converter | None = None) -> np.ndarray:
    """Decode a sensor_msgs/Image: uint8 RGB [H, W, 3], or mono [H, W] for mono8 and (the upper bits of) mono16.

    rgb8 and mono8 with tight rows come back as a view of the message's data. Raises ImageError.
    """
    encoding = check_image(message)
    message = _native(message, encoding)
    wanted = "passthrough" if encoding.code is None else "rgb8"
    try:
        return _to_eight_bits((convert or convert_plain)(message, wanted))
    except (cv2.error, RuntimeError, TypeError, ValueError) as error:
        raise ImageError(
            f"image of {message.width} x {message.height} in {message.encoding} cannot be converted "
            f"({error}); publish rgb8 or mono8"
        ) from error


def check_image(message: Any) -> Encoding:
    """Check every field of a sensor_msgs/Image a converter relies on, and return its encoding."""
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise ImageError(
            f"image encoding {message.encoding[:40]!r} is not supported; publish {', '.join(ENCODINGS)}"
        )
    width, height, step = int(message.width), int(message.height), int(message.step)
    _check_size(width, height)
    if encoding.pixel_bytes == 2 and encoding.colour and width % 2:
        raise ImageError(
            f"image width {width} is odd, but {message.encoding} shares colour between pairs of pixels; "
            "set an even width in the camera driver"
        )
    if step < width * encoding.pixel_bytes:
        raise ImageError(
            f"image step is {step} bytes, but {width} pixels of {message.encoding} need at least "
            f"{width * encoding.pixel_bytes}; the camera driver fills the message wrongly"
        )
    if len(message.data) != step * height:
        raise ImageError(
            f"image data holds {len(message.data)} bytes, but step {step} times height {height} is "
            f"{step * height}; the message is truncated or the camera driver fills it wrongly"
        )
    return encoding


def convert_plain(message: Any, desired_encoding: str) -> np.ndarray:
    """Convert a checked, tight, native-endian image with OpenCV alone: as stored (passthrough) or to rgb8."""
    encoding = ENCODINGS[message.encoding]
    dtype = np.uint16 if message.encoding == "mono16" else np.uint8
    pixels: np.ndarray = np.frombuffer(message.data, dtype).reshape(message.height, message.width, -1)
    if pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if desired_encoding == "passthrough" or encoding.code is None:
        return pixels
    return cv2.cvtColor(pixels, encoding.code)


def decode_compressed(message: Any) -> np.ndarray:
    """Decode a sensor_msgs/CompressedImage holding JPEG or PNG: uint8 RGB [H, W, 3] or mono [H, W].

    The bytes decide, not the `format` text, which drivers fill in freely; but a grey picture of a format such as
    "bayer_rggb8; png compressed " is a mosaic of colours that image_transport packed as it was. Raises ImageError.
    """
    data = bytes(message.data)
    if data.startswith(b"\xff\xd8\xff"):
        width, height = _jpeg_size(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = _png_size(data)
    else:
        raise ImageError(
            f"compressed image (format {message.format[:40]!r}, {len(data)} bytes) is neither JPEG nor PNG; "
            "set the driver's image transport to 'compressed' with format jpeg or png"
        )
    _check_size(width, height)
    # Unchanged: the stored pixels, without a rotation by EXIF tag, of which CameraInfo knows nothing.
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None or pixels.shape[:2] != (height, width):
        raise ImageError(f"compressed image of {width} x {height} is damaged; check the link to the camera")
    pixels = _to_eight_bits(pixels)
    if pixels.ndim == 2:
        mosaic = _MOSAIC.match(message.format)
        if mosaic is None:
            return pixels
        encoding = ENCODINGS.get(mosaic[1].replace("16", "8"))
        if encoding is None or encoding.code is None:
            raise ImageError(
                f"compressed image holds a mosaic of colours in an order that is not known ({message.format[:40]!r}); "
                "publish the debayered image"
            )
        return cv2.cvtColor(pixels, encoding.code)
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ImageError(
            f"image size {width} x {height} is not usable (1 to {MAX_PIXELS} pixels in all); "
            "check the resolution set in the camera driver"
        )


def _native(message: Any, encoding: Encoding) -> Any:
    """Return an equal message without row padding, in this machine's byte order; its data a view where they can be."""
    row = message.width * encoding.pixel_bytes
    data = message.data
    if message.step != row:
        data = np.frombuffer(data, np.uint8).reshape(message.height, message.step)[:, :row].reshape(-1)
    if message.encoding == "mono16" and bool(message.is_bigendian) != _BIG_ENDIAN:
        data = np.frombuffer(data, np.uint16).byteswap().view(np.uint8)
    return SimpleNamespace(
        width=message.width,
        height=message.height,
        step=row,
        encoding=_OLD_NAMES.get(message.encoding, message.encoding),
        is_bigendian=int(_BIG_ENDIAN),
        data=data,
    )


def _to_eight_bits(pixels: np.ndarray) -> np.ndarray:
    """The upper eight of the bits in use: drivers leave 10 or 12 bits in the lower ones of 16, and so do dark images."""
    if pixels.dtype == np.uint8:
        return pixels
    bits = max(8, int(pixels.max()).bit_length())
    return cv2.convertScaleAbs(pixels, alpha=255.0 / ((1 << bits) - 1))


def _png_size(data: bytes) -> tuple[int, int]:
    """Width and height from the IHDR chunk, which always comes first (PNG specification 11.2.2)."""
    if len(data) < 33 or data.rfind(b"IEND") < 0:
        raise ImageError(f"compressed PNG of {len(data)} bytes is truncated; check the link to the camera")
    # Before memory is taken for the size it states.
    if zlib.crc32(data[12:29]).to_bytes(4, "big") != data[29:33]:
        raise ImageError(f"compressed PNG of {len(data)} bytes is damaged; check the link to the camera")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height from the start-of-frame segment (ITU-T T.81 B.2.2); the end marker must follow it."""
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], struct.unpack(">H", data[position + 2 : position + 4])[0]
        if marker == 0xFF:
            # A marker may be preceded by any number of fill bytes (B.1.1.2).
            position += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            # A decoder fills the missing rest of a truncated JPEG with grey, without an error.
            if data.rfind(b"\xff\xd9", position) < 0:
                break
            return width, height
        position += 2 + length
    raise ImageError(f"compressed JPEG of {len(data)} bytes is truncated; check the link to the camera")
