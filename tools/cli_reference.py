"""Writes docs/reference/cli.md from the commands themselves. Run it after a change of a command or a flag.

python tools/cli_reference.py            writes the page
python tools/cli_reference.py --check    fails when the page is not up to date
"""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from drand import errors
from drand.cli.root import ROOT, LazyGroup

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "cli.md"
HEAD = """# The command line

<!-- Written by tools/cli_reference.py from the commands themselves: change those, then run it again. -->

Flags may stand before or after arguments. Every flag is also read from the environment variable beside it; the command
line wins. Durations are written as in Go: `30s`, `1m30s`, `0`. An address is `host:port`. Results go to standard
output; errors go to standard error, as one line that says what is wrong and one that says what to try.
"""


def commands(group: LazyGroup = ROOT, path: str = "drand") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with how it is called, in the order of the help."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, LazyGroup):
            yield from commands(command, f"{path} {name}")
            continue
        yield f"{path} {name}", command
        if isinstance(command, click.Group):  # does something by itself, too
            yield from ((f"{path} {name} {below}", one) for below, one in command.commands.items())


def options(command: click.Command) -> list[click.Option]:
    """Its flags, without --help."""
    return [option for option in command.params if isinstance(option, click.Option)]


def variables(option: click.Option) -> list[str]:
    """The environment variables that it is read from."""
    found = option.envvar
    return [found] if isinstance(found, str) else list(found or ())


def exit_codes() -> list[tuple[str, str]]:
    """Codes and meanings, as drand.errors tells them."""
    lines = [line.strip() for line in inspect.getdoc(errors).split("\n")]  # type: ignore[union-attr]
    pairs = [line.split(maxsplit=1) for line in lines if line[:1].isdigit()]
    return [(code, meaning) for code, meaning in pairs]


def page() -> str:
    """The whole page."""
    parts = [HEAD, "\n## Exit codes\n\n| code | meaning |\n|---|---|\n"]
    parts += [f"| {code} | {meaning} |\n" for code, meaning in exit_codes()]
    parts.append("\n## Before the command\n\n")
    parts.append(flag_table(options(ROOT)))
    for path, command in commands():
        parts.append(f"\n## {path}\n\n{described(path, command)}")
    return "".join(parts)


def described(path: str, command: click.Command) -> str:
    """One command: how it is called, what it does, its flags."""
    context = click.Context(command, info_name=path, **ROOT.context_settings)  # a command keeps its first help option
    usage = " ".join([path, *(piece for piece in command.collect_usage_pieces(context))])
    text = inspect.cleandoc(command.help or "")
    flags = options(command)
    return f"```\n{usage}\n```\n\n{text}\n" + (f"\n{flag_table(flags)}" if flags else "")


def flag_table(flags: list[click.Option]) -> str:
    """Flags with what they take, their variables and meanings."""
    rows = ["| flag | variable | meaning |\n", "|---|---|---|\n"]
    for option in flags:
        names = ", ".join(f"`{name}`" for name in option.opts)
        takes = "" if option.is_flag else f" {option.make_metavar(click.Context(ROOT))}"
        shown = option.show_default and option.default not in (None, "", False)
        meaning = (option.help or "") + (f" Default: `{option.default}`." if shown else "")
        where = ", ".join(f"`{name}`" for name in variables(option))
        rows.append(f"| {names}{takes.replace('|', chr(92) + '|')} | {where} | {meaning} |\n")
    return "".join(rows)


def main(arguments: list[str]) -> int:
    """Write the page, or compare it; returns the exit code."""
    text = page()
    if arguments != ["--check"]:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text)
        return 0
    if PAGE.exists() and PAGE.read_text() == text:
        return 0
    print(f"{PAGE} is not up to date: run `python tools/cli_reference.py`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
