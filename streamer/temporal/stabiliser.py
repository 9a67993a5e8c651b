"""The chain that makes steady masks of the network's answers: causal, in constant memory.

    probability → smooth → keep → regions → tracker → steady map and objects
                    ▲        ▲                 ▲
                    └─ memory of the frame before, moved along with the picture

What is remembered of the frame before is its smoothed map, the map that was shown, and which object
was where. It is forgotten at a cut, after a gap, and when time goes backwards.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.confidence import Calibration
from streamer.frame import Labels, Probability, Segmentation, Tracks, View, Window
from streamer.motion import (
    Luma,
    Motion,
    extent,
    find_motion,
    find_places,
    warp,
    warp_labels,
)
from streamer.temporal import pixels
from streamer.temporal.presets import Temporal
from streamer.temporal.regions import Regions, fill_holes, find_regions, specks
from streamer.temporal.tracker import Matched, Tracker

#: What is less probable than this, now and in memory, is left as it is: it costs nothing.
FAINT = 0.1
#: How far the network's idea of a boundary may jump from one frame to the next, as a share of the
#: map's width: 8 px of 352.
REACH = 0.023


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is remembered of a frame, or of a window of it as it holds for the next one.

    Attributes:
        smoothed: the map after smoothing.
        shown: the map that was handed on.
        labels: which object was where, by its place in `ids`, from 1.
        ids: of the objects.
        known: how far the past can be relied on at each pixel, 0…1.
    """

    smoothed: Probability
    shown: Probability
    labels: Labels
    ids: list[int]
    known: Probability | float = 1.0


class Stabiliser:
    """Makes steady masks of one source's frames. One thread owns it.

    Args:
        temporal: which steps, and how much of them.
        view: the part of the picture that the maps cover.
        threshold: probability from which on a pixel counts as polyp.
    """

    def __init__(self, temporal: Temporal, view: View, threshold: float = 0.5) -> None:
        self._temporal = temporal
        self._view = view
        self._threshold = threshold
        # The largest number below it: what does not count is put there at most.
        self._below = np.nextafter(np.float32(threshold), np.float32(-1))
        # A threshold far from the middle has less room on one side of it.
        room = 2 * min(threshold, 1 - threshold)
        self._keep, self._least = temporal.keep * room, threshold + temporal.start * room
        self._faint = min(FAINT, (threshold - self._keep) / 2)
        self._tracker = Tracker(temporal)
        self._memory: _Memory | None = None
        self._has_memory = False
        self._luma: Luma | None = None
        self._time_s = 0.0

    def judge_by(self, calibration: Calibration | None) -> None:
        """Go by what is known of the network whose maps come from now on."""
        self._tracker.confidence = calibration.object if calibration is not None else None

    def reset(self, view: View | None = None) -> None:
        """Forget everything but the ids that were used: what comes next is another scene.

        Args:
            view: what the maps cover from now on, if it is another part of the picture.
        """
        if view is not None:
            self._view = view
        self._memory = None
        self._luma = None
        self._tracker.forget()

    def find_motion_ahead(
        self, before: Luma | None, luma: Luma
    ) -> Callable[[], Motion | None] | None:
        """What `steady` takes for `motion`, found while the network still works on the frame.

        Any thread may call it. Where it will hardly be needed, nothing is looked for.

        Args:
            before: `small_luma` of the frame before, if it shows the same view.
            luma: that of the frame.
        """
        if before is None or not (self._temporal.motion and self._has_memory):
            return None
        found = find_motion(before, luma, in_a_row=True)
        return lambda: found

    def steady(
        self,
        probability: Probability,
        luma: Luma,
        time_s: float,
        motion: Callable[[], Motion | None] | None = None,
    ) -> Segmentation:
        """Take in the next frame.

        Args:
            probability: the network's map (h, w), float32, 0…1; not written to.
            luma: `small_luma` of the frame's view.
            time_s: the frame's media time.
            motion: what `find_motion_ahead` gave; None lets it be found here where it is needed.

        Returns:
            The steady map, with the objects in it: everything at or above the threshold belongs to
            one of them. Without any step, the map as it came, without objects.
        """
        if self._temporal.is_off:
            return Segmentation(probability, self._view, self._threshold)
        passed_ms = 1e3 * (time_s - self._time_s)
        if self._luma is not None and not 0 < passed_ms <= self._temporal.gap_ms:
            self.reset()
        window, memory = self._remember(probability, luma, motion)
        self._luma, self._time_s = luma, time_s
        left, top, width, height = window
        part = np.s_[top : top + height, left : left + width]
        smoothed, steady = self._blend(
            probability[part], memory, passed_ms, round(REACH * probability.shape[1])
        )
        inside = (steady >= self._threshold).view(np.uint8)
        if self._temporal.tidy:
            holes = fill_holes(inside)
            inside[holes] = 1
            steady[holes] = self._threshold
        regions = find_regions(inside, smoothed, probability[part], (left, top))
        overlaps = {} if memory is None else _overlaps(regions, memory)
        refused = self._refused(regions, overlaps, probability.shape[1])
        matched = self._tracker.update(
            time_s,
            [region for region in regions.all if region.label not in refused],
            {pair: count for pair, count in overlaps.items() if pair[1] not in refused},
        )
        ids = [*matched.seen.values(), *matched.held]
        labels = self._place(smoothed, steady, regions, matched, memory)
        return self._finish(probability, part, (smoothed, steady, labels), ids, matched)

    def _remember(
        self,
        probability: Probability,
        luma: Luma,
        find: Callable[[], Motion | None] | None,
    ) -> tuple[Window, _Memory | None]:
        """The window in which there is anything, and the memory as it holds there now."""
        memory = self._memory
        busy = probability > self._faint
        if memory is None or self._luma is None:
            return extent(busy), None
        known = np.asarray(cv2.max(memory.smoothed, memory.shown)) > self._faint
        self._has_memory = bool(known.any())
        if not self._has_memory:
            # Nothing to move, and nothing to forget.
            return extent(busy), None
        shape = probability.shape
        if not self._temporal.motion:
            window = extent(busy | known)
            return window, _cut(memory, window)
        motion = find() if find is not None else find_motion(self._luma, luma, in_a_row=True)
        if motion is None:
            self.reset()
            return extent(busy), None
        margin_px = int(np.ceil(motion.reach * max(shape))) + 1
        window = extent(known, margin_px)
        if busy.any():
            window = _union(window, extent(busy))
        left, top, width, height = window
        share = _resized(motion.known, shape)[top : top + height, left : left + width]
        if motion.flow is None:
            return window, _cut(memory, window, share)
        places = find_places(motion.flow, shape, window)
        return window, _Memory(
            warp(memory.smoothed, places),
            warp(memory.shown, places),
            warp_labels(memory.labels, places),
            memory.ids,
            share,
        )

    def _blend(
        self,
        probability: Probability,
        memory: _Memory | None,
        passed_ms: float,
        reach_px: int,
    ) -> tuple[Probability, Probability]:
        """The smoothed map, and one in which what was inside is kept inside; the caller's own."""
        smoothed = probability.copy()
        if memory is None:
            return smoothed, smoothed.copy()
        temporal = self._temporal
        if temporal.smoothing_ms or temporal.jump_ms:
            share = pixels.memory_share(passed_ms, temporal.smoothing_ms) * memory.known
            least: Probability | float = 0.0
            if temporal.jump_ms:
                far = pixels.far_from_boundary(memory.shown, self._threshold, reach_px)
                least = pixels.memory_share(passed_ms, temporal.jump_ms) * memory.known * far
            smoothed = pixels.smooth(probability, memory.smoothed, share, least)
        if not self._keep:
            return smoothed, smoothed.copy()
        steady = pixels.keep(smoothed, memory.shown, bonus=self._keep, threshold=self._threshold)
        return smoothed, steady

    def _refused(
        self, regions: Regions, overlaps: dict[tuple[int, int], int], width_px: int
    ) -> set[int]:
        """Labels of the regions that are too small, or that the network does not see itself.

        Something new has to reach more for that than something known. What is there by its past
        only may still be held.
        """
        refused = specks(regions, width_px) if self._temporal.tidy else set()
        known = {label for _, label in overlaps}
        kept = self._threshold - self._keep
        return refused | {
            region.label
            for region in regions.all
            if region.seen < kept or (region.label not in known and region.peak < self._least)
        }

    def _place(
        self,
        smoothed: Probability,
        steady: Probability,
        regions: Regions,
        matched: Matched,
        memory: _Memory | None,
    ) -> Labels:
        """Where each object is, those that are held included; the maps are made to agree."""
        places = np.zeros(256, np.uint8)
        places[list(matched.seen)] = np.arange(1, len(matched.seen) + 1)
        labels = np.asarray(cv2.LUT(regions.labels, places), np.uint8)
        free = labels == 0
        np.minimum(steady, self._below, out=steady, where=free)
        if memory is not None and matched.held:
            # Labels move by whole pixels, the map by parts of them.
            near = np.asarray(cv2.dilate(memory.labels, np.ones((3, 3), np.uint8)), np.uint8)
            inside = free & (memory.shown >= self._threshold)
            for place, identity in enumerate(matched.held, start=len(matched.seen) + 1):
                stays = inside & (near == memory.ids.index(identity) + 1)
                # As if the network went on seeing it: else its rim would have to grow back.
                steady[stays] = smoothed[stays] = memory.shown[stays]
                labels[stays] = place
        np.minimum(steady, 1, out=steady)
        return labels

    def _finish(
        self,
        probability: Probability,
        part: tuple[slice, slice],
        found: tuple[Probability, Probability, Labels],
        ids: list[int],
        matched: Matched,
    ) -> Segmentation:
        """Put the window back into the frame, and remember that."""
        smoothed, steady = probability.copy(), probability.copy()
        labels = np.zeros(probability.shape, np.uint8)
        smoothed[part], steady[part], labels[part] = found
        self._memory = _Memory(smoothed, steady, labels, ids)
        tracks = tuple(matched.tracks[identity] for identity in ids)
        return Segmentation(steady, self._view, self._threshold, Tracks(labels, tracks))


def _union(a: Window, b: Window) -> Window:
    """The window around two."""
    left, top = min(a[0], b[0]), min(a[1], b[1])
    return left, top, max(a[0] + a[2], b[0] + b[2]) - left, max(a[1] + a[3], b[1] + b[3]) - top


def _cut(memory: _Memory, window: Window, known: Probability | float = 1.0) -> _Memory:
    left, top, width, height = window
    part = np.s_[top : top + height, left : left + width]
    return _Memory(
        memory.smoothed[part], memory.shown[part], memory.labels[part], memory.ids, known
    )


def _resized(known: Luma, shape: tuple[int, ...]) -> Probability:
    """What is known, 0…1, at the size of the map."""
    large = cv2.resize(known, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.float32) * np.float32(1 / 255)


def _overlaps(regions: Regions, memory: _Memory) -> dict[tuple[int, int], int]:
    """(id, label) → px that an object, where it is now, has in common with a region."""
    both: NDArray[np.bool_] = (regions.labels > 0) & (memory.labels > 0)
    pairs = memory.labels[both].astype(np.intp) * 256 + regions.labels[both]
    counts = np.bincount(pairs)
    return {
        (memory.ids[pair // 256 - 1], pair % 256): int(counts[pair])
        for pair in np.flatnonzero(counts).tolist()
    }
