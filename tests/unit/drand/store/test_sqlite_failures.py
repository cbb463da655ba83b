"""A full disk, a write that the system refuses, a killed process: what the store keeps."""

import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from drand.model.chain import Round
from drand.store.contract import StoreFailed
from drand.store.sqlite import SqliteStore, open_store
from tests.support.stored import BUNDLE, STARTED, chain

# ------------------------------------------------------------------ a full disk


def limited(store: SqliteStore, pages: int) -> None:
    assert store._connection is not None
    store._connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_loses_nothing_and_the_chain_goes_on_when_there_is_room(path: Path):
    store, beacons = open_store(path, chained=True), chain(3000)
    store.append(beacons[:1000])
    limited(store, 1)  # no more than it has now
    stored = store.count()
    with pytest.raises(StoreFailed, match="the disk is full") as caught:
        store.append(beacons[1000:])
    assert "free some space" in caught.value.advice
    with pytest.raises(StoreFailed, match="the disk is full"):
        fill_journal(store)
    assert store.count() == stored
    assert store.last() == beacons[999]
    limited(store, 100_000)
    store.append(beacons[1000:])
    store.close()
    store = open_store(path, chained=True)
    assert store.range(Round(0), 5000) == beacons
    store.close()


def fill_journal(store: SqliteStore) -> None:
    for _ in range(1000):
        store.persist(BUNDLE)


LIMITED_WRITER = """
import resource, sys
from pathlib import Path
from drand.model.chain import Round
from drand.model.records import BeaconStored, EpochStarted
from drand.store.contract import StoreFailed
from drand.store.sqlite import open_store
from tests.support.stored import chain

store, beacons = open_store(Path(sys.argv[1]), chained=True), chain(5_000)
store.append(beacons[:10])
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    store.append(beacons[10:])
except StoreFailed as error:
    print("refused:", error)
print("has", store.count())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.append(beacons[10:])
print("has", store.count())
store.close()
"""


def test_a_write_the_system_refuses_is_undone_and_can_be_repeated(path: Path):
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED_WRITER, str(path)], capture_output=True, text=True, check=True, cwd=root()
    )
    refused, then, at_last = ended.stdout.splitlines()
    assert refused.startswith(f"refused: {path}")
    assert (then, at_last) == ("has 10", "has 5001")


def root() -> Path:
    return Path(__file__).resolve().parents[4]


# ------------------------------------------------------------------ a killed process


WRITER = """
import sys
from pathlib import Path
from drand.store.sqlite import open_store
from tests.support.stored import BUNDLE, STARTED, chain

store, beacons = open_store(Path(sys.argv[1]), chained=True), chain(20_000)
at = store.count()
for _ in sys.stdin:                            # one line allows one append, so that the child cannot run away
    size = 1 if at % 3 else 50
    store.append(beacons[at : at + size])
    at += size
    print(at, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 7, 40, 111])
def test_a_killed_process_loses_no_round_it_acknowledged_and_leaves_no_gap(path: Path, acknowledged: int):
    at = 0
    for _ in range(2):  # the second life goes on where the first stopped
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdin=PIPE, stdout=PIPE, text=True, cwd=root()
        )
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("go on\n" * (acknowledged + 20))
        child.stdin.flush()
        for _ in range(acknowledged):
            at = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split("\n")
        child.stdout.close()
        child.stdin.close()
        assert child.wait() == -signal.SIGKILL
        at = max([at, *(int(line) for line in rest[:-1])])
        store = open_store(path, chained=True)
        count = store.count()
        assert at <= count <= at + 50
        assert store.range(Round(0), count + 1) == chain(count - 1)
        store.append(chain(count)[count:])
        at = count + 1
        store.close()


def test_a_transaction_that_was_not_finished_is_not_there(path: Path):
    script = """
import os, sys
from pathlib import Path
from drand.store.sqlite import open_store
from tests.support.stored import EPOCH, STARTED, chain

store = open_store(Path(sys.argv[1]), chained=True)
store.append(chain(5))
store.persist(STARTED)
with store._transaction() as connection:
    connection.execute("DELETE FROM journal")
    connection.execute("DELETE FROM beacons WHERE round > 2")
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", script, str(path)], check=False, cwd=root())
    store = open_store(path, chained=True)
    assert store.count() == 6
    assert store.journal() == (STARTED,)
    store.close()
