"""Pictures in memory of their own, as far as that can be seen without a GPU."""

from types import SimpleNamespace
from typing import Any

import av
import pytest
import torch

from streamer.gpu import surface


def test_ffmpeg_knows_all_pictures_of_a_gpu_by_one_context() -> None:
    context = surface._context(torch.device("cuda", 0))
    assert context is surface._context(torch.device("cuda", 0))
    assert context is not None
    # FFmpeg refuses the primary one where torch has made it.
    assert (context.device_id, context.primary_ctx, context.current_ctx) == (0, False, True)
    other = surface._context(torch.device("cuda", 1))
    assert other is not None
    assert other.device_id == 1
    assert surface._context(torch.device("cpu")) is None


def test_each_picture_that_is_taken_over_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []

    def from_dlpack(*arguments: Any, cuda_context: object = None, **options: Any) -> av.VideoFrame:
        given.append(cuda_context)
        return av.VideoFrame.from_dlpack(*arguments, **options)

    fake = SimpleNamespace(VideoFrame=SimpleNamespace(from_dlpack=from_dlpack))
    monkeypatch.setattr(surface, "av", fake)
    monkeypatch.setattr(surface, "_context", lambda place: f"that of {place}")
    for _ in range(2):
        assert surface.adopt(av.VideoFrame(64, 48, "nv12")).format.name == "nv12"
    assert given == ["that of cpu"] * 2
