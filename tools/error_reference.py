"""Writes docs/reference/errors.md from the classes of errors themselves. Run it after a change of one.

python tools/error_reference.py            writes the page
python tools/error_reference.py --check    fails when the page is not up to date
"""

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from collective.errors import CollectiveError
from drand.errors import EXIT_USAGE, exit_code

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
PAGE = ROOT / "docs" / "reference" / "errors.md"
BEYOND = ("Exception", "AssertionError", "UsageError")  # what an error of ours may descend from beside our own
SECTIONS = {
    "collective": "The family: groups, sharing, signatures, sealing",
    "drand": "drand as a whole",
    "drand.client": "The client library",
    "drand.timelock": "Timelock",
    "drand.verifying": "Verification in worker processes",
    "drand.relay": "The relay",
    "drand.cli": "The command line",
    "drand.daemon": "The daemon",
    "drand.protocol": "The protocols",
    "drand.vault": "The vault",
    "drand.store": "The store",
    "drand.net": "Sockets",
}
HEAD = """# Errors

<!-- Written by tools/error_reference.py from the classes themselves: change those, then run it again. -->

Every error that is raised on purpose descends from `collective.errors.CollectiveError`. Its text says what went wrong,
and names the culprit where one is proved; `advice` is the next thing to try, the one in the table unless the place that
raised it knows better. The branch says who is at fault: `Malformed` (the sender is suspected), `PeerFault` (proved:
`culprit` is the node's index), `InvalidSignature`, `OutOfTurn` (nobody), `Unavailable` (try again), `BadSetting` (the
caller). The code is the [exit code](cli.md#exit-codes) of a command that ends with the error. The tree of the client's
errors is drawn [there](client.md#errors).
"""


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of ours, by name, parsed: some of them cannot be imported everywhere."""
    for path in sorted(SOURCE.rglob("*.py")):
        if "/gen/" not in path.as_posix():
            parts = path.relative_to(SOURCE).with_suffix("").parts
            yield ".".join(part for part in parts if part != "__init__"), ast.parse(path.read_text())


def declared() -> list[tuple[str, str]]:
    """(module, name) of every class that descends from an exception, private ones left out."""
    classes = [
        (module, node.name, {ast.unparse(base).rpartition(".")[2] for base in node.bases})
        for module, tree in modules()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    ]
    names, size = set(BEYOND), 0
    while size != len(names):
        size = len(names)
        names |= {name for _, name, bases in classes if bases & names}
    return [(module, name) for module, name, _ in classes if name in names and not name.startswith("_")]


def errors() -> list[type[Exception]]:
    """The classes themselves."""
    return [getattr(importlib.import_module(module), name) for module, name in declared()]


def section_of(kind: type[Exception]) -> str:
    """The package under whose heading it stands."""
    return max((name for name in SECTIONS if f"{kind.__module__}.".startswith(f"{name}.")), key=len)


def code(kind: type[Exception]) -> str:
    """The exit code of a command that ends with it; none where no command does."""
    if issubclass(kind, CollectiveError):
        return str(exit_code(kind.__new__(kind)))
    return str(EXIT_USAGE) if issubclass(kind, click.UsageError) else ""


def row(kind: type[Exception]) -> str:
    """One error: its name below its package, what it descends from, what it means, what to try, the exit code."""
    place = kind.__module__.removeprefix(section_of(kind)).lstrip(".")
    above = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
    meaning = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
    hint = getattr(kind, "hint", "")
    return f"| `{place}.{kind.__name__}` | {above} | {meaning} | {hint} | {code(kind)} |\n"


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    found = errors()
    for name, title in SECTIONS.items():
        parts.append(f"\n## {title} (`{name}`)\n\n| error | is a | meaning | to try | code |\n|---|---|---|---|---|\n")
        parts += [row(kind) for kind in found if section_of(kind) == name]
    return "".join(parts)


def main(arguments: list[str]) -> int:
    """Write the page, or compare it; returns the exit code."""
    text = page()
    if arguments != ["--check"]:
        PAGE.write_text(text)
        return 0
    if PAGE.exists() and PAGE.read_text() == text:
        return 0
    print(f"{PAGE} is not up to date: run `python tools/error_reference.py`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
