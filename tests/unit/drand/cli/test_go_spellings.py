"""Command lines that were written for v1.5.11 keep working, and help is found where Go has it."""

import pytest

from drand.cli.root import LATER
from tests.support.command_line import drand

CLOSED = "127.0.0.1:1"


def said_about_the_port(*arguments: str) -> str:
    """The error of a command that was understood and then found no daemon."""
    ended = drand(*arguments)
    assert ended.code == 1
    return ended.err


@pytest.mark.parametrize(
    "flags",
    [("--control", CLOSED), ("-control", CLOSED), (f"-control={CLOSED}",), (f"--control={CLOSED}",)],
    ids=" ".join,
)
def test_a_flag_may_have_one_dash_or_two_and_its_value_a_space_or_an_equals_sign(flags: tuple[str, ...]):
    assert f"no daemon answers at {CLOSED}" in said_about_the_port("util", "status", *flags)


@pytest.mark.parametrize("flag", ["--json=true", "-json=1", "--json=T", "-json", "--json=false", "-json=0"])
def test_a_switch_may_have_a_value(flag: str):
    assert f"no daemon answers at {CLOSED}" in said_about_the_port("util", "status", "--control", CLOSED, flag)


@pytest.mark.parametrize(
    "early", [("-folder", "."), ("--folder=.",), ("-verbose",), ("-verbose=false", "-folder=.")], ids=" ".join
)
def test_flags_before_the_command_are_spelled_as_freely(early: tuple[str, ...]):
    assert f"no daemon answers at {CLOSED}" in said_about_the_port(*early, "util", "ping", "-control", CLOSED)


def test_show_takes_its_control_port_before_and_after_what_it_shows():
    assert f"no daemon answers at {CLOSED}" in said_about_the_port("show", "-control", CLOSED, "group")
    both = said_about_the_port("show", "--control", "127.0.0.1:2", "group", "--control", CLOSED)
    assert f"no daemon answers at {CLOSED}" in both


def test_an_empty_control_port_is_the_default_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("drand.cli.options.DEFAULT_CONTROL", CLOSED)
    assert f"no daemon answers at {CLOSED}" in said_about_the_port("util", "ping", "--control", "")


def test_an_empty_name_is_no_file():
    ended = drand("show", "group", "--out", "")
    assert ended.code == 2
    assert "an empty name names no file" in ended.err


def test_a_switch_takes_no_other_value():
    ended = drand("util", "status", "--json=perhaps")
    assert ended.code == 2
    assert "does not take a value" in ended.err
    assert "drand util status --help" in ended.err


def test_a_switch_that_is_switched_off_stays_off_though_its_variable_is_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DRAND_LEADER", "true")
    assert "leader needs to specify --nodes" in drand("share").err
    assert "try the --connect flag" in drand("share", "--leader=false").err
    assert "leader needs to specify --nodes" in drand("share").err


def test_what_looks_like_a_flag_is_the_value_of_the_flag_before_it():
    ended = drand("get", "public", "--nodes", "-round", "--round", "x", "nowhere.toml")
    assert "'x'" in ended.err


def test_nothing_after_two_dashes_is_a_flag():
    ended = drand("get", "public", "--", "-round")
    assert ended.code == 2
    assert "-round" in ended.err


def test_a_flag_without_its_value_points_at_the_help_of_its_command():
    ended = drand("show", "group", "-control")
    assert ended.code == 2
    assert "see `drand show group --help`" in ended.err


@pytest.mark.parametrize("arguments", [(), ("help",), ("h",), ("-h",), ("--help",)], ids=" ".join)
def test_help_is_an_answer_and_no_error(arguments: tuple[str, ...]):
    ended = drand(*arguments)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Usage: drand [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    ("arguments", "about"),
    [
        (("util",), "drand util "),
        (("util", "help"), "drand util "),
        (("help", "util"), "drand util "),
        (("help", "util", "status"), "drand util status "),
        (("util", "help", "status"), "drand util status "),
        (("util", "status", "-h"), "drand util status "),
    ],
    ids=str,
)
def test_help_is_about_what_is_named(arguments: tuple[str, ...], about: str):
    ended = drand(*arguments)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: {about}")


@pytest.mark.parametrize("name", LATER)
def test_a_command_of_v1_that_is_not_there_yet_says_what_to_do_instead(name: str):
    ended = drand(name, "--follow")
    assert ended.code == 1
    assert f"`drand {name}` is not available in this version" in ended.err
    assert ended.hints


def test_a_number_that_is_none_is_called_that():
    assert "'x' is not a valid whole number" in drand("get", "public", "--round", "x", "group.toml").err


def test_a_relays_url_says_how_it_is_spoken_to():
    ended = drand("relay", "--url", "127.0.0.1:8080")
    assert ended.code == 2
    assert "--grpc" in ended.err
