"""The engine that ships, for the parts that check more than a network."""

from streamer.engine.base import Segmenter


def load_shipped() -> Segmenter:
    """What `--backend cuda` loads of the bundled network."""
    from pranet.checkpoint import DEFAULT_MODEL, read_info
    from streamer.engine.cuda import load_cuda

    return load_cuda(read_info(DEFAULT_MODEL))
