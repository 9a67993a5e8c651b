"""Objects followed from frame to frame: which region is which, and which of them count.

Pure bookkeeping: regions of this frame, and how they overlap with where the objects of the frame
before are now, come in; who is who comes out.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from streamer.confidence import Scaling
from streamer.frame import Track
from streamer.temporal.pixels import memory_share
from streamer.temporal.presets import Temporal
from streamer.temporal.regions import Region

#: How far from where it is expected an object may be found without overlap, as a share of the root
#: of its area.
_REACH = 1.0
#: An object that is found without overlap has at most so many times the area, or one part in so
#: many of it.
_ALIKE = 4.0
#: How much a new velocity counts against the one known so far.
_VELOCITY_SHARE = 0.4
#: So much below `Temporal.sure` something has to be seen for `confirm_ms`; for less in proportion,
#: up to so many times as long. Of the false regions on training sequences one in twenty reaches a
#: mean probability of 0.95, of the true ones three in four do by their third frame.
_DOUBTED = 0.08
_LONGEST = 3.0
#: What shrank below this share of its usual size before it was lost has gone, and is not held.
_SHRUNK = 0.5
#: Nothing is held for longer than this share of the time that it was known for: what was there for
#: a moment has no claim to last.
_HOLD_SHARE = 0.5
#: Times of media are rational numbers, of which floats are only near.
_SLACK_MS = 0.5
#: In how many ms the usual size follows the size.
_USUAL_MS = 300.0


@dataclass
class _Object:
    """What is kept of an object; `sightings` are when it was seen and for how long, in ms."""

    id: int
    start_s: float
    seen_s: float
    region: Region
    confirmed: bool
    usual_px: float
    velocity: tuple[float, float] = (0.0, 0.0)
    sightings: deque[tuple[float, float]] = field(default_factory=deque)

    def expected(self, time_s: float) -> tuple[float, float]:
        """Where its centroid should be, px of the map."""
        passed_s = time_s - self.seen_s
        return (
            self.region.x + self.velocity[0] * passed_s,
            self.region.y + self.velocity[1] * passed_s,
        )

    def track(self, time_s: float) -> Track:
        """What others may know of it."""
        age_ms = 1e3 * (time_s - self.start_s)
        return Track(self.id, self.start_s, age_ms, self.region.mean, self.confirmed)


@dataclass(frozen=True, slots=True)
class Matched:
    """What came of a frame.

    Attributes:
        seen: label of a region → its object.
        held: objects that count and were not seen, not for long; they are to be shown.
        tracks: all that are remembered, by id; also some that are not shown.
    """

    seen: dict[int, int]
    held: list[int]
    tracks: dict[int, Track]


class Tracker:
    """Follows objects; ids count from `first_id` and are never used again."""

    def __init__(self, temporal: Temporal, first_id: int = 1) -> None:
        self._temporal = temporal
        self._objects: dict[int, _Object] = {}
        self._time_s: float | None = None
        self.next_id = first_id
        #: From a mean probability to how often such an object is right, where that is known.
        self.confidence: Scaling | None = None

    def forget(self) -> None:
        """All objects have gone."""
        self._objects.clear()
        self._time_s = None

    def update(
        self, time_s: float, regions: Iterable[Region], overlaps: dict[tuple[int, int], int]
    ) -> Matched:
        """Take in a frame.

        Args:
            time_s: media time, later than that of the frame before.
            regions: of this frame.
            overlaps: (id, label) → px that an object, moved to where it is now, has in common with
                a region; only those that have any.
        """
        passed_ms = 0.0 if self._time_s is None else 1e3 * (time_s - self._time_s)
        self._time_s = time_s
        by_label = {region.label: region for region in regions}
        heirs, merged = self._match(time_s, by_label, overlaps)
        seen: dict[int, int] = {}
        for label, region in by_label.items():
            parent = heirs.get(label)
            if parent is not None and parent[1]:
                found = self._see(self._objects[parent[0]], region, time_s, passed_ms)
            else:
                found = self._begin(region, time_s, None if parent is None else parent[0])
            seen[label] = found.id
        for identity in merged:
            del self._objects[identity]
        held = self._age(time_s, set(seen.values()))
        tracks = {each.id: each.track(time_s) for each in self._objects.values()}
        return Matched(seen, held, tracks)

    def _match(
        self, time_s: float, regions: dict[int, Region], overlaps: dict[tuple[int, int], int]
    ) -> tuple[dict[int, tuple[int, bool]], set[int]]:
        """Who is who.

        Returns:
            Label → an object and whether the region is that object, or else was split from it;
            and the objects that were merged into others.
        """
        heirs: dict[int, tuple[int, bool]] = {}
        taken: dict[int, int] = {}
        # What counts goes before what does not, and the larger overlap before the smaller one.
        ranked = sorted(
            overlaps,
            key=lambda pair: (not self._objects[pair[0]].confirmed, -overlaps[pair], pair),
        )
        for identity, label in ranked:
            if identity not in taken and label not in heirs:
                taken[identity] = label
                heirs[label] = (identity, True)
        merged = {identity for identity, _ in ranked if identity not in taken}
        for identity, label in ranked:
            if label not in heirs and identity in taken:
                heirs[label] = (identity, False)
        for identity, each in self._objects.items():
            if identity in taken or identity in merged:
                continue
            near = [
                (distance, label)
                for label, region in regions.items()
                if label not in heirs and (distance := _distance(each, region, time_s)) is not None
            ]
            if near:
                heirs[min(near)[1]] = (identity, True)
        return heirs, merged

    def _see(self, found: _Object, region: Region, time_s: float, passed_ms: float) -> _Object:
        passed_s = time_s - found.seen_s
        if passed_s > 0:
            found.velocity = tuple(  # type: ignore[assignment]
                before + _VELOCITY_SHARE * ((now - then) / passed_s - before)
                for before, now, then in zip(
                    found.velocity,
                    (region.x, region.y),
                    (found.region.x, found.region.y),
                    strict=True,
                )
            )
        found.region, found.seen_s = region, time_s
        share = memory_share(passed_ms, _USUAL_MS)
        found.usual_px = region.area_px + share * (found.usual_px - region.area_px)
        found.sightings.append((time_s, passed_ms))
        self._confirm(found, time_s)
        return found

    def _begin(self, region: Region, time_s: float, parent: int | None) -> _Object:
        """Something new, or split from what was there, and then what that was counts for it.

        A part counts as the whole did only where it is trusted itself: what breaks off a polyp's
        outline for a frame is often nothing.
        """
        begun = _Object(self.next_id, time_s, time_s, region, False, region.area_px)
        if parent is not None:
            older = self._objects[parent]
            begun.start_s = older.start_s
            begun.confirmed = older.confirmed and self._is_trusted(region)
            begun.velocity = older.velocity
            begun.sightings = deque(older.sightings)
        self.next_id += 1
        self._objects[begun.id] = begun
        self._confirm(begun, time_s)
        return begun

    def _confirm(self, found: _Object, time_s: float) -> None:
        since_s = time_s - self._temporal.window_ms / 1e3
        while found.sightings and found.sightings[0][0] < since_s:
            found.sightings.popleft()
        if found.confirmed or not self._is_trusted(found.region):
            return
        seen_ms = sum(duration_ms for _, duration_ms in found.sightings)
        lack = (self._temporal.sure - found.region.mean) / _DOUBTED
        needed_ms = self._temporal.confirm_ms * min(max(lack, 0.0), _LONGEST)
        found.confirmed = seen_ms >= needed_ms - _SLACK_MS

    def _is_trusted(self, region: Region) -> bool:
        """Whether regions like it are right often enough to begin to count."""
        return self.confidence is None or self.confidence(region.mean) >= self._temporal.trust

    def _age(self, time_s: float, seen: set[int]) -> list[int]:
        """Let go of what was not seen for too long; what is held is returned."""
        temporal = self._temporal
        held = []
        for identity in [identity for identity in self._objects if identity not in seen]:
            each = self._objects[identity]
            unseen_ms = 1e3 * (time_s - each.seen_s)
            whole = each.region.area_px >= _SHRUNK * each.usual_px
            known_ms = 1e3 * (each.seen_s - each.start_s)
            hold_ms = min(temporal.hold_ms, _HOLD_SHARE * known_ms)
            if each.confirmed and whole and unseen_ms <= hold_ms + _SLACK_MS:
                held.append(identity)
            elif unseen_ms > temporal.window_ms:
                del self._objects[identity]
        return held


def _distance(each: _Object, region: Region, time_s: float) -> float | None:
    """How far a region is from where an object is expected, px; None if it cannot be that one."""
    x, y = each.expected(time_s)
    distance = math.hypot(region.x - x, region.y - y)
    ratio = region.area_px / each.region.area_px
    near = distance <= _REACH * math.sqrt(each.region.area_px)
    return distance if near and 1 / _ALIKE <= ratio <= _ALIKE else None
