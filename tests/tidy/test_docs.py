"""The reference page of the command line is the command line's own word."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cli_reference", ROOT / "tools" / "cli_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = load_tool()
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
