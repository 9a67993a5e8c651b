"""Networks with 8-bit weights and activations: files that `pranet-calibrate precision` made.

They lie beside the checkpoint that they were made of, or in the user's cache, and say which one it
was. A form of another checkpoint is never taken.
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


def paths_of(checkpoint: CheckpointInfo) -> tuple[Path, Path]:
    """Where the manifest can lie: beside the checkpoint, and in the user's cache."""
    name = f"{checkpoint.path.stem}.int8.json"
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
