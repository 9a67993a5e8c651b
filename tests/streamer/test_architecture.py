"""Which package may import which, and what the plain imports must not cost."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("pranet", "streamer", "calibration", "demos")
MODULES = sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))
MAX_LINES = 400

#: Of our own packages, what each may import; `streamer` takes these modules of `pranet` only.
ALLOWED = {
    "pranet": {"pranet"},
    "streamer": {"streamer", "pranet.errors", "pranet.model", "pranet.checkpoint"},
    "calibration": {"calibration", "pranet", "streamer"},
    "demos": {"demos", "pranet", "streamer", "calibration"},
}


def imported(source: str, path: Path) -> Iterator[str]:
    """Every module that is imported anywhere in a file, also inside functions."""
    package = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join(filter(None, [*parents, base]))
            # `from pranet import model` imports the module, `from pranet.model import …` too.
            if base in PACKAGES:
                yield from (f"{base}.{alias.name}" for alias in node.names)
            else:
                yield base


def forbidden(source: str, path: Path) -> list[str]:
    package = path.relative_to(REPOSITORY).parts[0]
    return [
        name
        for name in imported(source, path)
        if name.split(".")[0] in PACKAGES
        and not any(name == part or name.startswith(f"{part}.") for part in ALLOWED[package])
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_module_imports_what_its_package_may(path: Path) -> None:
    assert forbidden(path.read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("pranet/model.py", "import streamer", ["streamer"]),
        ("pranet/model.py", "def f():\n    from streamer.frame import View", ["streamer.frame"]),
        ("pranet/model.py", "from calibration import view", ["calibration.view"]),
        ("streamer/engine/x.py", "from pranet import losses", ["pranet.losses"]),
        ("streamer/engine/x.py", "from pranet.checkpoint_old import y", ["pranet.checkpoint_old"]),
        ("streamer/x.py", "from pranet.checkpoint import read_info", []),
        ("streamer/x.py", "from demos.bench import main", ["demos.bench"]),
        ("streamer/engine/x.py", "from . import base\nfrom ..frame import View", []),
        ("demos/x.py", "import streamer, pranet.train, torch", []),
    ],
)
def test_the_rule_itself(module: str, source: str, expected: list[str]) -> None:
    assert forbidden(source, REPOSITORY / module) == expected


@pytest.mark.parametrize(
    "statement",
    ["import pranet", "import streamer", "import streamer.cli", "import streamer.engine.openvino"],
)
def test_import_does_not_load_torch(statement: str) -> None:
    script = f"import sys\n{statement}\nprint(*sorted({{'torch', 'timm'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == ""


def test_no_module_is_long() -> None:
    lengths = {
        str(path.relative_to(REPOSITORY)): len(path.read_text(encoding="utf-8").splitlines())
        for path in MODULES
    }

    assert len(lengths) > 30
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}
