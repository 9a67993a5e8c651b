"""PyAV decodes in threads of its own and encodes, ONNX Runtime runs the network, OpenCV draws."""

import av
import numpy as np
import onnxruntime
from turn import OnMask, Preparation, Run, Task, X264Writer, draw_boundary, mask_of, take_turn


def prepare(task: Task) -> Run:
    """Load the network."""
    session = onnxruntime.InferenceSession(task.onnx, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    preparation = Preparation.of(task.model)

    def run(frames: int, output: str, on_mask: OnMask | None) -> None:
        with av.open(task.clip) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            assert stream.average_rate is not None
            rate = float(stream.average_rate)
            writer = X264Writer(output, rate, stream.width, stream.height)
            for _, frame in zip(range(frames), container.decode(stream), strict=False):
                picture = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
                mask = mask_of(session.run(None, {name: preparation.input_of(picture)})[0], picture)
                if on_mask is not None:
                    on_mask(mask)
                draw_boundary(picture, mask)
                writer.write(picture)
            writer.release()

    return run


if __name__ == "__main__":
    take_turn(prepare, ("onnxruntime", "opencv-python-headless", "av"))
