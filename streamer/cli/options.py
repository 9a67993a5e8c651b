"""The options of `pranet-stream`, each declared once; the settings file takes them as keys."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pranet.checkpoint import DEFAULT_MODEL
from streamer.engine import Backend, Precision

Matrix = Literal["auto", "bt601", "bt709", "bt2020"]
Range = Literal["auto", "limited", "full"]
Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
]

_IN, _OUT, _NET, _LOOK = "Input", "Output", "Network", "Overlay"


def _option(group: str, text: str, **more: Any) -> Any:
    return typer.Option(help=text, rich_help_panel=group, **more)


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    source: Annotated[str, _option(_IN, "Video file.")]
    color_matrix: Annotated[Matrix, _option(_IN, "YUV matrix; auto: as tagged, else by size.")] = (
        "auto"
    )
    color_range: Annotated[Range, _option(_IN, "YUV range; auto: as tagged, else limited.")] = (
        "auto"
    )
    view: Annotated[
        str | None,
        _option(_IN, "Part of the picture to analyse, in px.", metavar="X,Y,WIDTH,HEIGHT"),
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
    quality: Annotated[int, _option(_OUT, "x264 CRF; 0 is lossless.", min=0, max=51)] = 20
    model: Annotated[str, _option(_NET, "Bundled checkpoint or a path.")] = DEFAULT_MODEL
    backend: Annotated[Backend, _option(_NET, "Engine.")] = "auto"
    precision: Annotated[Precision, _option(_NET, "auto: bf16 where the CPU has it, else f32.")] = (
        "auto"
    )
    threshold: Annotated[
        float, _option(_NET, "Probability from which on a pixel is polyp.", min=0.01, max=0.99)
    ] = 0.5
    streams: Annotated[int, _option(_NET, "Frames worked on at once; 0: by cores.", min=0)] = 0
    threads: Annotated[int, _option(_NET, "CPU threads of the engine; 0: all.", min=0)] = 0
    line_color: Annotated[str, _option(_LOOK, "Name or #rrggbb.")] = "green"
    line_width: Annotated[int, _option(_LOOK, "In px; 0: by picture height.", min=0, max=99)] = 0
    fill: Annotated[float, _option(_LOOK, "Opacity of the fill.", min=0, max=1)] = 0.0
    badge: Annotated[bool, _option(_LOOK, "Status badge in the corner.")] = True

    @property
    def full_range(self) -> bool | None:
        """Override of the range; None takes what the stream says."""
        return {"auto": None, "limited": False, "full": True}[self.color_range]

    @property
    def outputs(self) -> dict[str, Path]:
        """Option name → path, of everything that is to be written."""
        paths = {
            "output": self.output,
            "masks": self.masks,
            "events": self.events,
            "report": self.report,
        }
        return {name: path for name, path in paths.items() if path is not None}
