"""Decoding on an NVIDIA GPU, by FFmpeg's NVDEC, with pictures that stay there."""

import av
from av.codec.hwaccel import HWAccel

from streamer.errors import SourceError
from streamer.planes import GPU_LAYOUT, is_on_gpu

#: Packets in a row that NVDEC may refuse before the first picture: what it cannot decode (other
#: chroma, too large, no memory left) it refuses packet by packet, to the file's end.
MOST_REFUSED = 10


def nvdec() -> HWAccel:
    """For `av.open`, at once and by the same thread: decode in PyTorch's CUDA context."""
    from streamer.gpu.surface import enter_context

    enter_context()
    # By default PyAV would fall back to the CPU without a word, and ask for the primary context.
    options: dict[str, object] = {"primary_ctx": "0", "current_ctx": "1"}
    return HWAccel("cuda", allow_software_fallback=False, is_hw_owned=True, options=options)


def check_on_gpu(picture: av.VideoFrame, name: str) -> None:
    """That a decoded picture is on the GPU, and of a layout and a size that can be read there.

    Raises:
        SourceError: it is not.
    """
    layout = picture.sw_format.name if picture.sw_format else picture.format.name
    if not is_on_gpu(picture) or layout != GPU_LAYOUT:
        raise SourceError(f"{name}: NVDEC gives {layout} pictures of it, not {GPU_LAYOUT}")
    if picture.width % 2 or picture.height % 2:
        raise SourceError(
            f"{name}: NVDEC's pictures of {picture.width}x{picture.height} px cannot be taken; "
            "their sides have to be even"
        )


def adopt(picture: av.VideoFrame) -> av.VideoFrame:
    """See `streamer.gpu.surface.adopt`; loads torch only now."""
    from streamer.gpu import surface

    return surface.adopt(picture)
