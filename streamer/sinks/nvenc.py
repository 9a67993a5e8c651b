"""H.264 by NVENC, the encoder of an NVIDIA GPU: what it is asked for, and whether it works."""

from fractions import Fraction
from functools import lru_cache

import av
from av.video.codeccontext import VideoCodecContext

from streamer.engine.choice import has_gpu
from streamer.errors import reason_of

CODEC = "h264_nvenc"
#: What it is given as it is, 8 bits; the first is also that of pictures on the GPU.
LAYOUTS = ("nv12", "yuv420p")

#: Side of the picture that is tried; NVENC takes none below about 145x49 px.
_TRIED_PX = 256


def nvenc_options(quality: int) -> dict[str, str]:
    """NVENC's counterpart of how x264 is used here.

    Args:
        quality: quantiser of all pictures, 1 (finest) … 51; x264's factor means one much like it.
    """
    return {
        "preset": "p4",
        # Low latency: a picture is out before many more have come, which a crash would cost.
        "tune": "ll",
        "rc": "constqp",
        "qp": str(quality),
        "bf": "0",
        # Where a key frame is asked for, a decoder can begin: else it would be a mere I-frame.
        "forced-idr": "1",
    }


@lru_cache(maxsize=16)
def why_no_nvenc(
    width_px: int = _TRIED_PX, height_px: int = _TRIED_PX, layout: str = "nv12"
) -> str | None:
    """Encode one picture of this size with NVENC; what stood in the way, or None.

    A driver's library proves little: a GPU may have no such engine, or all its sessions are taken.
    The answer is kept for the life of the process.
    """
    if not has_gpu():
        return "there is no NVIDIA GPU here"
    try:
        context = av.CodecContext.create(CODEC, "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt = width_px, height_px, layout
        context.time_base = Fraction(1, 25)
        context.options = nvenc_options(quality=20)
        picture = av.VideoFrame(width_px, height_px, layout)
        picture.pts = 0
        packets = [*context.encode(picture), *context.encode(None)]
    except av.codec.codec.UnknownCodecError:
        return "this FFmpeg has no NVENC"
    except (av.FFmpegError, ValueError) as error:
        return f"NVENC cannot be used ({reason_of(error)})"
    return None if packets else "NVENC gave nothing for a picture"
