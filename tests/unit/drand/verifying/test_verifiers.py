"""Verification in worker processes, whatever becomes of them."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from collective.errors import BadSetting
from collective.groups.bls12381 import bls12381
from drand.model.chain import Beacon, Round
from drand.model.schemes import scheme_named
from drand.model.verification import ChainVerifier
from drand.verifying import worker
from drand.verifying.verifiers import MAX_BEACONS, MOST_BY_ITSELF, Verifiers, VerifiersClosed, workers_by_default
from tests.support.committee import TOY_UNCHAINED, Committee

REAL = Committee(scheme_named("bls-unchained-g1-rfc9380"), size=1, threshold=1)
TOY = Committee(TOY_UNCHAINED, size=1, threshold=1)
VERIFIER = ChainVerifier(REAL.scheme, REAL.group.public_key[0])
PATIENT_S = 60.0

Make = Callable[..., Verifiers]


@pytest.fixture
def verifiers() -> Iterator[Make]:
    """Makes verifiers that think any work worth a process, and closes them."""
    made: list[Verifiers] = []

    def make(most: int = 1, **settings: float) -> Verifiers:
        made.append(Verifiers(most, **({"worth": 1} | settings)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Starts a shell script where a worker was to be started."""

    def put(script: str) -> None:
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        monkeypatch.setattr(worker, "interpreter", lambda: str(program))

    return put


def bad_rounds(some: Verifiers, beacons: Sequence[Beacon]) -> frozenset[Round]:
    return some.submit(VERIFIER, beacons).result(PATIENT_S)


def with_a_lie(round_: int, last: int = 20) -> list[Beacon]:
    return [REAL.lie(at) if at == round_ else REAL.beacon(at) for at in range(1, last + 1)]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_several_workers_judge_in_the_order_of_the_batches(verifiers: Make):
    some = verifiers(2)
    lies = [3, 9, 1, 17, 20, 5]
    judged = list(some.in_order(VERIFIER, [with_a_lie(round_) for round_ in lies]))
    assert [bad for _, bad in judged] == [{round_} for round_ in lies]
    assert 1 <= len(some.pids) <= 2


def test_no_more_batches_are_taken_than_are_verified_at_a_time_and_one(verifiers: Make):
    taken = 0

    def endless() -> Iterator[tuple[Beacon, ...]]:
        nonlocal taken
        while True:
            taken += 1
            yield REAL.beacons(1, 5)

    judged = verifiers(2).in_order(VERIFIER, endless())
    for place in range(1, 6):
        next(judged)
        assert taken == place + 2


def test_little_work_starts_no_process(verifiers: Make):
    some = verifiers(2, worth=100)
    assert bad_rounds(some, with_a_lie(4)) == {4}
    assert some.submit(VERIFIER, with_a_lie(5), of=99).result(PATIENT_S) == {5}
    assert some.pids == []
    assert some.submit(VERIFIER, with_a_lie(6), of=100).result(PATIENT_S) == {6}
    assert len(some.pids) == 1


def test_a_worker_that_was_killed_is_replaced(verifiers: Make, caplog: pytest.LogCaptureFixture):
    some = verifiers()
    bad_rounds(some, REAL.beacons(1, 5))
    (killed,) = some.pids
    os.kill(killed, signal.SIGKILL)
    assert bad_rounds(some, with_a_lie(7)) == {7}
    assert "a verification worker is lost: worker" in caplog.text
    assert some.pids
    assert some.pids != [killed]


@pytest.mark.parametrize(
    ("script", "patience_s", "said"),
    [
        ("exit 3", PATIENT_S, "ended with status 3"),
        ("exec sleep 600", 0.05, "gave no answer within 0.05 s"),
        ("printf '\\000\\000\\000\\005hello'; exec sleep 600", PATIENT_S, "no verification worker"),
        ("printf '\\377\\377\\377\\377'; exec sleep 600", PATIENT_S, "a frame of 4294967295 bytes"),
    ],
    ids=["dies", "hangs", "is another program", "claims too much"],
)
def test_where_workers_keep_getting_lost_this_process_verifies(
    verifiers: Make,
    instead: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
    script: str,
    patience_s: float,
    said: str,
):
    instead(script)
    some = verifiers(patience_s=patience_s)
    assert bad_rounds(some, with_a_lie(20)) == {20}
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 3, "two workers, and that there will be no third one"
    assert said in warnings[0]
    assert "keep getting lost" in warnings[2]
    assert bad_rounds(some, with_a_lie(19)) == {19}
    assert len(caplog.records) == 3, "no other worker was tried"
    assert some.pids == []


def test_a_program_that_cannot_be_started_is_no_worker(
    verifiers: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(worker, "interpreter", lambda: str(tmp_path / "python-that-is-not"))
    assert bad_rounds(verifiers(), with_a_lie(2)) == {2}
    assert "cannot be started" in caplog.text


def test_workers_without_work_end_and_new_ones_come_with_new_work(verifiers: Make):
    some = verifiers(idle_s=0.0)
    for round_ in (1, 2):
        verdict = some.submit(VERIFIER, with_a_lie(round_))
        serving = [thread for thread in threading.enumerate() if thread.name == "drand verifying"]
        assert verdict.result(PATIENT_S) == {round_}
        for thread in serving:
            thread.join(PATIENT_S)
        assert some.pids == []


def test_ctrl_c_is_not_for_the_workers(verifiers: Make):
    some = verifiers()
    bad_rounds(some, REAL.beacons(1, 5))
    before = some.pids
    os.kill(before[0], signal.SIGINT)
    assert bad_rounds(some, with_a_lie(3)) == {3}
    assert some.pids == before
    assert os.getsid(before[0]) != os.getsid(0)


def test_closing_ends_the_workers_and_tells_who_waits(verifiers: Make, instead: Callable[[str], None], tmp_path: Path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    instead(f"echo > {fifo}; exec sleep 600")
    some = verifiers()
    waiting = [some.submit(VERIFIER, REAL.beacons(1, 5)) for _ in range(3)]
    fifo.read_text()  # the first one is at work
    some.close()
    for verdict in waiting:
        assert isinstance(verdict.exception(PATIENT_S), VerifiersClosed)
    with pytest.raises(VerifiersClosed):
        some.submit(VERIFIER, REAL.beacons(1, 5))
    some.close()


def test_no_process_is_left_after_closing(verifiers: Make):
    some = verifiers(2)
    list(some.in_order(VERIFIER, [REAL.beacons(1, 5)] * 6))
    before = some.pids
    assert before
    some.close()
    assert not any(alive(pid) for pid in before)


def test_a_verdict_nobody_waits_for_any_more_is_not_worked_out(verifiers: Make, instead: Callable[[str], None]):
    instead("exec sleep 600")
    some = verifiers()
    some.submit(VERIFIER, REAL.beacons(1, 5))
    second = some.submit(VERIFIER, REAL.beacons(1, 5))
    assert second.cancel()
    some.close()
    assert second.cancelled()


def test_what_no_frame_can_carry_is_verified_here(verifiers: Make):
    some = verifiers()
    impossible = Beacon(Round(2**64), b"")
    assert bad_rounds(some, [*REAL.beacons(1, 5), impossible]) == {2**64}


def test_a_scheme_that_a_worker_does_not_know_is_verified_here(verifiers: Make):
    some = verifiers()
    verifier = ChainVerifier(TOY.scheme, TOY.group.public_key[0])
    assert some.submit(verifier, [*TOY.beacons(1, 5), TOY.lie(6)]).result(PATIENT_S) == {6}
    assert some.pids == []


def test_a_scheme_with_a_backend_of_its_own_is_verified_here(verifiers: Make):
    some = verifiers()
    own = replace(REAL.scheme, bls=replace(REAL.scheme.bls, suite=bls12381("arkworks")))
    verifier = ChainVerifier(own, REAL.group.public_key[0])
    assert some.submit(verifier, with_a_lie(3)).result(PATIENT_S) == {3}
    assert some.pids == []


def test_a_batch_is_bounded(verifiers: Make):
    with pytest.raises(ValueError, match="at most"):
        verifiers().submit(VERIFIER, [REAL.beacon(1)] * (MAX_BEACONS + 1))


def test_a_worker_holds_nothing_of_ours(verifiers: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("PYTHONINSPECT", "1")
    with (tmp_path / "ours").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        some = verifiers()
        bad_rounds(some, REAL.beacons(1, 5))
        process = Path("/proc", str(some.pids[0]))
        variables = process.joinpath("environ").read_bytes()
        files = [os.readlink(file) for file in process.joinpath("fd").iterdir()]
    assert b"hunter2" not in variables
    assert b"PYTHONINSPECT" not in variables
    assert str(tmp_path / "ours") not in files


@pytest.mark.parametrize("executable", [None, "", "/usr/sbin/uwsgi", "/opt/app/app"])
def test_where_there_is_no_python_to_start_this_process_verifies(
    verifiers: Make, monkeypatch: pytest.MonkeyPatch, executable: str | None
):
    monkeypatch.setattr(sys, "executable", executable)
    some = verifiers(2)
    assert some.most == 0
    assert bad_rounds(some, with_a_lie(3)) == {3}
    assert some.pids == []


def test_a_frozen_program_is_not_started_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert worker.interpreter() is None


@pytest.mark.parametrize(("cores", "workers"), [(1, 0), (2, 2), (3, 3), (64, MOST_BY_ITSELF)])
def test_by_default_there_is_a_worker_for_each_core_that_may_be_used(
    monkeypatch: pytest.MonkeyPatch, cores: int, workers: int
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert workers_by_default() == workers
    assert Verifiers().most == workers


def test_a_number_of_workers_is_not_negative():
    with pytest.raises(BadSetting):
        Verifiers(-1)
