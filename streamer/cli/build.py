"""`pranet-build`: compiles a network for the GPU of this machine, and says what came of it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

# PyAV before OpenCV: of the libraries that both bring along, its own have to be loaded first.
import av  # noqa: F401
import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from pranet.checkpoint import DEFAULT_MODEL, read_info
from pranet.errors import PranetError
from streamer.cli.console import answers, console
from streamer.engine.tensorrt import check_supported, ranges_for
from streamer.errors import EngineError
from streamer.frame import Frame
from streamer.rgb import RgbReader
from streamer.sources import open_source
from streamer.sources.tissue import make_stills

EXIT_BAD_INPUT = 2

#: The clip that comes with the sources; an installed package has none.
SAMPLE = Path(__file__).parents[2] / "demos" / "samples" / "colonoscopy.mp4"

#: Pictures to compare on, and of a clip every so manieth.
FRAMES, STEP = 8, 30

#: Float layers named at most.
NAMED = 6

#: What Typer raises where the options are wrong: click's error, or that of its own copy of click.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@_app.command()
def build(
    model: Annotated[
        str, typer.Option(help="Name of a bundled checkpoint, or path of one.")
    ] = DEFAULT_MODEL,
    backend: Annotated[
        Literal["tensorrt"], typer.Option(help="What compiles the network.")
    ] = "tensorrt",
    precision: Annotated[
        Literal["fp16", "fp32", "int8", "fp8"],
        typer.Option(help="Number format of the layers; it is read back from the engine."),
    ] = "fp16",
    size: Annotated[
        int,
        typer.Option(
            help="Height and width of the input, a multiple of 32; 0: the checkpoint's.",
            min=0,
            metavar="PX",
        ),
    ] = 0,
    frames: Annotated[
        Path | None,
        typer.Option(
            help="Clip or folder of pictures to compare on with eager fp32; the sample clip, or "
            "made-up tissue, if not given."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder to put the engine in; the user's cache if not given."),
    ] = None,
) -> None:
    """Compile a network with TensorRT for this machine's GPU; kept only if it computes right.

    Research use only: this is not a medical device.
    """
    check_supported(precision)
    checkpoint = read_info(model)
    if frames is not None and not frames.exists():
        raise EngineError(f"no clip {frames}; name another with --frames")
    ranges_for(checkpoint, precision)
    # Torch is loaded here and not above: what is wrong with the options is said at once.
    from streamer.engine.tensorrt_build import build_engine

    built = build_engine(
        checkpoint,
        precision,
        frames=_pictures(frames),
        size_px=size,
        folder=output,
        tell=console.print,
    )
    manifest = built.manifest
    table = Table(title=f"layers of {manifest.facts.model} {precision}")
    for heading in ("read from", "of 8-bit numbers", "half", "float", "others"):
        table.add_column(heading, justify="left" if heading == "read from" else "right")
    for layers in {id(types): types for types in (built.network, manifest.layers)}.values():
        counts = (layers.eight, layers.half, layers.single, layers.other)
        table.add_row(layers.read_from, *map(str, counts))
    answers.print(table)
    if precision == "fp16" and manifest.layers.single:
        named = manifest.layers.single_names[:NAMED]
        more = manifest.layers.single - len(named)
        answers.print(f"float   {', '.join(named)}" + (f" and {more} more" if more else ""))
    if manifest.layers.eight < built.network.eight / 2:
        answers.print(
            f"note    TensorRT reads 8-bit numbers in {manifest.layers.eight} of "
            f"{built.network.eight} convolutions only: fp16 may be as fast"
        )
    if manifest.careful:
        answers.print(
            "note    layer norms and attention are in float32: in half it was too far off"
        )
    answers.print(f"parity  {manifest.parity}")
    answers.print(f"engine  {built.folder}, {built.megabytes:.1f} MB")


def _pictures(clip: Path | None) -> Callable[[int], Iterator[NDArray[np.uint8]]]:
    if clip is None and SAMPLE.is_file():
        clip = SAMPLE
    return _tissue if clip is None else lambda size_px: _of_clip(clip, size_px)


def _of_clip(clip: Path, size_px: int) -> Iterator[NDArray[np.uint8]]:
    reader = RgbReader()
    with closing(open_source(str(clip))) as source:
        pictures = (item for item in source if isinstance(item, Frame))
        # A short clip or a folder gives what it has.
        step = STEP if (source.info.frames or 0) >= FRAMES * STEP else 1
        for frame in islice(pictures, 0, FRAMES * step, step):
            yield reader.read(frame.picture, frame.color, size_px, size_px)


def _tissue(size_px: int) -> Iterator[NDArray[np.uint8]]:
    for still in make_stills(count=FRAMES):
        yield np.asarray(
            cv2.resize(still.image, (size_px, size_px), interpolation=cv2.INTER_AREA), np.uint8
        )


def main() -> None:
    """Entry point of the console script."""
    cv2.setNumThreads(1)
    try:
        _app(standalone_mode=False)
    except _UsageError as error:
        message: str = error.format_message()  # type: ignore[attr-defined]
        _end(f"{message.rstrip('.')}; --help shows the options")
    except PranetError as error:
        _end(str(error))
    except KeyboardInterrupt:
        _end("stopped; nothing was kept")


def _end(problem: str) -> None:
    console.print(f"pranet-build: {problem}")
    sys.exit(EXIT_BAD_INPUT)
