"""Synced beacons are verified in a worker, whatever becomes of it."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drand.daemon import checking
from drand.daemon.checking import INLINE_AT_MOST, BeaconChecker
from drand.model.schemes import scheme_named
from tests.support.committee import Committee

REAL = Committee(scheme_named("bls-unchained-g1-rfc9380"), size=1, threshold=1)


@pytest.fixture
async def checker() -> AsyncIterator[BeaconChecker]:
    made = BeaconChecker()
    yield made
    made.close()


def workers() -> list[int]:
    return [child.pid for child in multiprocessing.active_children() if child.pid is not None]


async def test_a_few_beacons_need_no_worker(checker: BeaconChecker):
    rounds = REAL.beacons(1, INLINE_AT_MOST - 1)
    assert await checker.bad_rounds(REAL.group, (*rounds, REAL.lie(99))) == {99}
    assert not checker.has_worker


async def test_a_worker_finds_the_bad_rounds_in_every_piece(checker: BeaconChecker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checking, "CHUNK", 10)
    rounds = [REAL.lie(round_) if round_ in (1, 10, 11, 24) else REAL.beacon(round_) for round_ in range(1, 25)]
    assert await checker.bad_rounds(REAL.group, tuple(rounds)) == {1, 10, 11, 24}
    assert checker.has_worker


async def test_a_worker_that_was_killed_is_replaced(checker: BeaconChecker, caplog: pytest.LogCaptureFixture):
    rounds = REAL.beacons(1, 20)
    assert await checker.bad_rounds(REAL.group, rounds) == frozenset()
    for pid in workers():
        os.kill(pid, signal.SIGKILL)
    assert await checker.bad_rounds(REAL.group, (*rounds, REAL.lie(21))) == {21}
    assert "worker died" in caplog.text
    assert checker.has_worker


async def test_where_workers_keep_dying_the_daemon_verifies_itself(
    checker: BeaconChecker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(checking, "_become_worker", os.abort)
    rounds = (*REAL.beacons(1, 19), REAL.lie(20))
    assert await checker.bad_rounds(REAL.group, rounds) == {20}
    assert "keep dying" in caplog.text


async def test_a_worker_without_work_is_ended(checker: BeaconChecker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checking, "IDLE_S", 0.0)
    await checker.bad_rounds(REAL.group, REAL.beacons(1, 20))
    async with asyncio.timeout(30):
        while checker.has_worker:  # noqa: ASYNC110  # nothing tells: the next turn of the loop ends it
            await asyncio.sleep(0)
    assert await checker.bad_rounds(REAL.group, REAL.beacons(1, 20)) == frozenset(), "another one is started"


async def test_ctrl_c_is_the_daemon_s_to_answer(checker: BeaconChecker):
    await checker.bad_rounds(REAL.group, REAL.beacons(1, 20))
    before = workers()
    for pid in before:
        os.kill(pid, signal.SIGINT)
    assert await checker.bad_rounds(REAL.group, REAL.beacons(1, 20)) == frozenset()
    assert workers() == before


ORPHAN = """
import asyncio, multiprocessing, os, signal, sys
from drand.daemon.checking import BeaconChecker
from drand.model.schemes import scheme_named
from tests.support.committee import Committee

async def main():
    real = Committee(scheme_named("bls-unchained-g1-rfc9380"), size=1, threshold=1)
    await BeaconChecker().bad_rounds(real.group, real.beacons(1, 20))
    print(multiprocessing.active_children()[0].pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_nothing_is_left_of_a_worker_when_its_daemon_is_killed(tmp_path: Path):
    """The worker inherits the daemon's standard output: reading that comes to an end only when both are gone."""
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    killed = subprocess.run(
        [sys.executable, str(script)], capture_output=True, timeout=60, env=environment, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert int(killed.stdout), "there was a worker"
