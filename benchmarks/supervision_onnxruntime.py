"""`supervision.process_video` as its documentation shows it, with a network on ONNX Runtime.

It reads, calls and writes in three threads. By itself it writes MPEG-4 Part 2; for H.264 its
writer is replaced by the one that the other programs have.
"""

import numpy as np
import onnxruntime
import supervision as sv
from turn import (
    GREEN_BGR,
    Bgr,
    Mask,
    OnMask,
    Preparation,
    Run,
    Task,
    X264Writer,
    line_width_px,
    mask_of,
    take_turn,
)


class H264Sink(sv.VideoSink):
    """A `VideoSink` that encodes with x264."""

    def __enter__(self) -> "H264Sink":
        info = self.video_info
        self._writer = X264Writer(self.target_path, info.fps, info.width, info.height)
        return self

    def write_frame(self, frame: Bgr) -> None:
        self._writer.write(frame)

    def __exit__(self, *_: object) -> None:
        self._writer.release()


def detections_of(mask: Mask) -> sv.Detections:
    """The whole mask as one detection, or none."""
    if not mask.any():
        return sv.Detections.empty()
    masks = mask[None].astype(bool)
    return sv.Detections(xyxy=sv.mask_to_xyxy(masks), mask=masks, class_id=np.zeros(1, int))


def prepare(task: Task) -> Run:
    """Load the network."""
    session = onnxruntime.InferenceSession(task.onnx, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    preparation = Preparation.of(task.model)
    if task.encoder == "x264":
        sv.utils.video.VideoSink = H264Sink

    def run(frames: int, output: str, on_mask: OnMask | None) -> None:
        height = sv.VideoInfo.from_video_path(task.clip).height
        color = sv.Color(r=GREEN_BGR[2], g=GREEN_BGR[1], b=GREEN_BGR[0])
        thickness = line_width_px(height)
        annotator = sv.PolygonAnnotator(color=color, thickness=thickness)

        def callback(picture: Bgr, index: int) -> Bgr:
            mask = mask_of(session.run(None, {name: preparation.input_of(picture)})[0], picture)
            if on_mask is not None:
                on_mask(mask)
            drawn = annotator.annotate(scene=picture.copy(), detections=detections_of(mask))
            return np.asarray(drawn, np.uint8)

        sv.process_video(
            source_path=task.clip, target_path=output, callback=callback, max_frames=frames
        )

    return run


if __name__ == "__main__":
    take_turn(prepare, ("supervision", "onnxruntime", "opencv-python-headless", "av"))
