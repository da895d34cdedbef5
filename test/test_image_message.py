"""Decoding image messages: every encoding, with and without cv_bridge, and every way to be malformed."""

import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from blur_imu_ros.errors import ImageError
from blur_imu_ros.image_message import ENCODINGS, MAX_PIXELS, decode_compressed, decode_image

WIDTH, HEIGHT = 22, 14
RANDOM = np.random.default_rng(3)


def message(encoding="rgb8", *, width=WIDTH, height=HEIGHT, padding=0, big=0, **overrides):
    row = width * ENCODINGS[encoding].pixel_bytes if encoding in ENCODINGS else 3 * width
    rows = RANDOM.integers(0, 256, (height, row), np.uint8)
    data = np.pad(rows, ((0, 0), (0, padding))).tobytes()
    fields = {
        "width": width,
        "height": height,
        "encoding": encoding,
        "step": row + padding,
        "is_bigendian": big,
    }
    return SimpleNamespace(**{**fields, "data": data, **overrides})


def stored(image, channels):
    return np.frombuffer(image.data, np.uint8).reshape(HEIGHT, WIDTH, channels)


def test_rgb_and_mono_are_views_of_the_message():
    for encoding in ("rgb8", "mono8"):
        image = message(encoding)
        pixels = decode_image(image)
        assert np.shares_memory(pixels, np.frombuffer(image.data, np.uint8))
        assert np.array_equal(pixels.ravel(), np.frombuffer(image.data, np.uint8))


@pytest.mark.parametrize(
    ("encoding", "channels", "order"),
    [("bgr8", 3, [2, 1, 0]), ("rgba8", 4, [0, 1, 2]), ("bgra8", 4, [2, 1, 0])],
)
def test_colour_order(encoding, channels, order):
    image = message(encoding)
    assert np.array_equal(decode_image(image), stored(image, channels)[:, :, order])


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_give_back_a_plain_colour(pattern):
    colour = {"r": 200, "g": 120, "b": 40}
    tile = np.array(
        [[colour[name] for name in pattern[:2]], [colour[name] for name in pattern[2:]]], np.uint8
    )
    mosaic = np.tile(tile, (HEIGHT // 2, WIDTH // 2))
    pixels = decode_image(message(f"bayer_{pattern}8", data=mosaic.tobytes()))
    assert np.array_equal(
        pixels[2:-2, 2:-2].reshape(-1, 3), np.tile([200, 120, 40], ((HEIGHT - 4) * (WIDTH - 4), 1))
    )


@pytest.mark.parametrize(
    ("encoding", "order"), [("uyvy", "uyvy"), ("yuv422", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")]
)
def test_yuv_is_read_in_its_own_order(encoding, order):
    # A grey of luma 126 with red chroma: ITU-R BT.601, limited range.
    values = {"y": 126, "u": 110, "v": 170}
    row = np.array([values[name] for name in order], np.uint8)
    pixels = decode_image(message(encoding, data=np.tile(row, HEIGHT * WIDTH // 2).tobytes()))
    luma = 1.164 * (126 - 16)
    expected = [luma + 1.596 * 42, luma - 0.391 * -18 - 0.813 * 42, luma + 2.018 * -18]
    assert np.abs(pixels - np.array(expected)).max() <= 2


@pytest.mark.parametrize("big", [0, 1])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_mono16_of_either_byte_order_is_scaled_to_eight_bits(big, bits):
    most = 2**bits - 1
    levels = np.linspace(0, most, HEIGHT * WIDTH).astype(">u2" if big else "<u2")
    pixels = decode_image(message("mono16", big=big, data=levels.tobytes()))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.ravel() - levels.astype(float) * 255 / most).max() <= 0.5


def test_black_mono16_stays_black():
    assert not decode_image(message("mono16", data=bytes(2 * HEIGHT * WIDTH))).any()


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
@pytest.mark.parametrize("padding", [0, 2, 5])
def test_cv_bridge_and_opencv_alone_agree_on_padded_rows_too(encoding, padding):
    cv_bridge = pytest.importorskip("cv_bridge")
    image = message(encoding, padding=padding)
    pixels = decode_image(image)
    assert pixels.shape == ((HEIGHT, WIDTH) if encoding.startswith("mono") else (HEIGHT, WIDTH, 3))
    assert np.array_equal(pixels, decode_image(image, cv_bridge.CvBridge().imgmsg_to_cv2))
    tight = message(encoding)
    tight.data = np.frombuffer(image.data, np.uint8).reshape(HEIGHT, -1)[:, : tight.step].tobytes()
    assert np.array_equal(pixels, decode_image(tight))


def test_byte_order_means_nothing_to_single_bytes():
    image = message("bgr8", big=1)
    assert np.array_equal(decode_image(image), stored(image, 3)[:, :, ::-1])


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (message("nv21"), "'nv21'"),
        (message("32FC1"), "rgb8"),
        (message("x" * 5000), "publish"),
        (message(width=0, step=0, data=b""), "0 x 14"),
        (message(height=0, data=b""), "22 x 0"),
    ],
)
def test_unusable_fields_are_named(image, told):
    with pytest.raises(ImageError, match=told):
        decode_image(image)


def test_sizes_that_do_not_fit_together_are_named():
    with pytest.raises(ImageError, match=r"step is 65 bytes.*at least 66"):
        decode_image(message(step=65))
    with pytest.raises(ImageError, match=r"holds 923 bytes.*924"):
        decode_image(message(data=bytes(923)))
    with pytest.raises(ImageError, match=r"holds 925 bytes.*924"):
        decode_image(message(data=bytes(925)))
    with pytest.raises(ImageError, match="odd"):
        decode_image(message("uyvy", width=21))
    huge = SimpleNamespace(
        encoding="mono8", width=2**32 - 1, height=2**32 - 1, step=2**32 - 1, is_bigendian=0, data=b""
    )
    with pytest.raises(ImageError, match=f"{MAX_PIXELS}"):
        decode_image(huge)


@pytest.mark.parametrize("kind", [RuntimeError, TypeError, cv2.error])
def test_what_a_converter_refuses_is_refused_by_name(kind):
    def convert(image, encoding):
        raise kind("no such conversion")

    with pytest.raises(ImageError, match=r"22 x 14 in bgr8.*no such conversion.*rgb8"):
        decode_image(message("bgr8"), convert)


def compressed(extension, pixels, **parameters):
    return SimpleNamespace(format=extension, data=cv2.imencode(extension, pixels, **parameters)[1].tobytes())


@pytest.mark.parametrize("text", ["bayer_grbg8; png compressed ", "bayer_grbg8; jpeg compressed"])
def test_a_mosaic_that_was_compressed_as_it_is_gets_its_colours(text):
    mosaic = np.tile(np.array([[120, 200], [40, 120]], np.uint8), (16, 16))
    packed = compressed(".png", mosaic)
    packed.format = text
    assert np.array_equal(decode_compressed(packed)[8, 8], [200, 120, 40])
    # 10 or 12 bits come as 16.
    deep = compressed(".png", mosaic.astype(np.uint16) * 257)
    deep.format = text.replace("8", "16", 1)
    assert np.array_equal(decode_compressed(deep)[8, 8], [200, 120, 40])
    packed.format = "bayer_rgbw8; png compressed "
    with pytest.raises(ImageError, match=r"mosaic .* not known .*bayer_rgbw8.*publish the debayered image"):
        decode_compressed(packed)
    # What the transport has turned into grey or colour itself is left as it is.
    packed.format = "bayer_grbg8; jpeg compressed mono8"
    assert np.array_equal(decode_compressed(packed), mosaic)


def test_png_and_jpeg_decode_to_rgb_or_mono():
    bgr = cv2.resize(RANDOM.integers(0, 256, (4, 6, 3), np.uint8), (96, 64), interpolation=cv2.INTER_CUBIC)
    assert np.array_equal(decode_compressed(compressed(".png", bgr)), bgr[:, :, ::-1])
    assert np.abs(decode_compressed(compressed(".jpg", bgr)).astype(int) - bgr[:, :, ::-1]).mean() < 5
    grey = bgr[:, :, 0]
    assert np.array_equal(decode_compressed(compressed(".png", grey)), grey)
    assert decode_compressed(compressed(".jpg", grey)).shape == grey.shape
    assert np.array_equal(decode_compressed(compressed(".png", grey.astype(np.uint16) * 257)), grey)
    with_alpha = np.dstack([bgr, grey])
    assert np.array_equal(decode_compressed(compressed(".png", with_alpha)), bgr[:, :, ::-1])


def test_fill_bytes_of_a_jpeg_and_what_follows_a_file_are_no_fault():
    pixels = RANDOM.integers(0, 256, (32, 48, 3), np.uint8)
    png, jpeg = (compressed(extension, pixels).data for extension in (".png", ".jpg"))
    frame = jpeg.index(b"\xff\xc0")
    filled = jpeg[:frame] + b"\xff\xff" + jpeg[frame:]
    for plain, other in ((png, png + bytes(32)), (jpeg, jpeg + bytes(32)), (jpeg, filled)):
        expected = decode_compressed(SimpleNamespace(format="", data=plain))
        assert np.array_equal(decode_compressed(SimpleNamespace(format="", data=other)), expected)


@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_truncated_files_are_refused_at_every_length(extension):
    whole = compressed(extension, RANDOM.integers(0, 256, (32, 48, 3), np.uint8)).data
    for length in range(0, len(whole) - 1, 7):
        with pytest.raises(ImageError, match=r"truncated|neither|damaged"):
            decode_compressed(SimpleNamespace(format="jpeg", data=whole[:length]))


def test_damaged_png_is_refused():
    data = bytearray(compressed(".png", RANDOM.integers(0, 256, (32, 48, 3), np.uint8)).data)
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageError, match="damaged"):
        decode_compressed(SimpleNamespace(format="png", data=bytes(data)))


def test_a_small_file_cannot_claim_a_huge_image():
    data = bytearray(compressed(".png", np.zeros((8, 8), np.uint8)).data)
    data[16:24] = (60000).to_bytes(4, "big") * 2
    with pytest.raises(ImageError, match="damaged"):
        decode_compressed(SimpleNamespace(format="png", data=bytes(data)))
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(ImageError, match="60000 x 60000"):
        decode_compressed(SimpleNamespace(format="png", data=bytes(data)))
    data = bytearray(compressed(".jpg", np.zeros((8, 8), np.uint8)).data)
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(ImageError, match="65535 x 65535"):
        decode_compressed(SimpleNamespace(format="jpeg", data=bytes(data)))


def test_other_formats_are_refused_by_name():
    tiff = compressed(".tiff", np.zeros((8, 8), np.uint8))
    with pytest.raises(ImageError, match=r"'\.tiff'.*neither JPEG nor PNG"):
        decode_compressed(tiff)
