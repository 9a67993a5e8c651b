"""The page's own addresses beside Gradio's: uploads in, videos and live pictures out."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

from demos.app import video_job
from demos.app.guard import PREFIX
from demos.app.live_desk import LiveRun
from demos.app.segments import follow, wait_for_head
from demos.app.services import Services
from demos.app.uploads import UploadError, shown_name
from demos.app.webcam import MAX_JPEG_BYTES
from streamer.serving import LOOPBACK

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

NO_STORE = {"Cache-Control": "no-store"}

#: What of a video's folder can be had: file → media type, ending of a download's name.
FILES = {
    video_job.POSTER: ("image/jpeg", "_first.jpg"),
    video_job.FINAL_OVERLAY: ("video/mp4", "_overlay.mp4"),
    video_job.FINAL_ORIGINAL: ("video/mp4", "_original.mp4"),
    video_job.MASKS: ("video/x-matroska", "_masks.mkv"),
    video_job.EVENTS: ("application/jsonl", "_events.jsonl"),
    video_job.REPORT: ("application/json", "_report.json"),
}
GROWING = frozenset({video_job.OVERLAY, video_job.ORIGINAL})
#: How each kind of upload is called in its folder. What it holds decides how it is read.
UPLOADS = {"video": video_job.UPLOAD, "picture": "picture.png"}


class Routes:
    """Answers requests; see `table`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def table(self) -> "list[BaseRoute]":
        """All routes, for Starlette."""
        from starlette.routing import Route

        return [
            Route(f"{PREFIX}/upload/{{kind}}", self.upload, methods=["POST"]),
            Route(f"{PREFIX}/media/{{token}}/{{file}}", self.media),
            Route(f"{PREFIX}/growing/{{token}}/{{file}}", self.growing),
            Route(f"{PREFIX}/live/{{token}}/picture", self.live_picture),
            Route(f"{PREFIX}/live/{{token}}/figures", self.live_figures),
            Route(f"{PREFIX}/live/{{token}}/webcam", self.live_webcam, methods=["POST"]),
        ]

    async def upload(self, request: "Request") -> "Response":
        """Take in a file as the body of the request; its token is the reply."""
        from starlette.responses import JSONResponse

        kind, limits = request.path_params["kind"], self._services.limits.upload
        if kind not in UPLOADS:
            return _nothing()
        most = {"video": limits.max_video_bytes, "picture": limits.max_picture_bytes}
        announced = request.headers.get("content-length", "")
        name = shown_name(unquote(request.headers.get("x-file-name", "")))
        try:
            token = await self._services.uploads.receive(
                request.stream(),
                int(announced) if announced.isdigit() else None,
                UPLOADS[kind],
                most[kind],
            )
        except UploadError as error:
            return JSONResponse({"problem": str(error)}, error.status)
        return JSONResponse({"token": token, "name": name}, headers=NO_STORE)

    async def media(self, request: "Request") -> "Response":
        """A file that is complete; with ``?save`` to be kept under a name of its own."""
        from starlette.responses import FileResponse

        token, file = request.path_params["token"], request.path_params["file"]
        folder, job = self._services.uploads.find(token), self._services.find_job(token)
        if file not in FILES or folder is None or job is None:
            return _nothing()
        # The others are complete when the job is over, and not before.
        if not (job.is_over or file == video_job.POSTER) or not (folder / file).is_file():
            return _nothing()
        media_type, ending = FILES[file]
        stem = job.name.rpartition(".")[0] or job.name
        saved = f"{stem}{ending}" if "save" in request.query_params else None
        return FileResponse(folder / file, media_type=media_type, filename=saved, headers=NO_STORE)

    async def growing(self, request: "Request") -> "Response":
        """A video while it is being made: its bytes as they come, to its end."""
        from starlette.responses import StreamingResponse

        token, file = request.path_params["token"], request.path_params["file"]
        folder, job = self._services.uploads.find(token), self._services.find_job(token)
        if file not in GROWING or folder is None or job is None:
            return _nothing()

        def is_over() -> bool:
            return job.is_over

        media_type = await wait_for_head(folder / file, is_over)
        if media_type is None:
            return _nothing()
        return StreamingResponse(
            follow(folder / file, is_over), media_type=media_type, headers=NO_STORE
        )

    async def live_picture(self, request: "Request") -> "Response":
        """The live pictures as they come, from the process that makes them."""
        from starlette.responses import StreamingResponse

        run = self._services.live.find(request.path_params["token"])
        port = None if run is None else await asyncio.to_thread(run.port)
        if run is None or port is None:
            return _nothing()
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.write(f"GET /picture HTTP/1.0\r\nHost: {LOOPBACK}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError):
            return _nothing()
        lines = head.decode("latin-1").split("\r\n")
        if " 200 " not in lines[0]:
            writer.close()
            return _nothing(HTTPStatus.SERVICE_UNAVAILABLE)
        kind = next(line for line in lines if line.lower().startswith("content-type:"))
        return StreamingResponse(
            _passed_on(run, reader, writer),
            media_type=kind.partition(":")[2].strip(),
            headers=NO_STORE,
        )

    async def live_figures(self, request: "Request") -> "Response":
        """State, rate and delays of the live run."""
        from starlette.responses import JSONResponse

        run = self._services.live.find(request.path_params["token"])
        if run is None:
            return _nothing()
        return JSONResponse(await asyncio.to_thread(run.figures), headers=NO_STORE)

    async def live_webcam(self, request: "Request") -> "Response":
        """Take in a picture of the browser's camera."""
        from starlette.responses import Response

        run = self._services.live.find(request.path_params["token"])
        if run is None or run.ended is not None:
            return _nothing()
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_JPEG_BYTES:
                return _nothing(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if body:
            await asyncio.to_thread(run.put, body)
        return Response(status_code=HTTPStatus.NO_CONTENT)


async def _passed_on(
    run: LiveRun, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncIterator[bytes]:
    try:
        while part := await reader.read(1 << 16):
            run.touch()
            yield part
    finally:
        writer.close()


def _nothing(status: HTTPStatus = HTTPStatus.NOT_FOUND) -> "Response":
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(status.phrase, status, headers=NO_STORE)
