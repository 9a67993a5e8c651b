"""Where the network runs, and which encoder goes with it."""

from pranet.checkpoint import read_info
from streamer.cli.console import console
from streamer.cli.options import Options
from streamer.engine.choice import choose_backend
from streamer.sinks.encoder import EncoderChoice, choose_encoder
from streamer.sources import SourceInfo


def is_network_on_gpu(options: Options) -> bool:
    """Whether the network will run on a GPU.

    Raises:
        PranetError: the checkpoint cannot be read.
    """
    backend: str = options.backend
    if backend == "auto":
        backend = choose_backend(read_info(options.model), options.precision).backend
    return backend in ("cuda", "tensorrt")


def find_encoder(
    options: Options, output: str, info: SourceInfo, *, quality: int, exact: bool = False
) -> EncoderChoice:
    """The encoder of one recording, which is told to the user.

    Args:
        output: the option that asks for the recording.
        quality, exact: see `choose_encoder`.

    Raises:
        OutputError: `--encoder gpu`, and NVENC cannot be had.
        PranetError: see `is_network_on_gpu`.
    """
    choice = choose_encoder(
        options.encoder,
        info,
        quality=quality,
        exact=exact,
        network_on_gpu=options.encoder != "auto" or is_network_on_gpu(options),
    )
    console.print(f"encoder {output} by {choice}")
    return choice
