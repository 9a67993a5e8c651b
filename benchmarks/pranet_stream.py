"""pranet-stream's file mode, as `pranet-stream --source … --output …` runs it but for the badge."""

import cv2
from turn import Mask, OnMask, Run, Task, take_turn

from streamer import Pipeline, Style, VideoSink, load_segmenter, open_source
from streamer.audio import AudioPacket
from streamer.objects import full_size_mask
from streamer.sinks import Composed, Sink
from streamer.temporal import find_preset


class _MaskSink:
    """Hands out the masks that are drawn."""

    def __init__(self, on_mask: OnMask) -> None:
        self._on_mask = on_mask

    def write(self, composed: Composed) -> None:
        picture = composed.frame.picture
        mask: Mask = full_size_mask(composed.segmentation, picture.width, picture.height)
        self._on_mask(mask // 255)

    def write_audio(self, packet: AudioPacket) -> None:
        pass

    def close(self) -> None:
        pass


def prepare(task: Task) -> Run:
    """Load the network."""
    # As the command does: the stages run side by side already.
    cv2.setNumThreads(1)
    segmenter = load_segmenter(task.model, precision=task.precision)
    temporal = find_preset(task.temporal)

    def run(frames: int, output: str, on_mask: OnMask | None) -> None:
        source = open_source(task.clip)
        sinks: list[Sink] = [VideoSink(output, source.info)]
        if on_mask is not None:
            sinks.append(_MaskSink(on_mask))
        style = Style(badge=False)
        Pipeline(source, segmenter, sinks, style=style, temporal=temporal, max_frames=frames).run()
        source.close()

    return run


if __name__ == "__main__":
    take_turn(prepare, ("openvino", "opencv-python", "av"))
