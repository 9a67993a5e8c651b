"""The network alone: every engine that can be loaded, in turns, on the same images."""

from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from demos.bench import engine
from streamer.engine import EngineInfo
from streamer.errors import EngineError, StreamError
from streamer.rgb import SquareReader


class Pending:
    """Notes when it is waited for."""

    def __init__(self, owner: "Engine", place: int) -> None:
        self._owner, self._place = owner, place

    def result(self) -> NDArray[np.float32]:
        self._owner.waiting.remove(self._place)
        return np.zeros((32, 32), np.float32)


class Engine:
    """An engine that keeps count of what is under way."""

    def __init__(self, name: str, precision: str, streams: int, order: list[str]) -> None:
        self.info = EngineInfo("tiny", "0" * 64, name, precision, "cpu", 32, streams, 1)
        self.waiting: list[int] = []
        self.most = self.submitted = self.closed = 0
        self.order = order

    def reader(self) -> SquareReader:
        """See `Segmenter.reader`."""
        return SquareReader(self.info.input_size)

    def submit(self, image: NDArray[np.uint8]) -> Pending:
        assert image.shape == (32, 32, 3)
        self.waiting.append(self.submitted)
        self.submitted += 1
        self.most = max(self.most, len(self.waiting))
        self.order.append(f"{self.info.backend} {self.info.streams}")
        return Pending(self, self.submitted - 1)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """Every engine that was loaded; all but two kinds cannot be."""
    made: list[Engine] = []
    order: list[str] = []
    known = {("openvino", "fp32"): 3, ("eager", "fp32"): 1}

    def load(model: str, *, backend: str, precision: str, streams: int = 0) -> Engine:
        if (backend, precision) not in known:
            raise EngineError("made not to load")
        most = known[backend, precision]
        made.append(Engine(backend, precision, min(streams or most, most), order))
        return made[-1]

    monkeypatch.setattr(engine, "load_segmenter", load)
    return made


def measure(
    told: list[str], backend: Literal["auto", "openvino"] = "auto", frames: int = 10
) -> Any:
    return engine.measure(
        "tiny", backend=backend, precision="auto", frames=frames, repeats=2, tell=told.append
    )


def test_every_engine_is_measured_and_closed(engines: list[Engine]) -> None:
    told: list[str] = []

    measured = measure(told)

    (grid,) = measured.grids
    assert set(grid.rows) == {"openvino fp32", "eager fp32"}
    for row in grid.rows.values():
        assert [len(figure.values) for figure in row.values()] == [2] * 7
    assert grid.rows["eager fp32"]["fps / eager fp32"].values == (1, 1)
    assert measured.details["streams"] == {"openvino fp32": 3, "eager fp32": 1}
    assert measured.distributions["openvino fp32"].count == 20
    assert any(line.startswith("left out: openvino bf16 (made not to load") for line in told)
    assert all(one.closed for one in engines)


def test_streams_are_kept_busy_and_not_overfilled(engines: list[Engine]) -> None:
    measure([])

    by_streams = {(one.info.backend, one.info.streams): one for one in engines}
    assert by_streams["openvino", 3].most == 3
    assert by_streams["openvino", 1].most == 1
    assert not any(one.waiting for one in engines)
    # The warm-up, and two repeats.
    assert by_streams["openvino", 3].submitted == engine.WARM_UP_FRAMES + 2 * 10


def test_engines_take_turns(engines: list[Engine]) -> None:
    measure([], frames=1)

    order = engines[0].order[4 * engine.WARM_UP_FRAMES :]
    assert order == ["openvino 1", "openvino 3", "eager 1", "eager 1"] * 2


def test_one_backend_can_be_chosen(engines: list[Engine]) -> None:
    assert set(measure([], "openvino").grids[0].rows) == {"openvino fp32"}


def test_no_engine_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise EngineError("made not to load")

    monkeypatch.setattr(engine, "load_segmenter", load)

    with pytest.raises(StreamError, match="no engine can be loaded"):
        measure([])
