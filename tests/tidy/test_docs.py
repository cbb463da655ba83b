"""The reference page of the command line is the command line's own word."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tools import load_tool

ROOT = Path(__file__).resolve().parents[2]


TOOL = load_tool("cli_reference")
COMMANDS = list(TOOL.commands())


def section(path: str) -> str:
    found = re.search(rf"^## {re.escape(path)}\n(.*?)(?=^## |\Z)", TOOL.PAGE.read_text(), re.M | re.S)
    assert found, f"{path} is not in {TOOL.PAGE}"
    return found[1]


def test_the_reference_page_is_up_to_date():
    assert TOOL.PAGE.read_text() == TOOL.page(), "run: python tools/cli_reference.py"


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_every_command_and_every_flag_is_documented(path: str, command):
    text = section(path)
    assert command.help
    assert command.help.split("\n")[0] in text
    for option in TOOL.options(command):
        assert option.help, f"{path} {option.opts} has no help"
        assert option.help in text
        assert option.is_flag or option.metavar, f"{path} {option.opts}: what does it take?"
        for name in (*option.opts, *TOOL.variables(option)):
            assert f"`{name}`" in text, f"{path}: {name} is not documented"


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_every_flag_has_its_variable(path: str, command):
    for option in TOOL.options(command):
        names = TOOL.variables(option)
        assert names, f"{path} {option.opts} has no variable"
        assert all(re.fullmatch(r"DRAND_[A-Z_]+", name) for name in names)


def test_the_variables_are_those_of_v1():
    """Source: drand v1.5.11, cmd/drand-cli/cli.go; the names that do not follow from their flag's."""
    flags = {
        (path, option.opts[0]): TOOL.variables(option) for path, command in COMMANDS for option in TOOL.options(command)
    }
    assert flags["drand share", "--reshare"] == ["DRAND_TRANSITION_FLAG"]
    assert flags["drand start", "--tls-disable"] == ["DRAND_TLS_DISABLE", "DRAND_INSECURE"]
    assert flags["drand start", "--skipValidation"] == ["DRAND_SKIP_VALIDATION"]
    assert flags["drand share", "--secret"] == ["DRAND_SHARE_SECRET"]
    assert flags["drand share", "--catchup-period"] == ["DRAND_CATCHUP_PERIOD"]
    assert flags["drand share", "--force"] == ["DRAND_FORCE"]
    assert flags["drand util status", "--list-ids"] == ["DRAND_LIST_IDS"]


def test_every_exit_code_is_documented():
    import drand.errors

    codes = {str(value) for name, value in vars(drand.errors).items() if name.startswith("EXIT_")}
    assert codes == {code for code, _ in TOOL.exit_codes()}
    for code, meaning in TOOL.exit_codes():
        assert f"| {code} | {meaning} |" in TOOL.PAGE.read_text()


def typed() -> Iterator[tuple[str, list[str]]]:
    """(page, words) of every `drand ...` that stands in a block of commands or by itself in backticks."""
    for page in sorted((*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))):
        if page == TOOL.PAGE or "changelog.d" in page.parts:
            continue
        text = page.read_text().replace("\\\n", " ")
        lines = re.findall(r"^(?:    |\$ )?(?:[\w=]+ )*?(drand [a-z].*)$", text, re.M) + re.findall(
            r"`(drand [a-z][^`]*)`", text
        )
        for line in lines:
            words = re.split(r"\s[|&;#>]|\s\d?>|\)", line)[0]
            try:
                yield page.relative_to(ROOT).as_posix(), shlex.split(words)[1:]
            except ValueError:
                continue  # prose with an apostrophe


def test_the_documents_type_commands_and_flags_that_there_are():
    known = {tuple(path.split()[1:]): command for path, command in COMMANDS}
    seen, wrong = 0, []
    for page, words in typed():
        path = max((path for path in known if tuple(words[: len(path)]) == path), key=len, default=None)
        if path is None:
            if len(words) > 1 and (words[0],) in {known_path[:1] for known_path in known} and "<" not in words[1]:
                wrong.append(f"{page}: {' '.join(words[:2])}")
            continue  # a sentence, or a group of commands by itself
        seen += 1
        flags = {flag for option in TOOL.options(known[path]) for flag in option.opts} | {"--help", "-h"}
        given = {word.partition("=")[0].rstrip(",.") for word in words[len(path) :] if re.match(r"--?[a-zA-Z]", word)}
        wrong += [f"{page}: {' '.join(path)} {flag}" for flag in given - flags]
    assert seen > 60
    assert wrong == []
