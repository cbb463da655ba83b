"""No vector is left untested: every kind in drand/v1.json is asked for by some test, every vector file is read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.vectors import folder, load

TESTS = Path(__file__).resolve().parents[1]


def calls(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The calls in a test file by the name of the function, with their string arguments."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            yield node.func.id, texts


def test_every_kind_of_vector_is_tested() -> None:
    present = {vector["name"].split("/")[0] for vector in load("drand/v1.json")["vectors"]}
    asked = {
        text
        for path in TESTS.rglob("test_*.py")
        for function, texts in calls(path)
        if function == "v1_cases"
        for text in texts
    }
    assert present - asked == set(), "vectors that no test reads"
    if absent := asked - present:
        pytest.skip(f"no vector of these kinds: {', '.join(sorted(absent))}")


def test_everything_beside_beacons_and_chains_is_read() -> None:
    unread = {"unattributed"}  # beacons without a key of today's schemes: nothing can be said of them
    sources = [path.read_text() for path in TESTS.rglob("test_*.py") if path != Path(__file__).resolve()]
    vectors = load("drand/beacons.json")
    assert set(vectors) == {"beacons", "chains", "extra"}
    for kind in vectors["extra"].keys() - unread:
        assert any(f'"{kind}"' in source for source in sources), f"nobody reads {kind}"


def test_every_vector_file_of_drand_is_read() -> None:
    if not folder().is_dir():
        pytest.skip(f"no test vectors at {folder()}; set DRAND_VECTORS")
    sources = [path.read_text() for path in TESTS.rglob("*.py") if path != Path(__file__).resolve()]
    for path in sorted((folder() / "drand").iterdir()):
        assert any(f"drand/{path.name}" in source for source in sources), f"nobody reads {path.name}"
