"""`drand demo`: what it refuses before it starts anything, how its lines fit, and signals between two steps."""

import os
import signal
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from drand.cli import demo
from drand.cli.local_network import Ceremony, CommandFailed, LocalNetwork, undisturbed
from tests.support.command_line import drand

DIGITS = "0123456789abcdef" * 4


@pytest.mark.parametrize(("nodes", "threshold"), [("5", "2"), ("5", "6"), ("2", "1")])
def test_a_threshold_that_no_ceremony_takes_is_refused_at_once(nodes: str, threshold: str, tmp_path: Path):
    ended = drand("demo", "--nodes", nodes, "--threshold", threshold, "--folder", tmp_path / "new")
    assert ended.code == 1
    assert f"a threshold of {threshold} for {nodes} nodes" in ended.err
    assert ended.hints
    assert not (tmp_path / "new").exists()


def test_the_threshold_is_just_over_half_where_none_is_given():
    assert [demo.checked_threshold(nodes, None) for nodes in (2, 3, 4, 5, 6)] == [2, 2, 3, 3, 4]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path):
    (tmp_path / "mine").write_text("precious")
    ended = drand("demo", "--folder", tmp_path)
    assert ended.code == 1
    assert "is not empty" in ended.err
    assert ended.hints
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(("columns", "shown"), [(200, 64), (80, 64), (60, 46), (40, 26), (10, 8)])
def test_a_line_fits_the_terminal_by_its_digits(monkeypatch: pytest.MonkeyPatch, columns: int, shown: int):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    size = namedtuple("size", "columns lines")(columns, 24)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: size)
    line = demo.fitted("round 7 ", DIGITS, " tail")
    assert line == "round 7 " + (DIGITS if shown == 64 else DIGITS[:shown] + "…") + " tail"
    assert len(line) <= columns or shown == 8


def test_in_a_pipe_all_digits_are_printed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert demo.fitted("a ", DIGITS, " b") == f"a {DIGITS} b"


def test_a_signal_waits_until_a_process_that_starts_is_noted_down():
    did = []

    def start() -> None:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGTERM)
            did.append("noted down")
        did.append("never")

    with demo.ended_by_signals():
        with pytest.raises(KeyboardInterrupt):
            start()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), number)  # an impatient operator: the cleaning up goes on
        did.append("cleaned up")
    assert did == ["noted down", "cleaned up"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_one_failing_command_ends_those_that_wait_for_it(tmp_path: Path):
    script = tmp_path / "drand"
    script.write_text("#!/bin/sh\ncase $* in *--leader*) exec sleep 600;; *) echo no such leader >&2; exit 1;; esac\n")
    script.chmod(0o755)
    network = LocalNetwork(tmp_path, 2, [str(script)])
    with pytest.raises(CommandFailed, match="`drand share` at node2: no such leader"):
        network.hold(Ceremony(threshold=2))
