"""The raw loop: each picture, with the newest valid mask, to all outputs, waiting for nobody."""

from collections import deque

from streamer.clock import Clock
from streamer.frame import View
from streamer.live.compositor import Compositor, Mask, Seen
from streamer.live.engine_host import EngineHost
from streamer.live.grabber import Grabbed
from streamer.live.newest import NewestQueue
from streamer.live.outputs import Outputs
from streamer.live.record import Record
from streamer.live.supervisor import Supervisor
from streamer.live.view_look import ViewLook
from streamer.sinks.base import Composed
from streamer.temporal import DetectionLog

#: Drawings that the next one is judged by.
_LAST = 20


class RawLoop:
    """A thread runs `work`.

    Args:
        queue: where the pictures come from.
        view_look: looks for the field of view, if it is to be found.
        max_frames: pictures to hand on before it ends.
    """

    def __init__(
        self,
        queue: NewestQueue[Grabbed],
        compositor: Compositor,
        engine: EngineHost,
        outputs: Outputs,
        *,
        record: Record,
        supervisor: Supervisor,
        clock: Clock,
        view_look: ViewLook | None,
        max_frames: int | None,
    ) -> None:
        #: Whether `max_frames` pictures were handed on.
        self.full = False
        self._queue = queue
        self._compositor = compositor
        self._engine = engine
        self._outputs = outputs
        self._record = record
        self._supervisor = supervisor
        self._clock = clock
        self._view_look = view_look
        self._max_frames = max_frames
        self._last_shown = -1
        #: What drawing masks took of late.
        self._drawings_ns: deque[int] = deque(maxlen=_LAST)
        self._detections = DetectionLog()

    @property
    def view(self) -> View:
        """The part of the pictures to come that is analysed."""
        return self._compositor.view

    def work(self) -> None:
        """Handle pictures until the queue is closed or enough were handed on."""
        for grabbed in self._queue:
            try:
                count = self.handle(grabbed)
            except BaseException:
                self._record.drop("failed", 1 + len(self._queue.abort()))
                raise
            if count == self._max_frames:
                self.full = True
                self._record.drop("stopped", len(self._queue.abort()))

    def handle(self, grabbed: Grabbed) -> int:
        """Show one picture.

        Returns:
            Pictures handed on so far.
        """
        frame = grabbed.frame
        taken_ns = self._clock.now_ns()
        seen = self._compositor.look(frame, grabbed.session, taken_ns)
        looked_ns = self._clock.now_ns()
        self._record.add("queue", taken_ns - frame.decoded_ns)
        self._record.add("look", looked_ns - taken_ns)
        mask = self._engine.newest
        # At once, so that its mask is there the sooner: the engine gives way to what follows here.
        if seen.look.flat:
            self._record.ai_drop("flat")
        else:
            self._engine.offer(seen)
        composed = self._compose(seen, mask)
        self._outputs.offer(composed)
        now_ns = self._clock.now_ns()
        self._compositor.look_closer(seen)
        if self._view_look is not None and not seen.look.flat:
            self._view_look.offer(seen)
        if mask is not None and composed.segmentation is not None:
            self._record.add("mask_age", frame.captured_ns - mask.captured_ns)
            if mask.number > self._last_shown:
                self._last_shown = mask.number
                self._record.mask_shown(now_ns - mask.captured_ns)
        events = self._detections.add(frame.time_s, composed.objects)
        return self._record.hand_on(
            now_ns,
            frame.captured_ns,
            objects=any(each.confirmed for each in composed.objects),
            detections=sum(event.end_s is None for event in events),
            out_of_view=composed.out_of_view,
        )

    def _compose(self, seen: Seen, mask: Mask | None) -> Composed:
        begun_ns = self._clock.now_ns()
        fitted = self._compositor.fit(mask, seen)
        fitted_ns = self._clock.now_ns()
        if mask is not None and fitted is not None and self._comes_too_late(mask, fitted_ns):
            fitted = None
        state = self._supervisor.picture(
            fitted_ns, mask=fitted is not None, flat=seen.look.flat, repeated=seen.look.repeated
        )
        info = self._engine.info
        label = f"{info.backend} {info.precision}" if info is not None else ""
        calibration = info.calibration if info is not None else None
        composed = self._compositor.draw(seen, mask, fitted, state, label, calibration)
        drawn_ns = self._clock.now_ns()
        if fitted is not None:
            self._record.add("move", fitted_ns - begun_ns)
            self._drawings_ns.append(drawn_ns - fitted_ns)
        self._record.add("draw", drawn_ns - fitted_ns)
        return composed

    def _comes_too_late(self, mask: Mask, now_ns: int) -> bool:
        """Whether a mask that begins to be drawn now would be handed on past the limit."""
        # The slowest but one: a single hiccup says nothing of the next drawing.
        usual_ns = sorted(self._drawings_ns)[-2] if len(self._drawings_ns) > 1 else 0
        if self._compositor.is_in_time(mask, now_ns + usual_ns):
            return False
        # Forgotten one by one, so that what was slow for a while is tried again.
        if self._drawings_ns:
            self._drawings_ns.popleft()
        return True
