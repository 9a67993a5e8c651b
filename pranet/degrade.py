"""What spoils an endoscope's picture: highlights, blur, interlacing, compression, text, margins.

Each function takes one RGB picture (H, W, 3) uint8 and returns a new one of the same size.
"""

import string
from fractions import Fraction

import av
import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image = NDArray[np.uint8]
#: Left, top, right and bottom in pixels.
Box = tuple[float, float, float, float]


def defocus(image: Image, rng: Generator) -> Image:
    """Gaussian blur of 0.5 to 2.5 px."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.5)), np.uint8)


def motion_blur(image: Image, rng: Generator) -> Image:
    """Blur along a line of 3 to 11 px in any direction."""
    length_px = int(rng.integers(3, 12))
    kernel = np.zeros((length_px, length_px), np.float32)
    angle = rng.uniform(0, np.pi)
    centre = (length_px - 1) / 2
    reach = centre * np.array((np.cos(angle), np.sin(angle)))
    start, end = (np.rint(centre + sign * reach).astype(int).tolist() for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def sensor_noise(image: Image, rng: Generator) -> Image:
    """Gaussian noise with a standard deviation of 2 to 10 levels."""
    noise = rng.normal(0, rng.uniform(2, 10), image.shape)
    return np.asarray((image + noise).clip(0, 255), np.uint8)


def specular_highlights(image: Image, rng: Generator) -> Image:
    """A cluster of small saturated spots with soft rims, as wet mucosa throws them back."""
    height, width = image.shape[:2]
    cover = np.zeros((height, width), np.float32)
    centre = rng.uniform(0.15, 0.85, 2) * (width, height)
    for _ in range(rng.integers(1, 13)):
        x, y = np.rint(rng.normal(centre, 0.06 * width)).astype(int).tolist()
        axes = np.rint(rng.uniform(0.003, 0.02, 2) * width).astype(int).tolist()
        cv2.ellipse(cover, (x, y), axes, rng.uniform(0, 180), 0, 360, 1.0, cv2.FILLED)
    alpha = np.asarray(cv2.GaussianBlur(cover, (0, 0), rng.uniform(0.6, 1.6)))[..., None]
    return np.asarray(image + (rng.uniform(235, 255) - image) * alpha, np.uint8)


def interlacing_comb(image: Image, rng: Generator) -> Image:
    """Two fields of a sideways moving picture in one frame: odd rows lie apart from even ones."""
    shift_px = int(rng.integers(1, 7))
    combed = image.copy()
    # Half the movement each way, so that the mask stays where the picture is on average.
    combed[0::2] = np.roll(image[0::2], shift_px, axis=1)
    combed[1::2] = np.roll(image[1::2], -shift_px, axis=1)
    return combed


def jpeg_artefacts(image: Image, rng: Generator) -> Image:
    """One round through JPEG of quality 20 to 69."""
    quality = int(rng.integers(20, 70))
    _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


def h264_artefacts(image: Image, rng: Generator) -> Image:
    """One round through an H.264 key frame with a constant quantiser of 30 to 42."""
    height, width = image.shape[:2]
    # The colour planes are of half the size, so the sides must be even.
    even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = even.shape[1], even.shape[0]
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {"qp": str(rng.integers(30, 43)), "preset": "ultrafast"}
    frame = av.VideoFrame.from_ndarray(np.asarray(even, np.uint8), format="rgb24")
    decoder = av.CodecContext.create("h264", "r")
    packets = encoder.encode(frame) + encoder.encode(None)
    frames = [out for packet in packets for out in decoder.decode(packet)] + decoder.decode(None)
    coded = frames[0].to_ndarray(format="rgb24")[:height, :width]
    return np.ascontiguousarray(coded, np.uint8)


def burnt_in_text(image: Image, rng: Generator) -> Image:
    """One to three short lines of white, yellow or green text at the left or the right side."""
    height, width = image.shape[:2]
    spoilt = image.copy()
    colour = ((255, 255, 255), (255, 255, 0), (0, 255, 0))[rng.integers(3)]
    scale = rng.uniform(0.0009, 0.0018) * height
    left = int((0.02 if rng.random() < 0.5 else 0.7) * width)
    top = rng.uniform(0.05, 0.85) * height
    letters = list(string.ascii_uppercase + string.digits + "  :/.-")
    for line in range(rng.integers(1, 4)):
        text = "".join(rng.choice(letters, rng.integers(3, 13)))
        place = (left, int(top + line * 36 * scale))
        cv2.putText(spoilt, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
    return spoilt


def view_box(size_px: int, rng: Generator) -> Box:
    """Where the view lies in a picture that holds little beside it."""
    left, top = rng.uniform(0, 0.12, 2) * size_px
    right, bottom = size_px - rng.uniform(0, 0.12, 2) * size_px
    return left, top, right, bottom


def frame_box(size_px: int, rng: Generator) -> Box:
    """Where the view lies in a broadcast frame (4:3 to 16:9) that is squeezed into a square."""
    width, height = rng.uniform(0.5, 0.95) * size_px, rng.uniform(0.88, 1.0) * size_px
    left, top = rng.uniform(0.3, 1.0) * (size_px - width), rng.uniform(0, 1) * (size_px - height)
    return left, top, left + width, top + height


def view_shape(box: Box, size_px: int, rng: Generator) -> NDArray[np.uint8]:
    """What an endoscope shows of a square picture: an octagon, a circle or a rectangle.

    Returns:
        (size_px, size_px), 1 inside and 0 in the dark margin.
    """
    left, top, right, bottom = box
    view = np.zeros((size_px, size_px), np.uint8)
    kind = rng.random()
    if kind < 0.25:
        centre = (round((left + right) / 2), round((top + bottom) / 2))
        axes = (round((right - left) * 0.55), round((bottom - top) * 0.55))
        cv2.ellipse(view, centre, axes, 0, 0, 360, 1, cv2.FILLED)
        return view
    cut = rng.uniform(0.05, 0.25) if kind < 0.75 else 0.0
    cut_x, cut_y = cut * (right - left), cut * (bottom - top)
    corners = [
        (left + cut_x, top),
        (right - cut_x, top),
        (right, top + cut_y),
        (right, bottom - cut_y),
        (right - cut_x, bottom),
        (left + cut_x, bottom),
        (left, bottom - cut_y),
        (left, top + cut_y),
    ]
    cv2.fillConvexPoly(view, np.rint(np.array(corners)).astype(np.int32), 1)
    return view
