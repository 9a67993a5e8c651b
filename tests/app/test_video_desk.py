"""A visitor's video from order to end, and what the page shows of it."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_network import DEADLINE_S, WaitForCancel, load_red

from demos.app import video_job
from demos.app.choices import Offer
from demos.app.services import Limits, Services
from demos.app.uploads import UploadLimits
from demos.app.video_tab import Shown, VideoTab, spell_left

Film = Callable[..., Path]
SETTINGS = ("prompt", "pranet_v2_lite0", "auto", "#00ff00", 0, 0.0, "balanced")


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    limits = Limits(upload=UploadLimits(min_free_bytes=0), max_waiting=1)
    services = Services(Offer(), limits, load=load_red, load_single=load_red)
    yield services
    services.close()


@pytest.fixture
def upload(services: Services, film: Film, tmp_path: Path) -> Callable[..., str]:
    def bring(**options: int) -> str:
        token = services.uploads.make_folder()
        folder = services.uploads.find(token)
        assert folder is not None
        film(tmp_path / f"{token}.mp4", **options).rename(folder / video_job.UPLOAD)
        return token

    return bring


def follow(services: Services, token: str, owner: str) -> list[Shown]:
    async def all_shown() -> list[Shown]:
        tab = VideoTab(services)
        return [shown async for shown in tab.run(token, "a film.mp4", owner, SETTINGS)]

    return asyncio.run(all_shown())


def test_from_order_to_downloads(services: Services, upload: Callable[..., str]) -> None:
    token = upload(count=30)
    shown = follow(services, token, "anna")[-1]

    assert shown.player["state"] == "finished"
    assert shown.player["token"] == token
    assert "30 frames" in shown.status
    assert shown.downloads.count("<a ") == 4
    assert "<figure" in shown.timeline
    assert not shown.working


def test_a_broken_upload_is_told_and_leaves_the_next_alone(
    services: Services, upload: Callable[..., str]
) -> None:
    token = upload(count=2)
    folder = services.uploads.find(token)
    assert folder is not None
    (folder / video_job.UPLOAD).write_bytes(b"no film")

    shown = follow(services, token, "anna")[-1]
    assert 'role="alert"' in shown.status
    assert "state" not in shown.player
    assert follow(services, upload(count=5), "anna")[-1].player["state"] == "finished"


def test_what_was_refused_can_be_run_again(services: Services, upload: Callable[..., str]) -> None:
    tab = VideoTab(services)

    async def first() -> Shown:
        wrong = ("frantic", *SETTINGS[1:])
        return await anext(aiter(tab.run(upload(count=2), "x.mp4", "anna", wrong)))

    shown = asyncio.run(first())
    assert "frantic" in shown.status
    assert not shown.working
    again = tab.again("anna")
    assert again is not None
    assert follow(services, again[0], "anna")[-1].player["state"] == "finished"


def test_another_visitor_is_told_their_place(
    services: Services, upload: Callable[..., str]
) -> None:
    running = services.videos.submit(WaitForCancel(), lambda news: None)

    async def waiting() -> Shown:
        tab = VideoTab(services)
        shown = tab.run(upload(count=2), "x", "berta", SETTINGS)
        first = await anext(aiter(shown))
        tab.cancel("berta")
        return first

    shown = asyncio.run(waiting())
    services.videos.cancel(running)
    assert running.wait(DEADLINE_S)
    assert "One video is before yours" in shown.status
    assert shown.working


def test_a_new_video_takes_the_place_of_the_old(
    services: Services, upload: Callable[..., str]
) -> None:
    old, new = upload(count=5), upload(count=5)
    follow(services, old, "anna")
    follow(services, new, "anna")

    assert services.uploads.find(old) is None
    assert services.uploads.tokens_of("anna") == [new]


def test_again_with_other_settings(services: Services, upload: Callable[..., str]) -> None:
    old = upload(count=5)
    follow(services, old, "carla")
    found = VideoTab(services).again("carla")

    assert found is not None
    token, name = found
    assert (token != old, name) == (True, "a film.mp4")
    assert follow(services, token, "carla")[-1].player["state"] == "finished"
    assert services.uploads.tokens_of("carla") == [token]


def test_nothing_stays_of_a_visitor_who_left(
    services: Services, upload: Callable[..., str]
) -> None:
    token = upload(count=5)
    follow(services, token, "dora")
    folder = services.uploads.find(token)
    assert folder is not None
    services.leave("dora")

    assert services.uploads.find(token) is None
    assert VideoTab(services).again("dora") is None
    deadline = DEADLINE_S
    while folder.exists() and deadline > 0:
        deadline -= 0.1
        asyncio.run(asyncio.sleep(0.1))
    assert not folder.exists()


def test_the_sample_is_there(services: Services) -> None:
    token, name = VideoTab(services).take_sample()
    folder = services.uploads.find(token)

    assert folder is not None
    assert (folder / video_job.UPLOAD).stat().st_size > 0
    assert name == "colonoscopy.mp4"


@pytest.mark.parametrize(("left_s", "told"), [(7.4, "7 s"), (59.6, "1:00"), (65, "1:05")])
def test_time_left(left_s: float, told: str) -> None:
    assert spell_left(left_s) == told
