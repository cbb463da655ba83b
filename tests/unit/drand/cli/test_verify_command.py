"""`drand verify` typed on a terminal without anything to read."""

import os
import pty
import subprocess
import sys

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
