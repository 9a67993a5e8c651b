"""What changed between two reports beyond noise.

Two figures differ if their intervals (`demos.bench.statistics`) have nothing in common and both
come from enough repeats. With five repeats a side, two equal machines show such a difference in
2 of C(10, 5) = 252 comparisons, 0.8 %: of a hundred figures, one may seem to have changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rich.table import Table

from demos.bench.report import Report
from demos.bench.statistics import CONFIDENCE, Figure
from demos.bench.tables import cell

Verdict = Literal["better", "worse", "same", "unknown"]


@dataclass(frozen=True)
class Difference:
    """One figure of both reports.

    Attributes:
        place: title of its table, row and column.
    """

    place: tuple[str, str, str]
    before: Figure
    after: Figure

    @property
    def ratio(self) -> float | None:
        """Of the medians; None if there is nothing to divide by."""
        return self.after.median / self.before.median if self.before.median else None

    @property
    def verdict(self) -> Verdict:
        """See the module; ``unknown`` where there are too few repeats to tell."""
        before, after = self.before.interval, self.after.interval
        if min(before.coverage, after.coverage) < CONFIDENCE:
            return "unknown"
        if before.low <= after.high and after.low <= before.high:
            return "same"
        rose = after.low > before.high
        return "better" if rose == (self.after.better == "higher") else "worse"


def differences(before: Report, after: Report) -> Iterator[Difference]:
    """Every figure that both reports have, in the order of the second."""
    known = dict(before.figures())
    for place, figure in after.figures():
        if place in known:
            yield Difference(place, known[place], figure)


def warnings(before: Report, after: Report) -> Iterator[str]:
    """Why the two may differ for reasons that have nothing to do with the program."""
    for name, first, second in (
        ("modes", before.mode, after.mode),
        ("settings", before.settings, after.settings),
        ("processors", before.machine.get("cpu"), after.machine.get("cpu")),
        ("cores", before.machine.get("cores"), after.machine.get("cores")),
        ("versions", before.machine.get("versions"), after.machine.get("versions")),
        ("engines", before.engine, after.engine),
    ):
        if first != second:
            yield f"different {name}: {_apart(first, second)}"


def _apart(first: object, second: object) -> str:
    """Both, or of two dictionaries what is not the same."""
    if isinstance(first, dict) and isinstance(second, dict):
        keys = [key for key in first | second if first.get(key) != second.get(key)]
        return ", ".join(f"{key} {first.get(key)} and {second.get(key)}" for key in keys)
    return f"{first} and {second}"


def as_rich(found: list[Difference]) -> Table:
    """Those that differ beyond noise."""
    table = Table("beyond noise, table", "figure", "before", "after", "after / before", "")
    for one in found:
        if one.verdict in ("better", "worse"):
            title, row, column = one.place
            ratio = "" if one.ratio is None else f"{one.ratio:.3f}"
            table.add_row(
                title, f"{row}: {column}", cell(one.before), cell(one.after), ratio, one.verdict
            )
    return table


def summary(found: list[Difference], before: Report, after: Report) -> str:
    """One line of how many there are of each kind."""
    count = {
        verdict: sum(one.verdict == verdict for one in found)
        for verdict in ("better", "worse", "same", "unknown")
    }
    only = len(dict(before.figures()).keys() ^ dict(after.figures()).keys())
    line = (
        f"{len(found)} figures: {count['better']} better, {count['worse']} worse, "
        f"{count['same']} the same within noise"
    )
    if count["unknown"]:
        line += f", {count['unknown']} of too few repeats to tell (five are needed)"
    if only:
        line += f"; {only} only in one of the reports"
    return line
