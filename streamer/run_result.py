"""What a run in file mode did."""

from dataclasses import dataclass, field

from streamer.frame import View
from streamer.view_watch import ViewChange


@dataclass
class RunResult:
    """What a run did.

    Attributes:
        frames_in, frames_out: frames read and frames handed to all sinks.
        damaged, converted: see `Source`.
        dropped: frames read but not written, by cause: `stopped` by the user,
            or `failed`.
        frames_with_objects: frames in which something was found that is confirmed.
        frames_out_of_view: frames that look unlike the pictures of the training.
        detections: events that began; none where masks are not steadied.
        view: the part of the picture that was analysed last.
        view_changes: how that changed during the run, in order.
        wall_s: from the first frame read to the last one written.
        cpu_s: of this process, all threads, over the same stretch.
        latency_ms: stage → p50, p95, p99, max in ms. `segment` runs from hand-over to result,
            `total` from decoded to written.
        interrupted: the run was stopped before the source's end.
        error: what ended it, if it failed.
    """

    frames_in: int = 0
    frames_out: int = 0
    damaged: int = 0
    converted: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    frames_with_objects: int = 0
    frames_out_of_view: int = 0
    detections: int = 0
    view: View | None = None
    view_changes: tuple[ViewChange, ...] = ()
    wall_s: float = 0.0
    cpu_s: float = 0.0
    latency_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    interrupted: bool = False
    error: str | None = None

    @property
    def rate(self) -> float:
        """Frames out per second of wall time."""
        return self.frames_out / self.wall_s if self.wall_s else 0.0
