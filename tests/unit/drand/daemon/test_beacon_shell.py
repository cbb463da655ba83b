"""The shell around a machine: what it does when the disk, the vault, a peer or our own code fails."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collective.errors import OutOfTurn, Unavailable
from drand.daemon import beacon as module
from drand.daemon.beacon import BeaconBroken, BeaconStopped, NoGroupYet
from drand.model.chain import Round
from drand.model.packets import AskIdentity, PartialPacket, SyncedBeacon
from drand.model.records import BeaconStored, Phase, PhaseEntered
from drand.net.errors import PeerRefused, PeerUnreachable
from drand.protocol.steps import (
    Answered,
    BeaconsChecked,
    BeaconsReceived,
    Call,
    CallFailed,
    CheckBeacons,
    Commanded,
    Event,
    FetchBeacons,
    Received,
    StreamEnded,
)
from drand.store.contract import OutOfOrder, StoreFailed
from tests.support.daemons import orders
from tests.support.shells import Site

FULL = StoreFailed("the disk is full")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    yield made
    made.store.failure = None
    await made.shell.stop()


@pytest.fixture
async def fresh(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path, with_epoch=False)
    yield made
    made.store.failure = None
    await made.shell.stop()


def posted(site: Site) -> list[Event]:
    """Collects what errands bring back, instead of the machine."""
    events: list[Event] = []
    site.shell._errands._home = module.Home(
        beacon_id="default",
        scheme=site.committee.scheme,
        metadata=site.shell.metadata,
        post=events.append,
        sent=site.shell._sent,
        log=site.shell.log,
    )
    return events


async def settle(site: Site) -> None:
    """Until every errand has ended."""
    async with asyncio.timeout(30):
        while site.shell._errands.under_way:
            await site.shell._errands.wait()
            await asyncio.sleep(0)


# ------------------------------------------------------------ life


async def test_a_node_with_an_epoch_begins_where_its_store_ends(site: Site):
    site.store.persist(BeaconStored(site.committee.beacon(0)))
    site.store.persist(BeaconStored(site.committee.beacon(1)))
    site.shell.start()
    assert site.shell.head == site.committee.beacon(1)
    assert site.shell.group() == site.committee.group
    assert site.observer.groups == [site.committee.group]
    assert site.shell.metadata().chain_hash == site.committee.group.chain_info().hash()
    assert len(site.shell.peers()) == 3


async def test_a_fresh_node_has_neither_group_nor_peers_nor_chain(fresh: Site):
    fresh.shell.start()
    assert fresh.shell.peers() == ()
    assert fresh.shell.metadata().chain_hash == b""
    assert fresh.observer.groups == []
    with pytest.raises(NoGroupYet, match="no dkg group setup yet"):
        fresh.shell.group()


async def test_a_stopped_beacon_takes_nothing_more_and_wakes_those_who_wait(site: Site):
    site.shell.start()
    changed = site.shell.changed()
    waiting = asyncio.create_task(site.shell.feed.wait(Round(5)))
    await asyncio.sleep(0)
    await site.shell.stop()
    assert changed.is_set()
    assert site.store.closed
    with pytest.raises(Unavailable):
        await waiting
    with pytest.raises(BeaconStopped):
        site.shell.step(Received("x:1", site.committee.partial(1, 1)))
    site.shell._post(BeaconsChecked(1, frozenset()))


async def test_stopping_does_not_wait_for_a_vault_that_is_busy(site: Site, caplog: pytest.LogCaptureFixture):
    module_patience, module.VAULT_PATIENCE_S = module.VAULT_PATIENCE_S, 0.0
    site.vault.hold = asyncio.Event()
    try:
        await site.shell.stop()
    finally:
        module.VAULT_PATIENCE_S = module_patience
        site.vault.hold.set()
    assert "still answering" in caplog.text
    assert site.store.closed


async def test_a_store_that_does_not_close_is_said_and_nothing_more(site: Site, caplog: pytest.LogCaptureFixture):
    site.store.failure = FULL
    await site.shell.stop()
    assert "the disk is full" in caplog.text


# ------------------------------------------------------------ a disk that refuses


async def test_a_refused_record_stops_the_machine_also_when_nobody_waits_for_the_event(
    site: Site, caplog: pytest.LogCaptureFixture
):
    site.shell.start()
    for index in (1, 2):
        site.shell.step(Received("x:1", site.committee.partial(index, 1)))
    changed = site.shell.changed()
    site.store.failure = FULL
    site.shell._post(Received("x:1", site.committee.partial(3, 1)))
    assert site.shell.failure is FULL
    assert changed.is_set()
    assert site.shell.head == site.committee.beacon(0), "the round is not stored, and so not published"
    assert "the disk is full; trying again in 5 s" in caplog.text
    with pytest.raises(StoreFailed):
        site.shell.step(Received("x:1", site.committee.partial(1, 1)))
    site.store.failure = None
    site.shell._revive()
    for index in (1, 2, 3):
        site.shell.step(Received("x:1", site.committee.partial(index, 1)))
    assert site.shell.head == site.committee.beacon(1)


async def test_posted_events_of_a_broken_machine_go_nowhere(site: Site):
    site.shell.start()
    site.shell._fail(FULL)
    before = site.shell.machine
    site.shell._post(StreamEnded(1, None))
    assert site.shell.machine is before


async def test_the_machine_is_built_anew_from_the_disk_when_the_store_works_again(
    site: Site, caplog: pytest.LogCaptureFixture
):
    site.shell.start()
    broken = site.shell.machine
    site.shell._fail(FULL)
    changed = site.shell.changed()
    with caplog.at_level(logging.INFO):
        site.shell._revive()
    assert site.shell.failure is None
    assert site.shell.machine is not broken
    assert site.shell.machine.running is not None
    assert changed.is_set()
    assert "running again" in caplog.text


async def test_a_store_that_still_refuses_is_tried_again_later_and_never_taken_for_a_fresh_one(site: Site):
    site.shell.start()
    site.store.unreadable = True
    site.shell._fail(FULL)
    revival = site.shell._revival
    site.shell._revive()
    assert str(site.shell.failure) == "the disk is gone"
    assert site.shell._revival is not revival


async def test_a_beacon_that_was_stopped_is_not_revived(site: Site):
    site.shell.start()
    site.shell._fail(FULL)
    await site.shell.stop()
    assert site.shell._revival is not None
    assert site.shell._revival.cancelled()


async def test_what_is_stored_is_served_while_nothing_can_be_added(site: Site):
    site.shell.start()
    site.shell._fail(FULL)
    assert site.shell.head == site.committee.beacon(0)


async def test_a_record_that_contradicts_the_store_is_no_refusal_by_the_machine(site: Site):
    site.store.failure = OutOfOrder("round 9 does not follow round 3")
    with pytest.raises(OutOfOrder):
        site.shell.start()
    assert isinstance(site.shell.failure, OutOfOrder)


async def test_a_bug_leaves_its_traceback_and_the_machine_is_built_anew(site: Site, caplog: pytest.LogCaptureFixture):
    site.store.failure = ZeroDivisionError("a bug")
    with pytest.raises(BeaconBroken, match="internal error"):
        site.shell.start()
    site.store.failure = None
    assert any(record.exc_info for record in caplog.records)
    site.shell._revive()
    assert site.shell.failure is None


async def test_a_refusal_by_the_machine_changes_nothing(site: Site, caplog: pytest.LogCaptureFixture):
    site.shell.start()
    with pytest.raises(OutOfTurn):
        site.shell.step(Commanded(_lead()))
    assert site.shell.failure is None
    site.shell._post(Commanded(_lead()))
    assert "refused Commanded" in caplog.text


def _lead():
    from drand.daemon.control_face import _command

    return _command(orders("127.0.0.1:1", 3, 2)[0])


async def test_the_group_file_is_written_with_the_epoch_and_a_full_disk_there_is_no_failure(
    fresh: Site, caplog: pytest.LogCaptureFixture
):
    shell = fresh.shell
    shell._export_group(fresh.committee.group)
    assert shell.folder.group_file.exists()
    shell.folder.groups.rename(shell.folder.root / "gone")
    shell._export_group(fresh.committee.group)
    assert "cannot write" in caplog.text
    assert shell.failure is None


# ------------------------------------------------------------ errands


async def test_a_call_comes_back_with_the_answer_the_refusal_or_the_failure(site: Site):
    events = posted(site)
    peer = site.committee.peer(1)
    replies = iter(
        [
            None,
            PeerRefused("shared secret is incorrect", code="UNKNOWN"),
            PeerUnreachable("no route"),
            ZeroDivisionError("a bug"),
        ]
    )

    def answer(_question: object) -> None:
        reply = next(replies)
        if isinstance(reply, Exception):
            raise reply

    site.client.answer = answer
    for call_id in range(4):
        site.shell._errands.call(Call(call_id, peer, AskIdentity()))
        await settle(site)
    assert events == [
        Answered(0, None),
        CallFailed(1, "shared secret is incorrect"),
        CallFailed(2, "no route"),
        CallFailed(3, "internal error while calling a peer"),
    ]


def synced(site: Site, round_: int, beacon_id: str = "default") -> SyncedBeacon:
    return SyncedBeacon(site.committee.beacon(round_), beacon_id)


def fetch(site: Site, up_to: int = 3) -> FetchBeacons:
    return FetchBeacons(7, site.committee.peer(1), Round(1), Round(up_to), 5.0)


async def test_a_stream_is_closed_after_the_wanted_round_and_what_is_beyond_is_left_out(site: Site):
    events = posted(site)
    site.client.batches = [[synced(site, 1)], [synced(site, 2), synced(site, 3), synced(site, 4)], [synced(site, 5)]]
    site.shell._errands.fetch(fetch(site))
    await settle(site)
    assert events == [
        BeaconsReceived(7, (site.committee.beacon(1),)),
        BeaconsReceived(7, site.committee.beacons(2, 3)),
        StreamEnded(7, None),
    ]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(PeerUnreachable("cut"), "cut"), (ZeroDivisionError("a bug"), "internal error while fetching beacons")],
)
async def test_a_stream_that_breaks_ends_with_the_reason(site: Site, fault: Exception, reason: str):
    events = posted(site)
    site.client.batches = [[synced(site, 1)], fault]
    site.shell._errands.fetch(fetch(site))
    await settle(site)
    assert events[-1] == StreamEnded(7, reason)


async def test_a_stream_of_another_beacon_is_refused(site: Site):
    events = posted(site)
    site.client.batches = [[synced(site, 1, "quicknet")]]
    site.shell._errands.fetch(fetch(site))
    await settle(site)
    assert events == [StreamEnded(7, "n1:1 sent beacons of ['quicknet'], asked for 'default'")]


async def test_an_abandoned_call_brings_nothing_back(site: Site):
    events = posted(site)
    site.shell._errands.call(Call(1, site.committee.peer(1), AskIdentity()))
    site.shell._errands.abandon(1)
    site.shell._errands.abandon(99)
    await settle(site)
    assert events == []


async def test_verdicts_of_the_checker_and_words_of_the_vault_come_back(site: Site):
    events = posted(site)
    site.shell._errands.check(CheckBeacons(3, site.committee.group, site.committee.beacons(1, 2)))
    await settle(site)
    assert events == [BeaconsChecked(3, frozenset())]


async def test_a_verification_that_gave_no_verdict_is_done_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("drand.daemon.errands.CHECK_AGAIN_S", 0)
    faults = [RuntimeError("can't start new thread"), MemoryError()]
    checker = site.shell._errands._checker

    async def bad_rounds(_group: object, _beacons: object) -> frozenset[Round]:
        if faults:
            raise faults.pop()
        return frozenset()

    monkeypatch.setattr(checker, "bad_rounds", bad_rounds)
    events = posted(site)
    site.shell._errands.check(CheckBeacons(3, site.committee.group, site.committee.beacons(1, 2)))
    await settle(site)
    assert events == [BeaconsChecked(3, frozenset())]
    assert caplog.text.count("internal error while verifying beacons") == 2


@pytest.mark.parametrize(("fault", "retry"), [(Unavailable("asleep"), True), (ZeroDivisionError("a bug"), False)])
async def test_a_vault_that_does_not_answer_is_a_refusal(site: Site, fault: Exception, retry: bool):
    site.shell.start()
    events = posted(site)

    def reply(_request: object) -> None:
        raise fault

    await settle(site)
    events.clear()
    site.vault.reply = reply  # type: ignore[assignment]
    site.shell._errands.ask_vault(site.vault.asked[0])
    await settle(site)
    [event] = events
    assert event.reply.retry is retry  # type: ignore[union-attr]


async def test_an_errand_that_dies_is_in_the_log(site: Site, caplog: pytest.LogCaptureFixture):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    site.client.broadcast = broken  # type: ignore[assignment]
    site.shell._errands.send((site.committee.peer(1),), site.committee.partial(0, 1))
    await settle(site)
    assert "internal error while running an errand" in caplog.text


async def test_who_does_not_get_our_partials_is_known_and_said_after_a_minute(
    site: Site, caplog: pytest.LogCaptureFixture
):
    site.shell.start()
    site.client.failing = {f"n{index}:1": PeerUnreachable("no route") for index in (1, 2, 3)}
    peers = tuple(site.committee.peer(index) for index in (1, 2, 3))
    site.shell._errands.send(peers, site.committee.partial(0, 1))
    await settle(site)
    assert site.observer.outcomes == [{"n1:1": False, "n2:1": False, "n3:1": False}]
    assert isinstance(site.client.sent[-1], PartialPacket)
    site.shell.on_minute()
    assert "failed connections crossed threshold in the last minute" in caplog.text


async def test_a_node_without_a_group_has_nothing_to_say_after_a_minute(fresh: Site, caplog: pytest.LogCaptureFixture):
    fresh.shell.start()
    fresh.shell.on_minute()
    assert caplog.records == []


async def test_a_journal_without_its_beginning_is_refused_at_the_start(fresh: Site):
    fresh.store.persist(PhaseEntered(Phase.DEALING, 1.0))
    with pytest.raises(Exception, match="lacks its beginning"):
        fresh.shell.start()
