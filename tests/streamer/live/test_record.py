"""Counts and times of a live run."""

import pytest

from streamer.live import record as record_module
from streamer.live.record import SERIES, STAGES, Record

SECOND = 10**9
MS = 10**6


def test_counts() -> None:
    record = Record(0, ["video"])
    for _ in range(5):
        record.read()
    record.drop("late")
    record.drop("stopped", 2)
    record.drop("failed", 0)
    record.ai_drop("newer")
    record.ai_drop("flat", 0)
    assert record.hand_on(SECOND, SECOND - 3 * MS, objects=True) == 1
    assert record.hand_on(SECOND, SECOND - 3 * MS, objects=False, out_of_view=True) == 2
    assert [record.mask_made() for _ in range(3)] == [0, 1, 2]
    record.mask_shown(90 * MS)

    view = record.view(2 * SECOND)

    assert (view["frames_in"], view["frames_out"], view["frames_with_objects"]) == (5, 2, 1)
    assert view["frames_out_of_view"] == 1
    assert view["dropped"] == {"late": 1, "stopped": 2}
    assert view["ai_dropped"] == {"newer": 1, "unshown": 2}
    assert view["masks_shown"] == 1
    assert view["wall_s"] == 2
    assert set(view["histograms"]) == {*STAGES, "sink:video"}
    assert view["histograms"]["video_delay"].count == 2
    assert view["histograms"]["annotation_delay"].percentile_ms(50) == pytest.approx(90, rel=0.01)


def test_what_was_handed_out_does_not_change_later() -> None:
    record = Record(0, [])
    record.add("draw", 3 * MS)
    view = record.view(SECOND)
    record.add("draw", 9 * MS)

    assert view["histograms"]["draw"].count == 1
    assert view["histograms"]["draw"].summary()["max"] == 3
    assert record.view(SECOND)["histograms"]["draw"].summary()["max"] == 9


def test_rate_is_that_of_the_last_seconds() -> None:
    record = Record(0, [])
    for number in range(50):
        record.hand_on(number * SECOND // 25, 0, objects=False)
    assert record.view(2 * SECOND)["rate"] == pytest.approx(25, abs=1)
    assert record.view(3 * SECOND)["rate"] == pytest.approx(50 / 3, abs=1)
    assert record.view(9 * SECOND)["rate"] == 0


def test_each_minute_has_medians_and_memory() -> None:
    record = Record(0, [])
    for second in range(1, 151):
        now_ns = second * SECOND
        delay_ms = 2 if second <= 60 else 4
        record.hand_on(now_ns, now_ns - delay_ms * MS, objects=False)
        if second <= 60:
            record.mask_shown(80 * MS)
        record.tick(now_ns)
    record.end(150 * SECOND)

    minutes = record.view(10**15)["per_minute"]

    assert [minute["until_s"] for minute in minutes] == [60, 120, 150]
    assert [minute["frames"] for minute in minutes] == [60, 60, 30]
    assert [minute["video_delay_ms"] for minute in minutes] == pytest.approx([2, 4, 4], rel=0.01)
    assert minutes[0]["annotation_delay_ms"] == pytest.approx(80, rel=0.01)
    assert "annotation_delay_ms" not in minutes[1]
    assert all(minute["rss_mib"] > 1 for minute in minutes)
    assert set(SERIES) <= set(STAGES)


def test_the_times_stand_still_after_the_end() -> None:
    record = Record(0, [])
    record.end(5 * SECOND)
    first = record.view(6 * SECOND)

    assert first["wall_s"] == 5
    assert record.view(60 * SECOND)["cpu_s"] == first["cpu_s"]


def test_minutes_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "MAX_MINUTES", 8)
    record = Record(0, [])
    for minute in range(1, 101):
        record.tick(minute * 60 * SECOND)

    minutes = record.view(10**15)["per_minute"]

    assert len(minutes) <= 8
    assert (minutes[0]["until_s"], minutes[-1]["until_s"]) == (60, 6000)
