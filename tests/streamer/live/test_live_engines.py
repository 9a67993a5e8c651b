"""Engines of a live run: loaded, watched, given up and replaced."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from live_rig import (
    FRAME_MS,
    INPUT_SIZE_PX,
    SIZE,
    Engine,
    MakePicture,
    MakeRig,
    Probability,
    assert_conserved,
    hang_at,
    until,
)

from streamer.confidence import Calibration, Scaling
from streamer.errors import EngineError
from streamer.field_of_view import FieldOfView
from streamer.frame import View
from streamer.live.engine_watch import Phase
from streamer.live.state import State
from streamer.rgb import RgbReader


class TestEngines:
    """One thread owns a segmenter, and one that was given up no longer counts."""

    def test_each_is_touched_by_one_thread_and_closed(self, make_rig: MakeRig) -> None:
        def fail_at_5(number: int) -> None:
            if number == 5:
                raise EngineError("it broke")

        rig = make_rig([lambda: Engine(on_result=fail_at_5), Engine]).start()
        rig.until_ready()
        rig.show(5, masks=True)
        rig.show()
        until(lambda: rig.engine_phase is Phase.DOWN)
        rig.show(30)
        rig.until_ready()
        rig.show(5, masks=True)
        snapshot = rig.end()

        names = [{"live-engine-1"}, {"live-engine-2"}]
        assert [engine.threads for engine in rig.engines] == names
        assert [engine.closed for engine in rig.engines] == [1, 1]
        assert snapshot.engine_restarts == 1
        assert snapshot.ai_dropped["failed"] == 1
        assert [change.state for change in snapshot.changes] == [
            *(State.WARMING, State.RUNNING, State.DEGRADED, State.RUNNING, State.STOPPED)
        ]
        assert snapshot.changes[2].reason == "engine: it broke"

    @pytest.mark.parametrize(
        "answer",
        [
            np.full((INPUT_SIZE_PX, INPUT_SIZE_PX), np.nan, np.float32),
            np.full((INPUT_SIZE_PX, INPUT_SIZE_PX), 7.5, np.float32),
            np.full((INPUT_SIZE_PX, INPUT_SIZE_PX), -1, np.float32),
            np.zeros((INPUT_SIZE_PX, INPUT_SIZE_PX, 1), np.float32),
            np.zeros((0, 0), np.float32),
        ],
    )
    @pytest.mark.parametrize("number", [-1, 3])
    def test_an_answer_that_is_no_map_of_probabilities_is_a_failure(
        self, make_rig: MakeRig, answer: Probability, number: int
    ) -> None:
        """Not a picture without a polyp, and nothing that the picture stops for."""

        class BrokenEngine(Engine):
            def result(self) -> Probability:
                sound = super().result()
                return answer if len(self.images) - 2 == number else sound

        rig = make_rig([BrokenEngine, Engine]).start()
        rig.show_until(lambda: "no map of probabilities" in rig.now.reason)
        assert rig.now.state is State.DEGRADED
        rig.show_until(lambda: len(rig.engines) == 2)
        rig.until_ready()
        rig.show(5, masks=True)
        assert rig.now.state is State.RUNNING
        snapshot = rig.end()

        assert snapshot.engine_restarts == 1
        assert all(
            composed.segmentation is None or composed.segmentation.probability is not answer
            for composed in rig.sinks["window"].frames
        )
        assert_conserved(snapshot)

    def test_a_late_answer_of_one_that_was_given_up_is_never_shown(self, make_rig: MakeRig) -> None:
        gate = threading.Event()
        rig = make_rig([hang_at(0, gate), Engine]).start()
        rig.until_ready()
        rig.show(30)
        until(lambda: rig.engine_phase is Phase.DOWN)
        gate.set()
        until(lambda: rig.engines[0].closed == 1)
        rig.show(20)
        rig.until_ready()
        rig.show(5, masks=True)
        snapshot = rig.end()

        assert_conserved(snapshot)
        hung, sound = rig.engines
        assert len(hung.given) == 2
        shown = [
            frame.segmentation.probability
            for frame in rig.sinks["window"].frames
            if frame.segmentation is not None
        ]
        assert shown
        assert all(any(mask is own for own in sound.given) for mask in shown)

    def test_the_first_answer_comes_before_the_first_picture(self, make_rig: MakeRig) -> None:
        rig = make_rig().start()
        rig.until_ready()

        assert len(rig.engines[0].given) == 1
        assert rig.engines[0].images[0].shape == (INPUT_SIZE_PX, INPUT_SIZE_PX, 3)
        rig.end()

    def test_the_newest_picture_wins_and_the_others_are_counted(
        self, make_rig: MakeRig, make_picture: MakePicture
    ) -> None:
        gate = threading.Event()
        rig = make_rig([hang_at(0, gate)]).start()
        rig.until_ready()
        rig.show()
        until(lambda: rig.engine_phase is Phase.BUSY)
        until(lambda: len(rig.engines[0].images) == 2)
        rig.show(4, after_ms=20)
        gate.set()
        until(lambda: len(rig.engines[0].given) == 3)
        rig.show(1, after_ms=20, masks=True)
        snapshot = rig.end()

        assert snapshot.ai_dropped["newer"] == 3
        frames = rig.sinks["window"].frames
        images = rig.engines[0].images
        # Warm-up, the first picture, the newest one of those that came meanwhile, the last one.
        assert len(images) == 4
        for image, number in zip(images[1:], (0, 4, 5), strict=True):
            frame = frames[number].frame
            expected = RgbReader().read(frame.picture, frame.color, INPUT_SIZE_PX, INPUT_SIZE_PX)
            assert np.array_equal(image, expected)
        assert_conserved(snapshot)

    def test_only_the_view_is_analysed(self, make_rig: MakeRig) -> None:
        rig = make_rig(view=View(9, 5, 31, 30)).start()
        rig.until_ready()
        rig.show(3, masks=True)
        rig.end()

        last = rig.last
        assert last.segmentation is not None
        # Odd edges move outwards where chroma samples span two px.
        assert last.segmentation.view == View(8, 4, 32, 31)

    def test_the_view_is_found_while_the_picture_passes(
        self, make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        corners = np.array([(8, 4), (40, 4), (40, 36), (8, 36)]) - 0.5
        found = FieldOfView(corners, *SIZE)
        monkeypatch.setattr("streamer.view_finder.Stretch.view", lambda stretch: found)
        rig = make_rig(view="auto").start()
        rig.until_ready()
        assert rig.now.view == View(0, 0, *SIZE)
        part = View(8, 4, 32, 32)
        rig.show_until(lambda: rig.now.view == part, after_ms=100)
        rig.show(3, masks=True)
        snapshot = rig.end()

        assert rig.last.view == part
        assert rig.last.segmentation is not None
        assert rig.last.segmentation.view == part
        assert (snapshot.view, snapshot.view_change_count) == (part, 1)
        assert [change.view for change in snapshot.view_changes] == [part]
        assert_conserved(snapshot)

    def test_confidence_is_by_the_engines_calibration(self, make_rig: MakeRig) -> None:
        calibration = Calibration(Scaling(0.2), Scaling(2.0, -3.0))

        def load() -> Engine:
            engine = Engine()
            engine.info = replace(engine.info, calibration=calibration)
            return engine

        rig = make_rig([load]).start()
        rig.until_ready()
        rig.show(3, masks=True)
        rig.end()

        (found,) = rig.last.objects
        assert found.confidence == pytest.approx(calibration.object(0.9), abs=1e-3)

    def test_flat_pictures_are_not_fed_to_the_network(
        self, make_rig: MakeRig, make_picture: MakePicture
    ) -> None:
        rig = make_rig().start()
        rig.until_ready()
        rig.show(4, masks=True)
        count = len(rig.engines[0].images)
        rig.show(30, what=make_picture(codes=(16, 128, 128)))
        assert rig.now.state is State.NO_SIGNAL
        assert len(rig.engines[0].images) == count
        assert rig.last.state == "NO_SIGNAL"
        assert all(frame.segmentation is None for frame in rig.sinks["window"].frames[-30:])
        rig.show(5, masks=True)
        assert rig.now.state is State.RUNNING
        snapshot = rig.end()

        assert snapshot.ai_dropped["flat"] == 30
        assert_conserved(snapshot)

    def test_a_frozen_picture_is_said_to_be_one(
        self, make_rig: MakeRig, make_picture: MakePicture
    ) -> None:
        rig = make_rig().start()
        rig.until_ready()
        rig.show(4, masks=True)
        rig.show(30, what=make_picture(seed=5), masks=True)

        assert rig.now.state is State.FROZEN
        last = rig.last
        assert (last.state, last.mask_age_ms) == ("FROZEN", FRAME_MS)
        rig.show(1, masks=True)
        assert rig.now.state is State.RUNNING
        rig.end()
