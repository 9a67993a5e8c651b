"""A planned sequence, frame by frame: picture and exact mask. Nothing here reads or writes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from cv2.typing import MatLike

from demos.sequences.camera import COURSES, lead
from demos.sequences.field import FieldOfView
from demos.sequences.film import Take
from demos.sequences.floating import Bubbles, Liquid
from demos.sequences.light import Sensor
from demos.sequences.plan import Plan, Spell
from demos.sequences.stills import Ground
from demos.sequences.tool import Tool
from streamer.sources.scene import FADE_S, Pixels


class Footage:
    """The frames of a sequence; each depends on the plan and its index only.

    grounds: the tissue of each shot of the plan.
    optics: blur, highlights, light, noise and what is transparent; False leaves what moves or
        hides tissue.
    """

    def __init__(self, plan: Plan, grounds: Sequence[Ground], *, optics: bool = True) -> None:
        self._plan, self._optics = plan, optics
        streams = np.random.SeedSequence(plan.seed).spawn(8 + len(plan.shots))
        rngs = list(map(np.random.default_rng, streams))
        self.field = FieldOfView(plan.width, plan.height, rngs[0])
        self._takes = [
            self._take(number, ground, rngs[8 + number]) for number, ground in enumerate(grounds)
        ]
        self._starts_s = [shot.start_s for shot in plan.shots]
        levels = [take.mean_level() for take in self._takes]
        shots = list(zip(self._starts_s, levels, strict=True))
        self._sensor = Sensor(self.field, shots, plan.exposure_s, rngs[1])
        self._bubbles = [Bubbles(spell, self.field, rngs[2]) for spell in plan.bubbles]
        self._murky = [Liquid(spell, self.field, rngs[3], opaque=False) for spell in plan.liquids]
        self._opaque = [
            Liquid(spell, self.field, rngs[4], opaque=True) for spell in plan.opaque_liquids
        ]
        self._tools = [
            Tool(spell, self._target(spell, rngs[5]), self.field, rngs[6], optics=optics)
            for spell in plan.instruments
        ]

    def __iter__(self) -> Iterator[tuple[Pixels, Pixels]]:
        return map(self.render, range(self._plan.frames))

    def render(self, index: int) -> tuple[Pixels, Pixels]:
        """Frame number `index`, shown at index / rate seconds.

        Returns:
            Image, uint8 (height, width, 3), RGB, and mask, uint8 (height, width), 0 or 255 =
            polyp; both are 0 outside the view. The odd lines of an interlaced image are those of
            half a frame later; its mask is that of the even lines' moment.
        """
        image, mask = self.moment(2 * index)
        if self._plan.interlaced:
            image[1::2] = self.moment(2 * index + 1)[0][1::2]
        return image, mask

    def moment(self, number: int) -> tuple[Pixels, Pixels]:
        """Image and mask as in `render`, but of one moment: number / rate / 2 seconds."""
        time_s = float(number / self._plan.rate / 2)
        image, mask = self._tissue(time_s)
        if self._optics:
            for liquid in self._murky:
                image, mask = liquid.lay(image, mask, time_s)
        for liquid in self._opaque:
            image, mask = liquid.lay(image, mask, time_s)
        if self._optics:
            for bubbles in self._bubbles:
                bubbles.lay(image, time_s)
        for tool in self._tools:
            image, mask = tool.lay(image, mask, time_s)
        # A pixel is polyp if most of it is.
        mask = cv2.threshold(mask, 127, 255, cv2.THRESH_BINARY)[1]
        if self._optics:
            image = self._sensor.expose(image, time_s, number)
        return self.field.framed(image), self.field.framed(mask)

    def _take(self, number: int, ground: Ground, rng: np.random.Generator) -> Take:
        plan, shot = self._plan, self._plan.shots[number]
        jolts_s = [at_s for at_s in plan.jolts_s if shot.start_s - 1 < at_s < shot.end_s]
        course = COURSES[shot.course]
        hand = lead(ground, self.field, course, shot.start_s, shot.end_s, jolts_s, rng)
        return Take(
            ground,
            hand,
            self.field,
            rng,
            start_s=shot.start_s,
            end_s=shot.end_s,
            rate=float(plan.rate) * (2 if plan.interlaced else 1),
            focus_s=[at_s for at_s in plan.focus_s if shot.start_s - 1 < at_s < shot.end_s],
            optics=self._optics,
        )

    def _tissue(self, time_s: float) -> tuple[MatLike, MatLike]:
        """The tissue, and the polyps of the shot that is more of the picture; see `Take.see`."""
        number = bisect_right(self._starts_s, time_s) - 1
        image, mask = self._takes[number].see(time_s)
        for other in (number - 1, number + 1):
            later = max(number, other)
            if 0 <= other < len(self._takes) and self._plan.shots[later].fades_in:
                share = 0.5 - abs(time_s - self._starts_s[later]) / FADE_S
                if share > 0:
                    faint, _ = self._takes[other].see(time_s)
                    image = cv2.addWeighted(image, 1 - share, faint, share, 0)
        return image, mask

    def _target(self, spell: Spell, rng: np.random.Generator) -> tuple[float, float]:
        """Where an instrument goes: to the polyp if there is one, in px of the view's box."""
        _, mask = self._tissue((spell.start_s + spell.end_s) / 2)
        polyp = np.argwhere((mask > 127) & (self.field.inside > 0))
        if len(polyp):
            row, column = rng.choice(polyp)
            return float(column), float(row)
        x, y = rng.uniform(0.3, 0.7, 2)
        return float(x * self.field.width), float(y * self.field.height)
