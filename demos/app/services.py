"""All that the page works with, started once and ended once."""

import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from demos.app.choices import Engine, Offer
from demos.app.desk import Desk, Ticket
from demos.app.live_desk import LiveDesk
from demos.app.still import StillOrder
from demos.app.uploads import UploadLimits, Uploads
from demos.app.video_desk import VideoJob
from demos.app.video_job import VideoLimits
from demos.app.worker import Load, LoadEngine, Worker

SWEEP_EVERY_S = 1.0
#: A picture takes a fraction of a second; longer means that something hangs.
MAX_STILL_S = 60.0


@dataclass(frozen=True)
class Limits:
    """All limits of the page.

    Attributes:
        max_waiting: videos that may wait for the one at work.
        max_live_s: a live run ends after so long.
    """

    upload: UploadLimits = field(default_factory=UploadLimits)
    video: VideoLimits = field(default_factory=VideoLimits)
    max_waiting: int = 6
    max_live_s: float = 3600.0


class Services:
    """Uploads, the desks for videos and pictures, and the live run.

    Args:
        offer: what visitors may choose from; the first model is loaded at once.
        limits: see `Limits`.
        load: loads the network of videos; the default fits the machine.
        load_single: the same for pictures and live, where one at a time is fastest.
    """

    def __init__(
        self,
        offer: Offer,
        limits: Limits,
        *,
        load: Load | None = None,
        load_single: Load | None = None,
    ) -> None:
        self.offer, self.limits = offer, limits
        load = load or LoadEngine()
        load_single = load_single or LoadEngine(streams=1)
        first = Engine(offer.models[0])
        self._root = tempfile.TemporaryDirectory(prefix="pranet-demo-")
        root = Path(self._root.name)
        #: For whatever else needs files; removed with all others.
        self.scratch = root / "scratch"
        visitors = root / "visitors"
        for folder in (self.scratch, visitors):
            folder.mkdir(mode=0o700)
        self.uploads = Uploads(visitors, limits.upload)
        self.videos = Desk(
            lambda: Worker(load, first),
            max_waiting=limits.max_waiting,
            max_work_s=limits.video.max_work_s + 60,
        )
        self.stills = Desk(
            lambda: Worker(load_single, first),
            max_waiting=limits.max_waiting,
            max_work_s=MAX_STILL_S,
        )
        self.live = LiveDesk(load_single, max_s=limits.max_live_s)
        self._lock = threading.Lock()
        self._jobs: dict[str, VideoJob] = {}
        # Folders that are nobody's any more, with what may still write to them.
        self._leaving: dict[str, VideoJob] = {}
        self._closing = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="sweeper", daemon=True)
        self._sweeper.start()

    def take_video(self, token: str, name: str, owner: str) -> tuple[Path, VideoJob]:
        """An upload becomes a visitor's video, in the place of any they had.

        Returns:
            Its folder, and its job, which is not ordered yet.

        Raises:
            UploadError: the upload is no longer here.
        """
        folder = self.uploads.claim(token, owner)
        for other in self.uploads.tokens_of(owner):
            if other != token:
                self.drop(other)
        job = VideoJob(token, name, self.videos)
        with self._lock:
            self._jobs[token] = job
        return folder, job

    def find_job(self, token: str) -> VideoJob | None:
        """The job of an upload."""
        with self._lock:
            return self._jobs.get(token)

    def read_still(self, folder: Path, engine: Engine) -> Ticket:
        """Have the network look at the picture in a folder.

        Raises:
            BusyError: too many wait already.
        """
        order = StillOrder(folder, engine, self.limits.video.max_pixels * 4)
        return self.stills.submit(order, lambda news: None)

    def drop(self, token: str) -> None:
        """End what is made of an upload, and remove it all."""
        self.uploads.retire(token)
        with self._lock:
            job = self._jobs.pop(token, None)
            if job is not None:
                self._leaving[token] = job
        if job is None:
            self.uploads.erase(token)
        else:
            job.cancel()

    def leave(self, owner: str) -> None:
        """A visitor has gone: nothing of theirs stays."""
        for token in self.uploads.tokens_of(owner):
            self.drop(token)
        self.live.leave(owner)

    def _sweep(self) -> None:
        while not self._closing.wait(SWEEP_EVERY_S):
            for token in self.uploads.forgotten():
                self.drop(token)
            self._erase_left()
            self.live.sweep()

    def _erase_left(self) -> None:
        with self._lock:
            over = [token for token, job in self._leaving.items() if job.is_over]
            for token in over:
                del self._leaving[token]
        for token in over:
            self.uploads.erase(token)

    def close(self) -> None:
        """End everything and remove all files."""
        self._closing.set()
        self._sweeper.join()
        self.live.close()
        self.videos.close()
        self.stills.close()
        self._root.cleanup()
