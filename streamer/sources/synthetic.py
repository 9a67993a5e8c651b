"""An endless made-up endoscopy whose masks are known."""

import threading
from fractions import Fraction

import av
import numpy as np

from streamer.clock import Clock, MonotonicClock
from streamer.color import HD_HEIGHT_PX, ColorDescription
from streamer.errors import SourceEndedError, SourceError
from streamer.frame import Frame, Mask, View
from streamer.planes import DRAWABLE, crop
from streamer.sources.base import SourceInfo
from streamer.sources.conform import Conformer
from streamer.sources.scene import Scene
from streamer.sources.tissue import make_stills

#: Rendered ahead: no more frames than this, seconds, or bytes.
MOST_FRAMES = 300
LOOP_S = 6.0
MOST_BYTES = 256 * 2**20

_LEAST_PX = 32


class SyntheticSource:
    """Shows a `Scene` of made-up tissue at a steady rate; a `LiveSource` that never ends.

    Rendering a frame of 720p takes tens of milliseconds of one core, more than there is time for
    between two of them. So one stretch (`LOOP_S`, less where it would take more than `MOST_BYTES`)
    is rendered when the source is opened, which then takes some seconds, and played forwards and
    backwards in turn, without a jump. Without `prerender` every frame is rendered when it is due,
    and the scene does not repeat itself.

    Time begins to run with the first `read`. `Frame.index` is the number of the frame in the scene:
    what nobody came for in time leaves a gap in it, and is counted in `missed`.

    Args:
        width, height: px, 32 or more.
        rate: frames per second.
        seed: chooses tissue, camera paths, light and noise.
        like: see `OpenLive`; its size and pixel format take the place of `width` and `height`.
        clock: what the frames wait on; None: the machine's.
        prerender: see above.

    Raises:
        SourceError: too small, or no rate.
    """

    def __init__(
        self,
        *,
        width: int = 1280,
        height: int = 720,
        rate: float = 30.0,
        seed: int = 0,
        like: SourceInfo | None = None,
        clock: Clock | None = None,
        prerender: bool = True,
    ) -> None:
        if like is not None:
            width, height = like.width, like.height
        if min(width, height) < _LEAST_PX or not rate > 0:
            raise SourceError(
                f"synthetic: {width}x{height} px at {rate} frames per second cannot be shown; "
                f"at least {_LEAST_PX}x{_LEAST_PX} px and a rate above 0 are needed"
            )
        exact_rate = Fraction(rate).limit_denominator(1001)
        matrix = "bt709" if height >= HD_HEIGHT_PX else "bt601"
        self.damaged = 0
        self.converted = 0
        #: Frames that nobody came for in time.
        self.missed = 0
        self.info = SourceInfo(
            name="synthetic",
            width=width,
            height=height,
            pixel_format="yuv420p" if like is None else like.pixel_format,
            rate=exact_rate,
            time_base=1 / exact_rate if like is None else like.time_base,
            color=ColorDescription(matrix, False, False) if like is None else like.color,
            frames=None,
            audio=None,
            live=True,
        )
        if self.info.pixel_format not in DRAWABLE:
            raise SourceError(f"synthetic: has no pictures of format {self.info.pixel_format}")
        self._clock = clock or MonotonicClock()
        self._closed = threading.Event()
        self._conformer = Conformer(self.info)
        # Two polyps with bare mucosa between them, together as long as the loop.
        self._scene = Scene(
            make_stills(seed, count=3),
            width=width,
            height=height,
            rate=float(exact_rate),
            seed=seed,
            shot_s=LOOP_S / 3,
            polyp_free_s=LOOP_S / 3,
        )
        self._pictures: list[av.VideoFrame] = []
        self._masks: list[Mask] = []
        if prerender:
            self._prerender()
        self._start_ns: int | None = None
        self._next = 0

    def _prerender(self) -> None:
        picture, _ = self._render(0)
        frame_bytes = sum(plane.buffer_size for plane in picture.planes)
        most = (MOST_FRAMES, round(LOOP_S * self.info.rate), MOST_BYTES // frame_bytes)
        for place in range(max(1, min(most))):
            picture, mask = self._render(place)
            self._pictures.append(picture)
            self._masks.append(np.packbits(mask > 0))

    def _render(self, place: int) -> tuple[av.VideoFrame, Mask]:
        image, mask = self._scene.render(place)
        picture = av.VideoFrame.from_ndarray(image, format="rgb24")
        return self._conformer.conform(picture, self.info.color), mask

    def truth(self, index: int) -> Mask:
        """The known mask (height, width) of a frame by its index: 255 polyp, 0 not."""
        if not self._masks:
            return self._scene.render(index)[1]
        shape = self.info.height, self.info.width
        bits = np.unpackbits(self._masks[self._place(index)], count=shape[0] * shape[1])
        return bits.reshape(shape) * np.uint8(255)

    def _place(self, index: int) -> int:
        """Where in the rendered stretch a frame is found: it is played to and fro."""
        last = len(self._pictures) - 1
        return last - abs(last - index % (2 * last)) if last else 0

    def _picture(self, index: int) -> av.VideoFrame:
        """A picture of the caller's own."""
        if not self._pictures:
            return self._render(index)[0]
        stored = self._pictures[self._place(index)]
        return crop(stored, View(0, 0, stored.width, stored.height))

    def read(self) -> Frame:
        """See `LiveSource.read`. A frame counts as captured at the time that it was due."""
        self._check_open()
        now_ns = self._clock.now_ns()
        if self._start_ns is None:
            self._start_ns = now_ns
        newest = int((now_ns - self._start_ns) * self.info.rate / 1_000_000_000)
        index = max(self._next, newest)
        self.missed += index - self._next
        self._next = index + 1
        # Made before it is due, so that waiting is not taken for work.
        picture = self._picture(index)
        due_ns = self._start_ns + round(index / self.info.rate * 1_000_000_000)
        self._clock.wait_until(due_ns, self._closed)
        self._check_open()
        decoded_ns = self._clock.now_ns()
        pts = round(index / self.info.rate / self.info.time_base)
        picture.pts, picture.time_base = pts, self.info.time_base
        return Frame(picture, index, pts, self.info.time_base, due_ns, decoded_ns, self.info.color)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise SourceEndedError("synthetic: closed")

    def close(self) -> None:
        """See `LiveSource.close`."""
        self._closed.set()
