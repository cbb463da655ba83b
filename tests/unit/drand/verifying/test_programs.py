"""Verification workers in programs of all kinds: scripts without a guard, `python -`, threads, forks, the killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="forks, or needs a pidfd")

BEGIN = """
import os, signal, sys, threading
from pathlib import Path
from drand.client import Client
from drand.model.schemes import scheme_named
from drand.model.verification import ChainVerifier
from drand.store.sqlite import open_store
from drand.verifying.verifiers import Verifiers
from tests.support.committee import Committee

print("begun")
real = Committee(scheme_named("bls-unchained-g1-rfc9380"), size=1, threshold=1)
verifier = ChainVerifier(real.scheme, real.group.public_key[0])
verifiers = Verifiers(2, worth=1)
"""

READ = """
def read():
    with Client(real.group.chain_info(), [STORE], verifiers=verifiers) as client:
        print(len(list(client.rounds(1, 20))), "rounds", len(verifiers.pids), "worker")

store = open_store(Path(STORE), chained=False)
store.append(real.beacons(0, 20))
store.close()
"""

CALL = "read()\n"
CALL_IN_A_THREAD = "thread = threading.Thread(target=read)\nthread.start()\nthread.join()\n"


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


def run(script: Path, *, by_input: bool = False, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    with script.open() as text:
        return subprocess.run(
            [sys.executable, "-" if by_input else str(script)],
            stdin=text if by_input else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            env=environment(),
            cwd=folder,
            check=False,
        )


@pytest.mark.parametrize("by_input", [False, True], ids=["file", "standard input"])
@pytest.mark.parametrize("call", [CALL, CALL_IN_A_THREAD], ids=["main thread", "other thread"])
def test_a_script_without_a_guard_runs_once_and_is_not_read_by_its_workers(tmp_path: Path, call: str, by_input: bool):
    script = tmp_path / "script.py"
    script.write_text(f"STORE = {str(tmp_path / 'drand.sqlite')!r}\n" + BEGIN + READ + call)
    ended = run(script, by_input=by_input)
    assert (ended.returncode, ended.stdout) == (0, "begun\n20 rounds 1 worker\n"), ended.stderr


def test_a_module_in_the_working_folder_is_not_taken_for_ours(tmp_path: Path):
    (tmp_path / "signal.py").write_text("raise SystemExit('not the signal module')\n")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    script = folder / "script.py"
    script.write_text(f"STORE = {str(tmp_path / 'drand.sqlite')!r}\n" + BEGIN + READ + CALL)
    ended = run(script, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "begun\n20 rounds 1 worker\n"), ended.stderr


def test_a_program_that_closes_nothing_ends(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(BEGIN + "verifiers.submit(verifier, real.beacons(1, 500))\nprint('end')\n")
    ended = run(script)
    assert (ended.returncode, ended.stdout) == (0, "begun\nend\n"), ended.stderr


FORK = """
print(sorted(verifiers.submit(verifier, [*real.beacons(1, 20), real.lie(21)]).result()), flush=True)
before = verifiers.pids
child = os.fork()
if child == 0:
    print(sorted(verifiers.submit(verifier, [*real.beacons(1, 20), real.lie(22)]).result()), flush=True)
    assert verifiers.pids and verifiers.pids != before, "workers of its own"
    verifiers.close()
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print(sorted(verifiers.submit(verifier, [*real.beacons(1, 20), real.lie(23)]).result()))
assert verifiers.pids == before
"""


@LINUX
def test_a_forked_child_has_workers_of_its_own(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(BEGIN + FORK)
    ended = run(script)
    assert (ended.returncode, ended.stdout) == (0, "begun\n[21]\n[22]\n[23]\n"), ended.stderr


KILLED = """
verifiers.submit(verifier, real.beacons(1, 20)).result()
assert verifiers.pids
WORK
os.kill(os.getpid(), signal.SIGKILL)
"""
AT_WORK = "for _ in range(20): verifiers.submit(verifier, real.beacons(1, 500))"
HEIR = """
child = os.fork()
if child == 0:
    for kept in (0, 1, 2):
        os.close(kept)
    signal.pause()
print(child, flush=True)
"""


@pytest.mark.parametrize("work", ["", AT_WORK], ids=["idle", "at work"])
def test_nothing_is_left_of_the_workers_when_their_program_is_killed(tmp_path: Path, work: str):
    """They have its standard error stream, which comes to an end only when all are gone."""
    script = tmp_path / "script.py"
    script.write_text(BEGIN + KILLED.replace("WORK", work))
    assert run(script).returncode == -signal.SIGKILL


@LINUX
def test_nor_when_a_forked_child_still_holds_their_pipes(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(BEGIN + KILLED.replace("WORK", HEIR))
    ended = run(script)
    os.kill(int(ended.stdout.split()[1]), signal.SIGKILL)
    assert ended.returncode == -signal.SIGKILL


def test_threads_that_come_and_go_leave_the_workers_alone(tmp_path: Path):
    """A worker outlives the thread that asked first: Linux would end one that is tied to its parent's thread."""
    script = tmp_path / "script.py"
    script.write_text(
        BEGIN
        + "def ask(): verifiers.submit(verifier, real.beacons(1, 20)).result()\n"
        + "for _ in range(3):\n    thread = threading.Thread(target=ask)\n    thread.start()\n    thread.join()\n"
        + "print(len(verifiers.pids))\n"
    )
    ended = run(script)
    assert (ended.returncode, ended.stdout) == (0, "begun\n1\n"), ended.stderr
