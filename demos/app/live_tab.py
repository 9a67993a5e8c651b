"""The tab *Live*: a source of this computer, or the camera of the visitor's browser."""

from pathlib import Path
from typing import Any

from demos.app import notices
from demos.app.guard import PREFIX
from demos.app.live_process import BROWSER, LiveOrder
from demos.app.sample import SAMPLE
from demos.app.services import Services
from pranet.errors import PranetError

_KNOWN = {
    str(SAMPLE): "Bundled sample, played as if it were live",
    "synthetic": "Made-up tissue with polyps",
    "mock": "Rehearsal: a capture card that fails by a schedule",
    BROWSER: "Camera of this browser",
}

EXPLANATION = """\
**A source of this computer** (a capture card, a name of the settings file, the sample) runs
through the same live pipeline as `pranet-stream --mode live`: the picture never waits for the
network, and no mask is older than 120 ms. **The camera of this browser** is sent to that pipeline
as JPEG pictures and comes back with markers; its delay counts from the moment that a picture has
reached the server. Nothing is recorded."""


class LiveTab:
    """What happens in the tab, apart from how it is laid out."""

    def __init__(self, services: Services, sources: list[str], settings: Path | None) -> None:
        self._services = services
        self._sources = [*sources, BROWSER]
        self._settings = settings

    @property
    def choices(self) -> list[tuple[str, str]]:
        """Name as shown, and value, of each source."""
        return [(_KNOWN.get(source, source), source) for source in self._sources]

    def start(
        self, source: object, owner: str, settings: tuple[object, ...]
    ) -> tuple[dict[str, Any], str]:
        """Start a run; for the script of the picture, and what is wrong as HTML."""
        try:
            if source not in self._sources:
                return {}, notices.problem("Choose a source first.")
            engine, choices = self._services.offer.read(*settings)
            live = self._services.live
            order = LiveOrder(str(source), engine, choices, self._settings, live.max_s)
            run = live.start(order, owner)
        except PranetError as error:
            return {"notice": ""}, notices.problem(str(error))
        return {"token": run.token, "prefix": PREFIX, "camera": source == BROWSER}, ""

    def stop(self, owner: str) -> dict[str, Any]:
        """End the visitor's run."""
        self._services.live.leave(owner)
        return {"notice": "Stopped."}
