"""What the operator is told once a minute, and what of strangers' messages."""

import asyncio
import logging

import pytest

from collective.errors import InvalidSignature, OutOfTurn
from drand.daemon import watching as module
from drand.daemon.reach import Reach
from drand.daemon.refusals import LINES_A_MINUTE, Refusals
from drand.daemon.watching import ClockWatch, MinuteWatch
from drand.model.chain import Round
from drand.model.packets import DkgPacket, GroupPush, PartialPacket, SignalPacket
from drand.protocol.forgeries import TooManyForgeries
from tests.support.committee import Committee
from tests.support.people import person
from tests.support.stored import BUNDLE
from tests.support.vaults import SetClock

ADDRESSES = ("a:1", "b:1", "c:1", "d:1")
LOG = logging.getLogger("a.node")
PUSH = GroupPush(Committee().group, b"secret word", 10, b"signature")
SIGNAL = SignalPacket(person("one").identity, b"secret word")


@pytest.mark.parametrize(
    ("failed", "level", "text"),
    [
        (0, logging.DEBUG, "below"),
        (1, logging.DEBUG, "below"),
        (2, logging.WARNING, "crossed half threshold"),
        (3, logging.WARNING, "crossed half threshold"),
        (4, logging.ERROR, "crossed threshold"),
    ],
)
def test_the_minute_s_verdict_follows_from_the_threshold(failed: int, level: int, text: str):
    reach = Reach()
    reach.note(ADDRESSES, dict.fromkeys(ADDRESSES[:failed], "no route"))
    report = reach.report(threshold=4)
    assert (report.level, report.fields["failed"]) == (level, failed)
    assert text in report.text


def test_a_node_that_failed_once_in_the_minute_counts_and_then_is_forgotten():
    reach = Reach()
    reach.note(ADDRESSES, {"a:1": "no route"})
    reach.note(ADDRESSES, {})
    assert reach.failing == {}
    assert reach.report(threshold=1).level == logging.ERROR
    assert reach.report(threshold=1).level == logging.DEBUG


def test_a_group_of_one_is_never_cut_off():
    assert Reach().report(threshold=1).level == logging.DEBUG


def test_a_refused_group_is_logged_and_kept_for_whoever_waits_for_one(caplog: pytest.LogCaptureFixture):
    refusals = Refusals()
    with caplog.at_level(logging.INFO):
        refusals.note(LOG, PUSH, "192.0.2.1:7", OutOfTurn("invalid secret", hint="agree on one"))
    assert "refused a group from 192.0.2.1:7: invalid secret (agree on one)" in caplog.text
    assert refusals.last_group == "refused a group from 192.0.2.1:7: invalid secret"
    assert "secret word" not in caplog.text


def test_a_stranger_cannot_fill_the_log(caplog: pytest.LogCaptureFixture):
    refusals = Refusals()
    with caplog.at_level(logging.INFO):
        for _ in range(10 * LINES_A_MINUTE):
            refusals.note(LOG, SIGNAL, "192.0.2.1:7", OutOfTurn("no"))
        assert len(caplog.records) == LINES_A_MINUTE
        refusals.on_minute(LOG)
        assert f"{9 * LINES_A_MINUTE} more" in caplog.records[-1].getMessage()
        refusals.note(LOG, SIGNAL, "192.0.2.1:7", OutOfTurn("no"))
        refusals.on_minute(LOG)
    assert len(caplog.records) == LINES_A_MINUTE + 2


def test_refused_partials_and_bundles_are_for_debugging(caplog: pytest.LogCaptureFixture):
    refusals = Refusals()
    with caplog.at_level(logging.DEBUG):
        refusals.note(LOG, PartialPacket(Round(1), b"", b"\0\0sig"), "x:1", OutOfTurn("too early"))
        refusals.note(LOG, DkgPacket(BUNDLE.bundle), "x:1", OutOfTurn("too late"))
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("DEBUG", "refused a partial from x:1: too early"),
        ("DEBUG", "refused a bundle from x:1: too late"),
    ]
    assert refusals.last_group == ""


def test_forgeries_are_told_once_a_minute_each_kind_by_itself(caplog: pytest.LogCaptureFixture):
    refusals = Refusals()
    partial = PartialPacket(Round(1), b"", b"\0\0sig")
    with caplog.at_level(logging.INFO):
        for message, error in (
            (partial, InvalidSignature("forged")),
            (DkgPacket(BUNDLE.bundle), InvalidSignature("forged")),
            (DkgPacket(BUNDLE.bundle), TooManyForgeries("too many")),
            (DkgPacket(BUNDLE.bundle), OutOfTurn("too late")),
        ):
            refusals.note(LOG, message, "x:1", error)
        refusals.on_minute(LOG)
        refusals.on_minute(LOG)
    assert [one.getMessage() for one in caplog.records] == [
        "1 forged partials were refused in the last minute, the last from x:1",
        "2 forged bundles were refused in the last minute, the last from x:1",
    ]


class Steady:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def test_a_clock_that_was_set_is_noticed_and_one_that_drifts_is_not():
    clock, steady = SetClock(1000.0), Steady()
    watch = ClockWatch(clock, steady)
    clock.unix_s, steady.s = 1060.03, 60.0
    assert watch.stepped_s() == 0.0
    clock.unix_s, steady.s = 1130.03, 120.0
    assert watch.stepped_s() == pytest.approx(10.0)
    clock.unix_s, steady.s = 1090.03, 180.0
    assert watch.stepped_s() == pytest.approx(-100.0)


def test_the_operator_reads_that_the_clock_was_set(caplog: pytest.LogCaptureFixture):
    clock = SetClock(1000.0)
    watch = MinuteWatch(clock, tuple)
    watch._clock = ClockWatch(clock, Steady())  # a clock that stands however long the test takes
    clock.unix_s += 5000
    watch.look()
    clock.unix_s -= 9000
    watch.look()
    assert "set forward by 5000.0 s" in caplog.text
    assert "set back by 9000.0 s" in caplog.text


async def test_a_watch_is_closed_once_and_may_be_closed_before_it_began():
    watch = MinuteWatch(SetClock(), tuple)
    watch.close()
    watch.start()
    running = watch._task
    assert running is not None
    watch.close()
    watch.close()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_the_minute_is_looked_at_again_and_again(monkeypatch: pytest.MonkeyPatch):
    looks = asyncio.Queue[int]()
    watch = MinuteWatch(SetClock(), lambda: looks.put_nowait(1) or ())
    monkeypatch.setattr(module, "MINUTE_S", 0.0)
    watch.start()
    async with asyncio.timeout(30):
        assert [await looks.get() for _ in range(3)] == [1, 1, 1]
    watch.close()


async def test_a_bug_in_one_look_is_logged_and_does_not_end_the_watch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    looks = asyncio.Queue[int]()

    def refresh() -> None:
        looks.put_nowait(1)
        raise RuntimeError("nobody thought of this")

    watch = MinuteWatch(SetClock(), tuple, refresh)
    monkeypatch.setattr(module, "MINUTE_S", 0.0)
    watch.start()
    async with asyncio.timeout(30):
        assert [await looks.get() for _ in range(3)] == [1, 1, 1]
    watch.close()
    first = caplog.records[0]
    assert "going on" in first.getMessage()
    assert first.exc_info is not None
