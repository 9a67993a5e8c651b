"""How soon a visitor of the demo sees the first overlay picture after choosing a video.

    python -m demos.benchmarks.demo_first_frame --repeats 5

A server and a headless Chromium run on this machine, and share its cores. Ten seconds of the
bundled sample in 720p are chosen in the page's own upload field. The clock is the page's, and
starts when the field has a file. It is read when the first picture with markers can be seen, which
is a still, and when the browser presents the first picture of the video. Upload, decoding, network,
drawing, encoding and decoding again are all in it. Needs Chromium and ``pranet-stream[demo]`` with
playwright.
"""

import argparse
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import psutil
from rich.console import Console

from demos.app.sample import SAMPLE
from streamer import report as reports
from streamer.errors import StreamError

console = Console(soft_wrap=True)

CLIP_S = 10
RATE = 25
WIDTH_PX, HEIGHT_PX = 1280, 720
#: What the requirement allows, in s.
WANTED_S = 3.0
DEADLINE_MS = 120_000

#: Keeps the times on the page's own clock: a file was chosen, a picture of the result was shown.
_WATCH = """() => {
  const field = document.getElementById("video-file");
  const video = document.querySelector("video.overlay");
  window.times = {};
  field.addEventListener("change", () => { window.times.chosen = performance.now(); }, true);
  new MutationObserver(async (_, observer) => {
    if (!video.poster) return;
    observer.disconnect();
    const still = new Image();
    still.src = video.poster;
    await still.decode();
    requestAnimationFrame((now) => { window.times.still = now; });
  }).observe(video, { attributes: true, attributeFilter: ["poster"] });
  video.requestVideoFrameCallback((now) => { window.times.video = now; });
}"""


def make_clip(path: Path) -> None:
    """The first seconds of the sample, from the beginning again where it is too short."""
    pictures = (picture for _ in range(CLIP_S) for picture in _sample())
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "18"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        for index, picture in enumerate(islice(pictures, CLIP_S * RATE)):
            scaled = picture.reformat(WIDTH_PX, HEIGHT_PX, "yuv420p")
            scaled.pts, scaled.time_base = index, Fraction(1, RATE)
            container.mux(stream.encode(scaled))
        container.mux(stream.encode(None))


def _sample() -> Iterator[av.VideoFrame]:
    with av.open(str(SAMPLE)) as container:
        yield from container.decode(video=0)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The demo in a process of its own; its address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "demos.app", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    try:
        assert server.stderr is not None
        told = ""
        for line in server.stderr:
            told += line
            if found := re.match(r"page +(http\S+)", line):
                break
        else:
            raise StreamError(f"the demo does not start: {told}")
        yield found[1]
    finally:
        server.terminate()
        server.wait()


def measure(address: str, clip: Path, repeats: int) -> dict[str, list[float]]:
    """Seconds from choosing the clip to the first still and to the video, visitor by visitor."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise StreamError("Chromium is needed; on Debian: apt-get install chromium")
    taken_s: dict[str, list[float]] = {"still": [], "video": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        # The first visitor may also wait for the engine to be loaded, and does not count.
        for number in range(repeats + 1):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            page = context.new_page()
            page.set_default_timeout(DEADLINE_MS)
            page.goto(address)
            page.locator("#video-file").wait_for(state="attached")
            page.evaluate(_WATCH)
            page.locator("#video-file").set_input_files(clip)
            page.wait_for_function("() => window.times.still && window.times.video")
            times = page.evaluate("window.times")
            # The rest of the video says nothing more, and would hold up the next visitor.
            page.get_by_role("button", name="Cancel").click()
            page.locator(".downloads").wait_for()
            context.close()
            found = {name: (times[name] - times["chosen"]) / 1000 for name in taken_s}
            name = "warm-up" if number == 0 else f"visitor {number}"
            console.print(f"{name:10} still {found['still']:.2f} s, video {found['video']:.2f} s")
            if number:
                for name, seconds in found.items():
                    taken_s[name].append(seconds)
        browser.close()
    return taken_s


def main() -> None:
    """Measure, print, and keep what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        clip = Path(name) / "clip.mp4"
        make_clip(clip)
        with serving(Path(name)) as address:
            taken_s = measure(address, clip, options.repeats)
    medians_s = {name: statistics.median(each) for name, each in taken_s.items()}
    for name, each in taken_s.items():
        spread = f"{min(each):.2f} to {max(each):.2f}"
        console.print(f"{name:10} median {medians_s[name]:.2f} s ({spread})")
    if options.report is not None:
        content: dict[str, Any] = {
            "command": shlex.join(["python", "-m", "demos.benchmarks.demo_first_frame"]),
            "clip": {"seconds": CLIP_S, "width": WIDTH_PX, "height": HEIGHT_PX, "rate": RATE},
            "seconds_until": {
                name: {
                    "each": [round(seconds, 3) for seconds in taken_s[name]],
                    "median": round(median_s, 3),
                }
                for name, median_s in medians_s.items()
            },
            "load_average": [round(load, 2) for load in os.getloadavg()],
            "cores": psutil.cpu_count(),
            "versions": reports.versions(),
        }
        reports.write(options.report, content)
    sys.exit(medians_s["still"] > WANTED_S)


if __name__ == "__main__":
    main()
