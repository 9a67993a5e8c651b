"""The 8-bit form that comes with the bundled network: it is of these weights, and near to them."""

from contextlib import closing
from pathlib import Path

from calibration.frames import choose_diverse, read_pictures
from pranet.checkpoint import DEFAULT_MODEL, read_info
from streamer.engine import load_segmenter
from streamer.engine.parity import compare
from streamer.engine.quantised import find_quantised

SAMPLE = Path(__file__).parents[2] / "demos" / "samples" / "colonoscopy.mp4"


def test_it_is_of_the_bundled_weights_and_lost_no_more_than_is_accepted() -> None:
    checkpoint = read_info(DEFAULT_MODEL)
    found = find_quantised(checkpoint)
    assert found is not None
    assert found.xml.parent == checkpoint.path.parent
    assert found.facts["loss"] <= 0.3
    assert found.facts["layers_kept"] == []


def test_its_masks_are_nearly_those_of_the_float_network(engine_cache: Path) -> None:
    pictures = read_pictures(SAMPLE, 352)
    chosen = [pictures[place] for place in choose_diverse(pictures, 8)]
    with (
        closing(load_segmenter(precision="int8", streams=1)) as eight_bits,
        closing(load_segmenter(precision="fp32", streams=1)) as exact,
    ):
        parity = compare(
            chosen,
            lambda frame: eight_bits.submit(frame).result(),
            lambda frame: exact.submit(frame).result(),
        )
    assert parity.mask_px > 5000
    # With weights of all 8 bits it is 0.88 on a CPU without VNNI, whose sums overflow.
    assert parity.dice > 0.98
