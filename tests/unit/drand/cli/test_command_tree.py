"""The tree of commands: quick to start, and the same manners everywhere."""

import subprocess
import sys

import click
import pytest

from drand.cli.main import INTERRUPTED, main
from drand.cli.root import COMMANDS, ROOT, SUBGROUPS, run
from drand.errors import (
    EXIT_INTERRUPTED,
    BeaconNotFound,
    DrandError,
    InvalidBeacon,
    InvalidChainInfo,
    TooEarly,
    exit_code,
)
from tests.support.command_line import drand

PATHS = [(name,) for name in COMMANDS if name not in SUBGROUPS]
PATHS += [(group, name) for group, (table, _) in SUBGROUPS.items() for name in table]
HEAVY = ("grpc", "google.protobuf", "cryptography", "aiohttp", "pyblst", "py_arkworks_bls12381", "rich", "sqlite3")


def modules_loaded_by(*arguments: str) -> set[str]:
    script = (
        "import sys; sys.argv = ['drand', *sys.argv[1:]]\n"
        "from drand.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print()\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_the_version_is_told_without_even_the_command_line_library():
    loaded = modules_loaded_by("--version")
    assert "drand.cli.main" in loaded
    assert not loaded & {"click", "drand.cli.root", *HEAVY}


@pytest.mark.parametrize("arguments", [("--help",), ("util", "--help"), ("show", "--help")])
def test_the_list_of_commands_imports_no_network_and_no_curve(arguments: tuple[str, ...]):
    assert not modules_loaded_by(*arguments) & set(HEAVY)


@pytest.mark.parametrize("arguments", [("util", "ping", "--help"), ("share", "--help"), ("get", "public", "--help")])
def test_the_help_of_a_command_imports_no_network(arguments: tuple[str, ...]):
    assert "grpc" not in modules_loaded_by(*arguments)


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_command_has_help_and_refuses_a_flag_that_it_does_not_know(path: tuple[str, ...]):
    asked = drand(*path, "--help")
    assert asked.code == 0
    assert "Usage: drand " + " ".join(path) in asked.out
    wrong = drand(*path, "--no-such-flag")
    assert wrong.code == 2
    assert wrong.hints
    assert f"drand {' '.join(path)} --help" in wrong.err


ACTING = {"generate-keypair", "start", "stop", "load", "share", "relay", "demo"}
ACTING |= {f"util {name}" for name in ("backup", "abandon", "self-sign", "migrate", "reset", "del-beacon")}
ACTING |= {f"timelock {name}" for name in ("encrypt", "decrypt", "wait")}


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_command_that_reads_takes_json(path: tuple[str, ...]):
    if " ".join(path) in ACTING | {"relay export"}:
        return
    command: click.Command | None = ROOT
    for name in path:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    assert command is not None
    assert any("--json" in parameter.opts for parameter in command.params), path


def test_an_interrupt_while_the_command_line_is_loaded_is_one_like_others(monkeypatch: pytest.MonkeyPatch, capsys):
    def interrupted() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("drand.cli.root.run", interrupted)
    monkeypatch.setattr(sys, "argv", ["drand", "util"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == EXIT_INTERRUPTED == INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


def test_an_unknown_command_is_a_wrong_use():
    for path in (("launch",), ("show", "secrets"), ("util", "nuke")):
        ended = drand(*path)
        assert ended.code == 2
        assert "No such command" in ended.err
        assert "--help" in ended.err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("strat",), "drand start"),
        (("status",), "drand util status"),
        (("util", "staus"), "drand util status"),
        (("chain-info",), "drand show chain-info"),
    ],
)
def test_a_mistyped_command_is_told_what_may_have_been_meant(typed: tuple[str, ...], meant: str):
    ended = drand(*typed)
    assert ended.code == 2
    assert f"hint:  did you mean `{meant}`?" in ended.err


def test_the_version_is_told_in_the_middle_of_a_command_line_too(capsys: pytest.CaptureFixture[str]):
    assert run(["--verbose", "--version"]) == 0
    assert capsys.readouterr().out == "drand 1.5.11 (pydrand)\n"


def test_the_table_of_commands_says_what_the_commands_say():
    context = click.Context(ROOT)
    for name in COMMANDS:
        command = ROOT.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str(), name


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DrandError("it failed"), 1),
        (BeaconNotFound("no such round"), 1),
        (TooEarly("not yet"), 3),
        (InvalidBeacon("a lie"), 4),
        (InvalidChainInfo("another chain"), 4),
    ],
)
def test_an_error_has_its_exit_code(error: DrandError, code: int):
    assert exit_code(error) == code


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("util", "list-schemes", "--help")], ids=" ".join)
def test_an_output_that_cannot_be_written_is_an_error_in_a_line(arguments: tuple[str, ...]):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "drand.cli.main", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: No space left on device\n")
    assert "Traceback" not in done.stderr


def test_closed_standard_streams_are_no_error():
    closed = 'exec "$@" <&- 2>&-'  # what opens first then must not become number 0, 1 or 2
    script = "import os; from drand.cli.main import open_standard_streams as o; o(); print(os.open('/dev/null', 0) > 2)"
    command = ["sh", "-c", closed, "sh", sys.executable, "-c", script]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True\n"
    reset = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "drand.cli.main", "util", "reset"]
    done = subprocess.run(reset, capture_output=True, text=True, check=False)
    assert (done.returncode, "nobody answered" in done.stderr) == (1, True)
