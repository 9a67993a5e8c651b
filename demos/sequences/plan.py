"""What happens when in each sequence, decided before anything is drawn.

The plan of a sequence depends on the stills, the seed, the settings and its number only, not on
how many sequences are made, so that a set can be continued.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from demos.sequences.camera import COURSES
from demos.sequences.stills import prepare
from pranet.data import Pair
from pranet.errors import DataError

# Of each eight sequences, so many have a polyp-free stretch, and so many show no polyp at all;
# two kinds of eight take turns. One of each eight is interlaced.
_EIGHTS = (
    ("polyp-free", *["stretch"] * 4, *["polyps"] * 3),
    (*["stretch"] * 6, *["polyps"] * 2),
)
_STRETCH_S = (4.4, 6.0)
_POLYP_SHOT_S = 1.6  # least mean length of a shot with a polyp
_BARE_SHOT_S = 2.2
_POLYP_AREA = (0.005, 0.45)  # of the tissue in a still: smaller or larger ones are not taken


@dataclass(frozen=True)
class Spell:
    """A stretch of time, seconds from the start of the sequence."""

    start_s: float
    end_s: float

    def presence(self, time_s: float, ramp_s: float) -> float:
        """How much of what it is about is there, 0 to 1, with smooth ends of `ramp_s`."""
        u = min(max(min(time_s - self.start_s, self.end_s - time_s) / ramp_s, 0.0), 1.0)
        return u * u * (3 - 2 * u)


@dataclass(frozen=True)
class Shot:
    """What is filmed of one still.

    polyp_free: of its polyp-free part only.
    course: one of `COURSES`.
    fades_in: by a cross-fade rather than a cut.
    """

    still: Pair
    polyp_free: bool
    course: str
    start_s: float
    end_s: float
    fades_in: bool


@dataclass(frozen=True)
class Plan:
    """A sequence.

    seed: of everything that is not in the plan, such as camera paths and shapes.
    rate, frames: frames per second, and how many.
    interlaced: each frame is woven of two moments.
    encoding: options of x264.
    jolts_s, focus_s, exposure_s: when the hand is pushed, the focus hunts, the exposure jumps.
    """

    name: str
    seed: tuple[int, int]
    width: int
    height: int
    rate: Fraction
    frames: int
    shots: tuple[Shot, ...]
    interlaced: bool
    encoding: dict[str, str]
    jolts_s: tuple[float, ...]
    focus_s: tuple[float, ...]
    exposure_s: tuple[float, ...]
    instruments: tuple[Spell, ...]
    bubbles: tuple[Spell, ...]
    liquids: tuple[Spell, ...]
    opaque_liquids: tuple[Spell, ...]

    def described(self) -> dict[str, Any]:
        """As JSON holds it; stills by the name of their folder and file."""
        entries = asdict(self) | {"rate": str(self.rate)}
        for entry, shot in zip(entries["shots"], self.shots, strict=True):
            image = shot.still.image
            entry["still"] = f"{image.parent.parent.name}/{image.name}"
        return entries


def plan_sequences(
    pairs: Sequence[Pair],
    *,
    count: int,
    seconds: float,
    seed: int,
    rate: Fraction,
    size_px: tuple[int, int],
) -> Iterator[Plan]:
    """Plans in order; stills are dealt like cards, so that each comes up before any comes again.

    Raises:
        DataError: no still shows a polyp, or none has a polyp-free part that is large enough.
    """
    rng = np.random.default_rng(seed)
    polyps = _dealt(pairs, rng, _shows_polyp, "no still shows a polyp of a usable size")
    bare = _dealt(pairs, rng, _has_bare_part, "no still has a polyp-free part of a usable size")
    for number in range(count):
        eight = np.random.default_rng([seed, number // 8, 8])
        kind = eight.permutation(_EIGHTS[number // 8 % 2])[number % 8]
        interlaced = int(eight.integers(8)) == number % 8
        rng = np.random.default_rng([seed, number])
        shots = _shots(str(kind), seconds, polyps, bare, rng)
        yield Plan(
            name=f"sequence_{number:03d}",
            seed=(seed, number),
            width=size_px[0],
            height=size_px[1],
            rate=rate,
            frames=round(seconds * rate),
            shots=shots,
            interlaced=interlaced,
            encoding=_encoding(rng),
            jolts_s=_moments(seconds, 3.5, rng),
            focus_s=_moments(seconds, 7.0, rng),
            exposure_s=_moments(seconds, 6.0, rng),
            instruments=tuple(_visits(shots, rng)),
            bubbles=_spells(seconds, 0.5, rng),
            liquids=_spells(seconds, 0.35, rng),
            opaque_liquids=_spells(seconds, 0.15, rng),
        )


def _dealt(
    pairs: Sequence[Pair],
    rng: np.random.Generator,
    fits: Callable[[Pair], bool],
    lack: str,
) -> Iterator[Pair]:
    """Those that fit, shuffled, again and again in the same order."""
    order = [pairs[int(place)] for place in rng.permutation(len(pairs))]
    found = []
    for pair in order:
        if fits(pair):
            found.append(pair)
            yield pair
    if not found:
        raise DataError(f"{lack}; name other folders")
    while True:
        yield from found


def _shows_polyp(pair: Pair) -> bool:
    ground = prepare(pair)
    if ground is None:
        return False
    smallest, largest = _POLYP_AREA
    return smallest <= float((ground.mask > 0).mean()) <= largest


def _has_bare_part(pair: Pair) -> bool:
    return prepare(pair, polyp_free=True) is not None


def _shots(
    kind: str,
    seconds: float,
    polyps: Iterator[Pair],
    bare: Iterator[Pair],
    rng: np.random.Generator,
) -> tuple[Shot, ...]:
    """Shots that fill the time: polyps, and the polyp-free stretch among them."""
    bare_s = {"polyp-free": seconds, "polyps": 0.0}.get(
        kind, min(float(rng.uniform(*_STRETCH_S)), seconds / 2)
    )
    polyp_s = seconds - bare_s
    parts: list[tuple[Pair, bool, float]] = []
    if polyp_s > 0:
        most = max(1, min(4, int(polyp_s / _POLYP_SHOT_S)))
        shown = int(rng.integers(min(2, most), most + 1))
        parts = [(next(polyps), False, length) for length in _split(polyp_s, shown, rng)]
    if bare_s > 0:
        most = max(1, int(bare_s / _BARE_SHOT_S))
        stretch = [
            (next(bare), True, length)
            for length in _split(bare_s, int(rng.integers(1, most + 1)), rng)
        ]
        place = int(rng.integers(len(parts) + 1))
        parts[place:place] = stretch
    ends_s = np.cumsum([length for *_, length in parts]).round(3).tolist()
    names = list(COURSES)
    return tuple(
        Shot(
            still=pair,
            polyp_free=polyp_free,
            course="stays" if polyp_free else names[rng.integers(len(names))],
            start_s=start_s,
            end_s=end_s,
            fades_in=number > 0 and rng.random() < 0.4,
        )
        for number, ((pair, polyp_free, _), start_s, end_s) in enumerate(
            zip(parts, [0.0, *ends_s[:-1]], ends_s, strict=True)
        )
    )


def _split(whole_s: float, count: int, rng: np.random.Generator) -> list[float]:
    shares = rng.uniform(0.7, 1.3, count)
    return [float(share) for share in whole_s * shares / shares.sum()]


def _moments(seconds: float, every_s: float, rng: np.random.Generator) -> tuple[float, ...]:
    """Times of something that happens at random, once in `every_s` in the mean."""
    times_s = rng.uniform(0, seconds, rng.poisson(seconds / every_s))
    return tuple(np.sort(times_s).round(3).tolist())


def _spells(seconds: float, chance: float, rng: np.random.Generator) -> tuple[Spell, ...]:
    """One spell or none, of a sixth to a half of the time."""
    start, length = rng.uniform((0, 1 / 6), (0.8, 1 / 2))
    if rng.random() >= chance:
        return ()
    end = min(start + length, 1.0)
    return (Spell(round(float(start) * seconds, 3), round(float(end) * seconds, 3)),)


def _visits(shots: Sequence[Shot], rng: np.random.Generator) -> Iterator[Spell]:
    """Instruments come in some shots, and are gone before each ends: the longest of both kinds."""
    for polyp_free, chance in ((False, 0.45), (True, 0.3)):
        fitting = [shot for shot in shots if shot.polyp_free == polyp_free]
        if fitting and rng.random() < chance:
            shot = max(fitting, key=lambda shot: shot.end_s - shot.start_s)
            length_s = shot.end_s - shot.start_s
            visit_s = min(float(rng.uniform(0.6, 0.95)) * length_s, 4.5)
            start_s = shot.start_s + float(rng.uniform(0, length_s - visit_s))
            yield Spell(round(start_s, 3), round(start_s + visit_s, 3))


def _encoding(rng: np.random.Generator) -> dict[str, str]:
    """Options of x264: a quality, or a rate as recorders have it."""
    options = {"preset": "veryfast", "threads": "1"}
    if rng.random() < 0.5:
        return options | {"crf": str(rng.integers(18, 33))}
    return options | {"b": f"{round(2 ** rng.uniform(0, 2.6) * 1000)}k"}
