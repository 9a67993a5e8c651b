"""Which masks are shown in a live run, and how they are steadied."""

import threading

import numpy as np
import pytest
from live_rig import (
    FRAME_MS,
    INPUT_SIZE_PX,
    PATIENCE_S,
    SIZE,
    Engine,
    MakePicture,
    MakeRig,
    ReadPlanes,
    assert_conserved,
    until,
)

from streamer.errors import SourceLostError
from streamer.live.engine_watch import Phase
from streamer.live.state import State
from streamer.rgb import RgbReader
from streamer.temporal import Temporal


class TestMasks:
    @pytest.mark.parametrize("seed", range(25))
    def test_none_older_than_the_limit_is_ever_drawn(self, make_rig: MakeRig, seed: int) -> None:
        """Random pace, random time of each answer; whose mask it is is told by its picture."""
        rng = np.random.default_rng(seed)
        turn = threading.Semaphore(0)

        def wait(number: int) -> None:
            if number >= 0:
                assert turn.acquire(timeout=PATIENCE_S)

        rig = make_rig([lambda: Engine(on_result=wait)], engine_timeout_s=1e6).start()
        rig.until_ready()
        for _ in range(40):
            rig.show(1, after_ms=float(rng.choice([5, 20, 40, 60, 119, 120, 121, 200])))
            if rng.random() < 0.5 and rig.engine_phase is Phase.BUSY:
                before = rig.now.mask_age_ms
                turn.release()
                until(lambda before=before: rig.now.mask_age_ms != before)
        for _ in range(100):
            turn.release()
        snapshot = rig.end()

        assert_conserved(snapshot)
        frames = rig.sinks["window"].frames
        engine = rig.engines[0]
        captured_ns = {}
        for composed in frames:
            frame = composed.frame
            image = RgbReader().read(frame.picture, frame.color, INPUT_SIZE_PX, INPUT_SIZE_PX)
            captured_ns[image.tobytes()] = frame.captured_ns
        ages = []
        for composed in frames:
            if composed.segmentation is None:
                assert composed.mask_age_ms is None
                assert composed.objects == []
                continue
            mask = composed.segmentation.probability
            image = next(
                image
                for image, own in zip(engine.images, engine.given, strict=False)
                if own is mask
            )
            age_ms = (composed.frame.captured_ns - captured_ns[image.tobytes()]) / 1e6
            assert composed.mask_age_ms == age_ms
            ages.append(age_ms)
        assert all(0 <= age_ms <= 120 for age_ms in ages)
        assert snapshot.histograms["mask_age"].count == len(ages)

    def test_delays(self, make_rig: MakeRig) -> None:
        rig = make_rig().start()
        rig.until_ready()
        rig.show(10, masks=True)
        snapshot = rig.end()

        # Each picture's mask is first shown on the next picture.
        annotation = snapshot.histograms["annotation_delay"]
        assert (annotation.count, annotation.max_ms) == (9, FRAME_MS)
        assert snapshot.masks_shown == 9
        assert snapshot.ai_dropped == {"unshown": 1}
        assert snapshot.frames_with_objects == 9
        assert snapshot.histograms["convert"].count == snapshot.histograms["segment"].count == 10
        assert snapshot.per_minute[-1]["frames"] == 10

    def test_a_scene_cut_leaves_the_picture_without_a_mask(self, make_rig: MakeRig) -> None:
        rig = make_rig(move=lambda segmentation, then, now: None).start()
        rig.until_ready()
        rig.show(10, masks=True)
        assert rig.now.state is State.DEGRADED
        rig.end()

        assert all(frame.segmentation is None for frame in rig.sinks["window"].frames)

    def test_pixels_outside_the_markers_are_the_sources(
        self, make_rig: MakeRig, read_planes: ReadPlanes, make_picture: MakePicture
    ) -> None:
        rig = make_rig().start()
        rig.until_ready()
        rig.show(4, masks=True)
        rig.end()

        rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
        # The square of the fake network is 32 px wide and 24 px high.
        inside = (abs(columns - 31.5) < 11) & (abs(rows - 23.5) < 7)
        outside = (abs(columns - 31.5) > 21) | (abs(rows - 23.5) > 17)
        for number, composed in enumerate(rig.sinks["window"].frames):
            pristine = read_planes(make_picture(seed=1000 + number))
            assert all(map(np.array_equal, pristine, read_planes(composed.frame.picture)))
            changed = (pristine[0] != read_planes(composed.picture)[0])[..., 0]
            assert changed.any() == (number > 0)
            assert not changed[inside | outside].any()


class TestSteadyMasks:
    """Masks are steadied in the order of the pictures that the network saw."""

    STEADY = Temporal(confirm_ms=2 * FRAME_MS, window_ms=10 * FRAME_MS, hold_ms=5 * FRAME_MS)

    def test_what_lasts_is_confirmed_and_counted_once(self, make_rig: MakeRig) -> None:
        rig = make_rig(temporal=self.STEADY).start()
        rig.until_ready()
        rig.show(5, masks=True)
        rig.show(1)
        rig.end()
        objects = [composed.objects for composed in rig.sinks["window"].frames if composed.objects]

        # A picture shows the mask of one before it.
        assert [each[0].confirmed for each in objects] == [False, False, True, True, True]
        assert {each[0].id for each in objects} == {1}
        assert rig.now.detections == 1
        assert rig.now.frames_with_objects == 3
        assert rig.now.histograms["steady"].count >= 5

    def test_begins_anew_when_the_source_comes_back(self, make_rig: MakeRig) -> None:
        rig = make_rig(temporal=self.STEADY).start()
        rig.until_ready()
        rig.show(4, masks=True)
        rig.send(SourceLostError("unplugged"))
        rig.show(2, masks=True)
        rig.show(1)
        last = rig.last.objects
        rig.end()

        assert [(each.id, each.confirmed) for each in last] == [(2, False)]
