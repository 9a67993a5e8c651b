"""Screen capture is refused where it would crash."""

import subprocess
import sys
from pathlib import Path

import pytest

from streamer.errors import SourceError
from streamer.sources.x_libraries import check_screen_capture

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="other systems capture screens in other ways"
)

LINE = "7f44ffe00000-7f44ffe01000 r-xp 00000000 08:01 1234  {}\n"
AV = LINE.format("/venv/site-packages/av.libs/libxcb-shm-0be6dfbf.so.0.0.0")
OPENCV = LINE.format("/venv/site-packages/opencv_python.libs/libxcb-shm-0be6dfbf.so.0.0.0")
SYSTEM = LINE.format("/usr/lib/x86_64-linux-gnu/libxcb-shm.so.0.0.0")


@pytest.mark.parametrize("maps", ["", AV, AV + OPENCV, SYSTEM, SYSTEM + AV])
def test_libraries_that_belong_together_are_fine(maps: str, tmp_path: Path) -> None:
    path = tmp_path / "maps"
    path.write_text(maps)

    check_screen_capture("screen", path)


@pytest.mark.parametrize("maps", [OPENCV, SYSTEM + OPENCV])
def test_opencv_s_library_alone_is_refused(maps: str, tmp_path: Path) -> None:
    path = tmp_path / "maps"
    path.write_text(maps)

    with pytest.raises(SourceError, match=r"screen: .*import streamer or av first"):
        check_screen_capture("screen", path)


def test_where_nothing_is_told_nothing_is_refused(tmp_path: Path) -> None:
    check_screen_capture("screen", tmp_path / "none")


@pytest.mark.parametrize("module", ["streamer", "streamer.cli.command", "demos.bench"])
def test_the_programs_load_their_libraries_in_the_right_order(module: str) -> None:
    code = f"import {module}, cv2, sys; names = list(sys.modules); print(*names)"

    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True
    )

    loaded = ran.stdout.split()
    assert loaded.index("av") < loaded.index("cv2")
