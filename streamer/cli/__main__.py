"""`python -m streamer.cli` is `pranet-stream`."""

from streamer.cli.command import main

main()
