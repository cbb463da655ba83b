"""Where `drand timelock` writes: never over what it reads, and only where a file can be put."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drand.errors import EXIT_FAILURE, EXIT_USAGE
from drand.timelock import TlockRecipient, encrypt_bytes
from drand.wire.http_json import beacon_json, chain_info_json
from tests.support.command_line import drand
from tests.support.locked_chain import LockedChain

PAST = 1000
CHAIN = LockedChain()


@pytest.fixture
def info(tmp_path: Path) -> Path:
    path = tmp_path / "chain.json"
    path.write_bytes(chain_info_json(CHAIN.info))
    return path


def itself(path: Path) -> Path:
    return path


def a_symlink(path: Path) -> Path:
    link = path.with_name("symlink")
    link.symlink_to(path)
    return link


def a_hard_link(path: Path) -> Path:
    link = path.with_name("hardlink")
    link.hardlink_to(path)
    return link


@pytest.mark.parametrize("command", ["encrypt", "decrypt"])
@pytest.mark.parametrize("named", [itself, a_symlink, a_hard_link])
def test_the_only_copy_of_a_file_is_not_replaced_by_what_is_made_of_it(command: str, named, info: Path, tmp_path: Path):
    path = tmp_path / "bid"
    content = encrypt_bytes(b"a bid\n", [TlockRecipient(CHAIN.info, PAST)])
    path.write_bytes(content)
    flags = {"encrypt": ["--duration", "1h"], "decrypt": ["--beacon", beacon_json(CHAIN.beacon(PAST)).decode()]}
    ended = drand("timelock", command, "--chain", info, *flags[command], path, "-o", named(path))
    assert ended.code == EXIT_USAGE
    assert ended.hints
    assert "would replace the only copy" in ended.err
    assert path.read_bytes() == content


def test_nor_where_the_shell_opens_it_as_standard_input(tmp_path: Path):
    path = tmp_path / "bid"
    path.write_bytes(b"a bid\n")
    command = [sys.executable, "-m", "drand.cli.main", "timelock", "encrypt", "--duration", "1h", "-o", str(path)]
    with path.open("rb") as file:
        ended = subprocess.run(command, stdin=file, capture_output=True, check=False)
    assert ended.returncode == EXIT_USAGE
    assert b"is the file that is read" in ended.stderr
    assert path.read_bytes() == b"a bid\n"


def test_a_file_beside_the_one_that_is_read_may_be_replaced(info: Path, tmp_path: Path):
    plain, sealed = tmp_path / "bid", tmp_path / "bid.tle"
    for path in (plain, sealed):
        path.write_bytes(b"a bid\n")
    assert drand("timelock", "encrypt", "--chain", info, "--duration", "1h", plain, "-o", sealed).code == 0
    assert plain.read_bytes() == b"a bid\n"
    assert sealed.read_bytes() != b"a bid\n"


def test_of_a_damaged_file_nothing_is_said_to_have_been_given_out(info: Path, tmp_path: Path):
    sealed = tmp_path / "bid.tle"
    sealed.write_bytes(encrypt_bytes(bytes(200_000), [TlockRecipient(CHAIN.info, PAST)])[:-1])
    flags = ["--chain", str(info), "--beacon", beacon_json(CHAIN.beacon(PAST)).decode()]
    ended = drand("timelock", "decrypt", *flags, sealed, "-o", tmp_path / "bid")
    assert (ended.code, ended.hints) == (EXIT_FAILURE, True)
    assert "nothing of its content was written" in ended.err
    assert not (tmp_path / "bid").exists()


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("nowhere/out", "No such file or directory"),
        ("folder", "Is a directory"),
        ("circle", "Too many levels of symbolic links"),
        pytest.param("shut/out", "Permission denied", marks=pytest.mark.skipif(os.geteuid() == 0, reason="for users")),
    ],
)
def test_a_place_where_nothing_can_be_put_is_said_before_anything_is_waited_for(
    output: str, words: str, info: Path, tmp_path: Path
):
    for name, mode in (("folder", 0o700), ("shut", 0o500)):
        (tmp_path / name).mkdir(mode)
    (tmp_path / "circle").symlink_to("circle")
    flags = ["--chain", str(info), "--wait", "--url", "http://127.0.0.1:1", "-o", str(tmp_path / output)]
    ended = drand("timelock", "decrypt", *flags, "-")
    assert ended.code == EXIT_FAILURE
    assert ended.hints
    assert words in ended.err
