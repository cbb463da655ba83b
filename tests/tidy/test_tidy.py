"""House rules that a machine can check: sizes, swallowed exceptions, left-over notes, host names, secrets in logs."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 400
MOST_FUNCTION_LINES = 70
TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".sh", ".txt", ".cfg", ".proto", ".json", ".conf", ".service", ""}
TEXT |= {".ipynb", ".mjs", ".js", ".html", ".css", ".svg", ".env"}


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def own_python(top: str = "src") -> list[Path]:
    return [p for p in tracked() if p.suffix == ".py" and p.is_relative_to(ROOT / top) and "/gen/" not in p.as_posix()]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", own_python() + own_python("tests"), ids=name)
def test_a_source_file_fits_the_eye(path: Path):
    lines = path.read_text().count("\n")
    assert lines <= MOST_LINES, f"{name(path)} has {lines} lines: a room of its own for a part of it?"
    for function in functions(path):
        size = (function.end_lineno or function.lineno) - function.lineno + 1
        assert size <= MOST_FUNCTION_LINES, f"{name(path)}:{function.lineno} {function.name} has {size} lines"


@pytest.mark.parametrize("path", own_python(), ids=name)
def test_no_exception_is_swallowed_and_nothing_is_left_for_later(path: Path):
    text = path.read_text()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            silent = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
            assert not silent, f"{name(path)}:{node.lineno} an exception is swallowed"
        if isinstance(node, ast.Raise) and node.exc is not None:
            assert "NotImplementedError" not in ast.dump(node.exc), f"{name(path)}:{node.lineno} NotImplementedError"
    for number, line in enumerate(text.split("\n"), 1):
        assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line), f"{name(path)}:{number} {line.strip()}"


@pytest.mark.parametrize("path", own_python("tests"), ids=name)
def test_no_test_sleeps_and_every_test_asserts(path: Path):
    text = path.read_text()
    assert not re.search(r"\btime\.sleep\(|asyncio\.sleep\((?!0\))", text), f"{name(path)} waits by sleeping"
    helpers = {f.name for f in functions(path) if not f.name.startswith("test_") and checks_something(f, set())}
    for function in functions(path):
        if function.name.startswith("test_"):
            assert checks_something(function, helpers), (
                f"{name(path)}:{function.lineno} {function.name} asserts nothing"
            )


def checks_something(function: ast.AST, helpers: set[str]) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Attribute) and node.attr in ("raises", "fail", "check", "warns", "exit"):
            return True
        if isinstance(node, ast.Name) and (node.id in helpers or node.id.startswith(("check_", "assert_", "expect"))):
            return True
        if isinstance(node, ast.Attribute) and (node.attr in helpers or node.attr.startswith(("check_", "assert_"))):
            return True
    return False


def test_no_committed_file_names_this_machine_or_a_registry_host():
    bad = re.compile(
        "|".join(
            [
                "/wor" + "k/",
                "/far" + "m/",
                "/ro" + "ot/",
                "files.python" + "hosted.org",
                "pypi" + ".org/simple",
                "registry.npm" + "js.org",
            ]
        )
    )
    found = []
    for path in tracked():
        if path.suffix not in TEXT or path.stat().st_size > 1_000_000:
            continue
        for number, line in enumerate(path.read_text(errors="replace").split("\n"), 1):
            if bad.search(line):
                found.append(f"{name(path)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


def test_the_changelog_fragments_are_named_by_kind():
    kinds = {"added", "changed", "fixed", "removed", "security"}
    for path in (ROOT / "changelog.d").glob("*.md"):
        if path.name != "README.md":
            named = path.name.startswith("+") and path.name.split(".")[-2] in kinds
            assert named, f"{name(path)}: wanted +NAME.{{{','.join(sorted(kinds))}}}.md"
            assert path.read_text().strip()
