"""Synced beacons are verified in a worker, whatever becomes of it. More of it: tests/unit/drand/verifying/."""

import os
import signal
from collections.abc import Iterator

import pytest

from drand.daemon import checking
from drand.daemon.checking import INLINE_AT_MOST, BeaconChecker
from drand.model.schemes import scheme_named
from drand.verifying.verifiers import VerifiersClosed
from tests.support.committee import Committee

REAL = Committee(scheme_named("bls-unchained-g1-rfc9380"), size=1, threshold=1)


@pytest.fixture
def checker() -> Iterator[BeaconChecker]:
    made = BeaconChecker()
    yield made
    made.close()


async def test_a_few_beacons_need_no_worker(checker: BeaconChecker):
    rounds = REAL.beacons(1, INLINE_AT_MOST - 1)
    assert await checker.bad_rounds(REAL.group, (*rounds, REAL.lie(99))) == {99}
    assert not checker.verifiers.pids


async def test_a_worker_finds_the_bad_rounds_in_every_piece(checker: BeaconChecker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checking, "MAX_BEACONS", 10)
    rounds = [REAL.lie(round_) if round_ in (1, 10, 11, 24) else REAL.beacon(round_) for round_ in range(1, 25)]
    assert await checker.bad_rounds(REAL.group, tuple(rounds)) == {1, 10, 11, 24}
    assert len(checker.verifiers.pids) == 1


async def test_a_worker_that_was_killed_is_replaced(checker: BeaconChecker, caplog: pytest.LogCaptureFixture):
    rounds = REAL.beacons(1, 20)
    assert await checker.bad_rounds(REAL.group, rounds) == frozenset()
    (killed,) = checker.verifiers.pids
    os.kill(killed, signal.SIGKILL)
    assert await checker.bad_rounds(REAL.group, (*rounds, REAL.lie(21))) == {21}
    assert f"worker {killed} ended with status -9" in caplog.text
    assert checker.verifiers.pids != [killed]


async def test_a_checker_that_was_closed_says_so(checker: BeaconChecker):
    checker.close()
    with pytest.raises(VerifiersClosed):
        await checker.bad_rounds(REAL.group, REAL.beacons(1, 20))
