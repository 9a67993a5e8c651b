"""What encodes a recording, and why."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from streamer.errors import OutputError
from streamer.sinks.nvenc import LAYOUTS, why_no_nvenc
from streamer.sources.base import SourceInfo

#: Where H.264 is encoded.
Encoder = Literal["auto", "cpu", "gpu"]


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """An encoder, and what speaks for it; both are told to the user.

    Attributes:
        name: of the encoder.
        reason: why it is taken.
        replaceable: whether x264 may take its place, should it fail at the first picture.
    """

    name: Literal["NVENC", "x264", "FFV1"]
    reason: str
    replaceable: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


#: What needs no GPU.
X264 = EncoderChoice("x264", "asked for")


def choose_encoder(
    asked: Encoder,
    info: SourceInfo,
    *,
    quality: int = 20,
    exact: bool = False,
    network_on_gpu: bool = True,
    probe: Callable[[int, int, str], str | None] = why_no_nvenc,
) -> EncoderChoice:
    """NVENC for H.264 where the network is on the GPU and NVENC takes the pictures, else the CPU.

    Args:
        asked: ``gpu`` insists on NVENC wherever the network is; ``cpu`` leaves it alone.
        info: of the source whose pictures are recorded.
        quality: see `VideoSink`; NVENC has no counterpart of 0.
        exact: the recording is FFV1.
        network_on_gpu: else a picture would cross to the GPU for the encoder alone.
        probe: tries NVENC with a picture of a width and height in px and a layout; what stood in
            the way, or None.

    Raises:
        OutputError: NVENC is insisted on and cannot be had.
    """
    if exact:
        return EncoderChoice("FFV1", "an exact recording")
    if asked == "cpu":
        return X264
    if asked == "auto" and not network_on_gpu:
        return EncoderChoice("x264", "the network is on the CPU")
    hindrance = _hindrance(info, quality) or probe(info.width, info.height, info.pixel_format)
    if hindrance is None:
        reason = "the GPU has it" if asked == "auto" else "asked for"
        return EncoderChoice("NVENC", reason, replaceable=asked == "auto")
    if asked == "gpu":
        raise OutputError(f"--encoder gpu: {hindrance}")
    return EncoderChoice("x264", hindrance)


def _hindrance(info: SourceInfo, quality: int) -> str | None:
    """What keeps NVENC from a recording wherever it is made."""
    if quality == 0:
        return "quality 0 is lossless, which NVENC is not"
    if info.pixel_format not in LAYOUTS:
        return f"the pictures are {info.pixel_format}, and NVENC takes {' and '.join(LAYOUTS)}"
    if info.width % 2 or info.height % 2:
        return f"the pictures are {info.width}x{info.height}, and NVENC takes even sizes"
    return None
