"""What visitors may choose, and what is refused."""

import math

import pytest

from demos.app.choices import Choices, Engine, Offer, explain_preset, hex_color
from streamer.errors import StreamError
from streamer.temporal import OPERATING_POINTS, PRESETS

GOOD = ("balanced", "pranet_v2_lite0", "auto", "#00ff00", 3, 0.25, "specific")


def test_what_is_offered_is_taken_over() -> None:
    engine, choices = Offer().read(*GOOD)

    assert engine == Engine("pranet_v2_lite0", "auto")
    style = choices.style(badge=False)
    assert (style.color, style.line_width_px, style.fill_opacity) == ((0, 255, 0), 3, 0.25)
    assert choices.temporal == OPERATING_POINTS["specific"].adjust(PRESETS["balanced"])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, "frantic"),
        (0, None),
        (1, "/etc/passwd"),
        (1, {"path": "x"}),
        (2, "cuda; rm"),
        (2, ["auto"]),
        (3, "javascript:0"),
        (4, -1),
        (4, 1000),
        (4, "3"),
        (4, True),
        (5, 1.5),
        (5, math.nan),
        (5, None),
        (6, "wild"),
        (6, None),
    ],
)
def test_what_is_not_offered_is_refused(place: int, value: object) -> None:
    sent: list[object] = list(GOOD)
    sent[place] = value

    with pytest.raises(StreamError):
        Offer().read(*sent)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rgba(255, 0, 10.4, 1)", "#ff000a"),
        ("rgb(1,2,3)", "#010203"),
        ("rgba(300, 0, 0, 0.5)", "#ff0000"),
        ("#abcdef", "#abcdef"),
        ("green", "green"),
    ],
)
def test_colours_of_pickers(text: str, expected: str) -> None:
    assert hex_color(text) == expected


def test_every_preset_is_explained_by_its_own_figures() -> None:
    told = {name: explain_preset(name) for name in PRESETS}

    assert len(set(told.values())) == len(PRESETS)
    for name, temporal in PRESETS.items():
        figures = (f"{value:g} ms" for value in (temporal.confirm_ms, temporal.hold_ms))
        assert temporal.is_off or all(figure in told[name] for figure in figures)
    assert Choices().preset in told
