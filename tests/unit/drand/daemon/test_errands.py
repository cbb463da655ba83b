"""What a machine asks for and what takes time: whatever becomes of it, the machine has its answer."""

import asyncio

import pytest

from collective.errors import Unavailable
from drand.daemon import beacon as module
from drand.model.chain import Round
from drand.model.packets import AskIdentity, PartialPacket, SyncedBeacon
from drand.net.errors import PeerRefused, PeerUnreachable
from drand.protocol.steps import (
    Answered,
    BeaconsChecked,
    BeaconsReceived,
    Call,
    CallFailed,
    CheckBeacons,
    Event,
    FetchBeacons,
    StreamEnded,
)
from drand.protocol.sync import CHECK_PATIENCE_S
from tests.support.shells import Site


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


async def test_a_call_comes_back_with_the_answer_the_refusal_or_the_failure(site: Site):
    events = posted(site)
    peer = site.committee.peer(1)
    replies = iter(
        [
            None,
            PeerRefused("shared secret is incorrect", code="UNKNOWN"),
            PeerUnreachable("no route"),
            PeerRefused("1024 calls run already", code="RESOURCE_EXHAUSTED"),
            ZeroDivisionError("a bug"),
        ]
    )

    def answer(_question: object) -> None:
        reply = next(replies)
        if isinstance(reply, Exception):
            raise reply

    site.client.answer = answer
    for call_id in range(5):
        site.shell._errands.call(Call(call_id, peer, AskIdentity()))
        await settle(site)
    assert events == [
        Answered(0, None),
        CallFailed(1, "shared secret is incorrect"),
        CallFailed(2, "no route"),
        CallFailed(3, "1024 calls run already", busy=True),
        CallFailed(4, "internal error while calling a peer"),
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


async def test_a_verification_that_never_gives_a_verdict_does_not_stay_for_ever(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("drand.daemon.errands.CHECK_AGAIN_S", 0)

    async def bad_rounds(_group: object, _beacons: object) -> frozenset[Round]:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(site.shell._errands._checker, "bad_rounds", bad_rounds)
    events = posted(site)
    site.shell._errands.check(CheckBeacons(3, site.committee.group, site.committee.beacons(1, 2)))
    await settle(site)
    assert events == []
    assert caplog.text.count("internal error while verifying beacons") == CHECK_PATIENCE_S / 5


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
