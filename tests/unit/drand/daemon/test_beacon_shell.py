"""The shell around a machine: what it does when the disk, the vault, a peer or our own code fails."""

import asyncio
import logging

import pytest

from collective.errors import OutOfTurn, Unavailable
from drand.daemon import beacon as module
from drand.daemon.beacon import BeaconBroken, BeaconStopped, NoGroupYet
from drand.model.chain import Round
from drand.model.records import BeaconStored, Phase, PhaseEntered
from drand.protocol.steps import (
    BeaconsChecked,
    Commanded,
    Received,
    StreamEnded,
)
from drand.store.contract import OutOfOrder, StoreFailed
from tests.support.daemons import orders
from tests.support.shells import Site

FULL = StoreFailed("the disk is full")


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


async def test_a_node_without_a_group_has_nothing_to_say_after_a_minute(fresh: Site, caplog: pytest.LogCaptureFixture):
    fresh.shell.start()
    fresh.shell.on_minute()
    assert caplog.records == []


async def test_a_journal_without_its_beginning_is_refused_at_the_start(fresh: Site):
    fresh.store.persist(PhaseEntered(Phase.DEALING, 1.0))
    with pytest.raises(Exception, match="lacks its beginning"):
        fresh.shell.start()
