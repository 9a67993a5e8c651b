"""The plain loop: read with OpenCV, run the network, draw, write."""

from collections.abc import Callable

import cv2
import numpy as np
from turn import Bgr, Mask, Run, Task, X264Writer, draw_boundary


def plain_loop(task: Task, segment: Callable[[Bgr], Mask]) -> Run:
    """A run that works on one frame after the other.

    Args:
        segment: from a picture to its mask.
    """

    def run(frames: int, output: str, on_mask: Callable[[Mask], None] | None) -> None:
        capture = cv2.VideoCapture(task.clip)
        width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        writer = X264Writer(output, capture.get(cv2.CAP_PROP_FPS), width, height)
        for _ in range(frames):
            success, read = capture.read()
            if not success:
                break
            picture = np.asarray(read, np.uint8)
            mask = segment(picture)
            if on_mask is not None:
                on_mask(mask)
            draw_boundary(picture, mask)
            writer.write(picture)
        capture.release()
        writer.release()

    return run
