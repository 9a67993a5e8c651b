"""Corner markers lie at the corners of the analysed part, and nowhere else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamer.corners import corner_bars
from streamer.frame import View

SIDES = st.integers(16, 400)


@given(st.integers(0, 90), st.integers(0, 90), SIDES, SIDES, st.integers(120, 2160))
def test_four_angles_inside_the_view(
    half_x: int, half_y: int, width: int, height: int, picture_height_px: int
) -> None:
    view = View(2 * half_x, 2 * half_y, width, height)
    canvas = np.zeros((view.y + height + 4, view.x + width + 4), bool)
    for left, top, right, bottom in corner_bars(view, picture_height_px):
        assert left < right
        assert top < bottom
        assert not any(edge % 2 for edge in (left, top, right, bottom))
        canvas[top:bottom, left:right] = True
    rows, columns = np.nonzero(canvas)

    assert (columns.min(), rows.min()) == (view.x, view.y)
    assert columns.max() + 1 == view.x + width - width % 2
    assert rows.max() + 1 == view.y + height - height % 2
    # The middle of each side stays free.
    assert not canvas[:, view.x + width // 2].any()
    assert not canvas[view.y + height // 2].any()
