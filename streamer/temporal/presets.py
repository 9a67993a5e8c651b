"""How much masks are steadied: the settings of the chain, and the presets that a user chooses from.

All times are in ms of media time, so that 25, 30 and 60 frames per second behave alike. What each
step gains and costs is measured in `docs/temporal.md`.
"""

from dataclasses import dataclass

from streamer.errors import StreamError


@dataclass(frozen=True)
class Temporal:
    """Settings of the chain; a step is off where its setting is 0 or False.

    Attributes:
        smoothing_ms: time constant of the exponential smoothing of uncertain pixels.
        motion: what is remembered moves along with the picture.
        keep: how much lower the threshold is where there was a mask, 0…1.
        start: how much higher than the threshold the peak of something new has to be, 0…1.
        tidy: specks that are tiny for their distance from what they could belong to are removed,
            and holes filled.
        confirm_ms: how long something must have been seen, within `window_ms`, until it counts.
        window_ms: see `confirm_ms`.
        hold_ms: how long something that counts is kept after the network last saw it.
        gap_ms: a gap in time that makes the chain forget everything.
    """

    smoothing_ms: float = 0.0
    motion: bool = False
    keep: float = 0.0
    start: float = 0.0
    tidy: bool = False
    confirm_ms: float = 0.0
    window_ms: float = 0.0
    hold_ms: float = 0.0
    gap_ms: float = 500.0

    @property
    def is_off(self) -> bool:
        """Whether no step is on: each frame stands alone."""
        steps = (self.smoothing_ms, self.keep, self.start, self.tidy, self.confirm_ms, self.hold_ms)
        return not any(steps)


#: What `--temporal` offers, from no steadying to most of it.
PRESETS = {
    "off": Temporal(),
    "prompt": Temporal(
        smoothing_ms=50,
        motion=True,
        keep=0.1,
        start=0.1,
        tidy=True,
        confirm_ms=30,
        window_ms=200,
        hold_ms=120,
    ),
    "balanced": Temporal(
        smoothing_ms=90,
        motion=True,
        keep=0.15,
        start=0.15,
        tidy=True,
        confirm_ms=90,
        window_ms=250,
        hold_ms=250,
    ),
    "calm": Temporal(
        smoothing_ms=150,
        motion=True,
        keep=0.2,
        start=0.25,
        tidy=True,
        confirm_ms=230,
        window_ms=500,
        hold_ms=500,
    ),
}
DEFAULT_PRESET = "balanced"


def find_preset(name: str) -> Temporal:
    """The settings of a preset.

    Raises:
        StreamError: there is none of that name.
    """
    if name not in PRESETS:
        raise StreamError(f"unknown preset {name!r} of steadying; known: {', '.join(PRESETS)}")
    return PRESETS[name]
