"""Servers that are behind or no longer serve a chain, and clocks that are wrong: an old round is never the latest."""

from email.utils import formatdate
from pathlib import Path

import pytest

from drand.client import errors
from drand.client.chains import public_chain
from drand.errors import EXIT_TOO_EARLY, exit_code
from drand.model.chain import Beacon, Round
from drand.wire.http_json import beacon_json, chain_info_json
from tests.support.committee import PERIOD_S
from tests.support.http_chain import CHAINED, NOW, ROUNDS, UNCHAINED, FakeClock, Relay, chain
from tests.support.http_clients import ROUND, clients, replies, url_of


async def test_a_stale_latest_is_not_taken_for_the_latest():
    async with clients(Relay(latest=ROUNDS - 5)) as client:
        with pytest.raises(errors.ChainStale) as caught:
            await client.latest()
        assert caught.value.freshest.round == ROUNDS - 5
        assert url_of(client) in str(caught.value)


async def test_a_stale_server_is_passed_over_for_one_that_is_not():
    async with clients(Relay(latest=ROUNDS - 5), Relay()) as client:
        assert (await client.latest()).round == ROUNDS


async def test_a_latest_one_round_late_is_good_enough():
    async with clients(Relay(latest=ROUNDS - 1)) as client:
        assert (await client.latest()).round == ROUNDS - 1


@pytest.mark.parametrize("remember", [1024, 0])
async def test_the_latest_round_never_falls_below_one_that_was_given_out(remember: int):
    first, slower = Relay(), Relay(latest=ROUNDS - 2)
    async with clients(first, slower, remember=remember) as client:
        assert (await client.latest()).round == ROUNDS
        first.override["*"] = replies(status=500)
        held = await client.latest()
        assert (held.round, held.provenance.source) == (ROUNDS, "memory")
        assert client.health()[url_of(client, 1)].failures == 1


@pytest.mark.parametrize("full_chain", [True, False])
async def test_a_round_that_the_archive_gave_is_one_that_was_given_out(full_chain: bool, tmp_path: Path):
    settings = {"archive": tmp_path / "a", "full_chain": full_chain}
    async with clients(Relay(CHAINED), **settings) as client:
        assert (await client.get(ROUNDS)).round == ROUNDS
    relay = Relay(CHAINED)
    async with clients(relay, **settings) as client:
        assert (await client.get(ROUNDS)).provenance.source == "archive"
        relay.latest = ROUNDS - 1
        assert (await client.latest()).round == ROUNDS


async def test_a_server_below_the_round_held_is_passed_over_for_one_that_has_the_next():
    first, slower, newest = Relay(), Relay(latest=ROUNDS - 1), Relay(last=ROUNDS + 1)
    clock = FakeClock()
    async with clients(first, slower, newest, clock=clock) as client:
        assert (await client.latest()).round == ROUNDS
        first.override["*"] = replies(status=500)
        clock.at += PERIOD_S
        assert (await client.latest()).round == ROUNDS + 1


async def test_a_round_that_is_held_grows_old_too():
    relay, clock = Relay(), FakeClock()
    async with clients(relay, clock=clock) as client:
        assert (await client.latest()).round == ROUNDS
        relay.latest, clock.at = ROUNDS - 1, NOW + 3 * PERIOD_S
        with pytest.raises(errors.ChainStale):
            await client.latest()


@pytest.mark.parametrize("scheme", [UNCHAINED, CHAINED])
async def test_a_clock_a_few_seconds_behind_is_tolerated_where_the_whole_chain_is_followed_too(
    scheme: str, tmp_path: Path
):
    clock = FakeClock(NOW - 5.0)  # by it round 39 is the latest
    async with clients(Relay(scheme), clock=clock, archive=tmp_path / "a", full_chain=True) as client:
        assert (await client.latest()).round == ROUNDS
        with pytest.raises(errors.RoundTooEarly):
            await client.get(ROUNDS)


async def test_a_clock_an_hour_behind_is_noticed():
    async with clients(Relay(), clock=FakeClock(NOW - 20 * PERIOD_S)) as client:
        with pytest.raises(errors.ClockSuspect, match="behind") as caught:
            await client.latest()
        assert caught.value.off_by_s < -500


async def test_a_clock_an_hour_ahead_is_noticed_by_what_the_servers_clocks_say():
    async with clients(Relay(date=formatdate(NOW, usegmt=True)), clock=FakeClock(NOW + 3600)) as client:
        with pytest.raises(errors.ClockSuspect, match="3600 s ahead"):
            await client.latest()
        assert (await client.get(ROUND)).round == ROUND


async def test_a_clock_before_the_genesis_makes_every_round_too_early():
    async with clients(Relay(), clock=FakeClock(0.0)) as client:
        with pytest.raises(errors.RoundTooEarly) as caught:
            await client.get(1)
        assert exit_code(caught.value) == EXIT_TOO_EARLY


async def test_a_retired_chain_says_so_and_its_past_still_verifies():
    fastnet = public_chain("fastnet")
    assert fastnet is not None
    # Round 1 of fastnet; a mirror that still serves it has nothing newer.
    last = Beacon(
        Round(1),
        bytes.fromhex(
            "9544ddce2fdbe8688d6f5b4f98eed5d63eee3902e7e162050ac0f45905a55657714880adabe3c3096b92767d886567d0"
        ),
    )
    relay = Relay(
        override={
            "info": replies(body=chain_info_json(fastnet)),
            "latest": replies(body=beacon_json(last)),
            "1": replies(body=beacon_json(last)),
        }
    )
    async with clients(relay, chain="fastnet", clock=FakeClock(1_800_000_000.0)) as client:
        assert (await client.get(1)).round == 1
        with pytest.raises(errors.ChainRetired) as caught:
            await client.latest()
        assert caught.value.freshest.round == 1


async def test_a_chain_that_is_no_longer_served_says_so():
    async with clients(Relay(apis=())) as client:
        with pytest.raises(errors.ChainNotServed, match=chain().hash().hex()):
            await client.get(ROUND)


async def test_a_round_that_is_not_there_yet_is_missing_and_nobody_is_at_fault():
    async with clients(Relay(last=ROUNDS - 1)) as client:
        with pytest.raises(errors.RoundMissing):
            await client.get(ROUNDS)
        assert client.health()[url_of(client)].failures == 0
