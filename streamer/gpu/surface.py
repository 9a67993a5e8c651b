"""Pictures whose memory is the GPU's: taken over from the decoder, read in place, brought back.

They are PyAV's own frames of the format ``cuda``, so they travel like all others. Their planes are
those of NV12.
"""

from functools import lru_cache

import av
import torch
from av.video.frame import CudaContext
from torch.utils.dlpack import from_dlpack

from streamer.gpu.device import CudaStream
from streamer.gpu.picture import YuvPicture
from streamer.planes import GPU_LAYOUT, planes

#: Rows of a picture begin at multiples of so many bytes, as FFmpeg's own do on a GPU.
_ALIGNED_BYTES = 256


def as_tensors(picture: av.VideoFrame) -> YuvPicture:
    """The planes of a picture in place; it has to live as long as they are used.

    Also for NV12 pictures of the host. What was put on CUDA's default stream before comes first
    only for work on that stream.
    """
    # PyAV refuses the stream that torch.from_dlpack always names; the capsule alone is taken.
    luma, chroma = (from_dlpack(plane.__dlpack__()) for plane in picture.planes)
    return YuvPicture.of_nv12(luma, chroma)


def adopt(picture: av.VideoFrame, place: torch.device | None = None) -> av.VideoFrame:
    """The same picture in memory of its own, on the device that it is on or on another one.

    A decoder has few surfaces, and stops when all of them are held; it may also predict later
    pictures from this one. The copy is made on CUDA's default stream, where FFmpeg decodes.

    Args:
        picture: in NV12, with even sides.
        place: where the copy is to be; None for where the picture is.
    """
    luma, chroma = (from_dlpack(plane.__dlpack__()) for plane in picture.planes)
    rows, width = luma.shape
    # One piece of memory with the chroma right below the luma: NVENC is only told where it begins.
    pitch = -(-width // _ALIGNED_BYTES) * _ALIGNED_BYTES
    shape = (rows + chroma.shape[0], pitch)
    memory = torch.empty(shape, dtype=torch.uint8, device=place or luma.device)[:, :width]
    own = (memory[:rows], memory[rows:].view(chroma.shape))
    for target, plane in zip(own, (luma, chroma), strict=True):
        target.copy_(plane)
    made = av.VideoFrame.from_dlpack(own, format=GPU_LAYOUT, cuda_context=_context(memory.device))
    return _tagged(made, picture)


@lru_cache(maxsize=8)
def _context(place: torch.device) -> CudaContext | None:
    """What FFmpeg knows a GPU's own pictures by; None on the CPU.

    One for all of them: without it PyAV makes one per picture, for which FFmpeg loads the driver's
    library anew. It takes the CUDA context that is current when it is first used; see
    `enter_context`. The copy that goes ahead has put the thread in torch's.
    """
    if place.type != "cuda":
        return None
    return CudaContext(place.index, primary_ctx=False, current_ctx=True)


def enter_context() -> None:
    """Put the calling thread in torch's CUDA context, for FFmpeg to share; nothing without a GPU.

    FFmpeg shares the context that is current. Asked for the primary one, which is the same, it says
    "Operation not supported" where torch was there first: torch makes it with other flags.
    """
    if torch.cuda.is_available():
        torch.zeros(1, device="cuda")


def settle() -> None:
    """Wait for all that is on CUDA's default stream, where pictures are decoded and drawn upon.

    For whoever reads a picture without torch, such as NVENC: no stream of its own would wait.
    """
    CudaStream(torch.cuda.default_stream()).record().wait()


def download(picture: av.VideoFrame) -> av.VideoFrame:
    """The picture in memory of the host, in NV12; waits for the default stream."""
    here = av.VideoFrame(picture.width, picture.height, GPU_LAYOUT)
    stored = (from_dlpack(plane.__dlpack__()) for plane in picture.planes)
    for target, plane in zip(planes(here), stored, strict=True):
        torch.from_numpy(target.pixels).copy_(plane.reshape(target.pixels.shape))
    return _tagged(here, picture)


def _tagged(made: av.VideoFrame, like: av.VideoFrame) -> av.VideoFrame:
    """The picture with time and colour tags of another one."""
    made.pts = like.pts
    if like.time_base is not None:
        made.time_base = like.time_base
    made.colorspace, made.color_range = like.colorspace, like.color_range
    made.color_primaries, made.color_trc = like.color_primaries, like.color_trc
    return made
