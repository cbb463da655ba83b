"""Commands that are ended by a signal: they leave nothing half written, and their exit code says which signal."""

import contextlib
import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drand.cli import endings
from drand.cli.endings import CLEANING_UP_S, Ended, ended_by_signals
from drand.cli.root import run
from drand.errors import EXIT_HUNG_UP, EXIT_INTERRUPTED, EXIT_TERMINATED
from drand.timelock import TlockRecipient, encrypt_bytes
from drand.wire.http_json import beacon_json, chain_info_json
from tests.support.locked_chain import LockedChain
from tests.support.running import Running

CHAIN = LockedChain()
PAST, FUTURE = 1000, 10**9
COMMAND = [sys.executable, "-m", "drand.cli.main"]
MORE_THAN_A_PIPE_HOLDS = 4 << 20
BY_SIGNAL = {signal.SIGTERM: EXIT_TERMINATED, signal.SIGHUP: EXIT_HUNG_UP, signal.SIGINT: EXIT_INTERRUPTED}


@pytest.fixture
def info(tmp_path: Path) -> Path:
    path = tmp_path / "chain.json"
    path.write_bytes(chain_info_json(CHAIN.info))
    return path


@pytest.mark.parametrize(("number", "code"), BY_SIGNAL.items(), ids=lambda one: getattr(one, "name", None))
def test_a_file_that_is_half_locked_is_removed(info: Path, tmp_path: Path, number: signal.Signals, code: int):
    folder = tmp_path / "out"
    folder.mkdir()
    flags = ["--chain", str(info), "--round", str(PAST), "-f", "-o", str(folder / "sealed")]
    locking = subprocess.Popen(
        [*COMMAND, "timelock", "encrypt", *flags], stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    with locking:
        assert locking.stdin is not None
        for _ in range(MORE_THAN_A_PIPE_HOLDS >> 16):
            locking.stdin.write(bytes(1 << 16))  # returns once most of what came before was taken
        assert [path.suffix for path in folder.iterdir()] == [".tmp"]
        locking.send_signal(number)
        assert locking.wait(60) == code
        assert locking.stderr is not None
        assert locking.stderr.read().split()[-1] in (b"terminated", b"up", b"interrupted")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), BY_SIGNAL.items(), ids=lambda one: getattr(one, "name", None))
def test_a_file_that_is_waited_for_has_no_output_before_its_round(
    info: Path, tmp_path: Path, number: signal.Signals, code: int
):
    folder, sealed = tmp_path / "out", tmp_path / "sealed"
    folder.mkdir()
    sealed.write_bytes(encrypt_bytes(b"a bid\n", [TlockRecipient(CHAIN.info, FUTURE)]))
    flags = ["--chain", str(info), "--beacon", beacon_json(CHAIN.beacon(PAST)).decode(), "--wait"]
    waiting = Running([*COMMAND, "timelock", "decrypt", *flags, "-o", str(folder / "opened"), str(sealed)])
    try:
        waiting.wait_for("waiting ")
        assert list(folder.iterdir()) == []
        waiting.send(number)
        assert waiting.wait_end() == code
        assert "Traceback" not in waiting.output
        assert list(folder.iterdir()) == []
    finally:
        waiting.end()


def test_a_terminal_that_is_gone_takes_no_words_and_does_not_change_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("drand.cli.verify.chosen_verifier", lambda *_: signal.raise_signal(signal.SIGHUP))
    (tmp_path / "beacons").touch()
    with contextlib.redirect_stderr(Gone()):
        assert run(["verify", "--chain", "quicknet", str(tmp_path / "beacons")]) == EXIT_HUNG_UP
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_what_is_told_twice_is_heard_once_and_what_is_told_later_again(monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr(endings, "monotonic_s", lambda: now[0])
    with ended_by_signals() as ending:
        with pytest.raises(Ended):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        now[0] += CLEANING_UP_S
        with pytest.raises(Ended):
            signal.raise_signal(signal.SIGTERM)
        assert ending.code == EXIT_HUNG_UP


def test_a_signal_that_is_disregarded_stays_so():
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals() as ending:
            signal.raise_signal(signal.SIGHUP)
            assert ending.code == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("command", "runs"), [("start", "drand.daemon.daemon.run_daemon"), ("relay", "drand.relay.relay.run_relay")]
)
def test_what_hears_signals_itself_is_left_to_it(
    command: str, runs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[object] = []
    monkeypatch.setattr(runs, lambda _settings: seen.extend(map(signal.getsignal, endings.CODES)))
    flags = {"start": ["--tls-disable", "--folder", str(tmp_path)], "relay": ["--url", "http://127.0.0.1:1"]}
    assert run([command, *flags[command]]) == 0
    assert seen == [signal.SIG_DFL, signal.SIG_DFL]
