"""The bundled sample video; see `demos/samples/ATTRIBUTION.md`."""

from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "samples" / "colonoscopy.mp4"
