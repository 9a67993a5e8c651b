"""Shows the time, as `demos.time_code` draws it, on a screen of Xvfb's, until killed.

Usage: python -m demos.glass_clock FILE RATE; the file is the screen's memory, into which the clock
writes: no window system delays it. Intervals are random around that rate: a steady clock would keep
one phase to what grabs it, which adds up to a whole interval to one run and nothing to another.
"""

import sys
from pathlib import Path
from random import Random
from time import monotonic_ns, sleep

from demos import time_code
from demos.virtual_screen import map_screen


def main() -> None:
    """Draw a new time at the rate asked for."""
    name, rate = sys.argv[1:3]
    pixels = map_screen(Path(name))
    height_px, width_px = pixels.shape[:2]
    random = Random(1)
    while True:
        pixels[:] = time_code.draw(monotonic_ns(), width_px, height_px)[..., None]
        sleep(random.uniform(0.5, 1.5) / int(rate))


if __name__ == "__main__":
    main()
