"""What a visitor can choose, and what each choice means; what comes from a browser is checked."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from pranet.checkpoint import DEFAULT_MODEL
from streamer.engine import Backend
from streamer.errors import StreamError
from streamer.overlay import Style, parse_color
from streamer.temporal import (
    DEFAULT_POINT,
    DEFAULT_PRESET,
    PRESETS,
    Temporal,
    find_steadying,
)

MAX_LINE_WIDTH_PX = 20

_RGB = re.compile(r"rgba?\(\s*([\d.]+)\s*,\s*([\d.]+)\s*,\s*([\d.]+)\s*(?:,\s*[\d.]+\s*)?\)")


@dataclass(frozen=True)
class Engine:
    """Which network runs, and on what.

    Attributes:
        model: one of those that the demo offers.
        backend: see `load_segmenter`.
    """

    model: str = DEFAULT_MODEL
    backend: Backend = "auto"


@dataclass(frozen=True)
class Choices:
    """How masks are steadied and drawn.

    Attributes:
        preset: name of a preset of the stabiliser.
        color: of boundary and fill, as a name or ``#rrggbb``.
        line_width_px: of the boundary; 0: by the picture's height.
        fill_opacity: 0 (none) … 1.
        point: name of an operating point.

    Raises:
        StreamError: one of them is not what it may be.
    """

    preset: str = DEFAULT_PRESET
    color: str = "green"
    line_width_px: int = 0
    fill_opacity: float = 0.0
    point: str = DEFAULT_POINT

    def __post_init__(self) -> None:
        find_steadying(self.preset, self.point)
        parse_color(self.color)
        if not 0 <= self.line_width_px <= MAX_LINE_WIDTH_PX:
            raise StreamError(f"the boundary's width has to be 0 to {MAX_LINE_WIDTH_PX} px")
        if not 0 <= self.fill_opacity <= 1:
            raise StreamError("the fill's opacity has to be 0 to 1")

    @property
    def temporal(self) -> Temporal:
        """How masks are steadied, at the operating point."""
        return find_steadying(self.preset, self.point)

    def style(self, *, badge: bool) -> Style:
        """How markers look."""
        return Style(parse_color(self.color), self.line_width_px, self.fill_opacity, badge)


@dataclass(frozen=True)
class Offer:
    """What visitors may choose from.

    Attributes:
        models: names or paths of checkpoints, the default first.
    """

    models: Sequence[str] = (DEFAULT_MODEL,)

    @property
    def backends(self) -> tuple[Backend, ...]:
        """All that the engine knows; one that does not run here says so."""
        found: tuple[Backend, ...] = get_args(Backend)
        return found

    def read(
        self,
        preset: object,
        model: object,
        backend: object,
        color: object,
        line_width_px: object,
        fill_opacity: object,
        point: object,
    ) -> tuple[Engine, Choices]:
        """Take over what a browser sent.

        Raises:
            StreamError: it is not among what is offered.
        """
        if model not in self.models:
            raise StreamError("this model is not offered here")
        known = next((name for name in self.backends if name == backend), None)
        if known is None:
            raise StreamError("this backend is not known")
        return (
            Engine(str(model), known),
            Choices(
                str(preset),
                hex_color(str(color)),
                round(_number(line_width_px)),
                _number(fill_opacity),
                str(point),
            ),
        )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise StreamError("a number is needed here")
    return float(value)


def hex_color(text: str) -> str:
    """``rgb(…)`` and ``rgba(…)``, as colour pickers give them, as ``#rrggbb``; else as it is."""
    found = _RGB.fullmatch(text.strip())
    if found is None:
        return text
    return "#" + "".join(f"{min(255, round(float(value))):02x}" for value in found.groups())


def explain_preset(name: str) -> str:
    """One sentence on what a preset does."""
    temporal = PRESETS[name]
    if temporal.is_off:
        return "Off: every frame stands alone, with the network's flicker."
    return (
        f"{name.capitalize()}: something new has a thin outline until it was seen for "
        f"{temporal.confirm_ms:g} ms, less or more by how sure the network is; what it loses stays "
        f"for {temporal.hold_ms:g} ms at most."
    )
