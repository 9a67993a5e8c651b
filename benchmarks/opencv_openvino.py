"""The plain loop with a compiled network: OpenCV reads and draws, OpenVINO runs the ONNX file."""

import sys
from typing import Any, cast

# The mere import of OpenVINO reports its use to an analytics service; nothing may leave here.
sys.modules.setdefault("openvino_telemetry", cast(Any, None))

import openvino as ov  # noqa: E402
from opencv_loop import plain_loop  # noqa: E402
from turn import Bgr, Mask, Preparation, Run, Task, mask_of, take_turn  # noqa: E402


def prepare(task: Task) -> Run:
    """Load the network."""
    compiled = ov.compile_model(task.onnx, "CPU")
    preparation = Preparation.of(task.model)

    def segment(picture: Bgr) -> Mask:
        return mask_of(compiled(preparation.input_of(picture))[0], picture)

    return plain_loop(task, segment)


if __name__ == "__main__":
    take_turn(prepare, ("openvino", "opencv-python-headless", "av"))
