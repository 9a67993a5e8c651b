"""The tab *Video*: one upload, its result while it is being made, and what was found."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from demos.app import notices, video_job
from demos.app.desk import State
from demos.app.guard import PREFIX
from demos.app.playable import spell_duration
from demos.app.sample import SAMPLE
from demos.app.services import Services
from demos.app.timeline_view import draw_table, draw_timeline
from demos.app.uploads import shown_name
from demos.app.video_desk import VideoJob, VideoView
from pranet.errors import PranetError

#: How often the page is brought up to date while something happens, and until something does.
TELL_EVERY_S = 0.4
LOOK_EVERY_S = 0.05

CHOOSE = "Choose a video, or run the sample."

_DOWNLOADS = (
    (video_job.FINAL_OVERLAY, "Video with boundaries", "MP4"),
    (video_job.MASKS, "Masks", "lossless MKV"),
    (video_job.EVENTS, "Events", "JSON lines"),
    (video_job.REPORT, "Report", "JSON"),
)


@dataclass(frozen=True)
class Shown:
    """What the tab shows.

    Attributes:
        player: for the script of the player.
        status, timeline, table, downloads: HTML.
        working: there is something to cancel.
    """

    player: dict[str, Any]
    status: str
    timeline: str = ""
    table: str = ""
    downloads: str = ""
    working: bool = False


class VideoTab:
    """What happens in the tab, apart from how it is laid out."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def dropzone(self) -> dict[str, Any]:
        """For the script of the upload."""
        limits = self._services.limits
        return {
            "kind": "video",
            "prefix": PREFIX,
            "accept": "video/*,.mkv,.avi,.mpg,.ts",
            "title": "Choose a video",
            "max_bytes": limits.upload.max_video_bytes,
            "limits": "MP4, MKV, MOV, AVI, WebM, MPEG. Up to "
            f"{limits.upload.max_video_bytes / 1e6:.0f} MB and "
            f"{spell_duration(limits.video.max_s)}. It stays on the computer that runs this page "
            "and is removed when you leave.",
        }

    def take_sample(self) -> tuple[str, str]:
        """Copy the bundled sample as if it had been uploaded; token and name.

        Raises:
            UploadError: there is no room for it.
        """
        uploads = self._services.uploads
        token = uploads.make_folder()
        folder = uploads.find(token)
        assert folder is not None
        shutil.copyfile(SAMPLE, folder / video_job.UPLOAD)
        return token, SAMPLE.name

    async def run(
        self, token: str, name: str, owner: str, settings: tuple[object, ...]
    ) -> AsyncIterator[Shown]:
        """Order the job of an upload and follow it to its end.

        Args:
            token, name: of the upload.
            owner: the visitor.
            settings: what the page's settings say, see `Offer.read`.
        """
        name = shown_name(name)
        try:
            folder, job = self._services.take_video(token, name, owner)
            engine, choices = self._services.offer.read(*settings)
            job.start(folder, engine, choices, self._services.limits.video)
        except PranetError as error:
            # With the token, so that it can be run again.
            player = {"notice": CHOOSE, "token": token}
            yield Shown(player, notices.problem(str(error)))
            return
        steadied = not choices.temporal.is_off
        told: tuple[object, ...] | None = None
        while True:
            over = job.is_over
            view = job.view()
            state = (view.state, view.place, view.revision)
            if state != told:
                told = state
                yield show(job, view, steadied=steadied)
            if over or self._services.find_job(token) is not job:
                return
            await asyncio.sleep(TELL_EVERY_S if view.news else LOOK_EVERY_S)

    def again(self, owner: str) -> tuple[str, str] | None:
        """Take the visitor's upload once more, for other settings; token and name.

        Raises:
            UploadError: there is no room for it.
        """
        uploads = self._services.uploads
        for old in uploads.tokens_of(owner):
            job, folder = self._services.find_job(old), uploads.find(old)
            if job is not None and folder is not None:
                token = uploads.make_folder()
                new = uploads.find(token)
                assert new is not None
                (folder / video_job.UPLOAD).replace(new / video_job.UPLOAD)
                return token, job.name
        return None

    def cancel(self, owner: str) -> None:
        """The visitor has enough of their job; what was made is kept."""
        for token in self._services.uploads.tokens_of(owner):
            job = self._services.find_job(token)
            if job is not None:
                job.cancel()


def show(job: VideoJob, view: VideoView, *, steadied: bool) -> Shown:
    """What the tab shows of a job."""
    timeline = job.timeline()
    news = view.news
    over = job.is_over
    kept = over and news is not None and view.state in (State.DONE, State.CANCELLED)
    player: dict[str, Any] = {"token": job.token, "prefix": PREFIX, "notice": CHOOSE}
    if kept or (view.state == State.RUNNING and not over):
        player |= {
            "state": "finished" if kept else "running",
            "overlay": video_job.OVERLAY,
            "original": video_job.ORIGINAL,
            "final_overlay": video_job.FINAL_OVERLAY,
            "final_original": video_job.FINAL_ORIGINAL,
            "length_s": timeline.length_s,
        }
    elif not over:
        player["notice"] = "Waiting for others"
    if news is not None:
        player |= {
            "poster": video_job.POSTER,
            "width": news.width,
            "height": news.height,
            "sound": news.sound,
        }
    pixels = news.width * news.height if news else 1
    return Shown(
        player,
        _status(view),
        draw_timeline(timeline),
        draw_table(timeline, pixels=pixels, steadied=steadied, over=over) if news else "",
        _downloads(job) if kept else "",
        working=not over,
    )


def _status(view: VideoView) -> str:
    news = view.news
    if view.state == State.FAILED:
        return notices.problem(view.problem)
    note = f" ({view.note})" if view.note else ""
    if view.state in (State.DONE, State.CANCELLED):
        ended = "Done" if view.state == State.DONE else "Cancelled"
        if news is None:
            return notices.status(f"{ended}.")
        return notices.status(
            f"{ended}: {news.frames_out} frames at {news.rate:.0f} frames per second{note}."
        )
    if view.place:
        before = "One video is" if view.place == 1 else f"{view.place} videos are"
        return notices.status(f"{before} before yours. It starts by itself.")
    if news is None:
        return notices.status("Reading the video.")
    return _progress(view)


def _progress(view: VideoView) -> str:
    news = view.news
    assert news is not None
    left = "" if news.left_s is None else f"<span>{spell_left(news.left_s)} left</span>"
    of = f" of {news.frames}" if news.frames else ""
    share = f'value="{min(1.0, news.frames_out / news.frames):.3f}"' if news.frames else ""
    return (
        f'<div class="progress"><progress max="1" {share} aria-label="Frames done"></progress>'
        f"<span>{news.frames_out}{of} frames</span><span>{news.rate:.0f} fps</span>{left}</div>"
    )


def spell_left(left_s: float) -> str:
    """Time left, as ``1:05`` or ``7 s``."""
    whole = round(left_s)
    return f"{whole // 60}:{whole % 60:02d}" if whole >= 60 else f"{whole} s"


def _downloads(job: VideoJob) -> str:
    links = "".join(
        f'<li><a href="{PREFIX}/media/{job.token}/{file}?save" download>{name} '
        f'<span class="quiet">{kind}</span></a></li>'
        for file, name, kind in _DOWNLOADS
    )
    return f'<ul class="downloads" aria-label="Downloads">{links}</ul>'
