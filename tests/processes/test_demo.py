"""`drand demo` as people run it: it shows its rounds, leaves no process behind, and what it keeps starts again."""

import shlex
import signal
import sys
from pathlib import Path

import pytest

from tests.support.processes import OURS
from tests.support.running import Running

DEMO = [*OURS.command, "demo", "--nodes", "2", "--period", "1s"]


def processes_of(folder: Path) -> list[str]:
    """Command lines, of any user's processes, that name the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has just ended
        if str(folder) in line:
            found.append(line)
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("starting 2 daemons", signal.SIGTERM),
        ("generating 2 key pairs", signal.SIGINT),
        ("distributed key generation", signal.SIGHUP),
        ("round 1 is due", signal.SIGINT),
    ],
)
def test_a_demonstration_that_is_ended_leaves_no_process_behind(tmp_path: Path, moment: str, number: signal.Signals):
    folder = tmp_path / "shown"
    demo = Running([*DEMO, "--folder", str(folder)])
    try:
        demo.wait_for(moment)
        assert processes_of(folder)
        demo.send(number)
        demo.send(number)  # an impatient operator
        assert demo.wait_end() == 128 + number
        assert "stopping" in demo.output
        assert "Traceback" not in demo.output
        assert processes_of(folder) == []
    finally:
        demo.end()


@pytest.mark.slow
def test_a_demonstration_shows_what_it_runs_and_its_nodes_start_again_as_it_says(tmp_path: Path):
    folder = tmp_path / "shown"
    demo = Running([*DEMO, "--folder", str(folder), "--rounds", "2", "--scheme", "bls-unchained-g1-rfc9380"])
    lines = demo.succeed().splitlines()
    assert lines[0] == "scheme bls-unchained-g1-rfc9380, threshold 2 of 2, a round every 1s"
    assert [line.split()[:2] for line in lines if " verified, " in line] == [["round", "1"], ["round", "2"]]
    commands = [shlex.split(line) for line in lines if line.startswith("  ") and " start --folder " in line]
    assert len(commands) == 2
    again = [Running(command) for command in commands]
    try:
        for node in again:
            node.wait_for("round made")
    finally:
        for node in again:
            node.end()
    refused = Running([*DEMO, "--folder", str(folder)]).refuse()
    assert "is not empty" in refused


def test_without_a_folder_of_its_own_nothing_is_left(tmp_path: Path):
    demo = Running(DEMO, environment={"TMPDIR": str(tmp_path)})
    try:
        demo.wait_for("starting 2 daemons")
        demo.send(signal.SIGTERM)
        assert demo.wait_end() == 143
    finally:
        demo.end()
    assert list(tmp_path.iterdir()) == []
