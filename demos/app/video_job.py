"""One upload through the pipeline: overlay, original, masks, events and report into its folder."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import cv2

from demos.app.choices import Choices, Engine
from demos.app.playable import PlayableSource, check_clip, spell_duration
from demos.app.segments import make_seekable
from demos.app.timeline import News, TimelineSink
from streamer import report as reports
from streamer.audio import AudioPacket
from streamer.engine import Segmenter
from streamer.pipeline import Pipeline
from streamer.run_result import RunResult
from streamer.sinks import EventSink, Sink, VideoSink, open_mask_sink
from streamer.sinks.base import Composed, reporting_errors
from streamer.sinks.snapshot import BgrReader
from streamer.sources import SourceInfo, open_source
from streamer.view_watch import ViewWatch, look_ahead

UPLOAD = "upload"
#: The first picture with markers: it can be shown before the first second of video is complete.
POSTER = "poster.jpg"
#: Videos that grow while the job runs, and can be followed.
OVERLAY, ORIGINAL = "overlay.mp4", "original.mp4"
#: What is there when it is over.
FINAL_OVERLAY, FINAL_ORIGINAL = "final_overlay.mp4", "final_original.mp4"
MASKS, EVENTS, REPORT = "masks.mkv", "events.jsonl", "report.json"

TELL_EVERY_S = 0.2
#: How long the first picture may wait for the field of view to be found.
LOOK_AHEAD_S = 1.5


@dataclass(frozen=True)
class VideoLimits:
    """What a video may be and cost.

    Attributes:
        max_s: of media time.
        max_pixels: width times height.
        max_work_s: a job that takes longer is ended.
    """

    max_s: float = 600.0
    max_pixels: int = 3840 * 2160
    max_work_s: float = 1800.0


@dataclass(frozen=True)
class VideoNews:
    """How far a job is.

    Attributes:
        frames_out: frames done.
        frames: in all, as far as is known.
        rate: frames done per second.
        length_s: of the video, as far as is known.
        width, height: of the pictures, px.
        sound: the video has sound.
        found: since the last news.
    """

    frames_out: int
    frames: int | None
    rate: float
    length_s: float
    width: int
    height: int
    sound: bool
    found: News

    @property
    def left_s(self) -> float | None:
        """Time that the rest will take."""
        if not self.frames or not self.rate:
            return None
        return max(0, self.frames - self.frames_out) / self.rate


@dataclass(frozen=True)
class VideoDone:
    """How a job ended that did not fail.

    Attributes:
        note: what was left out, in words; empty if nothing.
        stopped: by the visitor.
    """

    note: str = ""
    stopped: bool = False


class PosterSink:
    """Keeps the first picture with markers as JPEG."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = False

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        if self._kept:
            return
        self._kept = True
        picture = BgrReader().read(composed.picture, composed.frame.color)
        _, jpeg = cv2.imencode(".jpg", picture)
        with reporting_errors(self._path):
            self._path.write_bytes(jpeg.tobytes())

    def write_audio(self, packet: AudioPacket) -> None:
        """Not for this sink."""

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class VideoOrder:
    """A job. All paths lie in its folder, under names of our own.

    Attributes:
        folder: holds `UPLOAD`.
        name: what the visitor calls the video; only shown.
    """

    folder: Path
    name: str
    engine: Engine
    choices: Choices
    limits: VideoLimits

    def run(
        self,
        segmenter: Segmenter,
        tell: Callable[[VideoNews], None],
        cancelled: Callable[[], bool],
    ) -> VideoDone:
        """Run to the end, or until cancelled; what was made by then is kept.

        Raises:
            PranetError: what is wrong with the upload, or the engine.
        """
        source = PlayableSource(open_source(str(self.folder / UPLOAD)), self.name)
        sinks: list[Sink] = []
        try:
            check_clip(source, max_pixels=self.limits.max_pixels, max_s=self.limits.max_s)
            original = VideoSink(self.folder / ORIGINAL, source.info)
            sinks.append(original)
            source.record(original)
            timeline = TimelineSink()
            outputs: list[Sink] = [
                PosterSink(self.folder / POSTER),
                VideoSink(self.folder / OVERLAY, source.info),
                open_mask_sink(self.folder / MASKS, source.info),
                EventSink(self.folder / EVENTS),
                timeline,
            ]
            sinks += outputs
            done = self._run(source, segmenter, outputs, timeline, tell, cancelled)
        finally:
            for sink in sinks:
                sink.close()
            source.close()
        for made, final in ((OVERLAY, FINAL_OVERLAY), (ORIGINAL, FINAL_ORIGINAL)):
            make_seekable(self.folder / made, self.folder / final)
        return done

    def _run(
        self,
        source: PlayableSource,
        segmenter: Segmenter,
        sinks: list[Sink],
        timeline: TimelineSink,
        tell: Callable[[VideoNews], None],
        cancelled: Callable[[], bool],
    ) -> VideoDone:
        info, limits = source.info, self.limits
        pipeline = Pipeline(
            source,
            segmenter,
            sinks,
            style=self.choices.style(badge=False),
            temporal=self.choices.temporal,
            view=self._look_ahead(info),
            duration_s=limits.max_s,
        )
        length_s = float(info.frames / info.rate) if info.frames else 0.0
        begun_s = next_s = monotonic()
        stopped = late = False

        def news(result: RunResult) -> VideoNews:
            return VideoNews(
                result.frames_out,
                info.frames,
                result.rate,
                length_s,
                info.width,
                info.height,
                info.audio is not None,
                timeline.take(),
            )

        def advance(result: RunResult) -> None:
            nonlocal next_s, stopped, late
            now_s = monotonic()
            stopped = stopped or cancelled()
            late = now_s - begun_s > limits.max_work_s
            if stopped or late:
                pipeline.stop()
            if now_s >= next_s:
                next_s = now_s + TELL_EVERY_S
                tell(news(result))

        result = pipeline.run(advance)
        tell(news(result))
        outputs = {"overlay": OVERLAY, "masks": MASKS, "events": EVENTS}
        reports.write(self.folder / REPORT, reports.build(info, segmenter.info, result, outputs))
        return VideoDone(self._note(result, late, endless=not info.frames), stopped)

    def _look_ahead(self, info: SourceInfo) -> ViewWatch:
        """What finds the field of view; the first picture waits for it, but not for long."""
        with closing(open_source(str(self.folder / UPLOAD))) as ahead:
            return look_ahead(ahead, info.width, info.height, within_s=LOOK_AHEAD_S)

    def _note(self, result: RunResult, late: bool, *, endless: bool) -> str:
        notes = []
        if late:
            notes.append(f"ended after {spell_duration(self.limits.max_work_s)} of work")
        elif endless and not result.interrupted:
            notes.append(f"at most the first {spell_duration(self.limits.max_s)} were taken")
        if result.damaged:
            notes.append(f"{result.damaged} damaged frames or packets in the upload")
        return "; ".join(notes)
