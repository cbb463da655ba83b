"""`drand verify`: on a terminal without anything to read, and its verdict for programs."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from collective.secret import SecretScalar
from drand.client.chains import public_chain
from drand.errors import EXIT_FAILURE, EXIT_INVALID, EXIT_USAGE
from drand.model.chain import Beacon, Round
from drand.model.schemes import scheme_named
from drand.verifying.verifiers import WORTH_BEACONS
from drand.wire import http_json
from drand.wire.http_json import beacon_json, chain_info_json
from tests.support.command_line import drand

WAITING = "waiting for beacons as JSON on standard input"
COMMAND = [sys.executable, "-m", "drand.cli.main", "verify", "--chain", "quicknet"]


def test_on_a_terminal_it_says_what_it_waits_for():
    ours, theirs = pty.openpty()
    try:
        os.write(ours, b"\x04")  # Ctrl-D
        ended = subprocess.run(COMMAND, stdin=theirs, capture_output=True, text=True, timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert ended.returncode == 1
    assert ended.stdout == ""
    first, *rest = ended.stderr.splitlines()
    assert first.startswith(WAITING)
    assert rest[0] == "error: there is no beacon in the input"


def test_in_a_pipe_it_says_nothing_of_the_kind():
    ended = subprocess.run(COMMAND, input="", capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert WAITING not in ended.stderr


def test_a_line_without_end_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_json, "MAX_DOCUMENT_BYTES", 1000)
    (tmp_path / "zeros").write_bytes(bytes(5000))
    ended = drand("verify", "--chain", "quicknet", tmp_path / "zeros")
    assert ended.code == EXIT_FAILURE
    assert "line 1: more than 1000 bytes" in ended.err


def test_the_verdict_as_json_counts_and_gives_reasons(tmp_path: Path):
    scheme = scheme_named("bls-unchained-g1-rfc9380")
    secret = SecretScalar(11)
    key = scheme.key_group.encode(scheme.bls.public_key(secret)).hex()
    good = [Beacon(Round(at), scheme.bls.sign(secret, scheme.digest(at, b""))) for at in (5, 6, 7)]
    flags = ("verify", "--public-key", key, "--scheme", scheme.name, "--json")
    file = tmp_path / "beacons"
    file.write_bytes(beacon_json(good[0]))
    alone = drand(*flags, file)
    assert (alone.code, json.loads(alone.out)["randomness"]) == (0, good[0].randomness.hex())
    liar = Beacon(Round(9), good[0].signature)
    file.write_bytes(b"\n".join(beacon_json(beacon) for beacon in (*good, liar)))
    many = drand(*flags, file)
    told = json.loads(many.out)
    assert many.code == EXIT_INVALID
    assert (told["checked"], told["invalid"], told["first_round"], told["last_round"]) == (4, 1, 5, 9)
    assert len(told["reasons"]) == 1
    assert "9" in told["reasons"][0]
    assert "randomness" not in told


def test_many_beacons_are_checked_by_workers_with_the_verdict_of_one_process(tmp_path: Path):
    scheme = scheme_named("bls-unchained-g1-rfc9380")
    secret = SecretScalar(11)
    key = scheme.key_group.encode(scheme.bls.public_key(secret)).hex()
    good = [Beacon(Round(at), scheme.bls.sign(secret, scheme.digest(at, b""))) for at in range(1, WORTH_BEACONS + 2)]
    lies = {place: Beacon(Round(place + 1), good[0].signature) for place in (5, 1500, 2000)}
    file = tmp_path / "beacons"
    file.write_bytes(b"\n".join(beacon_json(lies.get(place, beacon)) for place, beacon in enumerate(good)))
    flags = ("verify", "--public-key", key, "--scheme", scheme.name, file)
    alone, together = drand(*flags, "--workers", "0"), drand(*flags, "--workers", "2")
    assert alone == together
    assert together.code == EXIT_INVALID
    assert [line.split(":")[1] for line in together.err.splitlines()[:3]] == [" round 6", " round 1501", " round 2001"]
    assert "error: 3 of 2001 beacons" in together.err


@pytest.mark.parametrize("command", [("verify",), ("timelock", "encrypt", "-D", "1h", "-o", "/dev/null")])
def test_a_chain_file_that_is_none_is_named_with_what_to_give_instead(command: tuple[str, ...], tmp_path: Path):
    path, beacons = tmp_path / "group.toml", tmp_path / "beacons"
    path.write_bytes(b"Threshold = 2\n")
    beacons.touch()
    ended = drand(*command, "--chain", path, beacons)
    assert (ended.code, ended.hints) == (EXIT_FAILURE, True)
    assert f"{path}: chain information" in ended.err
    assert "what /info answers" in ended.err


def test_a_chain_file_with_another_hash_than_its_own_is_named_too(tmp_path: Path):
    path, chain = tmp_path / "chain.json", public_chain("quicknet")
    path.write_bytes(chain_info_json(chain).replace(chain.hash().hex().encode(), b"00" * 32))
    ended = drand("verify", "--chain", path, path)
    assert (ended.code, ended.hints) == (EXIT_INVALID, True)
    assert str(path) in ended.err


def test_a_number_of_workers_below_zero_is_a_wrong_use():
    assert drand("verify", "--chain", "quicknet", "--workers", "-1").code == EXIT_USAGE
