"""The kernels in Triton's interpreter, and their plain forms against swscale."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from streamer.color import ColorDescription
from streamer.frame import View
from streamer.gpu.picture import YuvPicture
from streamer.gpu.reading import Reading, RgbTerms, read_plain
from streamer.gpu.resample import area_taps
from streamer.planes import planes
from streamer.rgb import SquareReader

SIZE_PX = 96
CPU = torch.device("cpu")


def noise(width_px: int, height_px: int, layout: str) -> av.VideoFrame:
    """Strong colours, of limited range: swscale has ways of its own with what cannot be."""
    made = av.VideoFrame(width_px, height_px, layout)
    rng = np.random.default_rng(width_px)
    for plane in planes(made):
        rows, columns, parts = plane.pixels.shape
        coarse = rng.integers(60, 190, (rows // 4 + 2, columns // 4 + 2, parts))
        plane.pixels[:] = coarse.repeat(4, axis=0).repeat(4, axis=1)[:rows, :columns]
    return made


def as_picture(made: av.VideoFrame) -> YuvPicture:
    held = {
        component: torch.from_numpy(plane.pixels)[..., place]
        for plane in planes(made)
        for place, component in enumerate(plane.components)
    }
    return YuvPicture(held[0], held[1], held[2])


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize(
    ("layout", "size"),
    [
        ("nv12", (384, 216)),
        ("nv12", (64, 48)),
        ("yuv420p", (384, 216)),
        ("yuv420p", (160, 120)),
        ("yuv420p", (97, 75)),
        ("yuv420p", (64, 48)),
    ],
)
def test_reads_as_swscale_does(
    matrix: str, full_range: bool, layout: str, size: tuple[int, int]
) -> None:
    color = ColorDescription(matrix, full_range, False)
    made = noise(*size, layout)
    expected = SquareReader(SIZE_PX).read(made, color).astype(float)
    terms = RgbTerms.of(color, (0.0,) * 3, (1 / 255,) * 3)
    got = read_plain(as_picture(made), Reading.of(*size, SIZE_PX, terms, CPU))
    apart = np.abs(got.permute(1, 2, 0).numpy() - expected)
    assert apart.max() <= 2


def test_a_part_is_read_as_swscale_reads_it() -> None:
    color = ColorDescription("bt709", False, False)
    made, view = noise(384, 216, "nv12"), View(100, 22, 200, 150)
    expected = SquareReader(SIZE_PX).read(made, color, view).astype(float)
    terms = RgbTerms.of(color, (0.0,) * 3, (1 / 255,) * 3)
    part = as_picture(made).part(view)
    got = read_plain(part, Reading.of(view.width, view.height, SIZE_PX, terms, CPU))
    assert np.abs(got.permute(1, 2, 0).numpy() - expected).max() <= 2


@pytest.mark.parametrize("count", [1, 2, 31, 96, 97, 200, 1080])
def test_weights_sum_to_one_and_stay_inside(count: int) -> None:
    taps = area_taps(count, SIZE_PX)
    np.testing.assert_allclose(taps.weights.sum(axis=1), 1, atol=1e-6)
    assert taps.weights.min() >= 0
    assert taps.first.min() >= 0
    assert (taps.first + taps.weights.shape[1]).max() <= count


# Whether Triton interprets is settled when it is imported, hence a process of its own.
INTERPRETED = """
import torch
from streamer.color import ColorDescription
from streamer.frame import View
from streamer.gpu import drawing, kernels, reading
from streamer.gpu.picture import Allocate, YuvPicture, empty_picture

place = torch.device("cpu")
torch.manual_seed(0)


def noise(layout):
    stored, picture = empty_picture(layout, 12, 18, Allocate(place))
    for plane in stored:
        plane.random_(0, 256)
    return picture


def copy(picture):
    return YuvPicture(picture.luma.clone(), picture.blue.clone(), picture.red.clone())


for layout, view in (("nv12", View(2, 2, 14, 10)), ("yuv420p", View(0, 0, 18, 12))):
    picture = noise(layout)
    terms = reading.RgbTerms.of(ColorDescription("bt709", False, False), (0.5,) * 3, (0.2,) * 3)
    of = reading.Reading.of(view.width, view.height, 8, terms, place)
    out = torch.empty(1, 3, 8, 8).to(memory_format=torch.channels_last)[0]
    kernels.launch_read(picture.part(view), of, out)
    torch.testing.assert_close(out, reading.read_plain(picture.part(view), of))

    if layout == "yuv420p":
        continue

    y, x = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    level = torch.sigmoid((5 - ((x - 7.0) ** 2 + (y - 8.0) ** 2).sqrt()) * 2)
    thin = (x < 6).to(torch.uint8)
    marking = drawing.Marking(
        level, thin, 0.5, (2, 3, 13, 14), view, (200, 40, 60), 2, 1, 0.3,
        drawing.directions_on(place),
    )
    by_kernel, plain = copy(picture), copy(picture)
    kernels.launch_draw(by_kernel, marking)
    drawing.draw_plain(plain, marking)
    for name in ("luma", "blue", "red"):
        assert torch.equal(getattr(by_kernel, name), getattr(plain, name)), name
        assert not torch.equal(getattr(plain, name), getattr(picture, name)), name
print("same")
"""


def test_kernels_compute_what_their_plain_forms_do() -> None:
    pytest.importorskip("triton", reason="Triton comes with PyTorch for CUDA only")
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED],
        env={"TRITON_INTERPRET": "1", "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "same", done.stderr


#: Types of the kernels' arguments by name, for those that are no plain numbers.
READ_TYPES = {
    **dict.fromkeys(("luma", "blue", "red"), "*u8"),
    **dict.fromkeys(("rows", "columns", "chroma_rows", "chroma_columns"), "*i32"),
    "out": "*fp16",
}
READ_FLOATS = ["offset", "scale", "red_by_red", "green_by_blue", "green_by_red", "blue_by_blue"]


def type_of(name: str) -> str:
    """Of an argument of the reading kernel, as Triton spells it."""
    if name.endswith("_weights"):
        return "*fp32"
    if name in READ_FLOATS or name.endswith(("_mean", "_gain")):
        return "fp32"
    return READ_TYPES.get(name, "constexpr" if name == "BLOCK" else "i32")


@pytest.mark.parametrize("capability", [75, 90, 120])
def test_the_reading_kernel_compiles_for_a_gpu(
    capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That needs no GPU."""
    triton = pytest.importorskip("triton", reason="Triton comes with PyTorch for CUDA only")
    compiler = pytest.importorskip("triton.backends.compiler")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from streamer.gpu import kernels

    names = [parameter.name for parameter in kernels._read.params]
    source = triton.compiler.ASTSource(
        fn=kernels._read,
        signature={name: type_of(name) for name in names},
        constexprs={(names.index("BLOCK"),): kernels._READ_BLOCK},
    )
    compiled = triton.compile(source, target=compiler.GPUTarget("cuda", capability, 32))
    assert compiled.asm["cubin"]


def test_no_kernel_is_compiled_anew_for_another_size_or_place() -> None:
    """It takes seconds, which a live run does not have."""
    pytest.importorskip("triton", reason="Triton comes with PyTorch for CUDA only")
    from streamer.gpu import kernels

    built_in = {p.name for p in kernels._read.params if p.is_constexpr}
    assert built_in == {"BLOCK"}
    free = {p.name for p in kernels._read.params if p.do_not_specialize}
    assert {"luma_stride", "chroma_stride", "row_taps", "column_taps"} <= free
    assert {"chroma_row_taps", "chroma_column_taps"} <= free
