"""File mode: every frame in is a frame out, in order, with decode, network and encode overlapping.

    decoder ──▶ onlooker: view, motion ──▶ segmenter ──▶ stabiliser ──▶ caller: draw, encode

Each stage has a thread and each arrow is a `Channel`, which holds a few frames; a slow
stage holds up the ones before it and nothing is dropped.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic, monotonic_ns, process_time
from typing import Any

import av

from streamer.audio import AudioPacket
from streamer.channel import Channel, ClosedError
from streamer.engine.base import Pending, Segmenter
from streamer.errors import EngineError, first_line
from streamer.familiar import OUT_OF_VIEW, FamiliarWatch
from streamer.frame import Frame, Probability, Segmentation, View
from streamer.latency import StageTimes
from streamer.motion import Luma, Motion, small_luma
from streamer.objects import find_objects
from streamer.overlay import Overlay, Style
from streamer.run_result import RunResult
from streamer.sinks.base import Composed, Sink
from streamer.sinks.handing import hand_out
from streamer.sources.base import Item, Source
from streamer.temporal import DEFAULT_PRESET, PRESETS, DetectionLog, Stabiliser, Temporal
from streamer.view import find_view
from streamer.view_watch import ViewWatch

#: Frames that wait between two stages: enough to ride over a key frame, small in memory.
CHANNEL_CAPACITY = 4
STAGES = ("decode", "convert", "motion", "segment", "steady", "draw", "write", "total")


@dataclass(frozen=True, slots=True)
class _LookedAt:
    """A frame, the part of it to analyse, and what moved since the one before."""

    frame: Frame
    view: View
    luma: Luma
    motion: Callable[[], Motion | None] | None


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A frame that the network works on; `on_gpu`: see `Overlay.draw`."""

    looked_at: _LookedAt
    pending: Pending
    submitted_ns: int
    on_gpu: Any


@dataclass(frozen=True, slots=True)
class _Answered:
    """A frame that the network has answered."""

    asked: _UnderWay
    probability: Probability


@dataclass(frozen=True, slots=True)
class _Steady:
    """A frame that is ready to be drawn."""

    frame: Frame
    segmentation: Segmentation
    on_gpu: Any
    out_of_view: bool


class Pipeline:
    """Runs one finite source through one segmenter into any number of sinks.

    Args:
        source: read once, by a thread of the pipeline's own.
        segmenter: owned by a thread of the pipeline's own for the time of the run.
        sinks: written to in order from the thread that calls `run`, and closed by it.
        style: how markers look.
        threshold: probability from which on a pixel counts as polyp, 0…1.
        view: the part of the picture to analyse, in px; a watch finds it by looking, and begins
            with its own; None takes all of it. Odd edges move outwards where chroma samples span
            two px.
        temporal: how masks are steadied.
        duration_s: ends the run before the first frame that is so much later than the first one.
        max_frames: ends the run after so many frames.

    Raises:
        StreamError: the view does not lie inside the picture.
    """

    def __init__(
        self,
        source: Source,
        segmenter: Segmenter,
        sinks: Sequence[Sink],
        *,
        style: Style | None = None,
        threshold: float = 0.5,
        view: View | ViewWatch | None = None,
        temporal: Temporal = PRESETS[DEFAULT_PRESET],
        duration_s: float | None = None,
        max_frames: int | None = None,
    ) -> None:
        self._duration_s, self._max_frames = duration_s, max_frames
        self._source = source
        self._segmenter = segmenter
        self._sinks = sinks
        info = source.info
        self._watch = view if isinstance(view, ViewWatch) else None
        self._view = find_view(view.view if isinstance(view, ViewWatch) else view, info)
        self._stabiliser = Stabiliser(temporal, self._view, threshold)
        self._stabiliser.judge_by(segmenter.info.calibration)
        self._familiar = FamiliarWatch()
        self._detections = DetectionLog()
        self._whole = View(0, 0, info.width, info.height)
        self._overlay = Overlay(style or Style(), info.color)
        engine = segmenter.info
        self._status = f"RUNNING | {engine.backend} {engine.precision}"
        self._decoded: Channel[Item] = Channel(CHANNEL_CAPACITY)
        self._looked_at: Channel[_LookedAt | AudioPacket] = Channel(CHANNEL_CAPACITY)
        self._answered: Channel[_Answered | AudioPacket] = Channel(CHANNEL_CAPACITY)
        self._steadied: Channel[_Steady | AudioPacket] = Channel(CHANNEL_CAPACITY)
        self._failure: BaseException | None = None
        self._stopping = False
        self._times = StageTimes(STAGES)
        self.result = RunResult(view=self._view)

    def run(self, progress: Callable[[RunResult], None] | None = None) -> RunResult:
        """Run to the source's end; the sinks are closed whatever happens.

        Args:
            progress: called after every frame that was written.

        Returns:
            `self.result`, which is up to date also while running and after an error.

        Raises:
            StreamError: a source, an engine or a sink failed. What was written is kept.
            KeyboardInterrupt: as it came, after the sinks were closed; `stop` ends a run quietly.
        """
        threads = [
            threading.Thread(target=self._guard, args=stage, name=stage[0].__name__, daemon=True)
            for stage in (
                (self._decode, None, self._decoded),
                (self._look, self._decoded, self._looked_at),
                (self._segment, self._looked_at, self._answered),
                (self._steady, self._answered, self._steadied),
            )
        ]
        start_s, start_cpu_s = monotonic(), process_time()
        for thread in threads:
            thread.start()
        try:
            for item in self._steadied:
                self._write(item)
                self._note(start_s, start_cpu_s)
                if progress is not None and not isinstance(item, av.Packet):
                    progress(self.result)
                if self._stopping:
                    self.result.interrupted = True
                    break
        except KeyboardInterrupt:
            self.result.interrupted = True
            raise
        except Exception as error:
            self._failure = self._failure or error
        finally:
            for channel in (self._decoded, self._looked_at, self._answered, self._steadied):
                channel.abort()
            for thread in threads:
                thread.join()
            self._close_sinks()
            self._note(start_s, start_cpu_s)
            self.result.latency_ms = self._times.summary()
            self._count_unwritten()
        if self._failure is not None:
            self._failure = self._told(self._failure)
            self.result.error = str(self._failure)
            raise self._failure
        return self.result

    @staticmethod
    def _told(error: BaseException) -> BaseException:
        """What PyTorch and Triton raise, wherever a picture is on the GPU, as an error of ours."""
        library = type(error).__module__.partition(".")[0]
        if library in ("torch", "triton") or (
            isinstance(error, RuntimeError) and str(error).startswith("CUDA")
        ):
            told = EngineError(f"the GPU failed ({first_line(error)})")
            told.__cause__ = error
            return told
        return error

    def stop(self) -> None:
        """End the run after the frame at hand, which reaches all sinks; for signal handlers."""
        self._stopping = True

    def _guard(
        self, work: Callable[[], None], source: Channel[Any] | None, out: Channel[Any]
    ) -> None:
        """Run one stage; its error reaches the caller of `run`, its end the next stage."""
        try:
            work()
        except ClosedError:
            pass
        except BaseException as error:
            self._failure = self._failure or error
        finally:
            # What the stage has put is still written; what it would have taken is not wanted.
            out.finish()
            if source is not None:
                source.abort()

    def _decode(self) -> None:
        items = iter(self._source)
        start_s: float | None = None
        while True:
            start_ns = monotonic_ns()
            item = next(items, None)
            if item is None:
                return
            if isinstance(item, Frame):
                start_s = item.time_s if start_s is None else start_s
                if self._is_over(item.time_s - start_s):
                    return
                self._times.add_since("decode", start_ns)
                self.result.frames_in += 1
            self._decoded.put(item)

    def _is_over(self, time_s: float) -> bool:
        if self._max_frames is not None and self.result.frames_in >= self._max_frames:
            return True
        return self._duration_s is not None and time_s >= self._duration_s

    def _look(self) -> None:
        before: Luma | None = None
        for item in self._decoded:
            if isinstance(item, av.Packet):
                self._looked_at.put(item)
                continue
            with self._times.measure("motion"):
                if self._finds_view(item):
                    before = None
                view = self._view
                luma = small_luma(item.picture, view)
                motion = self._stabiliser.find_motion_ahead(before, luma)
            before = luma
            self._looked_at.put(_LookedAt(item, view, luma, motion))

    def _finds_view(self, frame: Frame) -> bool:
        """Look for the field of view, if that is asked for.

        Returns:
            Whether another part is to be analysed from this frame on.
        """
        if self._watch is None or not self._watch.look(frame.picture, frame.time_s):
            return False
        self._view = self.result.view = self._watch.view
        self.result.view_changes = self._watch.changes
        return True

    def _segment(self) -> None:
        reader = self._segmenter.reader()
        under_way: deque[_UnderWay | AudioPacket] = deque()
        running = 0
        for item in self._looked_at:
            if isinstance(item, av.Packet):
                under_way.append(item)
                continue
            frame = item.frame
            with self._times.measure("convert"):
                image = reader.read(frame.picture, frame.color, self._part(item.view))
            pending, submitted_ns = self._segmenter.submit(image), monotonic_ns()
            # What was brought to a GPU can be drawn upon there.
            on_gpu = getattr(image, "picture", None)
            under_way.append(_UnderWay(item, pending, submitted_ns, on_gpu))
            running += 1
            # As many frames at once as the engine has streams, handed on in the source's order.
            if running == self._segmenter.info.streams:
                self._hand_on(under_way)
                running -= 1
        while under_way:
            self._hand_on(under_way)

    def _part(self, view: View) -> View | None:
        return None if view == self._whole else view

    def _hand_on(self, under_way: deque[_UnderWay | AudioPacket]) -> None:
        """Pass on everything up to and including the oldest frame."""
        while under_way:
            item = under_way.popleft()
            if isinstance(item, av.Packet):
                self._answered.put(item)
                continue
            probability = item.pending.result()
            self._times.add_since("segment", item.submitted_ns)
            self._answered.put(_Answered(item, probability))
            return

    def _steady(self) -> None:
        view: View | None = None
        for item in self._answered:
            if isinstance(item, av.Packet):
                self._steadied.put(item)
                continue
            looked_at = item.asked.looked_at
            frame = looked_at.frame
            with self._times.measure("steady"):
                if view != looked_at.view:
                    self._stabiliser.reset(looked_at.view)
                    view = looked_at.view
                steady = self._stabiliser.steady(
                    item.probability, looked_at.luma, frame.time_s, looked_at.motion
                )
                out_of_view = self._familiar.look(frame, steady.view, looked_at.luma)
            self._steadied.put(_Steady(frame, steady, item.asked.on_gpu, out_of_view))

    def _write(self, item: _Steady | AudioPacket) -> None:
        if isinstance(item, av.Packet):
            for sink in self._sinks:
                sink.write_audio(item)
            return
        frame, segmentation = item.frame, item.segmentation
        view = self._part(segmentation.view)
        with self._times.measure("draw"):
            objects = find_objects(segmentation, self._segmenter.info.calibration)
            status = f"{self._status} | {OUT_OF_VIEW}" if item.out_of_view else self._status
            picture = self._overlay.draw(frame.picture, segmentation, status, item.on_gpu, view)
        with self._times.measure("write"):
            composed = Composed(
                frame, picture, segmentation, objects, view=view, out_of_view=item.out_of_view
            )
            hand_out(composed, self._sinks)
        self._times.add_since("total", frame.decoded_ns)
        self.result.frames_out += 1
        self.result.frames_out_of_view += item.out_of_view
        self.result.frames_with_objects += any(each.confirmed for each in objects)
        events = self._detections.add(frame.time_s, objects)
        self.result.detections += sum(event.end_s is None for event in events)

    def _count_unwritten(self) -> None:
        missing = self.result.frames_in - self.result.frames_out
        if missing:
            cause = "stopped" if self._failure is None else "failed"
            self.result.dropped[cause] = missing

    def _close_sinks(self) -> None:
        """Close every sink, also when one of them fails; the first error is the run's."""
        for sink in self._sinks:
            try:
                sink.close()
            except Exception as error:
                self._failure = self._failure or error

    def _note(self, start_s: float, start_cpu_s: float) -> None:
        result = self.result
        result.wall_s = monotonic() - start_s
        result.cpu_s = process_time() - start_cpu_s
        result.damaged = self._source.damaged
        result.converted = self._source.converted
