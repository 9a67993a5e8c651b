"""`pranet-eval`: score a checkpoint, on any engine, on images and masks, or on video over time."""

import math
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Column, Table

from demos.contact_sheet import tile, write_sheet
from demos.sequence_drawings import Drawings, figure_type
from demos.sequence_scores import Load, score_folder
from demos.sequence_table import as_markdown, as_table
from pranet.checkpoint import DEFAULT_MODEL, CheckpointInfo, load_model, read_info
from pranet.data import Pair, find_pairs
from pranet.errors import DataError, PranetError
from pranet.evaluate import (
    ImageScore,
    Predictor,
    confidence_interval,
    evaluate,
    score_pairs,
    stretched,
    summarise,
)
from pranet.metrics import structure
from pranet.predict import at_full_size
from streamer import report as reports
from streamer.engine import Backend, Precision, Segmenter, load_segmenter
from streamer.sinks.base import make_folder, prepare_path, reporting_errors
from streamer.temporal import DEFAULT_PRESET, PRESETS, Temporal, find_preset

# Without markup: the name of a folder may hold brackets.
console = Console(soft_wrap=True, markup=False)

#: What the tables show, in their order; the rest is in the JSON report.
COLUMNS = (
    "images",
    "mDice",
    "mIoU",
    "wFm",
    "S-m",
    "mEm",
    "MAE",
    "Dice",
    "HD95",
    "boundaryF",
    "lesion_sensitivity",
    "lesion_precision",
    "false_area",
    "crop_false_area",
)

Row = dict[str, Any]

#: What is compared unless the user names something else.
COMPARED = ("off", DEFAULT_PRESET)


@dataclass(frozen=True)
class Outcome:
    """What a run of the command came to, in the three ways in which it is told."""

    report: dict[str, Any]
    table: Table
    markdown: str


def full_size_predictor(segmenter: Segmenter) -> Predictor:
    """What an engine says of a picture, at the picture's own size."""
    size_px = segmenter.info.input_size

    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        small = cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA)
        probability = segmenter.submit(np.asarray(small, np.uint8)).result()
        return at_full_size(probability, image.shape[1], image.shape[0])

    return predict


def run(
    data: Annotated[
        list[Path] | None, typer.Option(help="Folder with images/ and masks/; repeatable.")
    ] = None,
    sequences: Annotated[
        Path | None, typer.Option(help="Folder with clips NAME.mp4 and NAME_masks.mkv instead.")
    ] = None,
    model: Annotated[str, typer.Option(help="Bundled checkpoint or a path.")] = DEFAULT_MODEL,
    backend: Annotated[Backend, typer.Option(help="Engine.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="Of the engine.")] = "auto",
    minmax: Annotated[
        bool, typer.Option(help="Stretch each map to 0…1 first, as the published tables do.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="All figures as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="The table as Markdown.")] = None,
    worst: Annotated[
        int, typer.Option(help="Make a sheet of the N worst images of each folder.", min=0)
    ] = 0,
    sheets: Annotated[
        Path, typer.Option(help="Folder for the sheets, worst_NAME.png each.")
    ] = Path(),
    temporal: Annotated[
        list[str] | None,
        typer.Option(
            help=f"How much to steady the masks of --sequences: {', '.join(PRESETS)}. "
            f"Repeatable; {' and '.join(COMPARED)} if not given."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes for --sequences.", min=1)] = 1,
    timeline: Annotated[
        Path | None, typer.Option(help="Folder for a timeline of each of --sequences.")
    ] = None,
    strips: Annotated[
        Path | None, typer.Option(help="Folder for the frames of each in which most flickers.")
    ] = None,
) -> None:
    """Score a network on images, or what is made of its answers over time on sequences.

    Images: each metric at the size of the mask file, probabilities as they are.
    """
    _check_options(
        {"--data": data, "--minmax": minmax, "--worst": worst},
        {
            "--sequences": sequences,
            "--temporal": temporal,
            "--jobs": jobs > 1,
            "--timeline": timeline,
            "--strips": strips,
        },
    )
    for path in (report, markdown):
        if path is not None:
            # Now and not after an hour of scoring.
            prepare_path(path)
    checkpoint = read_info(model)
    load = partial(load_segmenter, model, backend=backend, precision=precision)
    if sequences is not None:
        if _several_classes(checkpoint):
            raise DataError("sequences are scored with a network of one class only")
        outcome = _score_sequences(
            load,
            sequences,
            {name: find_preset(name) for name in temporal or COMPARED},
            jobs=jobs,
            drawings=_prepare_drawings(timeline, strips),
        )
    else:
        folders = _by_name(data or [])
        if not _several_classes(checkpoint):
            results = _score(load, folders, minmax=minmax, worst=worst, sheets=sheets)
        elif backend == "openvino" or precision == "bf16" or minmax or worst:
            raise DataError(
                "several classes are scored by the eager backend in fp32, "
                "without --minmax and --worst"
            )
        else:
            results = _score_classes(checkpoint, folders)
        outcome = Outcome(_json(results), _table(results), _markdown(results))
    console.print(outcome.table)
    if report is not None:
        reports.write(report, outcome.report)
    if markdown is not None:
        with reporting_errors(markdown):
            markdown.write_text(outcome.markdown, encoding="utf-8")


def _check_options(of_images: dict[str, object], of_sequences: dict[str, object]) -> None:
    """Refuse what does not go together; the first option of each kind is the one that is needed."""
    images, sequences = (
        [name for name, value in options.items() if value] for options in (of_images, of_sequences)
    )
    if images and sequences:
        raise DataError(f"{images[0]} and {sequences[0]} do not go together: images or sequences")
    for given, needed in ((images, "--data"), (sequences, "--sequences")):
        if given and needed not in given:
            raise DataError(f"{given[0]} needs {needed}")
    if not images and not sequences:
        raise DataError("name a folder of images with --data, or of clips with --sequences")


def _prepare_drawings(timeline: Path | None, strips: Path | None) -> Drawings | None:
    """See to it, before anything is scored, that the pictures can be made."""
    if timeline is not None:
        figure_type()
    for folder in (timeline, strips):
        if folder is not None:
            make_folder(folder)
    return Drawings(timeline, strips) if timeline or strips else None


def _several_classes(checkpoint: CheckpointInfo) -> bool:
    return bool(checkpoint.config.get("num_classes", 1) != 1)


def _score_sequences(
    load: Load,
    folder: Path,
    settings: dict[str, Temporal],
    *,
    jobs: int,
    drawings: Drawings | None,
) -> Outcome:
    results = score_folder(load, folder, settings, jobs=jobs, drawings=drawings)
    engine = results.clips[0].engine
    console.print(f"engine  {engine}, {engine.device}")
    return Outcome(results.report(), as_table(results), as_markdown(results))


def _by_name(data: Iterable[Path]) -> dict[str, list[Pair]]:
    folders: dict[str, list[Pair]] = {}
    for folder in data:
        name = folder.resolve().name
        if name in folders:
            raise DataError(f"{folder}: another folder of this name is scored already")
        folders[name] = find_pairs(folder)
    return folders


def _score(
    load: Load,
    folders: dict[str, list[Pair]],
    *,
    minmax: bool,
    worst: int,
    sheets: Path,
) -> dict[str, Row]:
    with closing(load(streams=1)) as segmenter:
        console.print(f"engine  {segmenter.info}, {segmenter.info.device}")
        return _score_images(segmenter, folders, minmax=minmax, worst=worst, sheets=sheets)


def _score_images(
    segmenter: Segmenter,
    folders: dict[str, list[Pair]],
    *,
    minmax: bool,
    worst: int,
    sheets: Path,
) -> dict[str, Row]:
    predictor = full_size_predictor(segmenter)
    with_structure = structure.is_available()
    if not with_structure:
        console.print(f"wFm, S-m and mEm are left out; to have them: {structure.ADVICE}")
    results: dict[str, Row] = {}
    for name, pairs in folders.items():
        shown = track(pairs, escape(name), console=Console(stderr=True), transient=True)
        scores = score_pairs(predictor, shown, structure=with_structure, minmax=minmax)
        low, high = confidence_interval([score.values["mDice"] for score in scores])
        results[name] = {
            "images": len(scores),
            **summarise(scores),
            "mDice_interval": [100 * low, 100 * high],
            "minmax": minmax,
            "engine": asdict(segmenter.info),
            "versions": reports.versions(),
        }
        if worst:
            path = sheets / f"worst_{name}.png"
            _write_worst(path, predictor, pairs, scores, count=worst, minmax=minmax)
            console.print(f"{min(worst, len(pairs))} worst images of {name}: {path}")
    return results


def _write_worst(
    path: Path,
    predictor: Predictor,
    pairs: list[Pair],
    scores: list[ImageScore],
    *,
    count: int,
    minmax: bool,
) -> None:
    order = sorted(range(len(pairs)), key=lambda index: scores[index].values["mDice"])[:count]
    tiles = []
    for index in order:
        image, mask = pairs[index].read()
        title = f"{scores[index].name}  {100 * scores[index].values['mDice']:.1f}"
        probability = predictor(image)
        tiles.append(tile(image, mask, stretched(probability) if minmax else probability, title))
    write_sheet(path, tiles)


def _score_classes(checkpoint: CheckpointInfo, folders: dict[str, list[Pair]]) -> dict[str, Row]:
    network = load_model(checkpoint.path)
    return {
        name: {
            "images": len(pairs),
            **evaluate(network, pairs),
            "engine": {
                "backend": "eager",
                "precision": "fp32",
                "checkpoint_sha256": checkpoint.sha256,
            },
            "versions": reports.versions(),
        }
        for name, pairs in folders.items()
    }


def _columns(results: dict[str, Row]) -> list[str]:
    """The known columns that hold a figure in some row, then every class's own."""
    rows = list(results.values())
    known = [name for name in COLUMNS if any(_is_figure(row.get(name)) for row in rows)]
    return known + [name for name in rows[0] if "/" in name]


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and not math.isnan(value)


def _cell(row: Row, column: str) -> str:
    value = row.get(column)
    if not _is_figure(value):
        return "–"
    return str(value) if column == "images" else f"{value:.2f}"


def _table(results: dict[str, Row]) -> Table:
    table = Table(Column("metric", no_wrap=True))
    for name in results:
        table.add_column(name, justify="right", overflow="fold")
    for column in _columns(results):
        table.add_row(column.replace("_", " "), *(_cell(row, column) for row in results.values()))
    return table


def _markdown(results: dict[str, Row]) -> str:
    columns = _columns(results)
    lines = [
        "| folder | " + " | ".join(column.replace("_", " ") for column in columns) + " |",
        "|---|" + "--:|" * len(columns),
    ]
    for name, row in results.items():
        title = name.replace("|", "\\|")
        lines.append(f"| {title} | " + " | ".join(_cell(row, column) for column in columns) + " |")
    return "\n".join(lines) + "\n"


def _json(results: dict[str, Row]) -> dict[str, Row]:
    """The rows with null for what is not defined: NaN is no JSON."""
    return {
        name: {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in row.items()
        }
        for name, row in results.items()
    }


def main() -> None:
    """Entry point of the console script."""
    cv2.setNumThreads(1)
    try:
        typer.run(run)
    except PranetError as error:
        console.print(f"pranet-eval: {error}")
        sys.exit(2)


if __name__ == "__main__":
    main()
