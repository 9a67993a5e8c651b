"""How much masks are steadied: the settings of the chain, and the presets that a user chooses from.

All times are in ms of media time, so that 25, 30 and 60 frames per second behave alike. What each
step gains and costs is measured in `docs/temporal.md`.
"""

from dataclasses import dataclass

from streamer.errors import StreamError

#: `Temporal.trust` and `Temporal.sure` of all presets.
TRUST, SURE = 0.4, 0.98


@dataclass(frozen=True)
class Temporal:
    """Settings of the chain; a step is off where its setting is 0 or False.

    Attributes:
        smoothing_ms: time constant of the exponential smoothing of uncertain pixels.
        jump_ms: the same of pixels that change further from the boundary than it can have moved,
            however certain they are.
        motion: what is remembered moves along with the picture.
        keep: how much lower the threshold is where there was a mask, 0…1.
        start: how much higher than the threshold the peak of something new has to be, 0…1.
        tidy: specks that are tiny for their distance from what they could belong to are removed,
            and holes filled.
        confirm_ms: how long something must have been seen, within `window_ms`, until it counts.
        window_ms: see `confirm_ms`.
        trust: confidence, 0…1, that something has to have to begin to count, however long it is
            seen: how often such an object is right (`Calibration.object`). Where a network does not
            say, all is trusted.
        sure: mean probability from which on something new counts at once.
        hold_ms: how long something that counts is kept after the network last saw it.
        gap_ms: a gap in time that makes the chain forget everything.
    """

    smoothing_ms: float = 0.0
    jump_ms: float = 0.0
    motion: bool = False
    keep: float = 0.0
    start: float = 0.0
    tidy: bool = False
    confirm_ms: float = 0.0
    window_ms: float = 0.0
    trust: float = 0.0
    sure: float = SURE
    hold_ms: float = 0.0
    gap_ms: float = 500.0

    @property
    def is_off(self) -> bool:
        """Whether no step is on: each frame stands alone."""
        return self == Temporal(motion=self.motion, window_ms=self.window_ms, gap_ms=self.gap_ms)


#: What `--temporal` offers, from no steadying to most of it.
PRESETS = {
    "off": Temporal(),
    "prompt": Temporal(
        smoothing_ms=60,
        jump_ms=40,
        motion=True,
        keep=0.1,
        start=0.15,
        tidy=True,
        confirm_ms=60,
        window_ms=300,
        trust=TRUST,
        hold_ms=120,
    ),
    "balanced": Temporal(
        smoothing_ms=120,
        jump_ms=90,
        motion=True,
        keep=0.2,
        start=0.25,
        tidy=True,
        confirm_ms=130,
        window_ms=400,
        trust=TRUST,
        hold_ms=200,
    ),
    "calm": Temporal(
        smoothing_ms=200,
        jump_ms=200,
        motion=True,
        keep=0.25,
        start=0.3,
        tidy=True,
        confirm_ms=300,
        window_ms=600,
        trust=TRUST,
        hold_ms=400,
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
