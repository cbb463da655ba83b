"""Servers that lie, hang, babble or are behind, on real sockets: a typed error names them, and nothing is left over."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohttp import web

from drand.client import errors
from drand.client.async_client import AsyncClient
from drand.client.chains import public_chain
from drand.client.http_source import MAX_ROUND_BYTES
from drand.client.observing import Observer
from drand.client.pool import Policy
from drand.errors import EXIT_INVALID, EXIT_TOO_EARLY, exit_code
from drand.model.chain import Beacon, Round
from drand.model.schemes import scheme_named
from drand.wire.http_json import beacon_json
from tests.support.committee import PERIOD_S
from tests.support.http_chain import (
    CHAINED,
    NOW,
    ROUNDS,
    UNCHAINED,
    FakeClock,
    Relay,
    altered,
    chain,
    committee,
    serving,
)

ROUND = 7


@asynccontextmanager
async def clients(*relays: Relay, **settings) -> AsyncIterator[AsyncClient]:
    """A client of these servers, and the promise that it leaves no task behind."""
    scheme = relays[0].scheme
    settings = {
        "clock": FakeClock(),
        "timeout_s": 0.5,
        "policy": Policy(hedge_after_s=5.0),
        "chain": chain(scheme),
    } | settings
    async with serving(*relays) as urls:
        before = asyncio.all_tasks()
        async with AsyncClient(settings.pop("chain"), urls, **settings) as client:
            yield client
        left = {
            task for task in asyncio.all_tasks() - before if "aiohttp" not in repr(task) and "handle" not in repr(task)
        }
        assert not left


def url_of(client: AsyncClient, place: int = 0) -> str:
    return list(client.runner.sources)[place]


def replies(*args, **kwargs):
    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(*args, **kwargs)

    return handler


# ---------------------------------------------------------------- lies


def forged(scheme: str = UNCHAINED) -> Beacon:
    return committee(scheme).lie(ROUND)


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


# ---------------------------------------------------------------- latest, and clocks


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
    from drand.wire.http_json import chain_info_json

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


# ---------------------------------------------------------------- silence and noise


async def hang(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_server_that_hangs_is_given_up():
    async with clients(Relay(override={"7": hang})) as client:
        with pytest.raises(errors.SourceTimeout) as caught:
            await client.get(ROUND)
        assert caught.value.source == url_of(client)


async def test_a_server_that_hangs_costs_a_hedged_request_not_the_answer():
    slow, good = Relay(override={"*": hang}), Relay()
    async with clients(slow, good, policy=Policy(hedge_after_s=0.0), timeout_s=60.0) as client:
        assert (await client.get(ROUND)).provenance.source == url_of(client, 1)


async def test_all_servers_that_hang_are_given_up_at_the_deadline():
    async with clients(
        Relay(override={"*": hang}), Relay(override={"*": hang}), deadline_s=0.2, timeout_s=60.0, policy=Policy(race=2)
    ) as client:
        with pytest.raises(errors.NoSourceAnswered) as caught:
            await client.get(ROUND)
        assert [type(one) for one in caught.value.failures.values()] == [errors.SourceTimeout] * 2


@pytest.mark.parametrize("place", ["info", "7"])
@pytest.mark.parametrize("content_type", ["text/html", "application/json"])
async def test_a_web_page_is_refused_whatever_it_calls_itself(place: str, content_type: str):
    page = replies(text="\n <!doctype html><p>Please log in", content_type=content_type)
    async with clients(Relay(override={place: page})) as client:
        with pytest.raises(errors.NotDrand, match="web page"):
            await client.get(ROUND)


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("place", ["info", "7", "rounds"])
async def test_a_gigabyte_is_not_read(announced: bool, place: str):
    sent = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Length": str(1 << 30)} if announced else {})
        await response.prepare(request)
        for _ in range(1 << 14):
            await response.write(b" " * (1 << 16))
            sent += 1 << 16
        return response

    async with clients(Relay(apis=("v2",), pages=9, override={place: flood}), timeout_s=30.0) as client:
        with pytest.raises(errors.AnswerTooLarge) as caught:
            await (anext(client.rounds(1, 9)) if place == "rounds" else client.get(ROUND))
        assert caught.value.source == url_of(client)
    assert sent < 1 << 26  # what fits the sockets' buffers, not what was offered


async def test_a_bomb_in_a_small_parcel_is_not_unpacked():
    bomb = replies(body=gzip.compress(bytes(1 << 20)), headers={"Content-Encoding": "gzip"})
    async with clients(Relay(override={"7": bomb})) as client:
        with pytest.raises(errors.MalformedAnswer, match="compressed"):
            await client.get(ROUND)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[1",
        b"\xff\xfe",
        b'{"round":7,"signature":"zz"}',
        b'{"round":-1,"signature":"aa"}',
        b"9" * MAX_ROUND_BYTES,
    ],
)
async def test_what_does_not_decode_is_malformed(body: bytes):
    async with clients(Relay(override={"7": replies(body=body)})) as client:
        with pytest.raises(errors.MalformedAnswer):
            await client.get(ROUND)


async def test_redirects_are_followed_but_not_for_ever():
    async def around(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(request.path)

    async def to_eight(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(request.path[:-1] + "8")

    async with clients(Relay(override={"7": around, "9": to_eight})) as client:
        with pytest.raises(errors.MalformedAnswer, match="redirects"):
            await client.get(ROUND)
        with pytest.raises(errors.WrongRound):
            await client.get(9)


async def test_a_server_that_asks_for_patience_is_given_it():
    patience = replies(status=429, headers={"Retry-After": "120"})
    tired, good = Relay(override={"7": patience}), Relay()
    async with clients(tired, good) as client:
        assert (await client.get(ROUND)).provenance.source == url_of(client, 1)
        with pytest.raises(errors.RateLimited) as caught:
            await client.runner.sources[url_of(client)].beacon(chain(), Round(ROUND))
        assert caught.value.retry_after_s == 120


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_server_that_fails_is_unavailable(status: int):
    async with clients(Relay(override={"*": replies(status=status, text="<html>oops")})) as client:
        with pytest.raises(errors.SourceUnreachable, match=str(status)):
            await client.get(ROUND)


async def test_a_refusal_that_drand_does_not_know_is_malformed():
    async with clients(Relay(override={"*": replies(status=418)})) as client:
        with pytest.raises(errors.MalformedAnswer, match="418"):
            await client.get(ROUND)


async def test_nobody_listens_there():
    async with AsyncClient(chain(), ["http://127.0.0.1:1"], clock=FakeClock()) as client:
        with pytest.raises(errors.SourceUnreachable, match="cannot be reached: Connection refused"):
            await client.get(ROUND)


async def test_a_name_that_does_not_resolve():
    async with AsyncClient(chain(), ["http://no.such.host.invalid"], clock=FakeClock()) as client:
        with pytest.raises(errors.SourceUnreachable, match="its name does not resolve"):
            await client.get(ROUND)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\x00" * 100,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000,
    ],
    ids=["nothing", "zeros", "ssh", "broken off", "bad chunk", "endless header"],
)
async def test_bytes_that_are_no_http_are_an_error_of_the_source(said: bytes):
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, AsyncClient(chain(), [url], clock=FakeClock(), timeout_s=5.0) as client:
        with pytest.raises(errors.SourceFault) as caught:
            await client.get(ROUND)
        assert isinstance(caught.value, errors.SourceConfused | errors.SourceUnavailable)
        assert len(str(caught.value)) < 400


# ---------------------------------------------------------------- in the middle


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


async def test_an_endless_event_is_cut_off():
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b"data: " + b"x" * (1 << 14))

    clock = FakeClock()
    relay = Relay(apis=("v2",), last=ROUNDS + 2, override={"events": flood})
    async with clients(relay, clock=clock, sleep=clock.sleep) as client:
        watch = client.watch()
        assert (await anext(watch)).round == ROUNDS + 1
        await watch.aclose()
        assert client.health()[url_of(client)].failures == 0  # the round that came afterwards ended the back-off


async def test_an_archive_that_was_tampered_with_is_noticed_and_mended(tmp_path: Path):
    from drand.store.archive import BeaconArchive

    archive = BeaconArchive(tmp_path / "a")
    archive.put(chain().hash(), [committee().beacon(5), forged(), committee().beacon(8)])
    archive.close()
    async with clients(Relay(), archive=tmp_path / "a") as client:
        assert (await client.get(ROUND)).provenance.source == url_of(client)
    async with clients(Relay(override={"*": hang}), archive=tmp_path / "a") as client:
        assert (await client.get(ROUND)).provenance.source == "archive"
