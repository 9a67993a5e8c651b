"""A video and the masks that belong to it, frame by frame, in two files."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from streamer.sinks.base import prepare_path, reporting_errors
from streamer.sources.scene import Pixels


def write_pair(
    frames: Iterable[tuple[Pixels, Pixels]],
    *,
    rate: Fraction,
    encoding: Mapping[str, str],
    video: Path,
    masks: Path,
) -> None:
    """Write pictures as H.264 (BT.709, limited range) and their masks as gray FFV1.

    Args:
        frames: pictures (H, W, 3), RGB, and masks (H, W) of 0 or 255, uint8; H and W are even.
        rate: frames per second.
        encoding: options of x264.
        video, masks: an MP4 and a Matroska file, which keeps times in whole milliseconds.

    Raises:
        OutputError: a file cannot be written.
    """
    tick = 1 / rate
    prepare_path(masks)
    with (
        reporting_errors(prepare_path(video)),
        av.open(str(video), "w", options={"movflags": "+faststart"}) as pictures_out,
        # Else Matroska would write a random identifier.
        av.open(str(masks), "w", options={"fflags": "+bitexact"}) as masks_out,
    ):
        pictures = pictures_out.add_stream("libx264", rate=rate)
        pictures.options = dict(encoding)
        pictures.pix_fmt = "yuv420p"
        pictures.codec_context.colorspace = Colorspace.ITU709
        pictures.codec_context.color_range = ColorRange.MPEG
        pictures.codec_context.color_primaries = ColorPrimaries.BT709
        pictures.codec_context.color_trc = ColorTrc.BT709
        labels = masks_out.add_stream("ffv1", rate=rate)
        labels.pix_fmt = "gray"
        for index, (image, mask) in enumerate(frames):
            if index == 0:
                for stream in (pictures, labels):
                    stream.height, stream.width = mask.shape
                    stream.codec_context.time_base = tick
            picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
            )
            label = av.VideoFrame.from_ndarray(mask, format="gray")
            for frame in (picture, label):
                frame.pts, frame.time_base = index, tick
            pictures_out.mux(pictures.encode(picture))
            masks_out.mux(labels.encode(label))
        pictures_out.mux(pictures.encode())
        masks_out.mux(labels.encode())
