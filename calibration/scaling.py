"""The fit of a checkpoint's probabilities, and what it is worth on other pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration.answers import ask, joined
from calibration.probability import OBJECT_BINS, PIXEL_BINS, Answers, Quality, fit, judge
from calibration.reliability import Panel, draw_reliability
from pranet.checkpoint import CheckpointInfo, load_model, read_info
from pranet.data import Pair, names_sha256
from pranet.errors import DataError
from streamer import report as reports
from streamer.confidence import Calibration, Scaling

VALIDATION, TESTS = "validation", "all test sets"
_BINS = {"pixel": PIXEL_BINS, "object": OBJECT_BINS}


@dataclass(frozen=True)
class Fitted:
    """What was fitted, and the answers that it is judged on.

    Attributes:
        fitted_on: facts about the pictures that it was fitted on.
        answers: of pixels and of objects, by the name of the set: the validation part, each test
            set, and all of these together where there are several.
    """

    checkpoint: CheckpointInfo
    calibration: Calibration
    fitted_on: dict[str, Any]
    answers: dict[str, dict[str, Answers]]

    def metadata(self) -> dict[str, Any]:
        """What belongs into the checkpoint."""
        return self.calibration.to_dict() | {"fitted_on": self.fitted_on}

    def judged(self) -> Iterator[tuple[str, str, Quality, Quality]]:
        """(set, kind, before, after) of every set."""
        for name, kinds in self.answers.items():
            for kind, answers in kinds.items():
                bins = _BINS[kind]
                scaling: Scaling = getattr(self.calibration, kind)
                yield name, kind, judge(answers, Scaling(1.0), bins), judge(answers, scaling, bins)

    def report(self) -> dict[str, Any]:
        """All figures, JSON types only."""
        sets: dict[str, dict[str, Any]] = {}
        for name, kind, before, after in self.judged():
            entry = {"before": before.to_dict(), "after": after.to_dict()}
            sets.setdefault(name, {})[kind] = entry
        return {
            "checkpoint_sha256": self.checkpoint.sha256,
            "calibration": self.metadata(),
            "bins": _BINS,
            "sets": sets,
            "versions": reports.versions(),
        }

    def markdown(self) -> str:
        """The figures that matter as a table, percent but for the log loss; before → after."""
        titles = "set | of | said | was | ECE | ECE, equal width | by chance | Brier | log loss"
        lines = [f"| {titles} |", "|---|---|" + "--:|" * 7]
        for name, kind, before, after in self.judged():
            cells = (
                name,
                f"{before.count} {kind}s",
                _change(100 * before.said, 100 * after.said, 1),
                f"{100 * before.was:.1f}",
                _change(100 * before.error_by_mass, 100 * after.error_by_mass, 2),
                _change(100 * before.error_by_width, 100 * after.error_by_width, 2),
                f"{100 * after.error_by_chance:.2f}",
                _change(100 * before.brier, 100 * after.brier, 2),
                _change(before.log_loss, after.log_loss, 3),
            )
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)

    def draw(self, path: Path) -> None:
        """The reliability diagrams of the first set and of the last.

        Raises:
            OutputError: see `draw_reliability`.
        """
        shown = dict.fromkeys((VALIDATION, list(self.answers)[-1]))
        draw_reliability(
            [
                Panel(
                    f"{kind}s, {name}",
                    self.answers[name][kind],
                    getattr(self.calibration, kind),
                    bins,
                    # Of a hundred pixels ninety are of one kind, and sure of it.
                    equal_mass=kind == "object",
                )
                for name in shown
                for kind, bins in _BINS.items()
            ],
            path,
        )


def fit_checkpoint(
    name_or_path: str, validation: Sequence[Pair], tests: Mapping[str, Sequence[Pair]]
) -> Fitted:
    """Fit a checkpoint's probabilities on its validation part, and judge them on other sets.

    Pixels get a temperature only: 0.5 stays 0.5, and masks what they are. Objects get an offset
    too, since they are found more often than they are right.

    Raises:
        CheckpointError: it cannot be used, or is of a network with several classes.
        DataError: a picture cannot be read, or there is nothing to fit to.
    """
    model = load_model(name_or_path)
    if model.config.num_classes != 1:
        raise DataError("only networks with one class are calibrated")
    pixels, objects = ask(model, validation)
    calibration = Calibration(fit(pixels, with_offset=False), fit(objects, with_offset=True))
    answers = {VALIDATION: {"pixel": pixels, "object": objects}}
    for name, pairs in tests.items():
        answers[name] = dict(zip(_BINS, ask(model, pairs), strict=True))
    if len(tests) > 1:
        answers[TESTS] = {kind: joined([answers[name][kind] for name in tests]) for kind in _BINS}
    fitted_on = {
        "images": len(validation),
        "names_sha256": names_sha256(validation),
        "objects": len(objects.logits),
    }
    return Fitted(read_info(name_or_path), calibration, fitted_on, answers)


def _change(before: float, after: float, digits: int) -> str:
    return f"{before:.{digits}f} → {after:.{digits}f}"
