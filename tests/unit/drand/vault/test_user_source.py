"""The operator's randomness script: what it may be, how much is read of it, and how long it may take."""

from collections.abc import Callable
from pathlib import Path

import pytest

from collective.errors import BadSetting
from drand.vault import user_source
from drand.vault.user_source import ScriptFailed, read_script

Script = Callable[[str], str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def write(body: str) -> str:
        path = tmp_path / "source.sh"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return write


def test_exactly_so_many_bytes_are_taken(script: Script):
    assert read_script(script("printf 'abcdefghijklmnop'"), 16) == b"abcdefghijklmnop"
    assert read_script(script("printf 'abcdefghijklmnop'"), 4) == b"abcd"


def test_a_script_that_never_ends_is_stopped_when_it_has_given_enough(script: Script):
    assert read_script(script("exec cat /dev/zero"), 32) == bytes(32)
    assert read_script(script("while :; do printf 0; done"), 32) == b"0" * 32


def test_a_script_that_prints_less_is_run_again_for_the_rest(script: Script):
    assert read_script(script("printf 'abcdefghijklmnopqrst'"), 32) == b"abcdefghijklmnopqrstabcdefghijkl"


def test_a_script_that_prints_nothing_is_given_up(script: Script):
    with pytest.raises(ScriptFailed, match="printed only 0 of 32 bytes in 32 runs"):
        read_script(script("true"), 32)


def test_a_script_that_fails_says_how(script: Script):
    with pytest.raises(ScriptFailed, match="ended with status 3"):
        read_script(script("printf abc; exit 3"), 32)


@pytest.mark.parametrize("body", ["sleep 1000", "exec >&-; sleep 1000"])
def test_a_script_that_hangs_is_killed(script: Script, body: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(user_source, "PATIENCE_S", 0.2)
    with pytest.raises(ScriptFailed, match="took longer"):
        read_script(script(body), 32)


def test_a_script_that_is_no_program_does_not_start(tmp_path: Path):
    path = tmp_path / "garbage"
    path.write_bytes(b"\x00\x01\x02")
    path.chmod(0o755)
    with pytest.raises(ScriptFailed, match="does not start"):
        read_script(str(path), 32)


def test_a_path_is_absolute_and_names_an_executable_file(tmp_path: Path):
    plain = tmp_path / "plain"
    plain.write_text("")
    for path, reason in (
        ("source.sh", "not an absolute path"),
        ("", "not an absolute path"),
        (str(tmp_path / "nowhere"), "No such file"),
        (str(tmp_path), "no executable file"),
        (str(plain), "no executable file"),
    ):
        with pytest.raises(BadSetting, match=reason):
            read_script(path, 32)
