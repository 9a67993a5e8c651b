"""A camera at the visitor's browser as a live source: JPEG pictures that come over HTTP."""

import threading
from fractions import Fraction
from time import monotonic, monotonic_ns

import av

from streamer.color import describe
from streamer.errors import SourceEndedError, SourceError, SourceLostError
from streamer.frame import Frame
from streamer.sources.base import LiveSource, SourceInfo
from streamer.sources.conform import Conformer, drawable_format

#: A browser asks for leave to use the camera before the first picture can come.
FIRST_PICTURE_S = 60.0
#: Silence after which the camera is taken for lost.
SILENT_S = 2.0
MAX_PIXELS = 1920 * 1080
MAX_JPEG_BYTES = 4_000_000
RATE = Fraction(30)
#: Of the pictures' times.
TIME_BASE = Fraction(1, 90_000)


class Webcam:
    """Holds the newest picture until it is read; those that nobody came for are left out.

    It is an `OpenLive`: after a silence it is opened again, and waits for the next picture.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._newest: tuple[bytes, int] | None = None
        self._closed = False
        #: Pictures left out since nobody came for them in time.
        self.missed = 0

    def put(self, jpeg: bytes) -> None:
        """A picture came; from any thread."""
        with self._changed:
            self.missed += self._newest is not None
            self._newest = (jpeg, monotonic_ns())
            self._changed.notify_all()

    def close(self) -> None:
        """No more will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, timeout_s: float) -> tuple[bytes, int] | None:
        """The newest picture and when it came, on the monotonic clock; None after a silence.

        Raises:
            SourceEndedError: it was closed.
        """
        deadline_s = monotonic() + timeout_s
        with self._changed:
            while self._newest is None:
                if self._closed:
                    raise SourceEndedError("the camera was turned off")
                left_s = deadline_s - monotonic()
                if left_s <= 0:
                    return None
                self._changed.wait(left_s)
            newest, self._newest = self._newest, None
            return newest

    def __call__(self, like: SourceInfo | None) -> LiveSource:
        """See `OpenLive`."""
        taken = self.take(FIRST_PICTURE_S if like is None else SILENT_S)
        if taken is None:
            raise SourceError("the browser's camera sends no picture")
        return WebcamSource(self, like, taken)


class WebcamSource:
    """See `LiveSource`."""

    def __init__(self, webcam: Webcam, like: SourceInfo | None, first: tuple[bytes, int]) -> None:
        self._webcam = webcam
        self._first: tuple[bytes, int] | None = first
        self._decoder = _Decoder()
        self._index = 0
        self._closing = False
        self.damaged = 0
        self.converted = 0
        self.info = like or self._describe(first[0])
        self._conformer = Conformer(self.info, keep_shape=True)

    def _describe(self, jpeg: bytes) -> SourceInfo:
        picture = self._decoder.decode(jpeg)
        if picture is None:
            raise SourceError("the browser's camera sends what is no JPEG picture")
        return SourceInfo(
            name="camera of the browser",
            width=picture.width,
            height=picture.height,
            pixel_format=drawable_format(picture.format.name),
            rate=RATE,
            time_base=TIME_BASE,
            color=describe(picture),
            frames=None,
            audio=None,
            live=True,
        )

    @property
    def missed(self) -> int:
        """See `LiveSource.missed`."""
        return self._webcam.missed

    def read(self) -> Frame:
        """See `LiveSource.read`. A picture counts as captured when it has reached the server."""
        while True:
            taken, self._first = self._first or self._webcam.take(SILENT_S), None
            if self._closing:
                raise SourceEndedError("closed")
            if taken is None:
                raise SourceLostError("the browser's camera sends no picture")
            picture = self._decoder.decode(taken[0])
            if picture is None:
                self.damaged += 1
                continue
            return self._frame(picture, taken[1])

    def _frame(self, picture: av.VideoFrame, captured_ns: int) -> Frame:
        conformed = self._conformer.conform(picture, describe(picture))
        self.converted += conformed is not picture
        pts = round(captured_ns * TIME_BASE.denominator / 1_000_000_000)
        frame = Frame(
            conformed,
            self._index,
            pts,
            TIME_BASE,
            captured_ns,
            monotonic_ns(),
            self.info.color,
        )
        self._index += 1
        return frame

    def close(self) -> None:
        """See `LiveSource.close`."""
        self._closing = True


class _Decoder:
    """Decodes single JPEG pictures that are not to be trusted."""

    def __init__(self) -> None:
        self._context = av.VideoCodecContext.create("mjpeg", "r")
        self._context.options = {"max_pixels": str(MAX_PIXELS)}
        self._context.thread_count = 1

    def decode(self, jpeg: bytes) -> av.VideoFrame | None:
        try:
            pictures = self._context.decode(av.Packet(jpeg))
        except av.FFmpegError:
            return None
        return pictures[0] if pictures else None
