"""The tab *Image*: one still, its probabilities, and the boundary at any threshold."""

import asyncio
import base64
import threading
from dataclasses import dataclass
from typing import Any

import av
import cv2

from demos.app import notices
from demos.app.choices import Choices
from demos.app.desk import State
from demos.app.guard import PREFIX
from demos.app.routes import UPLOADS
from demos.app.sample import SAMPLE
from demos.app.services import Services
from demos.app.still import Still, describe, draw_boundary, draw_heat
from pranet.errors import PranetError
from streamer.color import describe as describe_color
from streamer.sinks.snapshot import BgrReader
from streamer.sources import FileSource

#: Place of the still in the bundled sample, in frames: it shows a polyp.
SAMPLE_FRAME = 40
#: Pictures that are kept to be drawn anew; the one that was kept longest goes first.
MOST_KEPT = 32


@dataclass(frozen=True)
class Seen:
    """A still with all that does not depend on the threshold drawn already.

    Attributes:
        heat: as JPEG.
    """

    still: Still
    heat: bytes


class ImageTab:
    """What happens in the tab, apart from how it is laid out."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        # By visitor.
        self._seen: dict[str, Seen] = {}

    @property
    def dropzone(self) -> dict[str, Any]:
        """For the script of the upload."""
        return {
            "kind": "picture",
            "prefix": PREFIX,
            "accept": "image/*",
            "title": "Choose a picture",
            "max_bytes": self._services.limits.upload.max_picture_bytes,
            "limits": "JPEG, PNG, WebP, TIFF or BMP. It is removed as soon as it was read.",
        }

    def take_sample(self) -> str:
        """A frame of the bundled sample as if it had been uploaded; its token.

        Raises:
            UploadError: there is no room for it.
        """
        token = self._services.uploads.make_folder()
        folder = self._services.uploads.find(token)
        assert folder is not None
        (folder / UPLOADS["picture"]).write_bytes(_sample_still())
        return token

    async def read(
        self, token: str, owner: str, threshold: float, settings: tuple[object, ...]
    ) -> tuple[str, str]:
        """Run the network on an uploaded picture, which is removed.

        Returns:
            Both pictures, and what is wrong, as HTML.
        """
        self.leave(owner)
        uploads = self._services.uploads
        try:
            engine, _ = self._services.offer.read(*settings)
            folder = uploads.claim(token, owner)
            try:
                ticket = self._services.read_still(folder, engine)
                await asyncio.to_thread(ticket.wait)
            finally:
                uploads.erase(token)
        except PranetError as error:
            return "", notices.problem(str(error))
        if ticket.state != State.DONE:
            return "", notices.problem(ticket.reason or "It was cancelled.")
        still = ticket.outcome
        assert isinstance(still, Still)
        seen = Seen(still, await asyncio.to_thread(draw_heat, still))
        with self._lock:
            self._seen[owner] = seen
            while len(self._seen) > MOST_KEPT:
                del self._seen[next(iter(self._seen))]
        return await asyncio.to_thread(self.draw, owner, threshold, settings), ""

    def leave(self, owner: str) -> None:
        """Forget a visitor's picture."""
        with self._lock:
            self._seen.pop(owner, None)

    def draw(self, owner: str, threshold: float, settings: tuple[object, ...]) -> str:
        """Both pictures of a visitor at a threshold, as HTML; nothing where there are none."""
        with self._lock:
            seen = self._seen.get(owner)
        if seen is None:
            return ""
        try:
            _, choices = self._services.offer.read(*settings)
        except PranetError as error:
            return notices.problem(str(error))
        return render(seen, threshold, choices)


def render(seen: Seen, threshold: float, choices: Choices) -> str:
    """The boundary at a threshold beside the probabilities, as HTML."""
    threshold = min(max(threshold, 0.01), 0.99)
    told = describe(seen.still, threshold)
    boundary = draw_boundary(seen.still, threshold, choices)
    heat_told = "The picture under its probabilities as colours"
    return f"""\
<div class="still">
<figure><img class="boundary" src="{_inline(boundary)}" alt="With its boundary. {told}">
<figcaption role="status">{told}</figcaption></figure>
<figure><img class="heat" src="{_inline(seen.heat)}" alt="{heat_told}">
<div class="scale" aria-hidden="true"></div>
<figcaption>Probability of polyp: 0 at the left, 1 at the right of the scale</figcaption></figure>
</div>"""


def _inline(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _sample_still() -> bytes:
    source = FileSource(str(SAMPLE))
    try:
        for item in source:
            if not isinstance(item, av.Packet) and item.index == SAMPLE_FRAME:
                color = describe_color(item.picture)
                _, packed = cv2.imencode(".png", BgrReader().read(item.picture, color))
                return packed.tobytes()
    finally:
        source.close()
    raise AssertionError("the sample is shorter than it was")
