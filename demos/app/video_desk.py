"""What is known of each visitor's video: where it stands, and what was found so far."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

from demos.app.choices import Choices, Engine
from demos.app.desk import Desk, State, Ticket
from demos.app.timeline import Timeline
from demos.app.video_job import VideoDone, VideoLimits, VideoNews, VideoOrder


@dataclass(frozen=True)
class VideoView:
    """One look at a job.

    Attributes:
        state: see `State`.
        place: orders before it.
        news: the latest, if any.
        problem: why it failed.
        note: what was left out.
        revision: grows with all that came.
    """

    state: State
    place: int
    news: VideoNews | None
    problem: str
    note: str
    revision: int


@dataclass
class VideoJob:
    """One video of one visitor; from any thread.

    Attributes:
        token: of its folder.
        name: as shown.
    """

    token: str
    name: str
    _desk: Desk
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _timeline: Timeline = field(default_factory=Timeline)
    _news: VideoNews | None = None
    _revision: int = 0
    _ticket: Ticket | None = None

    def start(self, folder: Path, engine: Engine, choices: Choices, limits: VideoLimits) -> None:
        """Order it.

        Raises:
            BusyError: too many wait already.
        """
        order = VideoOrder(folder, self.name, engine, choices, limits)
        self._ticket = self._desk.submit(order, self._take)

    def _take(self, news: object) -> None:
        assert isinstance(news, VideoNews)
        with self._lock:
            self._news = news
            self._revision += 1
            self._timeline.length_s = max(self._timeline.length_s, news.length_s)
            self._timeline.add(news.found)

    def cancel(self) -> None:
        """The visitor has enough of it."""
        if self._ticket is not None:
            self._desk.cancel(self._ticket)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be written."""
        return self._ticket is None or self._ticket.is_over

    def view(self) -> VideoView:
        """How things stand."""
        assert self._ticket is not None
        over = self._ticket.is_over
        state, outcome = self._ticket.state, self._ticket.outcome
        note = ""
        if isinstance(outcome, VideoDone):
            note = outcome.note
            state = State.CANCELLED if outcome.stopped else state
        with self._lock:
            return VideoView(
                state if over or state == State.WAITING else State.RUNNING,
                self._desk.place(self._ticket),
                self._news,
                self._ticket.reason,
                note,
                self._revision,
            )

    def timeline(self) -> Timeline:
        """A copy of what was found so far."""
        with self._lock:
            return self._timeline.copy()
