"""What `pranet-calibrate precision` made of a checkpoint: where it lies, and whether it fits.

For OpenVINO that is a network with 8-bit weights and activations, for TensorRT the ranges that
`pranet-build` makes one with. They lie beside the checkpoint or in the user's cache, and say which
one they were made of. What was made of another checkpoint is never taken.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pranet.checkpoint import CheckpointInfo
from streamer.engine.cache import cache_folder
from streamer.errors import EngineError


@dataclass(frozen=True)
class Quantised:
    """A quantised network in OpenVINO's form.

    Attributes:
        xml: its graph; the weights are beside it, in ``.bin``.
        sha256: of both files.
        checkpoint_sha256: of the checkpoint that it was made of.
        facts: how it was made, and what it lost and gained.
    """

    xml: Path
    sha256: str
    checkpoint_sha256: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Ranges:
    """What TensorRT's engine is to cut off at; weights tell their ranges themselves.

    Attributes:
        precision: ``int8`` or ``fp8``.
        largest_inputs: by the convolution's name in the folded network; others stay in half.
        facts: how they were found, and what the network loses with them.
    """

    precision: str
    largest_inputs: dict[str, float]
    facts: dict[str, Any]

    @property
    def sha256(self) -> str:
        """Of what an engine depends on."""
        content = json.dumps([self.precision, sorted(self.largest_inputs.items())])
        return hashlib.sha256(content.encode()).hexdigest()


def paths_of(checkpoint: CheckpointInfo, kind: str = "int8") -> tuple[Path, Path]:
    """Where a file can lie: beside the checkpoint, and in the user's cache.

    Args:
        kind: ``int8``: the manifest of OpenVINO's form; ``tensorrt-int8``, ``tensorrt-fp8``.
    """
    name = f"{checkpoint.path.stem}.{kind}.json"
    folder = cache_folder() / "quantised" / checkpoint.sha256[:16]
    return checkpoint.path.with_name(name), folder / name


def find_quantised(checkpoint: CheckpointInfo) -> Quantised | None:
    """The quantised form of a checkpoint, or None if there is none that is whole and fits."""
    for path in paths_of(checkpoint):
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            found = Quantised(
                path.with_suffix(".xml"),
                str(stored["sha256"]),
                str(stored["checkpoint_sha256"]),
                dict(stored["facts"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if found.checkpoint_sha256 == checkpoint.sha256 and _is_whole(found):
            return found
    return None


def find_ranges(checkpoint: CheckpointInfo, precision: str) -> Ranges | None:
    """The ranges for a TensorRT engine of a checkpoint, or None if there are none that fit."""
    for path in paths_of(checkpoint, f"tensorrt-{precision}"):
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            found = Ranges(
                str(stored["precision"]),
                {str(name): float(largest) for name, largest in stored["largest_inputs"].items()},
                dict(stored["facts"]),
            )
            of = stored["checkpoint_sha256"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if of == checkpoint.sha256 and found.precision == precision:
            return found
    return None


def write_ranges(path: Path, checkpoint: CheckpointInfo, ranges: Ranges) -> None:
    """Keep ranges; `find_ranges` finds them from then on, if they lie where it looks.

    Raises:
        EngineError: they cannot be written.
    """
    content = {"model": checkpoint.path.stem, "checkpoint_sha256": checkpoint.sha256}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content | asdict(ranges), indent=2) + "\n"
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EngineError(f"{path}: cannot be written ({error.strerror})") from error


def write_manifest(xml: Path, checkpoint: CheckpointInfo, facts: dict[str, Any]) -> Quantised:
    """Say of a quantised network what it was made of; it is found from then on.

    Raises:
        EngineError: it cannot be written.
    """
    found = Quantised(xml, files_sha256(xml), checkpoint.sha256, facts)
    content = asdict(found) | {"model": checkpoint.path.stem}
    del content["xml"]
    try:
        xml.with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise EngineError(f"{xml}: its manifest cannot be written ({error.strerror})") from error
    return found


def files_sha256(xml: Path) -> str:
    """Of the graph and of the weights beside it."""
    digest = hashlib.sha256()
    for path in (xml, xml.with_suffix(".bin")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_whole(found: Quantised) -> bool:
    try:
        return files_sha256(found.xml) == found.sha256
    except OSError:
        return False
