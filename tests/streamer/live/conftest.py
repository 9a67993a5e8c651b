"""What the tests of live mode share: pipelines whose threads have to end."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# The rig is a module of its own.
sys.path.insert(0, str(Path(__file__).parent))

from live_rig import (
    PATIENCE_S,
    SIZE,
    MakeInfo,
    MakePicture,
    MakeRig,
    Rig,
    until,
)


@pytest.fixture
def make_rig(make_info: MakeInfo, make_picture: MakePicture) -> Iterator[MakeRig]:
    """Makes pipelines; at the end none of their threads may be left."""
    rigs: list[Rig] = []

    def make(*args: Any, **options: Any) -> Rig:
        info = make_info(width=SIZE[0], height=SIZE[1], live=True)
        rigs.append(Rig(info, make_picture, *args, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.pipeline.stop()
        for source in rig.sources:
            source.close()
        if rig.thread.ident is not None:
            rig.thread.join(PATIENCE_S)
        until(lambda rig=rig: not rig.left_threads())
