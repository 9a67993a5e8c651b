r"""Make the bundled sample video, its exact masks and their attribution.

    python -m demos.make_sample \
        --data ../shared/data/polyps/TestDataset/Kvasir --output demos/samples

`--data` is the Kvasir part of PraNet's test split: `images/*.jpg` and `masks/*.png`. The stills,
what is used of each, and the seed are fixed here, so that the same command makes the same video.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from demos.sequences.write import write_pair
from streamer.sources.scene import Scene, Still

SEED = 21
RATE = 30
DURATION_S = 24
POLYP_FREE_S = 4.8

# Name and used part (left, top, right, bottom in pixels): clear of burnt-in text and inset boxes.
# The two with an empty mask in their part make the polyp-free stretch.
STILLS = (
    ("cju43jcqim2cp08172dvjvyui", (207, 0, 626, 547)),
    ("cju17z0qongpa0993de4boim4", (140, 0, 622, 529)),
    ("cju88vx2uoocy075531lc63n3", (140, 0, 596, 508)),
    ("cju32srle1xfq083575i3fl75", (116, 0, 626, 362)),
    ("cju2zwg05a0oy0801yr73ig7g", (116, 0, 392, 362)),
    ("cju34m7h536wq0988xz7gx79v", (116, 0, 617, 285)),
    ("cju7awzmu1ncs0871hziy65zx", (140, 0, 592, 527)),
    ("cju1cqc7n4gpy0855jt246k68", (140, 0, 616, 529)),
    ("cju88cddensj00987788yotmg", (207, 0, 622, 531)),
    ("cju5clr68b48r0755cmuvponm", (140, 0, 601, 526)),
)

ATTRIBUTION = """\
# Attribution of the sample video

`colonoscopy.mp4` is no recording of a procedure. It is a derived work: still pictures from a public
data set, re-rendered with the motion, light, blur and noise of a virtual camera. The masks in
`colonoscopy_masks.mkv` are the data set's own masks under the same motion (0 or 255 = polyp).
For research use only, not for clinical use.

The stills are from **Kvasir-SEG**:

> D. Jha, P. H. Smedsrud, M. A. Riegler, P. Halvorsen, T. de Lange, D. Johansen, H. D. Johansen:
> Kvasir-SEG: A Segmented Polyp Dataset. MultiMedia Modeling (MMM) 2020, pages 451 to 462.

The same images are in **HyperKvasir**, released under CC BY 4.0
([Creative Commons Attribution 4.0](https://creativecommons.org/licenses/by/4.0/)):

> H. Borgli, V. Thambawita, P. H. Smedsrud, S. Hicks, D. Jha, S. L. Eskeland, K. R. Randel,
> K. Pogorelov, M. Lux, D. T. D. Nguyen, D. Johansen, C. Griwodz, H. K. Stensland,
> E. Garcia-Ceja, P. T. Schmidt, H. L. Hammer, M. A. Riegler, P. Halvorsen, T. de Lange:
> HyperKvasir, a comprehensive multi-class image and video dataset for gastrointestinal
> endoscopy. Scientific Data 7, 283 (2020).

Changes made: cropped to a part without burnt-in text, enlarged, warped, relit, blurred,
cross-faded, noise added. Made by `python -m demos.make_sample` from these files, in this order:

{names}
"""


def read_still(data: Path, name: str, part_px: tuple[int, int, int, int]) -> Still:
    """Read one still and its mask, and keep the given part (left, top, right, bottom)."""
    image = cv2.imread(str(data / "images" / f"{name}.jpg"))
    mask = cv2.imread(str(data / "masks" / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
    if image is None or mask is None:
        raise FileNotFoundError(f"no image or no mask of {name} in {data}")
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    mask = cv2.threshold(mask, 127, 255, cv2.THRESH_BINARY)[1]
    return Still(image.astype(np.uint8), mask.astype(np.uint8), name).crop(*part_px)


def main() -> None:
    """Read the stills and write the three files."""
    parser = argparse.ArgumentParser(description="Make the bundled sample video.")
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and masks/")
    parser.add_argument("--output", type=Path, required=True, help="folder to write into")
    arguments = parser.parse_args()

    stills = [read_still(arguments.data, name, part_px) for name, part_px in STILLS]
    with_polyp = sum(bool(still.mask.any()) for still in stills)
    shot_s = (DURATION_S - POLYP_FREE_S) / with_polyp
    scene = Scene(stills, rate=RATE, seed=SEED, shot_s=shot_s, polyp_free_s=POLYP_FREE_S)
    arguments.output.mkdir(parents=True, exist_ok=True)
    write_pair(
        map(scene.render, range(DURATION_S * RATE)),
        rate=Fraction(RATE),
        encoding={"crf": "17", "preset": "slow", "threads": "2"},
        video=arguments.output / "colonoscopy.mp4",
        masks=arguments.output / "colonoscopy_masks.mkv",
    )
    names = "\n".join(f"- `{name}.jpg`" for name, _ in STILLS)
    (arguments.output / "ATTRIBUTION.md").write_text(
        ATTRIBUTION.format(names=names), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
