"""`drand timelock`, from the command line to the bytes, against a chain on loopback and against none."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from collective.errors import Unavailable
from drand.cli.countdown import PATIENCE_S, Countdown
from drand.cli.timelock import first_round_from
from drand.client.chains import public_chain
from drand.errors import EXIT_FAILURE, EXIT_INVALID, EXIT_TOO_EARLY, BeaconNotFound
from drand.model.chain import Beacon, Round
from drand.timelock import StillLocked, TlockRecipient, X25519Identity, encrypt_bytes, inspect
from drand.wire.http_json import beacon_json, chain_info_json
from tests.support.chain_server import ChainServer, serving
from tests.support.command_line import Ended, drand
from tests.support.locked_chain import LockedChain, StoppedClock

PAST, FUTURE = 1000, 10**9
CHAIN = LockedChain()


@pytest.fixture(scope="module")
def server() -> Iterator[ChainServer]:
    with serving(CHAIN, LockedChain(seed=2)) as server:
        yield server


@pytest.fixture
def info(tmp_path: Path) -> Path:
    """A file with the chain's information."""
    path = tmp_path / "chain.json"
    path.write_bytes(chain_info_json(CHAIN.info))
    return path


def timelock(*arguments: str | Path) -> Ended:
    return drand("timelock", *arguments)


def locked(folder: Path, round_: int = PAST, content: bytes = b"a bid\n", chain: LockedChain = CHAIN) -> Path:
    path = folder / "bid.txt.tle"
    path.write_bytes(encrypt_bytes(content, [TlockRecipient(chain.info, round_)]))
    return path


def refused(ended: Ended, code: int, *words: str) -> None:
    assert ended.code == code, ended.err
    assert ended.hints, ended.err
    assert all(word in ended.err for word in words), ended.err


# ---------------------------------------------------------------- locking


def test_a_file_is_locked_without_asking_anybody_and_opened_with_a_given_beacon(info: Path, tmp_path: Path):
    plain, sealed, opened = tmp_path / "bid.txt", tmp_path / "out.tle", tmp_path / "opened"
    plain.write_bytes(b"a bid\n")
    done = timelock("encrypt", "--chain", info, "--round", str(PAST), "--force", "-a", "-o", sealed, plain)
    assert done.code == 0, done.err
    assert f"round {PAST} of locked" in done.err
    assert sealed.read_bytes().startswith(b"-----BEGIN AGE ENCRYPTED FILE-----\n")
    beacon = beacon_json(CHAIN.beacon(PAST)).decode()
    assert timelock("decrypt", "--chain", info, "--beacon", beacon, "-o", opened, sealed).code == 0
    assert opened.read_bytes() == b"a bid\n"
    assert opened.stat().st_mode & 0o777 == 0o600


def test_a_duration_and_a_moment_lock_to_the_first_round_that_is_not_sooner(info: Path, tmp_path: Path):
    plain = tmp_path / "bid.txt"
    plain.write_bytes(b"x")
    done = timelock("encrypt", "--chain", info, "--at", "2100-01-01T00:00:01Z", "-o", tmp_path / "out", plain)
    assert done.code == 0, done.err
    (round_,) = inspect(BytesIO((tmp_path / "out").read_bytes())).rounds
    due = CHAIN.info.schedule.due_unix_s
    moment = 4102444801
    assert due(round_ - 1) < moment <= due(round_)
    assert timelock("encrypt", "--chain", info, "-D", "1y", "-o", tmp_path / "out", plain).code == 0


def test_a_moment_at_which_a_round_is_due_locks_to_that_round():
    due = CHAIN.info.schedule.due_unix_s
    assert [first_round_from(CHAIN.info, due(5) + shift) for shift in (-3, -2.9, 0, 0.1)] == [4, 5, 5, 6]
    assert first_round_from(CHAIN.info, 0) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say until when"),
        (["--round", "5", "-D", "1d"], "say until when"),
        (["--round", "5"], "round 5 is in the past"),
        (["-D", "1x"], "is no duration"),
        (["--at", "soon"], "is no moment"),
        (["--round", str(2**64 - 1)], "lock to an earlier round"),
        (["--round", str(FUTURE), "-r", "age1nokey"], "key"),
        (["--chain", "fastnet", "--round", "999999999"], "retired"),
        (["--chain", "default", "--round", "999999999"], "chained"),
        (["--chain", "0" * 64, "--round", "5"], "not built in"),
        (["--chain", "nochain", "--round", "5"], "no readable file"),
    ],
)
def test_what_cannot_be_locked_is_refused_with_a_hint(arguments: list[str], words: str, tmp_path: Path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    refused(timelock("encrypt", *arguments, "-o", tmp_path / "out", plain), EXIT_FAILURE, words)
    assert not (tmp_path / "out").exists()


def test_a_pipe_as_output_is_written_to_and_a_link_stays_a_link(info: Path, tmp_path: Path):
    plain, pipe, link, behind = (tmp_path / name for name in ("bid.txt", "pipe", "link", "behind"))
    plain.write_bytes(b"a bid\n")
    os.mkfifo(pipe)
    link.symlink_to(behind)
    options = ["--chain", info, "--round", str(PAST), "--force"]
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        assert timelock("encrypt", *options, "-o", pipe, plain).code == 0
        piped, _ = reader.communicate(timeout=10)
    assert pipe.is_fifo()
    assert timelock("encrypt", *options, "-o", link, plain).code == 0
    assert link.is_symlink()
    for sealed in (piped, behind.read_bytes()):
        assert inspect(BytesIO(sealed)).rounds == (PAST,)


def test_several_files_are_locked_beside_themselves_and_opened_again(info: Path, tmp_path: Path, server: ChainServer):
    names = [tmp_path / f"bid{number}.txt" for number in range(3)]
    for name in names:
        name.write_bytes(name.name.encode())
    assert timelock("encrypt", "--chain", info, "--round", str(PAST), "--force", *names).code == 0
    for name in names:
        name.unlink()
    sealed = [name.with_name(name.name + ".tle") for name in names]
    assert timelock("decrypt", "--chain", info, "--url", server.url, *sealed).code == 0
    assert [name.read_bytes() for name in names] == [name.name.encode() for name in names]
    refused(timelock("decrypt", "--chain", info, "--url", server.url, *sealed), EXIT_FAILURE, "is there already")


def test_of_several_files_the_good_ones_are_opened_and_the_bad_one_is_named(info: Path, tmp_path: Path):
    good, bad = locked(tmp_path), tmp_path / "bad.tle"
    bad.write_bytes(good.read_bytes()[:-1])
    archive = tmp_path / "rounds.ndjson"
    archive.write_bytes(b"\n".join(beacon_json(CHAIN.beacon(round_)) for round_ in (PAST - 1, PAST)) + b"\n")
    done = timelock("decrypt", "--chain", info, "--beacon", archive, bad, good)
    refused(done, EXIT_FAILURE, "bad.tle", "altered or cut short")
    assert (tmp_path / "bid.txt").read_bytes() == b"a bid\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bad.tle", "bid.txt", "bid.txt.tle", "chain.json", "rounds.ndjson",
    ]  # fmt: skip


# ---------------------------------------------------------------- opening


def test_a_server_gives_the_chain_and_the_round(server: ChainServer, tmp_path: Path):
    opened = tmp_path / "opened"
    assert timelock("decrypt", "--url", server.url, "-o", opened, locked(tmp_path)).code == 0
    assert opened.read_bytes() == b"a bid\n"


def test_an_archived_round_opens_when_no_server_answers(server: ChainServer, info: Path, tmp_path: Path):
    flags = ["--chain", info, "--archive", tmp_path / "rounds.sqlite", "-o", tmp_path / "opened"]
    assert timelock("decrypt", "--url", server.url, *flags, locked(tmp_path)).code == 0
    assert timelock("decrypt", "--url", "http://127.0.0.1:1", *flags, locked(tmp_path)).code == 0


def test_of_two_chains_the_one_whose_round_has_come_opens(server: ChainServer, tmp_path: Path):
    """The round of the other one has the smaller number, and comes later."""
    later = LockedChain(seed=2)
    sealed = tmp_path / "sealed"
    public = public_chain("quicknet")
    for other in (public, later.info):
        recipients = [TlockRecipient(other, FUTURE), TlockRecipient(CHAIN.info, PAST)]
        sealed.write_bytes(encrypt_bytes(b"a bid\n", recipients))
        assert timelock("decrypt", "--url", server.url, "-o", tmp_path / "opened", sealed).code == 0
        recipients = [TlockRecipient(other, FUTURE), TlockRecipient(CHAIN.info, FUTURE + 1)]
        sealed.write_bytes(encrypt_bytes(b"a bid\n", recipients))
        ended = timelock("decrypt", "--url", server.url, "-o", tmp_path / "early", sealed)
        refused(ended, EXIT_TOO_EARLY, f"round {FUTURE}")


def test_before_its_round_a_file_stays_closed_with_code_3(info: Path, server: ChainServer, tmp_path: Path):
    target = tmp_path / "opened"
    done = timelock("decrypt", "--chain", info, "--url", server.url, "-o", target, locked(tmp_path, FUTURE))
    refused(done, EXIT_TOO_EARLY, f"round {FUTURE}", "due in", "--wait")
    beacon = beacon_json(CHAIN.beacon(PAST)).decode()
    done = timelock("decrypt", "--chain", info, "--beacon", beacon, "-o", target, locked(tmp_path, FUTURE))
    refused(done, EXIT_TOO_EARLY)
    assert not target.exists()


def test_a_file_of_another_chain_is_refused_by_its_hash(info: Path, server: ChainServer, tmp_path: Path):
    other = LockedChain(seed=2)
    target = tmp_path / "opened"
    done = timelock("decrypt", "--chain", info, "--url", server.url, "-o", target, locked(tmp_path, chain=other))
    refused(done, EXIT_FAILURE, other.info.hash().hex(), "--chain")
    done = timelock("decrypt", "-o", target, locked(tmp_path, chain=LockedChain(seed=3)))
    refused(done, EXIT_FAILURE, "not built in", "--url")


def test_a_server_that_lies_is_named_and_opens_nothing(tmp_path: Path):
    forged = Beacon(Round(PAST), CHAIN.beacon(PAST + 1).signature)
    with serving(CHAIN, answers={f"/{PAST}": beacon_json(forged)}) as liar:
        done = timelock("decrypt", "--url", liar.url, "-o", tmp_path / "opened", locked(tmp_path))
        refused(done, EXIT_INVALID, liar.url)
    assert not (tmp_path / "opened").exists()


def test_a_forged_beacon_by_hand_is_refused(info: Path, tmp_path: Path):
    forged = beacon_json(Beacon(Round(PAST), CHAIN.beacon(PAST + 1).signature)).decode()
    done = timelock("decrypt", "--chain", info, "--beacon", forged, "-o", tmp_path / "opened", locked(tmp_path))
    assert done.code == EXIT_INVALID
    assert not (tmp_path / "opened").exists()


def test_a_web_page_instead_of_an_answer_is_said_to_be_one(info: Path, tmp_path: Path):
    with serving(CHAIN, answers={f"/{PAST}": b"<html>log in</html>"}) as portal:
        target = tmp_path / "opened"
        done = timelock("decrypt", "--chain", info, "--url", portal.url, "-o", target, locked(tmp_path))
    refused(done, EXIT_FAILURE, portal.url)
    assert not target.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: b"", "not an age file"),
        (lambda data: b"PK" + data, "not an age file"),
        (lambda data: data[:100], "cut short"),
        (lambda data: data.replace(b"tlock 1000", b"tlock 1001"), "does not open"),
        (lambda data: data.replace(b"-> tlock", b"-> x\n\n-> tlock"), "not the one that was written"),
        (lambda data: data[:-1], "cut short"),
        (lambda data: data + b"\0", "altered"),
    ],
)
def test_a_damaged_file_leaves_no_output(change, words: str, info: Path, server: ChainServer, tmp_path: Path):
    sealed, target = locked(tmp_path), tmp_path / "opened"
    target.write_bytes(b"what was there")
    sealed.write_bytes(change(sealed.read_bytes()))
    done = timelock("decrypt", "--chain", info, "--url", server.url, "-o", target, sealed)
    refused(done, EXIT_FAILURE, words)
    assert target.read_bytes() == b"what was there"
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_key_opens_without_asking_anybody(info: Path, tmp_path: Path):
    key = X25519Identity(bytes(range(32)))
    keys, plain, sealed = tmp_path / "keys.txt", tmp_path / "plain", tmp_path / "sealed"
    keys.write_text(f"# a comment\n\n{key.encode()}\n")
    plain.write_bytes(b"both")
    flags = ["--chain", info, "--round", str(FUTURE), "-r", str(key.recipient)]
    assert timelock("encrypt", *flags, "-o", sealed, plain).code == 0
    done = timelock("decrypt", "--chain", info, "--url", "http://127.0.0.1:1", "-i", keys, "-o", plain, sealed)
    assert done.code == 0, done.err
    keys.write_text(key.encode()[:-1] + "\n")
    done = timelock("decrypt", "--chain", info, "-i", keys, "-o", plain, sealed)
    refused(done, EXIT_FAILURE, "line 1")
    assert "AGE-SECRET-KEY-1G" not in done.err


def test_standard_input_and_output_carry_bytes(info: Path, tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DRAND_")}
    command = [sys.executable, "-m", "drand.cli.main", "timelock"]
    flags = ["--chain", str(info), "--round", str(PAST), "--force"]
    content = bytes(range(256)) * 300
    sealed = subprocess.run(
        [*command, "encrypt", *flags], input=content, capture_output=True, check=True, env=environment
    ).stdout
    beacon = beacon_json(CHAIN.beacon(PAST)).decode()
    opened = subprocess.run(
        [*command, "decrypt", "--chain", str(info), "--beacon", beacon, "-"],
        input=sealed, capture_output=True, check=True, env=environment,
    ).stdout  # fmt: skip
    assert opened == content


# ---------------------------------------------------------------- looking


def test_inspection_tells_rounds_chains_times_and_others(info: Path, tmp_path: Path):
    key = X25519Identity(bytes(range(32)))
    sealed = tmp_path / "sealed"
    recipients = [TlockRecipient(CHAIN.info, FUTURE), TlockRecipient(CHAIN.info, PAST), key.recipient]
    sealed.write_bytes(encrypt_bytes(b"", recipients, armor=True))
    said = timelock("inspect", "--chain", info, sealed).out
    assert "armored age file" in said
    assert f"round {PAST} of locked, open since 2023-11-14T23:03:17Z" in said
    assert "also opens with: X25519" in said
    fields = json.loads(timelock("inspect", "--json", sealed).out)
    assert [lock["round"] for lock in fields["locks"]] == [PAST, FUTURE]
    assert fields["locks"][0] == {
        "round": PAST, "chain_hash": CHAIN.info.hash().hex(), "chain": None, "opens_unix_s": None, "opens": None,
    }  # fmt: skip
    assert fields["recipients"] == ["tlock", "tlock", "X25519"]


def test_status_says_when_and_its_code_is_3_while_locked(info: Path, server: ChainServer, tmp_path: Path):
    later = timelock("status", "--chain", info, locked(tmp_path, FUTURE))
    assert later.code == EXIT_TOO_EARLY
    assert "opens in" in later.out
    open_ = timelock("status", "--chain", info, locked(tmp_path))
    assert (open_.code, open_.out.split(": ")[1]) == (0, "open since 2023-11-14T23:03:17Z\n")
    asked = timelock("status", "--url", server.url, locked(tmp_path))
    assert (asked.code, "open since" in asked.out) == (0, True)
    unknown = timelock("status", locked(tmp_path))
    assert (unknown.code, "unknown here" in unknown.out) == (EXIT_FAILURE, True)
    fields = json.loads(timelock("status", "--json", "--chain", info, locked(tmp_path, FUTURE)).out)
    assert fields["locked"] is True
    assert fields["opens_unix_s"] == CHAIN.info.schedule.due_unix_s(FUTURE)
    unknown = timelock("status", "--json", locked(tmp_path))
    assert (unknown.code, json.loads(unknown.out)["locked"]) == (EXIT_FAILURE, None)
    public = tmp_path / "public"
    public.write_bytes(encrypt_bytes(b"", [TlockRecipient(public_chain("quicknet"), FUTURE)]))
    assert timelock("status", locked(tmp_path), public).code == EXIT_TOO_EARLY


def test_waiting_for_an_open_file_ends_at_once(info: Path, server: ChainServer, tmp_path: Path):
    assert timelock("wait", "--url", server.url, locked(tmp_path)).code == 0
    done = timelock("decrypt", "--wait", "--url", server.url, "-o", tmp_path / "opened", locked(tmp_path))
    assert done.code == 0
    other = LockedChain(seed=2)
    refused(timelock("wait", "--chain", info, "--url", server.url, locked(tmp_path, chain=other)), EXIT_FAILURE)


# ---------------------------------------------------------------- waiting


class Waited:
    """A countdown whose time passes at once."""

    def __init__(self, now: float) -> None:
        self.clock = StoppedClock(now)
        self.countdown = Countdown(self.clock, self.pass_)

    def pass_(self, seconds: float) -> None:
        self.clock.time += seconds


def test_a_countdown_tries_again_when_the_round_is_due_and_while_it_is_late():
    waited = Waited(100.0)
    tried: list[float] = []

    def attempt() -> str:
        tried.append(waited.clock.time)
        if waited.clock.time < 130:
            raise StillLocked("too early", round_=1, opens_unix_s=130)
        if waited.clock.time < 133:
            raise BeaconNotFound("not there yet")
        return "open"

    assert waited.countdown.until_it_opens(attempt) == "open"
    assert tried == [100.0, 130.0, 131.0, 132.0, 133.0]


def test_a_countdown_gives_up_when_the_round_does_not_come():
    waited = Waited(100.0)

    def attempt() -> None:
        if waited.clock.time < 130:
            raise StillLocked("too early", round_=1, opens_unix_s=130)
        raise Unavailable("nobody answers")

    with pytest.raises(Unavailable):
        waited.countdown.until_it_opens(attempt)
    assert waited.clock.time == pytest.approx(130 + PATIENCE_S + 1)


def test_what_is_missing_without_a_wait_is_an_error_at_once():
    waited = Waited(100.0)

    def attempt() -> None:
        raise Unavailable("nobody answers")

    with pytest.raises(Unavailable):
        waited.countdown.until_it_opens(attempt)
    assert waited.clock.time == 100.0
