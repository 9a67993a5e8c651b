"""Samples and events over time, and the page's view of them."""

from fractions import Fraction
from html.parser import HTMLParser

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demos.app.timeline import News, Sample, Timeline, TimelineSink, thin
from demos.app.timeline_view import clock, draw_table, draw_timeline
from streamer.color import ColorDescription
from streamer.frame import Frame
from streamer.objects import DetectedObject
from streamer.sinks.base import Composed
from streamer.temporal import Detection

SIZE = (40, 20)


def composed(time_ms: int, *objects: DetectedObject) -> Composed:
    picture = av.VideoFrame(*SIZE, "yuv420p")
    color = ColorDescription("bt601", full_range=False, guessed=False)
    frame = Frame(picture, 0, time_ms, Fraction(1, 1000), 0, 0, color)
    return Composed(frame, picture, None, list(objects))


def found(area_px: int, mean: float, *, number: int = 1, confirmed: bool = True) -> DetectedObject:
    return DetectedObject((0, 0, 2, 2), area_px, mean, number, 0.0, confirmed=confirmed)


def event(start_s: float, end_s: float | None, *, number: int = 1) -> Detection:
    last_s = start_s + 1 if end_s is None else end_s
    return Detection(number, start_s, end_s, last_s - start_s, 0.87, start_s, 80.0, 9)


class Buttons(HTMLParser):
    """The places that buttons lead to, in s, and what they are called."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.places: list[float] = []
        self.labels: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        if tag == "button":
            self.places.append(float(held["data-seek"] or "nan"))
            self.labels.append(held["aria-label"] or "")


class TestSink:
    def test_a_frame_becomes_a_sample(self) -> None:
        sink = TimelineSink()
        sink.write(composed(1500, found(80, 0.7), found(40, 0.9, number=2)))

        (sample,) = sink.take().samples
        assert sample.time_s == pytest.approx(1.5)
        assert sample.area == pytest.approx(120 / 800)
        assert sample.confidence == 0.9
        assert sink.take() == News()

    def test_what_is_tentative_does_not_count(self) -> None:
        sink = TimelineSink()
        sink.write(composed(0, found(80, 0.7, confirmed=False)))

        news = sink.take()
        assert news.samples == (Sample(0.0, 0.0, 0.0),)
        assert news.detections == ()

    def test_events_begin_and_end(self) -> None:
        sink = TimelineSink()
        for time_ms in (0, 100, 200):
            sink.write(composed(time_ms, found(80, 0.7)))
        begun = sink.take().detections
        sink.close()
        ended = sink.take().detections

        assert [each.end_s for each in begun] == [None]
        assert [each.end_s for each in ended] == [pytest.approx(0.2)]


class TestTimeline:
    def test_an_event_that_ended_takes_the_place_of_its_beginning(self) -> None:
        timeline = Timeline()
        timeline.add(News((Sample(1, 0, 0),), (event(0.5, None), event(0.1, None, number=2))))
        timeline.add(News((), (event(0.5, 0.9),)))

        assert [(each.id, each.end_s) for each in timeline.detections] == [(2, None), (1, 0.9)]

    def test_a_copy_stays_as_it_was(self) -> None:
        timeline = Timeline()
        copy = timeline.copy()
        timeline.add(News((Sample(1, 0.1, 0.9),), (event(0.5, 0.9),)))

        assert (copy.samples, copy.detections) == ([], [])

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=300), st.integers(1, 50))
    def test_thinning_keeps_the_peaks(self, values: list[tuple[float, float]], most: int) -> None:
        samples = [Sample(float(at), *pair) for at, pair in enumerate(values)]
        thinned = thin(samples, most)

        assert len(thinned) == min(len(samples), most)
        for field in ("area", "confidence"):
            before, after = (
                max((getattr(each, field) for each in some), default=0)
                for some in (samples, thinned)
            )
            assert before == after
        times = [each.time_s for each in thinned]
        assert times == sorted(times)


class TestView:
    def timeline(self) -> Timeline:
        timeline = Timeline(20.0)
        samples = tuple(Sample(at / 10, 0.3, 0.8) for at in range(200))
        timeline.add(News(samples, (event(2.0, 5.0), event(12.5, None, number=2))))
        return timeline

    def test_marks_lead_to_the_events(self) -> None:
        marks = Buttons(draw_timeline(self.timeline()))

        assert marks.places == [2.0, 12.5]
        assert "0:02.0 to 0:05.0" in marks.labels[0]
        assert "goes on" in marks.labels[1]

    def test_marks_lie_at_their_share_of_the_length(self) -> None:
        drawn = draw_timeline(self.timeline())

        assert "left:10.00%;width:15.00%" in drawn
        # The second goes on until the last sample.
        assert "left:62.50%;width:37.00%" in drawn

    def test_rows_lead_to_the_events(self) -> None:
        table = draw_table(self.timeline(), pixels=800, steadied=True, over=False)

        assert Buttons(table).places == [2.0, 12.5]
        assert "<td>3.0 s</td><td>0.87</td><td>10.0%</td>" in table
        assert "<td>goes on</td><td>–</td>" in table

    def test_ticks_stay_inside(self) -> None:
        assert "0:15</span>" in draw_timeline(self.timeline())
        assert "0:20</span>" not in draw_timeline(self.timeline())

    def test_what_lasts_a_frame_is_told_as_such(self) -> None:
        timeline = Timeline(20.0)
        short = Detection(1, 2.0, 2.0, 0.0, 0.5, 2.0, 0.4, 1)
        timeline.add(News((Sample(0, 0, 0),), (short,)))

        table = draw_table(timeline, pixels=800, steadied=True, over=True)
        assert "<td>one frame</td><td>0.50</td><td>under 0.1%</td>" in table

    @pytest.mark.parametrize(
        ("steadied", "over", "told"),
        [(True, False, "yet"), (True, True, "in this video"), (False, True, "off")],
    )
    def test_without_events_it_says_why(self, steadied: bool, over: bool, told: str) -> None:
        assert told in draw_table(Timeline(), pixels=1, steadied=steadied, over=over)

    def test_nothing_is_drawn_of_nothing(self) -> None:
        assert draw_timeline(Timeline(5.0)) == ""

    @pytest.mark.parametrize(
        ("time_s", "told"), [(0, "0:00.0"), (59.96, "1:00.0"), (61.25, "1:01.2"), (3600, "60:00.0")]
    )
    def test_times_are_told_as_clocks(self, time_s: float, told: str) -> None:
        assert clock(time_s) == told
