"""`pranet-calibrate`: what is fitted after training and handed to the engine as files."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from pranet.checkpoint import DEFAULT_MODEL, read_info, save_calibrated
from pranet.data import Pair, find_pairs, load_sequences, split
from pranet.errors import DataError, PranetError
from pranet.recipe import Recipe
from streamer import report as reports
from streamer.engine.quantised import paths_of, write_ranges
from streamer.engine.tensorrt import build_command
from streamer.errors import EngineError, SourceError

console = Console(soft_wrap=True, markup=False)

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

#: Share of labelled pictures that is held out where no validation part is named: what training
#: does not see.
_HELD_OUT = Recipe.validation_share


@app.callback()
def _commands() -> None:
    """Fit an engine to this machine and to your pictures."""


@app.command()
def precision(
    data: Annotated[
        Path,
        typer.Option(help="Pictures to take ranges from: a folder, or a video without labels."),
    ],
    model: Annotated[str, typer.Option(help="Bundled checkpoint or a path.")] = DEFAULT_MODEL,
    backend: Annotated[
        Literal["openvino", "tensorrt"],
        typer.Option(help="openvino: a form that is run as it is; tensorrt: for pranet-build."),
    ] = "openvino",
    form: Annotated[
        Literal["int8", "fp8"], typer.Option("--precision", help="fp8: for tensorrt only.")
    ] = "int8",
    validation: Annotated[
        Path | None,
        typer.Option(help="Folder with images/ and masks/; else a part of --data is held out."),
    ] = None,
    sequences: Annotated[
        Path | None, typer.Option(help="Frames of one video, kept together (JSON).")
    ] = None,
    pictures: Annotated[int, typer.Option(help="To take ranges from.", min=10)] = 300,
    tolerance: Annotated[
        float, typer.Option(help="Points of mDice that may be lost.", min=0)
    ] = 0.3,
    seed: Annotated[int, typer.Option(help="Draws the part that is held out.")] = 2026,
    output: Annotated[
        Path | None, typer.Option(help="Folder; else the user's cache, where it is found.")
    ] = None,
) -> None:
    """Make an 8-bit form of a network that loses next to nothing."""
    if backend == "openvino" and form == "fp8":
        raise EngineError("OpenVINO has no fp8 on a CPU; use --precision int8")
    from calibration.frames import choose_diverse, read_pictures

    checkpoint = read_info(model)
    size_px = int(checkpoint.config.get("input_size", 352))
    rest, held_out = _parts(data, validation, sequences, seed)
    found = read_pictures(data, size_px, rest)
    chosen = choose_diverse(found, pictures)
    console.print(
        f"{len(chosen)} of {len(found)} pictures, {len(held_out)} labelled ones to check on"
    )
    shown = [found[place] for place in chosen]
    kind = form if backend == "openvino" else f"tensorrt-{form}"
    manifest = paths_of(checkpoint, kind)[1]
    if output is not None:
        manifest = output / manifest.name
    if backend == "tensorrt":
        from calibration.ranges import choose_ranges

        ranges = choose_ranges(
            checkpoint, form, shown, held_out, tolerance=tolerance, tell=console.print
        )
        write_ranges(manifest, checkpoint, ranges)
        console.print(
            f"{len(ranges.largest_inputs)} convolutions in 8 bits; "
            f"mDice {ranges.facts['mdice_before']:.2f} → {ranges.facts['mdice_after']:.2f}"
        )
        console.print(f"written {manifest}; next: {build_command(checkpoint, form)}")
        return
    from calibration.precision import quantise, save

    outcome = quantise(checkpoint, shown, held_out, tolerance=tolerance, tell=console.print)
    facts = outcome.facts(len(chosen), len(held_out))
    made = save(outcome, checkpoint, manifest, facts)
    layers = outcome.layers
    console.print(
        f"{len(layers.quantised)} layers in 8 bits, {len(layers.kept)} kept; "
        f"mDice {outcome.mdice_before:.2f} → {outcome.mdice_after:.2f}; "
        f"{outcome.ms_before:.1f} → {outcome.ms_after:.1f} ms on one thread"
    )
    console.print(f"written {made.xml}")


@app.command()
def view(
    source: Annotated[str, typer.Argument(help="Video file, or a live source.")],
    seconds: Annotated[float, typer.Option(help="How much of it is looked at.", min=2)] = 5.0,
    picture: Annotated[
        Path | None, typer.Option(help="Picture (.png) with the outline drawn on it.")
    ] = None,
) -> None:
    """Find the endoscope's field of view in some seconds of a source."""
    from calibration.view import draw_outline, look_at

    found = look_at(source, seconds)
    field = found.field
    if field is None:
        raise SourceError(
            f"{found.name}: no field of view is sure; let it look at moving tissue in good light, "
            "for longer (--seconds)"
        )
    box = field.box
    console.print(
        f"{found.name}: {field.kind}, {box.width}x{box.height} px at {box.x},{box.y}, "
        f"{field.share:.1%} of {field.width}x{field.height} px"
    )
    if field.fills_picture:
        console.print('view = "whole"')
    else:
        console.print(f'view = "{box.x},{box.y},{box.width},{box.height}"')
    if picture is not None:
        draw_outline(found, picture)
        console.print(f"written {picture}")


@app.command()
def probability(
    data: Annotated[Path, typer.Option(help="Folder with images/ and masks/.")],
    model: Annotated[str, typer.Option(help="Bundled checkpoint or a path.")] = DEFAULT_MODEL,
    validation: Annotated[
        Path | None,
        typer.Option(help="Folder with images/ and masks/ to fit on; else a part of --data."),
    ] = None,
    sequences: Annotated[
        Path | None, typer.Option(help="Frames of one video, kept together (JSON).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the part; that of the training.")] = 2026,
    test: Annotated[
        list[Path] | None, typer.Option(help="Folder to judge the fit on; repeatable.")
    ] = None,
    write: Annotated[Path | None, typer.Option(help="Checkpoint with the fit in it.")] = None,
    report: Annotated[Path | None, typer.Option(help="All figures as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Reliability diagram (PNG).")] = None,
) -> None:
    """Fit how often a network is right to what it says, on pictures it was not trained on."""
    from calibration.scaling import fit_checkpoint

    held_out = _parts(data, validation, sequences, seed)[1]
    tests = {folder.name: find_pairs(folder) for folder in test or []}
    fitted = fit_checkpoint(model, held_out, tests)
    console.print(fitted.markdown())
    if report is not None:
        reports.write(report, fitted.report())
    if plot is not None:
        fitted.draw(plot)
    if write is not None:
        save_calibrated(model, write, fitted.metadata())
        console.print(f"written {write}")


def _parts(
    data: Path, validation: Path | None, sequences: Path | None, seed: int
) -> tuple[list[Pair] | None, list[Pair]]:
    """What ranges may be taken from (None: all of it), and what the loss is measured on."""
    if validation is not None:
        return None, find_pairs(validation)
    if not (data / "masks").is_dir():
        raise DataError(
            f"{data}: has no masks/, so a loss cannot be seen; name --validation FOLDER"
        )
    ranges = load_sequences(sequences) if sequences is not None else {}
    return split(find_pairs(data), ranges, share=_HELD_OUT, seed=seed)


def main() -> None:
    """Entry point of the command; what a user can mend ends with exit code 2."""
    try:
        app()
    except PranetError as error:
        print(f"pranet-calibrate: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
