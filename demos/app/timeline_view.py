"""The timeline and the table of detection events as HTML; all text in it is our own."""

from collections.abc import Sequence

from demos.app import notices
from demos.app.timeline import Sample, Timeline, thin
from streamer.temporal import Detection

#: Points of each curve; more cannot be told apart on a screen.
MOST_POINTS = 400
WIDTH, HEIGHT = 1000, 100
#: The plot's upper edge stands at least for this share of the picture.
LEAST_AREA = 0.05
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600)
_MOST_TICKS = 7
_LAST_TICK = 0.97


def clock(time_s: float) -> str:
    """A media time as ``M:SS.s``."""
    tenths = round(time_s * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def draw_timeline(timeline: Timeline) -> str:
    """Curves of area and confidence, with a mark for each event that can be clicked."""
    length_s = timeline.length_s
    if not timeline.samples or not length_s:
        return ""
    samples = thin(timeline.samples, MOST_POINTS)
    top = max(LEAST_AREA, max(each.area for each in samples))
    events = timeline.detections
    marks = "".join(_mark(number, each, length_s, timeline) for number, each in _numbered(events))
    area = _curve([(each.time_s, each.area / top) for each in samples], length_s)
    confidence = _curve([(each.time_s, each.confidence) for each in samples], length_s)
    ticks = "".join(
        f'<span style="left:{_share(at_s, length_s)}">{clock(at_s)[:-2]}</span>'
        for at_s in _ticks(length_s)
    )
    return f"""\
<figure class="timeline" data-length="{length_s:.3f}" aria-label="Timeline of the video">
<div class="marks" role="group" aria-label="Detection events">{marks}</div>
<div class="plot" role="img" aria-label="{_describe(timeline, top)}">
<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
<path class="area" d="M{_first(samples, length_s):.1f},{HEIGHT} L{area} V{HEIGHT} Z"/>
<path class="confidence" d="M{confidence}"/>
</svg><span class="playhead" aria-hidden="true"></span></div>
<div class="ticks" aria-hidden="true">{ticks}</div>
<figcaption><span class="key area">Area, up to {top:.0%} of the picture</span>
<span class="key confidence">Confidence, 0 to 1</span></figcaption>
</figure>"""


def _numbered(events: Sequence[Detection]) -> list[tuple[int, Detection]]:
    return list(enumerate(events, 1))


def _first(samples: Sequence[Sample], length_s: float) -> float:
    return WIDTH * samples[0].time_s / length_s


def _curve(points: list[tuple[float, float]], length_s: float) -> str:
    """Points of (time, height 0…1) as path data."""
    return " ".join(
        f"{WIDTH * time_s / length_s:.1f},{HEIGHT * (1 - min(1.0, height)):.1f}"
        for time_s, height in points
    )


def _share(time_s: float, length_s: float) -> str:
    return f"{min(100.0, 100 * time_s / length_s):.2f}%"


def _ticks(length_s: float) -> list[float]:
    step_s = next((step for step in _STEPS_S if length_s / step <= _MOST_TICKS), _STEPS_S[-1])
    # None where its text would stick out at the end.
    count = int(length_s * _LAST_TICK // step_s) + 1
    return [float(step_s * number) for number in range(count)]


def _mark(number: int, event: Detection, length_s: float, timeline: Timeline) -> str:
    end_s = _end_s(event, timeline)
    label = f"Event {number}: {_describe_event(event)}. Go there."
    return (
        f'<button type="button" class="mark" data-seek="{event.start_s:.3f}" '
        f'style="left:{_share(event.start_s, length_s)};'
        f'width:{_share(end_s - event.start_s, length_s)}" '
        f'aria-label="{label}" title="{label}">{number}</button>'
    )


def _end_s(event: Detection, timeline: Timeline) -> float:
    if event.end_s is not None:
        return event.end_s
    return max(event.start_s, timeline.samples[-1].time_s)


def _describe_event(event: Detection) -> str:
    if event.end_s is None:
        return f"from {clock(event.start_s)}, goes on"
    return (
        f"{clock(event.start_s)} to {clock(event.end_s)}, "
        f"peak confidence {event.peak_certainty:.2f}"
    )


def _describe(timeline: Timeline, top: float) -> str:
    seen = sum(each.confidence > 0 for each in timeline.samples)
    return (
        f"Curves over {clock(timeline.length_s)}: a polyp is outlined in {seen} of "
        f"{len(timeline.samples)} frames and covers up to {top:.0%} of the picture; "
        f"{len(timeline.detections)} detection events"
    )


def draw_table(timeline: Timeline, *, pixels: int, steadied: bool, over: bool) -> str:
    """The events, one in a row.

    Args:
        pixels: of a picture.
        steadied: whether masks were steadied; without, there are no events.
        over: whether nothing more will come.
    """
    if not steadied:
        return (
            '<p class="quiet">Events need steadying: with the preset <em>off</em> '
            "each frame stands alone.</p>"
        )
    events = timeline.detections
    if not events:
        told = "No detection event in this video." if over else "No detection event yet."
        return f'<p class="quiet">{told}</p>'
    rows = "".join(_row(number, each, pixels) for number, each in _numbered(events))
    return f"""\
<div class="scroll" tabindex="0" role="region" aria-label="Table of detection events">
<table class="events"><caption>Detection events: click one to see it</caption>
<thead><tr><th scope="col">No.</th><th scope="col">Start</th><th scope="col">Duration</th>
<th scope="col">Peak confidence</th><th scope="col">Mean area</th></tr></thead>
<tbody>{rows}</tbody></table></div>"""


def _row(number: int, event: Detection, pixels: int) -> str:
    if event.end_s is None:
        lasted, peak, area = "goes on", "–", "–"
    else:
        lasted = f"{event.duration_s:.1f} s" if event.frames > 1 else "one frame"
        peak = f"{event.peak_certainty:.2f}"
        area = notices.spell_share(event.mean_area_px / pixels)
    return (
        f'<tr><th scope="row">{number}</th><td><button type="button" class="go" '
        f'data-seek="{event.start_s:.3f}" aria-label="Go to event {number}">'
        f"{clock(event.start_s)}</button></td><td>{lasted}</td><td>{peak}</td><td>{area}</td></tr>"
    )
