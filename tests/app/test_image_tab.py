"""A visitor's picture: read once, drawn at any threshold, forgotten."""

import asyncio
from collections.abc import Iterator

import pytest
from fake_network import load_red

from demos.app import image_tab as module
from demos.app.choices import Offer
from demos.app.image_tab import ImageTab
from demos.app.services import Limits, Services
from demos.app.uploads import UploadLimits

SETTINGS = ("balanced", "pranet_v2_lite0", "auto", "#00ff00", 0, 0.0, "balanced")


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    limits = Limits(upload=UploadLimits(min_free_bytes=0))
    services = Services(Offer(), limits, load=load_red, load_single=load_red)
    yield services
    services.close()


def read(tab: ImageTab, owner: str) -> tuple[str, str, str]:
    """Reads the sample; its token, and what `read` returns."""
    token = tab.take_sample()
    pictures, problem = asyncio.run(tab.read(token, owner, 0.5, SETTINGS))
    return token, pictures, problem


def test_the_upload_is_removed_as_soon_as_it_was_read(services: Services) -> None:
    token, pictures, problem = read(ImageTab(services), "anna")

    assert problem == ""
    assert pictures.count("<img ") == 2
    assert services.uploads.find(token) is None


def test_a_threshold_draws_the_visitors_own_picture(services: Services) -> None:
    tab = ImageTab(services)
    _, pictures, _ = read(tab, "anna")

    assert "at 0.60" in tab.draw("anna", 0.6, SETTINGS)
    assert tab.draw("anna", 0.5, SETTINGS) == pictures
    assert tab.draw("berta", 0.5, SETTINGS) == ""
    assert 'role="alert"' in tab.draw("anna", 0.5, ("frantic", *SETTINGS[1:]))
    tab.leave("anna")
    assert tab.draw("anna", 0.5, SETTINGS) == ""


def test_only_so_many_are_kept(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    tab = ImageTab(services)
    for owner in ("anna", "berta", "carla"):
        read(tab, owner)

    assert [bool(tab.draw(owner, 0.5, SETTINGS)) for owner in ("anna", "berta", "carla")] == [
        False,
        True,
        True,
    ]


def test_what_is_no_picture_is_told(services: Services) -> None:
    tab = ImageTab(services)
    token = services.uploads.make_folder()
    folder = services.uploads.find(token)
    assert folder is not None
    (folder / "picture.png").write_text("no picture")

    pictures, problem = asyncio.run(tab.read(token, "anna", 0.5, SETTINGS))
    assert pictures == ""
    assert "not a picture" in problem
    assert not folder.exists()


def test_an_upload_of_another_visitor_stays(services: Services) -> None:
    tab = ImageTab(services)
    token = tab.take_sample()
    services.uploads.claim(token, "anna")

    pictures, problem = asyncio.run(tab.read(token, "berta", 0.5, SETTINGS))
    assert pictures == ""
    assert 'role="alert"' in problem
    assert services.uploads.find(token) is not None
