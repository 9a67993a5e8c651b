"""The options of `pranet-stream`, each declared once; the settings file takes them as keys."""

from contextlib import suppress
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from pranet.checkpoint import DEFAULT_MODEL
from streamer.engine import Backend, Precision
from streamer.errors import StreamError
from streamer.overlay import Style, parse_color
from streamer.settings import Settings, load_settings
from streamer.sinks.encoder import Encoder
from streamer.sources import Decode
from streamer.temporal import DEFAULT_POINT, Temporal, find_steadying
from streamer.view import Asked, parse_view

Matrix = Literal["auto", "bt601", "bt709", "bt2020"]
Range = Literal["auto", "limited", "full"]
Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
]

Mode = Literal["auto", "file", "live"]
Interlaced = Literal["auto", "yes", "no"]
Deinterlace = Literal["bob", "blend"]
Steadying = Literal["off", "prompt", "balanced", "calm"]
Point = Literal["sensitive", "balanced", "specific"]

_IN, _OUT, _NET, _LOOK = "Input", "Output", "Network", "Overlay"
_LIVE, _MACHINE = "Live", "This machine"


def _option(group: str, text: str, **more: Any) -> Any:
    return typer.Option(help=text, rich_help_panel=group, **more)


#: Where the path of the settings file is kept, in what Typer keeps of a call.
SETTINGS_PATH = "streamer.settings_path"


def _take_defaults(context: typer.Context, path: Path | None) -> Path | None:
    """Before any other option is read: let the settings file give what the user leaves out."""
    # What is wrong with the file is said when the command runs; the doctor does without it.
    with suppress(StreamError):
        settings = load_settings(path)
        context.meta[SETTINGS_PATH] = settings.path
        context.default_map = defaults_of(settings)
    return path


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    source: Annotated[
        str | None,
        _option(
            _IN,
            "File, folder of images, /dev/video0, rtsp://…, udp://…, screen, lavfi:…, synthetic, "
            "mock, or an alias of the settings file.",
        ),
    ] = None
    mode: Annotated[
        Mode, _option(_IN, "file: every frame; live: the newest; auto: by the source.")
    ] = "auto"
    duration: Annotated[
        float | None, _option(_IN, "End after so many seconds.", min=0.001, metavar="S")
    ] = None
    max_frames: Annotated[int | None, _option(_IN, "End after so many frames.", min=1)] = None
    interlaced: Annotated[
        Interlaced, _option(_IN, "Of live sources; auto: as tagged, else by looking.")
    ] = "auto"
    deinterlace: Annotated[
        Deinterlace | None,
        _option(_IN, "bob: field rate; blend: frame rate. Else by the settings, or bob."),
    ] = None
    decode: Annotated[
        Decode, _option(_IN, "Of files; auto: on the GPU if the network is there and it can.")
    ] = "auto"
    color_matrix: Annotated[Matrix, _option(_IN, "YUV matrix; auto: as tagged, else by size.")] = (
        "auto"
    )
    color_range: Annotated[Range, _option(_IN, "YUV range; auto: as tagged, else limited.")] = (
        "auto"
    )
    view: Annotated[
        str | None,
        _option(
            _IN,
            "Part of the picture to analyse: auto (the field of view, found by looking), whole, "
            "or X,Y,WIDTH,HEIGHT in px. Else by the settings, or auto.",
            metavar="VIEW",
        ),
    ] = None
    output: Annotated[Path | None, _option(_OUT, "Overlay video: .mp4 or .mkv.")] = None
    masks: Annotated[Path | None, _option(_OUT, "Masks: .mkv (lossless) or a folder of PNG.")] = (
        None
    )
    events: Annotated[Path | None, _option(_OUT, "Findings per frame, JSON lines.")] = None
    report: Annotated[
        Path | None, _option(_OUT, "Frame counts, speed, latency, versions: JSON.")
    ] = None
    encoder_preset: Annotated[Preset, _option(_OUT, "x264 preset of the overlay video.")] = (
        "ultrafast"
    )
    quality: Annotated[
        int, _option(_OUT, "x264 CRF, or NVENC's quantiser; 0 is lossless.", min=0, max=51)
    ] = 20
    encoder: Annotated[
        Encoder,
        _option(
            _OUT, "Of H.264 video; auto: on the GPU (NVENC) if the network is there and it can."
        ),
    ] = "auto"
    raw_output: Annotated[
        Path | None, _option(_LIVE, "Video without markers: .mp4 or .mkv; H.264, CRF 10.")
    ] = None
    raw_exact: Annotated[
        bool, _option(_LIVE, "That video is exact: FFV1 in .mkv, ten times as large.")
    ] = False
    rotate_minutes: Annotated[
        float | None, _option(_LIVE, "New video files after so long.", min=0.01)
    ] = None
    rotate_mb: Annotated[
        int | None, _option(_LIVE, "New video files after so many megabytes.", min=1)
    ] = None
    min_free_gb: Annotated[
        float, _option(_LIVE, "Recording ends when less is left on the disk.", min=0)
    ] = 1.0
    snapshot: Annotated[
        Path | None, _option(_LIVE, "Folder for snapshots: key s in the window, or SIGUSR1.")
    ] = None
    display: Annotated[bool, _option(_LIVE, "A window; ? in it shows the keys.")] = False
    full_screen: Annotated[bool, _option(_LIVE, "The window begins full screen.")] = False
    preview: Annotated[
        str | None, _option(_LIVE, "Page with the live picture.", metavar="[HOST:]PORT")
    ] = None
    metrics: Annotated[
        str | None, _option(_LIVE, "Figures for Prometheus.", metavar="[HOST:]PORT")
    ] = None
    redact_margins: Annotated[
        bool, _option(_LIVE, "Blank what lies outside the endoscope's view in all but the window.")
    ] = False
    max_mask_age_ms: Annotated[
        float, _option(_LIVE, "No mask is drawn on a later picture.", min=1, max=10_000)
    ] = 120.0
    log: Annotated[Path | None, _option(_LIVE, "Messages and states as JSON lines.")] = None
    model: Annotated[str, _option(_NET, "Bundled checkpoint or a path.")] = DEFAULT_MODEL
    backend: Annotated[Backend, _option(_NET, "Engine.")] = "auto"
    precision: Annotated[
        Precision, _option(_NET, "auto: fp16 on a GPU; int8 where there is one; bf16 or fp32.")
    ] = "auto"
    threshold: Annotated[
        float, _option(_NET, "Probability from which on a pixel is polyp.", min=0.01, max=0.99)
    ] = 0.5
    temporal: Annotated[
        Steadying, _option(_NET, "How masks are steadied; off: each frame stands alone.")
    ] = "balanced"
    operating_point: Annotated[
        Point, _option(_NET, "How sure the network has to be of what is marked.")
    ] = "balanced"
    streams: Annotated[int, _option(_NET, "Frames worked on at once; 0: by cores.", min=0)] = 0
    threads: Annotated[int, _option(_NET, "CPU threads of the engine; 0: all.", min=0)] = 0
    line_color: Annotated[str, _option(_LOOK, "Name or #rrggbb.")] = "green"
    line_width: Annotated[int, _option(_LOOK, "In px; 0: by picture height.", min=0, max=99)] = 0
    fill: Annotated[float, _option(_LOOK, "Opacity of the fill.", min=0, max=1)] = 0.0
    badge: Annotated[bool, _option(_LOOK, "Status badge in the corner.")] = True

    settings: Annotated[
        Path | None,
        _option(_MACHINE, "Settings file (TOML).", callback=_take_defaults, is_eager=True),
    ] = None
    list_sources: Annotated[
        bool, _option(_MACHINE, "Show capture devices and aliases, then end.")
    ] = False
    doctor: Annotated[bool, _option(_MACHINE, "Show what works here, then end.")] = False

    @property
    def full_range(self) -> bool | None:
        """Override of the range; None takes what the stream says."""
        return {"auto": None, "limited": False, "full": True}[self.color_range]

    @property
    def style(self) -> Style:
        """How markers look.

        Raises:
            StreamError: the color is none.
        """
        return Style(parse_color(self.line_color), self.line_width, self.fill, self.badge)

    @property
    def steadying(self) -> Temporal:
        """How masks are steadied, at the operating point.

        Raises:
            StreamError: there is none without steadying.
        """
        if self.temporal == "off" and self.operating_point != DEFAULT_POINT:
            raise StreamError(
                f"--operating-point {self.operating_point} is about objects that last; "
                "leave out --temporal off"
            )
        return find_steadying(self.temporal, self.operating_point)

    @property
    def live_only(self) -> list[str]:
        """The options asked for that mean nothing in file mode."""
        return [
            "--" + entry.name.replace("_", "-")
            for entry in fields(self)
            if get_args(entry.type)[1].rich_help_panel == _LIVE
            and getattr(self, entry.name) != entry.default
        ]

    @property
    def part(self) -> Asked | None:
        """The part of the picture to analyse, which may still lie outside it.

        Raises:
            StreamError: `--view` is none.
        """
        try:
            return None if self.view is None else parse_view(self.view)
        except ValueError as error:
            raise StreamError(f"--view {self.view}: {error} are needed") from None

    @property
    def shows_nothing(self) -> bool:
        """Whether nothing was asked for but perhaps a log."""
        return not (self.outputs.keys() - {"log"} or self.display or self.preview or self.metrics)

    @property
    def outputs(self) -> dict[str, Path]:
        """Option name → path, of everything that is to be written."""
        paths = {
            "output": self.output,
            "raw-output": self.raw_output,
            "masks": self.masks,
            "events": self.events,
            "report": self.report,
            "snapshot": self.snapshot,
            "log": self.log,
        }
        return {name: path for name, path in paths.items() if path is not None}


def defaults_of(settings: Settings) -> dict[str, object]:
    """The flags that the settings file gives, by their names in `Options`.

    Raises:
        StreamError: the file names a flag that there is not.
    """
    known = {entry.name for entry in fields(Options)} - {"settings", "doctor", "list_sources"}
    flags: dict[str, object] = {}
    for key, value in settings.defaults.items():
        name = key.replace("-", "_")
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = f"; is {near[0].replace('_', '-')} meant?" if near else ""
            place = f"{settings.path}: stream.{key}"
            raise StreamError(f"{place}: no such option of pranet-stream{meant}")
        flags[name] = value
    return flags
