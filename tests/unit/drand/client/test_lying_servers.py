"""Servers that lie, on real sockets, and an archive that does: a typed error names the liar, or another is asked."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from drand.client import errors
from drand.client.chains import public_chain
from drand.client.observing import Observer
from drand.errors import EXIT_INVALID, exit_code
from drand.model.chain import Beacon, Round
from drand.model.schemes import scheme_named
from drand.store.archive import BeaconArchive
from drand.wire.http_json import beacon_json
from tests.support.committee import PERIOD_S
from tests.support.http_chain import CHAINED, NOW, ROUNDS, UNCHAINED, FakeClock, Relay, altered, chain, committee
from tests.support.http_clients import ROUND, clients, forged, hang, replies, url_of


@pytest.mark.parametrize("scheme", [UNCHAINED, CHAINED])
async def test_a_wrong_signature_is_a_forged_beacon(scheme: str):
    async with clients(Relay(scheme, lies={ROUND: forged(scheme)})) as client:
        with pytest.raises(errors.ForgedBeacon) as caught:
            await client.get(ROUND)
        assert caught.value.source == url_of(client)
        assert str(caught.value).startswith(url_of(client))
        assert exit_code(caught.value) == EXIT_INVALID
        assert client.health()[url_of(client)].lies == 1


async def test_a_good_signature_of_another_round_under_this_number_is_a_forged_beacon():
    other = replace(committee().beacon(8), round=Round(ROUND))
    async with clients(Relay(lies={ROUND: other})) as client:
        with pytest.raises(errors.ForgedBeacon):
            await client.get(ROUND)


async def test_another_round_than_asked_for_is_a_lie():
    async with clients(Relay(lies={ROUND: committee().beacon(8)})) as client:
        with pytest.raises(errors.WrongRound, match="round 8, asked for 7"):
            await client.get(ROUND)


async def test_a_random_value_of_ones_own_is_a_lie():
    body = beacon_json(committee().beacon(ROUND)).replace(
        committee().beacon(ROUND).randomness.hex().encode(), b"00" * 32
    )
    async with clients(Relay(override={"7": replies(body=body)})) as client:
        with pytest.raises(errors.WrongRandomness):
            await client.get(ROUND)


@pytest.mark.parametrize("built_in", [True, False])
async def test_the_information_of_another_chain_is_refused(built_in: bool):
    asked_for = chain() if built_in else chain().hash()
    async with clients(Relay(info=public_chain("quicknet")), chain=asked_for) as client:
        with pytest.raises(errors.WrongChain, match="52db9ba7"):
            await client.get(ROUND)


@pytest.mark.parametrize("built_in", [True, False])
async def test_an_altered_key_is_refused(built_in: bool):
    asked_for = chain() if built_in else chain().hash()
    async with clients(Relay(info=altered(chain())), chain=asked_for) as client:
        with pytest.raises(errors.WrongChain):
            await client.latest()


async def test_an_altered_scheme_which_the_hash_does_not_cover_is_refused_too():
    fake = replace(chain(), scheme=scheme_named("bls-unchained-on-g1"))
    assert fake.hash() == chain().hash()
    async with clients(Relay(info=fake), Relay(), chain=chain().hash()) as client:
        assert await client.info() == chain()
        assert client.health()[url_of(client)].lies == 1


async def test_a_lying_page_is_refused_and_the_bad_round_named():
    async with clients(Relay(apis=("v2",), pages=100, lies={ROUND: forged()})) as client:
        with pytest.raises(errors.ForgedBeacon, match="round 7"):
            async for _ in client.rounds(1, 20):
                pass


@pytest.mark.parametrize("broken", ["reordered", "gap", "repeated"])
async def test_a_page_out_of_order_is_refused(broken: str):
    rounds = {"reordered": (1, 3, 2), "gap": (1, 3, 4), "repeated": (1, 1, 2)}[broken]
    body = b"\n".join(beacon_json(committee().beacon(round_)) for round_ in rounds)
    async with clients(Relay(apis=("v2",), pages=3, override={"rounds": replies(body=body)})) as client:
        with pytest.raises(errors.WrongRound):
            async for _ in client.rounds(1, 3):
                pass


async def test_a_chained_page_that_does_not_link_is_refused():
    """Round 7 of another chain with the same key: it verifies, but does not build on round 6."""
    signers, other = committee(CHAINED), committee(CHAINED).lie(6).signature
    fork = Beacon(Round(7), signers.scheme.bls.sign(signers.secret.constant, signers.scheme.digest(7, other)), other)
    async with clients(Relay(CHAINED, apis=("v2",), pages=100, lies={7: fork})) as client:
        with pytest.raises(errors.BrokenChain, match="round 7"):
            async for _ in client.rounds(1, 20):
                pass


async def test_following_the_chain_uncovers_a_fork_that_a_single_round_hides(tmp_path: Path):
    signers, other = committee(CHAINED), committee(CHAINED).lie(6).signature
    fork = Beacon(Round(7), signers.scheme.bls.sign(signers.secret.constant, signers.scheme.digest(7, other)), other)
    async with clients(Relay(CHAINED, lies={7: fork})) as client:
        assert (await client.get(7)).signature == fork.signature
    async with clients(Relay(CHAINED, lies={7: fork}), archive=tmp_path / "a", full_chain=True) as client:
        with pytest.raises(errors.BrokenChain):
            await client.get(7)


@pytest.mark.parametrize("full_chain", [True, False])
async def test_a_pushed_round_is_followed_as_one_that_is_asked_for(full_chain: bool, tmp_path: Path):
    """A fork that is pushed verifies; that it builds on nothing shows only where the chain is followed."""
    signers, other, pushed = committee(CHAINED), committee(CHAINED).lie(6).signature, Round(ROUNDS + 1)
    signature = signers.scheme.bls.sign(signers.secret.constant, signers.scheme.digest(pushed, other))
    clock = FakeClock()
    liar = Relay(CHAINED, apis=("v2",), pages=100, last=pushed, lies={pushed: Beacon(pushed, signature, other)})

    async def a_period_later(request: web.Request) -> web.StreamResponse:
        clock.at += PERIOD_S
        return await liar.events(request)

    liar.override["events"], liar.pushes = a_period_later, (pushed,)
    honest = Relay(CHAINED, apis=("v2",), pages=100, last=pushed)
    settings = {"archive": tmp_path / "a", "full_chain": True} if full_chain else {}
    async with (
        clients(liar, honest, clock=clock, sleep=clock.sleep, **settings) as client,
        aclosing(client.watch()) as rounds,
        asyncio.timeout(20),
    ):
        found = await anext(rounds)
    assert found.round == pushed
    assert (found.signature == signature) is not full_chain


async def test_a_liar_is_passed_over_named_and_not_asked_again():
    seen: list[errors.SourceFault] = []

    class Notes(Observer):
        def failed(self, source: str, error: errors.SourceFault, took_s: float) -> None:
            seen.append(error)

    liar, honest = Relay(lies={ROUND: forged()}), Relay()
    async with clients(liar, honest, observer=Notes()) as client:
        assert (await client.get(ROUND)).provenance.source == url_of(client, 1)
        asked = len(liar.asked)
        await client.get(8)
        assert len(liar.asked) == asked
        assert [(type(error), error.source) for error in seen] == [(errors.ForgedBeacon, url_of(client))]


async def test_when_nobody_is_honest_everybody_is_named():
    async with clients(Relay(lies={ROUND: forged()}), Relay(override={"*": replies(status=500)})) as client:
        with pytest.raises(errors.NoHonestSource) as caught:
            await client.get(ROUND)
        kinds = [type(error) for error in caught.value.failures.values()]
        assert kinds == [errors.ForgedBeacon, errors.SourceUnreachable]
        assert all(url in str(caught.value) for url in client.runner.sources)


async def test_bulk_goes_on_at_another_source_where_the_first_broke():
    liar = Relay(apis=("v2",), pages=10, lies={15: committee().lie(15)})
    async with clients(liar, Relay(apis=("v2",), pages=10)) as client:
        found = [beacon async for beacon in client.rounds(1, 30)]
        assert [one.plain for one in found] == list(committee().beacons(1, 30))
        assert {one.provenance.source for one in found[:10]} == {url_of(client)}
        assert found[14].provenance.source == url_of(client, 1)


async def test_a_watch_leaves_an_event_stream_that_lies():
    clock = FakeClock(NOW - PERIOD_S)
    liar = Relay(apis=("v2",), pushes=(ROUNDS,), lies={ROUNDS: committee().lie(ROUNDS)})
    async with clients(liar, Relay(), clock=clock, sleep=clock.sleep) as client:
        watch = client.watch()
        beacon = await anext(watch)
        await watch.aclose()
        assert beacon.plain == committee().beacon(ROUNDS)
        assert beacon.provenance.source == url_of(client, 1)
        assert client.health()[url_of(client)].lies >= 1


async def test_an_archive_that_was_tampered_with_is_noticed_and_mended(tmp_path: Path):
    archive = BeaconArchive(tmp_path / "a")
    archive.put(chain().hash(), [committee().beacon(5), forged(), committee().beacon(8)])
    archive.close()
    async with clients(Relay(), archive=tmp_path / "a") as client:
        assert (await client.get(ROUND)).provenance.source == url_of(client)
    async with clients(Relay(override={"*": hang}), archive=tmp_path / "a") as client:
        assert (await client.get(ROUND)).provenance.source == "archive"
