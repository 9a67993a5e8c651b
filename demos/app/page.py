"""The page: what is where, and which event calls what. Gradio is known here and nowhere else."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import gradio as gr

from demos.app import notices
from demos.app.choices import MAX_LINE_WIDTH_PX, Offer, explain_preset
from demos.app.image_tab import ImageTab
from demos.app.live_tab import EXPLANATION, LiveTab
from demos.app.services import Services
from demos.app.video_tab import CHOOSE, Shown, VideoTab
from pranet.errors import PranetError
from streamer.temporal import DEFAULT_POINT, DEFAULT_PRESET, OPERATING_POINTS, PRESETS

TITLE = "pranet-stream"
_MASTHEAD = """\
<header class="masthead"><h1>pranet-stream</h1>
<p>Polyp segmentation in colonoscopy video with PraNet-V2, on this computer.</p>
<strong class="warning" role="note">Research use only. Not a medical device.</strong></header>"""
_FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
_MONOSPACE = ["ui-monospace", "Consolas", "monospace"]

#: Of events that say themselves how far they are, for any number of visitors at once.
_QUIETLY: dict[str, Any] = {
    "show_progress": "hidden",
    "concurrency_limit": None,
    "api_visibility": "private",
}


def read_static(name: str) -> str:
    """A file of the page."""
    return files("demos.app").joinpath("static", name).read_text(encoding="utf-8")


def make_theme() -> gr.Theme:
    """Colours and fonts; all fonts are the visitor's own."""
    return gr.themes.Default(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        font=_FONT,
        font_mono=_MONOSPACE,
    ).set(
        # Dark enough to be read on white, and light enough on black (WCAG 2.2, AA).
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
    )


@dataclass(frozen=True)
class _Settings:
    """The components of the settings, in the order of `Offer.read`."""

    preset: gr.Radio
    model: gr.Dropdown
    backend: gr.Dropdown
    color: gr.ColorPicker
    line_width: gr.Slider
    fill: gr.Slider
    point: gr.Radio

    @property
    def all(self) -> list[Any]:
        return [
            self.preset,
            self.model,
            self.backend,
            self.color,
            self.line_width,
            self.fill,
            self.point,
        ]

    @property
    def looks(self) -> list[Any]:
        """Those that a picture is drawn anew for."""
        return [self.color, self.line_width, self.fill]


def build_page(services: Services, live_tab: LiveTab) -> gr.Blocks:
    """The whole page."""
    page: gr.Blocks = gr.Blocks(title=TITLE, analytics_enabled=False)
    with page:
        _bare(_MASTHEAD)
        with gr.Row():
            with gr.Column(scale=3, min_width=320), gr.Tabs():
                # The settings stand beside the tabs, but the tabs' events need them.
                tabs = [gr.Tab(name) for name in ("Video", "Live", "Image")]
            with gr.Column(scale=1, min_width=260):
                settings = _build_settings(services.offer)
        with tabs[0]:
            _build_video(VideoTab(services), settings)
        with tabs[1]:
            _build_live(live_tab, settings)
        image_tab = ImageTab(services)
        with tabs[2]:
            _build_image(image_tab, settings)

        def leave(request: gr.Request) -> None:
            services.leave(_owner(request))
            image_tab.leave(_owner(request))

        page.unload(leave)
    return page


def _owner(request: gr.Request) -> str:
    assert request.session_hash is not None
    return request.session_hash


def _told(event: gr.EventData, name: str) -> str:
    """What a script of the page told with an event."""
    told = event._data
    return str(told.get(name, "")) if isinstance(told, dict) else ""


def _build_settings(offer: Offer) -> _Settings:
    with gr.Accordion("Settings", open=True):
        preset = gr.Radio(
            list(PRESETS),
            value=DEFAULT_PRESET,
            label="Steadying",
            info="How much outlines are steadied over time, in video and live.",
        )
        explained = _bare(_quiet(explain_preset(DEFAULT_PRESET)))
        point = gr.Radio(
            list(OPERATING_POINTS),
            value=DEFAULT_POINT,
            label="Operating point",
            info="How sure the network has to be until something counts; it needs steadying.",
        )
        model = gr.Dropdown(
            list(offer.models),
            value=offer.models[0],
            label="Model",
            info="The network that finds polyps.",
        )
        backend = gr.Dropdown(
            list(offer.backends),
            value=offer.backends[0],
            label="Backend",
            info="What the network runs on; auto takes the fastest here, eager is plain PyTorch.",
        )
        color = gr.ColorPicker("#00ff00", label="Boundary", info="Colour of boundary and fill.")
        line_width = gr.Slider(
            0,
            MAX_LINE_WIDTH_PX,
            value=0,
            step=1,
            label="Width",
            info="Of the boundary, in pixels of the picture; 0 takes 1/240 of its height.",
        )
        fill = gr.Slider(
            0,
            1,
            value=0,
            step=0.05,
            label="Fill",
            info="How strongly the inside is tinted; 0 leaves it as it is.",
        )
        _bare(_quiet("Settings hold for what is started next."))
        preset.change(
            lambda name: _quiet(explain_preset(name)),
            preset,
            explained,
            show_progress="hidden",
            api_visibility="private",
        )
    return _Settings(preset, model, backend, color, line_width, fill, point)


def _bare(value: Any, **more: Any) -> gr.HTML:
    """HTML of our own, with our own looks; takes no room where it is empty."""
    return gr.HTML(value, apply_default_css=False, elem_classes=["bare"], **more)


def _quiet(text: str) -> str:
    return f'<p class="quiet">{text}</p>'


def _dropzone(value: dict[str, Any]) -> gr.HTML:
    return _bare(
        value,
        html_template=read_static("dropzone.html"),
        js_on_load=read_static("dropzone.js"),
    )


def _build_video(tab: VideoTab, settings: _Settings) -> None:
    with gr.Row():
        with gr.Column(scale=3, min_width=260):
            zone = _dropzone(tab.dropzone)
        with gr.Column(scale=1, min_width=240):
            sample = gr.Button("Run the sample", variant="primary", elem_id="sample")
            with gr.Row():
                again = gr.Button(
                    "Run again", interactive=False, min_width=100, size="md", elem_id="again"
                )
                cancel = gr.Button(
                    "Cancel",
                    variant="stop",
                    interactive=False,
                    min_width=100,
                    size="md",
                    elem_id="cancel",
                )
    status = _bare("")
    player = _bare(
        {"notice": CHOOSE},
        html_template=read_static("player.html"),
        js_on_load=read_static("player.js"),
    )
    timeline = _bare("", js_on_load=read_static("findings.js"))
    downloads = _bare("")
    table = _bare("", js_on_load=read_static("findings.js"))
    outputs: list[Any] = [player, status, timeline, table, downloads, cancel, again]

    def laid_out(shown: Shown) -> tuple[Any, ...]:
        return (
            shown.player,
            shown.status,
            shown.timeline,
            shown.table,
            shown.downloads,
            gr.Button(interactive=shown.working),
            gr.Button(interactive=not shown.working and "token" in shown.player),
        )

    async def run(
        token: str, name: str, request: gr.Request, chosen: tuple[object, ...]
    ) -> AsyncIterator[tuple[Any, ...]]:
        async for shown in tab.run(token, name, _owner(request), chosen):
            yield laid_out(shown)

    async def run_upload(
        event: gr.EventData, request: gr.Request, *chosen: object
    ) -> AsyncIterator[tuple[Any, ...]]:
        found = _told(event, "token"), _told(event, "name")
        async for shown in run(*found, request, chosen):
            yield shown

    async def run_sample(request: gr.Request, *chosen: object) -> AsyncIterator[tuple[Any, ...]]:
        try:
            token, name = tab.take_sample()
        except PranetError as error:
            yield laid_out(Shown({}, notices.problem(str(error))))
            return
        async for shown in run(token, name, request, chosen):
            yield shown

    async def run_again(request: gr.Request, *chosen: object) -> AsyncIterator[tuple[Any, ...]]:
        try:
            found = tab.again(_owner(request))
        except PranetError as error:
            yield laid_out(Shown({}, notices.problem(str(error))))
            return
        if found is None:
            yield laid_out(Shown({}, notices.problem("The video is no longer here.")))
            return
        async for shown in run(*found, request, chosen):
            yield shown

    def end(request: gr.Request) -> None:
        tab.cancel(_owner(request))

    for event, start in (
        (zone.uploaded, run_upload),
        (sample.click, run_sample),
        (again.click, run_again),
    ):
        event(start, settings.all, outputs, **_QUIETLY)
    cancel.click(end, None, None, **_QUIETLY)


def _build_live(tab: LiveTab, settings: _Settings) -> None:
    with gr.Row():
        with gr.Column(scale=3, min_width=260):
            source = gr.Dropdown(
                tab.choices,
                value=tab.choices[0][1],
                label="Source",
                info="There is one live run at a time.",
            )
        with gr.Column(scale=1, min_width=240):
            start = gr.Button("Start", variant="primary", elem_id="live-start")
            stop = gr.Button("Stop", variant="stop", size="md", elem_id="live-stop")
    problem = _bare("")
    picture = _bare(
        {},
        html_template=read_static("live.html"),
        js_on_load=read_static("live.js"),
    )
    gr.Markdown(EXPLANATION)

    def begin(name: object, request: gr.Request, *chosen: object) -> tuple[dict[str, Any], str]:
        return tab.start(name, _owner(request), chosen)

    def end(request: gr.Request) -> tuple[dict[str, Any], str]:
        return tab.stop(_owner(request)), ""

    start.click(begin, [source, *settings.all], [picture, problem], **_QUIETLY)
    stop.click(end, None, [picture, problem], **_QUIETLY)


def _build_image(tab: ImageTab, settings: _Settings) -> None:
    with gr.Row():
        with gr.Column(scale=3, min_width=260):
            zone = _dropzone(tab.dropzone)
        with gr.Column(scale=1, min_width=240):
            sample = gr.Button("Show the sample", variant="primary", elem_id="still-sample")
    threshold = gr.Slider(
        0.01,
        0.99,
        value=0.5,
        step=0.01,
        label="Threshold",
        info="Probability from which on a pixel counts as polyp. The network runs once; moving "
        "this only draws anew.",
        elem_id="threshold",
    )
    problem = _bare("")
    pictures = _bare("")

    async def read_upload(
        event: gr.EventData, request: gr.Request, at: float, *chosen: object
    ) -> tuple[str, str]:
        return await tab.read(_told(event, "token"), _owner(request), float(at), chosen)

    async def read_sample(request: gr.Request, at: float, *chosen: object) -> tuple[str, str]:
        try:
            token = await asyncio.to_thread(tab.take_sample)
        except PranetError as error:
            return "", notices.problem(str(error))
        return await tab.read(token, _owner(request), float(at), chosen)

    def redraw(request: gr.Request, at: float, *chosen: object) -> str:
        return tab.draw(_owner(request), float(at), chosen)

    inputs = [threshold, *settings.all]
    zone.uploaded(read_upload, inputs, [pictures, problem], **_QUIETLY)
    sample.click(read_sample, inputs, [pictures, problem], **_QUIETLY)
    for event in (threshold.input, *(each.input for each in settings.looks)):
        event(redraw, inputs, pictures, trigger_mode="always_last", **_QUIETLY)
