"""From a probability map to shapes: connected objects and the sub-pixel boundary."""

from dataclasses import dataclass, replace

import contourpy
import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.confidence import Calibration
from streamer.frame import Mask, Probability, Segmentation, Track, Window

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DetectedObject:
    """One connected region, in px of the picture.

    Attributes:
        box: (x, y, width, height).
        area_px: its area.
        mean_probability: mean over its pixels, 0…1, of what the network said.
        id, age_ms, confirmed: see `Track`; the first two are None where each frame stands alone.
        confidence: how often objects with such a mean probability are right, see `Calibration`;
            None where the checkpoint does not say.
    """

    box: tuple[int, int, int, int]
    area_px: int
    mean_probability: float
    id: int | None = None
    age_ms: float | None = None
    confirmed: bool = True
    confidence: float | None = None

    @property
    def certainty(self) -> float:
        """What to tell a person, 0…1: the confidence, or without one the mean probability."""
        return self.mean_probability if self.confidence is None else self.confidence


def find_objects(
    segmentation: Segmentation, calibration: Calibration | None = None
) -> list[DetectedObject]:
    """The connected regions at or above the threshold, largest first.

    Args:
        calibration: of the network that saw them.
    """
    probability, view = segmentation.probability, segmentation.view
    x0, y0, width, height = segmentation.extent
    if width == 0:
        return []
    window = probability[y0 : y0 + height, x0 : x0 + width]
    inside = (window >= segmentation.threshold).view(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside)
    tracks = _tracks_of(segmentation, np.asarray(labels, np.int32), count)
    across = view.width / probability.shape[1]
    down = view.height / probability.shape[0]
    found = []
    for label, (x, y, width, height, area) in enumerate(stats[1:].tolist(), start=1):
        left, top = view.x + (x0 + x) * across, view.y + (y0 + y) * down
        box = (
            round(left),
            round(top),
            round(left + width * across) - round(left),
            round(top + height * down) - round(top),
        )
        area_px = round(area * across * down)
        track = tracks[label]
        if track is None:
            part = np.s_[y : y + height, x : x + width]
            mean = float(window[part].mean(dtype=np.float64, where=labels[part] == label))
            found.append(DetectedObject(box, area_px, round(mean, 4)))
        else:
            # The steady map is raised in places; the track knows what the network said.
            mean, age_ms = round(track.confidence, 4), round(track.age_ms, 1)
            found.append(DetectedObject(box, area_px, mean, track.id, age_ms, track.confirmed))
    if calibration is not None:
        found = [_judged(each, calibration) for each in found]
    return sorted(found, key=lambda region: -region.area_px)


def _judged(found: DetectedObject, calibration: Calibration) -> DetectedObject:
    return replace(found, confidence=round(calibration.object(found.mean_probability), 4))


def _tracks_of(
    segmentation: Segmentation, regions: NDArray[np.int32], count: int
) -> list[Track | None]:
    """Which object each connected region is: the one that has most of its pixels.

    Args:
        regions: numbers of the regions, from 1, in the `extent`.
        count: of them, and the ground.
    """
    tracks = segmentation.tracks
    if tracks is None or not tracks.all:
        return [None] * count
    x, y, width, height = segmentation.extent
    labels = tracks.labels[y : y + height, x : x + width]
    known = len(tracks.all) + 1
    shares = np.bincount(
        regions.ravel() * known + labels.ravel().astype(np.intp), minlength=count * known
    ).reshape(count, known)
    # A map that was moved can have pixels that none of the moved labels covers.
    best = shares[:, 1:].argmax(axis=1)
    return [
        tracks.all[place] if shares[region, 1 + place] else None
        for region, place in enumerate(best.tolist())
    ]


@dataclass(frozen=True, slots=True)
class Outline:
    """The boundary of everything at or above the threshold.

    Attributes:
        lines: polylines of (x, y) in px of the picture; a pixel's centre has whole coordinates.
        regions: the same closed along the border of the view, for filling; each is one outer
            ring followed by its holes. What is tentative is not among them.
        tentative: the lines around what is not confirmed yet.
    """

    lines: list[Points]
    regions: list[list[Points]]
    tentative: list[Points]


def find_outline(segmentation: Segmentation, *, regions: bool) -> Outline:
    """Follow the threshold through the bilinearly interpolated map, to a fraction of a pixel.

    The lines are those of the up-scaled map at its threshold, without up-scaling it.

    Args:
        regions: also make the regions.
    """
    probability, view = segmentation.probability, segmentation.view
    x, y, width, height = segmentation.extent
    if width == 0:
        return Outline([], [], [])
    # One pixel around is enough for the interpolation; the rest of the map is not looked at.
    # From the outermost pixel centres to the map's edge, half a pixel on, it stays the same.
    across = np.arange(x - 1, x + width + 1).clip(-0.5, probability.shape[1] - 0.5)
    down = np.arange(y - 1, y + height + 1).clip(-0.5, probability.shape[0] - 0.5)
    generator = _contours(across, down, _with_rim(probability, segmentation.extent))
    # What is exactly at the threshold is inside; for contourpy it would be outside.
    level = float(np.nextafter(np.float32(segmentation.threshold), np.float32(-1)))
    scale = np.array((view.width / probability.shape[1], view.height / probability.shape[0]))
    # Pixel centres of the map sit half a cell from its edge, those of the picture half a pixel.
    shift = np.array((view.x, view.y)) - 0.5

    def to_picture(points: Points) -> Points:
        return np.asarray((points + 0.5) * scale + shift, np.float64)

    lines: list[Points] = []
    tentative: list[Points] = []
    for line in generator.lines(level):
        vertices = np.asarray(line)
        thin = _is_tentative(segmentation, vertices[0])
        (tentative if thin else lines).append(to_picture(vertices))
    filled: list[list[Points]] = []
    if regions:
        if tentative:
            counted = _with_rim(_counted(segmentation), segmentation.extent)
            generator = _contours(across, down, counted)
        # The default fill type: per outer ring, its points with those of its holes and where
        # each ring begins.
        points, offsets = generator.filled(level, np.inf)[:2]
        filled = [
            [to_picture(ring) for ring in np.split(np.asarray(outer), np.asarray(ends)[1:-1])]
            for outer, ends in zip(points, offsets, strict=True)
        ]
    return Outline(lines, filled, tentative)


def _with_rim(values: Probability, window: Window) -> Probability:
    """A window of a map with one px more on each side, repeated where the map ends."""
    x, y, width, height = window
    rows = np.arange(y - 1, y + height + 1).clip(0, values.shape[0] - 1)
    columns = np.arange(x - 1, x + width + 1).clip(0, values.shape[1] - 1)
    return np.asarray(values[rows[:, None], columns], np.float32)


def _contours(
    across: Points, down: Points, values: Probability
) -> contourpy.SerialContourGenerator:
    """What `contourpy.contour_generator` makes of finite values, without its half of the time.

    Args:
        across, down: x of the columns and y of the rows.
        values: (h, w).
    """
    serial = contourpy.SerialContourGenerator
    return serial(
        *np.meshgrid(across, down),
        values.astype(np.float64),
        None,  # type: ignore[arg-type]
        corner_mask=False,
        line_type=serial.default_line_type,
        fill_type=serial.default_fill_type,
        quad_as_tri=False,
        z_interp=contourpy.ZInterp.Linear,
    )


def _is_tentative(segmentation: Segmentation, point: Points) -> bool:
    """Whether a point (x, y) of a boundary, in px of the map, belongs to a tentative object."""
    tracks = segmentation.tracks
    if tracks is None:
        return False
    # It lies between a pixel that is inside and one that is not.
    x, y = (max(0, int(coordinate)) for coordinate in point)
    label = int(tracks.labels[y : y + 2, x : x + 2].max())
    return label > 0 and not tracks.all[label - 1].confirmed


def _counted(segmentation: Segmentation) -> Probability:
    """The map without what is tentative."""
    tracks = segmentation.tracks
    if tracks is None or all(track.confirmed for track in tracks.all):
        return segmentation.probability
    counts = np.array([True, *(track.confirmed for track in tracks.all)])
    return np.where(counts[tracks.labels], segmentation.probability, np.float32(0))


def full_size_mask(segmentation: Segmentation | None, width_px: int, height_px: int) -> Mask:
    """The mask (height_px, width_px) of 0 or 255 at the picture's size, 0 outside the view.

    What is tentative does not count.
    """
    mask = np.zeros((height_px, width_px), np.uint8)
    if segmentation is None:
        return mask
    view = segmentation.view
    scaled = cv2.resize(
        _counted(segmentation), (view.width, view.height), interpolation=cv2.INTER_LINEAR
    )
    inside = (scaled >= segmentation.threshold).view(np.uint8) * np.uint8(255)
    mask[view.y : view.y + view.height, view.x : view.x + view.width] = inside
    return mask
