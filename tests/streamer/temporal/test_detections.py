"""Detection events, from the objects of each frame."""

from dataclasses import replace

import pytest

from streamer.objects import DetectedObject
from streamer.temporal import DetectionLog
from streamer.temporal.detections import GAP_S


def seen(
    identity: int | None = 1, mean: float = 0.8, area_px: int = 100, *, confirmed: bool = True
) -> DetectedObject:
    return DetectedObject((0, 0, 10, 10), area_px, mean, identity, 40.0, confirmed)


def test_begins_with_the_first_frame_and_ends_with_the_last() -> None:
    log = DetectionLog()
    (begun,) = log.add(1.0, [seen(mean=0.6, area_px=100)])
    assert log.add(1.1, [seen(mean=0.9, area_px=300)]) == []
    assert log.add(1.2, []) == []
    (ended,) = log.add(1.1 + GAP_S + 0.01, [])

    assert (begun.id, begun.start_s, begun.end_s) == (1, 1.0, None)
    assert (ended.start_s, ended.end_s, ended.frames) == (1.0, 1.1, 2)
    assert ended.duration_s == pytest.approx(0.1)
    assert (ended.peak_probability, ended.peak_s) == (0.9, 1.1)
    assert ended.mean_area_px == 200
    assert log.finish() == []


def test_the_peak_has_its_confidence() -> None:
    log = DetectionLog()
    for time_s, mean, confidence in ((0.0, 0.6, 0.1), (0.1, 0.9, 0.7), (0.2, 0.8, 0.5)):
        log.add(time_s, [replace(seen(mean=mean), confidence=confidence)])
    (known,) = log.finish()
    log.add(9.0, [seen(mean=0.6)])
    (unknown,) = log.finish()

    assert (known.peak_confidence, known.peak_certainty) == (0.7, 0.7)
    assert (unknown.peak_confidence, unknown.peak_certainty) == (None, 0.6)


def test_a_short_absence_is_part_of_the_event() -> None:
    log = DetectionLog()
    log.add(0.0, [seen()])
    assert log.add(GAP_S, [seen()]) == []
    (ended,) = log.finish()

    assert (ended.start_s, ended.end_s, ended.frames) == (0.0, GAP_S, 2)


def test_what_is_tentative_or_has_no_id_makes_no_event() -> None:
    log = DetectionLog()

    assert log.add(0.0, [seen(confirmed=False), seen(None)]) == []
    assert log.finish() == []


def test_several_at_once_and_an_end_before_a_beginning() -> None:
    log = DetectionLog()
    log.add(0.0, [seen(1), seen(2)])
    log.add(0.4, [seen(2)])
    events = log.add(0.7, [seen(2), seen(3)])

    assert [(event.id, event.end_s) for event in events] == [(1, 0.0), (3, None)]
    assert [event.id for event in log.finish()] == [2, 3]


def test_time_that_jumps_back_ends_what_was_open() -> None:
    log = DetectionLog()
    log.add(5.0, [seen()])
    events = log.add(0.0, [seen()])

    assert [(event.id, event.start_s, event.end_s) for event in events] == [
        (1, 5.0, 5.0),
        (1, 0.0, None),
    ]
