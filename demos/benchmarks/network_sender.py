"""A sender of live video, to be killed: MPEG-TS by UDP or TCP, at the pace of the pictures.

    python -m demos.benchmarks.network_sender udp://127.0.0.1:5000 first.ts second.ts 0

The last argument is the number of the clip to begin with. Clips are encoded once, by `encode_clip`;
sending costs next to nothing. Each time that it is ready to send, as a server: to listen, it writes
the monotonic time in ns to its standard output. A line with the number of a clip on its standard
input goes over to that one, without a break.
"""

import select
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from time import monotonic, monotonic_ns, sleep

import av

SAMPLE = Path(__file__).parents[1] / "samples" / "colonoscopy.mp4"
#: Options of MPEG-TS for the least delay. Without the last one, the length of a picture is left
#: out, and whoever reads it has to wait for the beginning of the next one.
LOW_DELAY = {"flush_packets": "1", "muxdelay": "0", "omit_video_pes_length": "0"}
_RETRY_S = 0.05
_TIME_BASE = Fraction(1, 90_000)


class Sender:
    """Runs the sender as a process of its own."""

    def __init__(self, url: str, clips: list[Path]) -> None:
        self._command = [
            *(sys.executable, "-m", "demos.benchmarks.network_sender", url),
            *map(str, clips),
        ]
        self._process: subprocess.Popen[str] | None = None

    def start(self, first: int = 0) -> None:
        """Start it with one of its clips."""
        self._process = subprocess.Popen(
            [*self._command, str(first)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ready_ns(self) -> int:
        """Wait until it is connected and sends; since when it was ready to."""
        assert self._process is not None
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def change(self, clip: int) -> None:
        """Let it go on with another clip."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{clip}\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """End it without giving it time for anything."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def encode_clip(
    target: Path,
    *,
    size: tuple[int, int],
    rate: int = 30,
    pictures: int = 90,
    key_interval: int = 15,
    start: int = 0,
    source: Path = SAMPLE,
) -> None:
    """Encode a part of a video as H.264 without delay, parameters before each key picture.

    Args:
        target: of MPEG-TS.
        size: (width, height) in px.
        pictures: how many; they are taken as if they were `rate` to the second.
        start: the first of the video's pictures.
    """
    with av.open(str(source)) as given, av.open(str(target), "w", format="mpegts") as made:
        options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "23"}
        stream = made.add_stream("libx264", rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt, stream.gop_size = "yuv420p", key_interval
        for number, picture in enumerate(islice(given.decode(video=0), start, start + pictures)):
            scaled = picture.reformat(*size, "yuv420p")
            scaled.pts, scaled.time_base = number, Fraction(1, rate)
            scaled.pict_type = av.video.frame.PictureType.NONE
            made.mux(stream.encode(scaled))
        made.mux(stream.encode(None))


def read_packets(clip: Path) -> list[bytes]:
    """The coded pictures of a clip, in order."""
    with av.open(str(clip)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def main(url: str, clips: list[Path], first: int, *, rate: int = 30) -> None:
    """Send until killed; whoever hangs up is followed by the next one."""
    contents = [read_packets(clip) for clip in clips]
    while True:
        try:
            _send(url, clips[first], contents, first, rate)
        except av.FFmpegError:
            # Nobody is there (any more).
            sleep(_RETRY_S)


def _send(url: str, template: Path, contents: list[list[bytes]], first: int, rate: int) -> None:
    with (
        av.open(str(template)) as given,
        av.open(url, "w", format="mpegts", container_options=dict(LOW_DELAY)) as made,
    ):
        stream = made.add_stream_from_template(given.streams.video[0])
        start = monotonic()
        for number, content in enumerate(_endless(contents, first)):
            sleep(max(0.0, start + number / rate - monotonic()))
            packet = av.Packet(content)
            packet.stream = stream
            packet.pts = packet.dts = number * _TIME_BASE.denominator // rate
            packet.time_base = _TIME_BASE
            ready_ns = monotonic_ns()
            made.mux_one(packet)
            if number == 0:
                # A server has waited for someone until now.
                start = monotonic()
                print(ready_ns, flush=True)


def _endless(contents: list[list[bytes]], chosen: int) -> Iterator[bytes]:
    while True:
        for content in contents[chosen]:
            yield content
            if select.select([sys.stdin], [], [], 0)[0] and (line := sys.stdin.readline()):
                chosen = int(line)
                break


if __name__ == "__main__":
    main(sys.argv[1], [Path(name) for name in sys.argv[2:-1]], int(sys.argv[-1]))
