"""Which encoder a recording gets, told to the user."""

from streamer.cli.console import console
from streamer.cli.options import Options
from streamer.sinks.encoder import EncoderChoice, choose_encoder
from streamer.sources import SourceInfo


def find_encoder(
    options: Options,
    output: str,
    info: SourceInfo,
    *,
    on_gpu: bool,
    quality: int,
    exact: bool = False,
) -> EncoderChoice:
    """The encoder of one recording.

    Args:
        output: the option that asks for the recording.
        on_gpu: whether `--encoder auto` may take NVENC.
        quality, exact: see `choose_encoder`.

    Raises:
        OutputError: `--encoder gpu`, and NVENC cannot be had.
    """
    choice = choose_encoder(
        options.encoder, info, quality=quality, exact=exact, network_on_gpu=on_gpu
    )
    console.print(f"encoder {output} by {choice}")
    return choice
