"""Pictures whose memory is the GPU's: taken over from the decoder, read in place, brought back.

They are PyAV's own frames of the format ``cuda``, so they travel like all others. Their planes are
those of NV12.
"""

import av
import torch
from torch.utils.dlpack import from_dlpack

from streamer.gpu.picture import YuvPicture
from streamer.planes import planes

#: FFmpeg's name of such pictures' format.
ON_GPU = "cuda"
#: The layout of their planes.
LAYOUT = "nv12"


def is_on_gpu(picture: av.VideoFrame) -> bool:
    """Whether the picture's memory is a GPU's."""
    return picture.format.name == ON_GPU


def as_tensors(picture: av.VideoFrame) -> YuvPicture:
    """The planes of a picture in place; it has to live as long as they are used.

    Also for NV12 pictures of the host. What was put on CUDA's default stream before comes first
    only for work on that stream.
    """
    # PyAV refuses the stream that torch.from_dlpack always names; the capsule alone is taken.
    luma, chroma = (from_dlpack(plane.__dlpack__()) for plane in picture.planes)
    return YuvPicture.of_nv12(luma, chroma)


def adopt(picture: av.VideoFrame) -> av.VideoFrame:
    """The same picture in memory of its own, on the device that it is on.

    A decoder has few surfaces, and stops when all of them are held; it may also predict later
    pictures from this one. The copy is made on CUDA's default stream, where FFmpeg decodes.
    """
    stored = [from_dlpack(plane.__dlpack__()).clone() for plane in picture.planes]
    own = av.VideoFrame.from_dlpack(tuple(stored), format=LAYOUT, primary_ctx=True)
    return _tagged(own, picture)


def download(picture: av.VideoFrame) -> av.VideoFrame:
    """The picture in memory of the host, in NV12; waits for the default stream."""
    here = av.VideoFrame(picture.width, picture.height, LAYOUT)
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
