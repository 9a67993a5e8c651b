"""The moving-camera scene, and the sample video that was made with it."""

from itertools import groupby, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from streamer.sources.scene import Scene, Still, without_polyp

SAMPLES = Path(__file__).parents[1] / "demos" / "samples"
GROUND = (150, 60, 60)
POLYP = (110, 200, 60)
RATE = 10


def disc_still(x: int = 150, y: int = 110, radius: int = 34, name: str = "disc") -> Still:
    """A disc on plain ground, in colours of which the green channel is the mask."""
    rows, columns = np.mgrid[:200, :260]
    disc = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    image = np.where(disc[..., None], POLYP, GROUND).astype(np.uint8)
    return Still(image, np.where(disc, 255, 0).astype(np.uint8), name)


def plain_still(colour: tuple[int, int, int]) -> Still:
    return Still(np.full((200, 260, 3), colour, np.uint8), np.zeros((200, 260), np.uint8), "plain")


def small_scene(seed: int = 0, optics: bool = True) -> Scene:
    stills = [disc_still(), disc_still(90, 80, 40), disc_still(180, 90, 25)]
    return Scene(
        stills,
        width=320,
        height=180,
        rate=RATE,
        seed=seed,
        shot_s=2.0,
        polyp_free_s=4.0,
        optics=optics,
    )


def test_frame_has_stated_shape_and_type() -> None:
    image, mask = small_scene().render(7)
    assert image.shape == (180, 320, 3)
    assert mask.shape == (180, 320)
    assert image.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 255}


def test_frame_depends_on_seed_and_index_only() -> None:
    indices = [0, 3, 19, 20, 21, 55, 99, 250]
    forwards, backwards = small_scene(), small_scene()
    expected = {index: forwards.render(index) for index in indices}
    for index in reversed(indices):
        image, mask = backwards.render(index)
        np.testing.assert_array_equal(image, expected[index][0])
        np.testing.assert_array_equal(mask, expected[index][1])


def test_seeds_differ() -> None:
    assert (small_scene(1).render(5)[1] != small_scene(2).render(5)[1]).any()


def test_camera_moves_in_small_steps() -> None:
    scene = small_scene(optics=False)
    images = [scene.render(index)[0].astype(int) for index in range(5, 12)]
    changes = [np.abs(b - a).mean() for a, b in pairwise(images)]
    assert min(changes) > 0
    assert max(changes) < 10


@pytest.mark.parametrize("seed", range(3))
def test_mask_is_exact_in_cross_fades_too(seed: int) -> None:
    scene = small_scene(seed, optics=False)
    threshold = (GROUND[1] + POLYP[1]) / 2
    compared = 0
    for index in range(100):
        image, mask = scene.render(index)
        seen = image[..., 1] > threshold
        union = np.count_nonzero(seen | (mask > 0))
        # In the very middle of a cross-fade both shots have the same share of the picture.
        undecided = np.count_nonzero(np.abs(image[scene.view > 0, 1] - threshold) < 20)
        if union > 300 and undecided < 0.25 * union:
            assert np.count_nonzero(seen & (mask > 0)) >= 0.97 * union
            compared += 1
    assert compared > 30


def test_nothing_outside_the_view() -> None:
    scene = small_scene()
    outside = scene.view == 0
    assert 0.4 < outside.mean() < 0.6
    for index in range(0, 100, 9):
        image, mask = scene.render(index)
        assert not image[outside].any()
        assert not mask[outside].any()


def test_each_cycle_has_a_polyp_free_stretch_between_polyps() -> None:
    scene = small_scene(optics=False)
    present = [bool(scene.render(index)[1].any()) for index in range(100)]
    runs = [(polyp, len(list(run))) for polyp, run in groupby(present)]
    assert max(length for polyp, length in runs if not polyp) >= 4 * RATE
    assert sum(present) > 30


def test_stills_with_empty_mask_make_the_stretch() -> None:
    blue = (60, 60, 200)
    scene = Scene(
        [disc_still(), plain_still(blue), disc_still()],
        width=320,
        height=180,
        rate=RATE,
        shot_s=2.0,
        polyp_free_s=4.0,
        optics=False,
    )
    image, mask = scene.render(40)
    assert not mask.any()
    assert (image[scene.view > 0] == blue).all()


def test_black_corners_of_a_still_stay_out_of_view() -> None:
    still = disc_still()
    rows, columns = np.mgrid[:200, :260]
    black = (columns + rows < 60) | (259 - columns + rows < 60)
    image = np.where(black[..., None], 0, still.image).astype(np.uint8)
    scene = Scene(
        [Still(image, still.mask, "cut")],
        width=320,
        height=180,
        rate=RATE,
        polyp_free_s=0,
        optics=False,
    )
    for index in range(0, 200, 7):
        inside = scene.render(index)[0][scene.view > 0]
        assert (inside.max(axis=1) < 60).mean() < 0.005


def test_without_polyp_keeps_the_widest_free_side() -> None:
    part = without_polyp(disc_still(x=200, radius=30))
    assert part.mask.shape == (200, 170)
    assert not part.mask.any()


def test_unusable_stills_are_refused() -> None:
    with pytest.raises(ValueError, match="image must be"):
        Still(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8), "gray")
    with pytest.raises(ValueError, match="needs stills"):
        Scene([])


def test_bundled_video_and_masks_belong_together() -> None:
    video, masks = SAMPLES / "colonoscopy.mp4", SAMPLES / "colonoscopy_masks.mkv"
    assert video.stat().st_size <= 8e6
    assert masks.stat().st_size <= 8e6
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (1280, 720)
        assert stream.average_rate == 30
        picture = next(container.decode(stream))
        assert picture.format.name == "yuv420p"
        assert picture.colorspace == Colorspace.ITU709
        assert picture.color_range == ColorRange.MPEG
        container.seek(0)
        times_s = sorted(
            float(packet.pts * packet.time_base)
            for packet in container.demux(stream)
            if packet.pts is not None
        )
    with av.open(str(masks)) as container:
        frames = [(frame.time, frame.to_ndarray()) for frame in container.decode(video=0)]
    assert len(times_s) == len(frames) == 720
    # Matroska keeps milliseconds.
    np.testing.assert_allclose([time_s for time_s, _ in frames], times_s, atol=0.0006)
    histograms = [np.bincount(mask.ravel(), minlength=256) for _, mask in frames]
    assert not np.any(histograms, axis=0)[1:255].any()
    empty = [histogram[255] == 0 for histogram in histograms]
    assert any(empty)
    assert not all(empty)
