"""The asynchronous client against servers on real sockets."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from collective.errors import BadSetting
from drand.client.async_client import AsyncClient
from drand.client.beacon import VerifiedBeacon
from drand.client.errors import BeforeGenesis, ClientClosed, RoundTooEarly
from drand.client.observing import Observer
from drand.client.pool import Policy
from drand.store.sqlite import open_store
from tests.support.committee import GENESIS_S, PERIOD_S
from tests.support.http_chain import CHAINED, NOW, ROUNDS, UNCHAINED, FakeClock, Relay, chain, committee, serving

BOTH = pytest.mark.parametrize("scheme", [UNCHAINED, CHAINED])


async def collected(client: AsyncClient, first: int, last: int) -> list[VerifiedBeacon]:
    return [beacon async for beacon in client.rounds(first, last)]


@BOTH
@pytest.mark.parametrize("api", ["v1", "v2"])
async def test_a_round_is_fetched_verified_and_says_where_it_came_from(scheme: str, api: str):
    async with (
        serving(Relay(scheme, apis=(api,))) as urls,
        AsyncClient(chain(scheme), urls, clock=FakeClock()) as client,
    ):
        beacon = await client.get(7)
        assert beacon.plain == committee(scheme).beacon(7)
        assert beacon.provenance.source == urls[0]
        assert beacon.provenance.received_unix_s == NOW
        assert beacon.due_unix_s == GENESIS_S + 6 * PERIOD_S
        assert beacon.time == datetime.fromtimestamp(beacon.due_unix_s, UTC)
        assert (await client.latest()).round == ROUNDS
        assert (await client.at(datetime.fromtimestamp(GENESIS_S + 60, UTC))).round == 3


async def test_a_chain_known_only_by_its_hash_is_learnt_from_a_source():
    relay = Relay()
    async with serving(relay) as urls, AsyncClient(chain().hash().hex(), urls, clock=FakeClock()) as client:
        assert await client.info() == chain()
        assert (await client.get(3)).round == 3


async def test_a_round_once_fetched_is_not_asked_for_again():
    relay = Relay()
    async with serving(relay) as urls, AsyncClient(chain(), urls, clock=FakeClock()) as client:
        first, again = await client.get(5), await client.get(5)
        assert again == first
        assert again.provenance.source == "memory"
        assert sum("/5" in path for path in relay.asked) == 1


async def test_a_future_round_is_too_early_says_when_and_asks_nobody():
    relay = Relay()
    async with serving(relay) as urls, AsyncClient(chain(), urls, clock=FakeClock()) as client:
        with pytest.raises(RoundTooEarly) as caught:
            await client.get(ROUNDS + 1)
        assert caught.value.due_unix_s == GENESIS_S + ROUNDS * PERIOD_S
        with pytest.raises(RoundTooEarly):
            await collected(client, 1, ROUNDS + 1)
        assert relay.asked == []


@BOTH
@pytest.mark.parametrize(("apis", "pages"), [(("v1",), 0), (("v2",), 0), (("v2",), 16), (("v2",), 1000)])
async def test_many_rounds_come_in_order_whatever_the_server_offers(scheme: str, apis: tuple[str, ...], pages: int):
    relay = Relay(scheme, apis=apis, pages=pages)
    async with serving(relay) as urls, AsyncClient(chain(scheme), urls, clock=FakeClock()) as client:
        found = await collected(client, 3, ROUNDS)
        assert [one.plain for one in found] == list(committee(scheme).beacons(3, ROUNDS))
        single = sum("?from" not in path and path.rsplit("/", 1)[1].isdigit() for path in relay.asked)
        assert single == (0 if pages else ROUNDS - 2)


async def test_the_archive_answers_for_a_server_that_is_gone(tmp_path: Path):
    relay = Relay(pages=9, apis=("v2",))
    async with serving(relay) as urls, AsyncClient(chain(), urls, archive=tmp_path / "a", clock=FakeClock()) as client:
        await collected(client, 10, 20)
        await client.get(30)
    async with AsyncClient(chain(), urls, archive=tmp_path / "a", clock=FakeClock()) as client:
        assert (await client.get(12)).provenance.source == "archive"
        assert (await client.get(30)).provenance.source == "archive"
        assert [one.round for one in await collected(client, 10, 20)] == list(range(10, 21))


async def test_only_the_gaps_of_the_archive_are_fetched(tmp_path: Path):
    relay = Relay(pages=100, apis=("v2",))
    async with serving(relay) as urls, AsyncClient(chain(), urls, archive=tmp_path / "a", clock=FakeClock()) as client:
        await collected(client, 10, 20)
        found = await collected(client, 5, 25)
        assert [one.round for one in found] == list(range(5, 26))
        assert [path.split("?")[1] for path in relay.asked if "?" in path] == [
            "from=10&to=20",
            "from=5&to=9",
            "from=21&to=25",
        ]


async def test_a_node_store_is_a_source(tmp_path: Path):
    store = open_store(tmp_path / "drand.sqlite", chained=True)
    store.append(committee(CHAINED).beacons(0, ROUNDS))
    try:
        async with AsyncClient(chain(CHAINED), [tmp_path / "drand.sqlite"], clock=FakeClock()) as client:
            assert (await client.latest()).round == ROUNDS
            assert len(await collected(client, 1, ROUNDS)) == ROUNDS
    finally:
        store.close()


async def test_a_chained_round_is_followed_from_the_genesis(tmp_path: Path):
    relay = Relay(CHAINED, apis=("v2",), pages=16)
    async with (
        serving(relay) as urls,
        AsyncClient(chain(CHAINED), urls, archive=tmp_path / "a", full_chain=True, clock=FakeClock()) as client,
    ):
        assert (await client.get(20)).plain == committee(CHAINED).beacon(20)
        assert sum("?from" in path for path in relay.asked) == 2
        assert (await client.latest()).round == ROUNDS
        assert (await client.get(11)).provenance.source == "archive"
        assert len(await collected(client, 2, ROUNDS)) == ROUNDS - 1


async def test_a_watch_takes_pushed_rounds_and_fills_what_they_left_out():
    clock = FakeClock(NOW - 10 * PERIOD_S)
    relay = Relay(apis=("v2",), pushes=(ROUNDS - 9, ROUNDS - 8, ROUNDS - 5))

    async def some_rounds_later(request: web.Request) -> web.StreamResponse:
        clock.at = NOW - 5 * PERIOD_S
        return await relay.events(request)

    relay.override["events"] = some_rounds_later
    async with serving(relay) as urls, AsyncClient(chain(), urls, clock=clock) as client:
        seen = []
        async with aclosing(client.watch()) as rounds:
            async for beacon in rounds:
                seen.append(beacon.round)
                if len(seen) == 5:
                    break
        assert seen == list(range(ROUNDS - 9, ROUNDS - 4))


async def test_a_watch_without_events_goes_by_the_clock():
    clock = FakeClock()
    async with (
        serving(Relay(last=ROUNDS + 10)) as urls,
        AsyncClient(chain(), urls, clock=clock, sleep=clock.sleep) as client,
    ):
        seen = []
        async with aclosing(client.watch()) as rounds:
            async for beacon in rounds:
                seen.append(beacon.round)
                if len(seen) == 3:
                    break
        assert seen == [ROUNDS + 1, ROUNDS + 2, ROUNDS + 3]
        assert clock.slept == [PERIOD_S - 0.5, PERIOD_S, PERIOD_S]


async def test_a_watch_waits_for_a_source_that_is_away_and_tells_the_observer():
    failures: list[str] = []

    class Notes(Observer):
        def failed(self, source, error, took_s):
            failures.append(type(error).__name__)
            relay.last = ROUNDS + 1  # there at the second attempt

    clock, relay = FakeClock(), Relay()
    async with (
        serving(relay) as urls,
        AsyncClient(chain(), urls, clock=clock, sleep=clock.sleep, observer=Notes()) as client,
        aclosing(client.watch()) as rounds,
    ):
        assert (await anext(rounds)).round == ROUNDS + 1
    assert failures == ["RoundMissing"]


async def test_a_watch_from_the_past_catches_up():
    clock = FakeClock()
    async with (
        serving(Relay(apis=("v2",), pages=10)) as urls,
        AsyncClient(chain(), urls, clock=clock, sleep=clock.sleep) as client,
    ):
        seen = []
        async with aclosing(client.watch(5)) as rounds:
            async for beacon in rounds:
                seen.append(beacon.round)
                if beacon.round == ROUNDS:
                    break
        assert seen == list(range(5, ROUNDS + 1))


async def test_a_watch_that_catches_up_outlives_sources_that_are_away():
    given_up: list[str] = []

    class Notes(Observer):
        def gave_up(self, error):
            given_up.append(type(error).__name__)
            relay.last = ROUNDS  # the rest is there at the next attempt

    clock, relay = FakeClock(), Relay(last=9)
    async with (
        serving(relay) as urls,
        AsyncClient(chain(), urls, clock=clock, sleep=clock.sleep, observer=Notes()) as client,
        aclosing(client.watch(7)) as rounds,
    ):
        assert [(await anext(rounds)).round for _ in range(20)] == list(range(7, 27))
    assert given_up == ["RoundMissing"]


async def test_times_and_rounds():
    async with AsyncClient(chain(), ["http://127.0.0.1:1"], clock=FakeClock()) as client:
        assert await client.round_at(GENESIS_S) == 1
        assert await client.time_of(3) == datetime.fromtimestamp(GENESIS_S + 2 * PERIOD_S, UTC)
        with pytest.raises(BeforeGenesis):
            await client.round_at(GENESIS_S - 1)
        with pytest.raises(BadSetting, match="time zone"):
            await client.round_at(datetime(2026, 1, 1))
        with pytest.raises(BadSetting):
            await client.get(0)


@pytest.mark.parametrize("no_round", ["5", 5.0, None, -1, 2**64])
async def test_what_is_no_round_is_refused_before_anybody_is_asked(no_round: object):
    async with AsyncClient(chain(), ["http://127.0.0.1:1"], clock=FakeClock()) as client:
        with pytest.raises(BadSetting):
            await client.get(no_round)  # type: ignore[arg-type]


@pytest.mark.parametrize("no_time", [float("nan"), float("inf"), -float("inf")])
async def test_what_is_no_moment_is_refused(no_time: float):
    async with AsyncClient(chain(), ["http://127.0.0.1:1"], clock=FakeClock()) as client:
        with pytest.raises(BadSetting):
            await client.at(no_time)


def test_a_client_of_two_event_loops_says_so():
    client = AsyncClient(chain(), ["http://127.0.0.1:1"], clock=FakeClock())
    assert asyncio.run(client.info()) == chain()
    with pytest.raises(BadSetting, match="event loop"):
        asyncio.run(client.get(1))
    client.release()


async def test_a_closed_client_says_so():
    client = AsyncClient(chain(), ["http://127.0.0.1:1"], clock=FakeClock())
    await client.close()
    await client.close()
    with pytest.raises(ClientClosed):
        await client.get(1)


async def test_two_sources_race_and_the_faster_answer_counts():
    slow, fast = Relay(), Relay()
    async with (
        serving(slow, fast) as urls,
        AsyncClient(chain(), urls, clock=FakeClock(), policy=Policy(race=2)) as client,
    ):
        assert (await client.get(9)).round == 9
        assert slow.asked
        assert fast.asked


@pytest.mark.parametrize("bad", ["nonsense", "", "ab" * 31])
def test_an_unknown_chain_is_refused_with_the_names_of_those_built_in(bad: str):
    with pytest.raises(BadSetting) as caught:
        AsyncClient(bad, ["http://127.0.0.1:1"])
    assert "quicknet" in caught.value.advice


@pytest.mark.parametrize(
    "sources",
    [
        ["ftp://x"],
        ["http://a", "http://a/"],
        ["https://a?b=c"],
        ["http://h:99999"],
        ["http://h:port"],
        ["http://h:0"],
        ["https://:443"],
        ["http://[::1"],
        ["grpc://h:99999"],
        [None],
        [3],
        [object()],
        5,
        b"http://h",
    ],
)
def test_an_address_that_is_none_is_refused(sources: Any):
    with pytest.raises(BadSetting):
        AsyncClient("quicknet", sources)


@pytest.mark.parametrize(
    ("timeout_s", "deadline_s"),
    [
        (0, 1),
        (-1, 1),
        (1, 0),
        (1, float("nan")),
        (float("nan"), 1),
        (float("inf"), 1),
        (1, float("inf")),
        ("5", 1),
        (1, None),
    ],
)
def test_a_time_that_does_not_end_or_is_none_is_refused(timeout_s: Any, deadline_s: Any):
    """Zero would be no limit for aiohttp."""
    with pytest.raises(BadSetting, match="above zero"):
        AsyncClient("quicknet", timeout_s=timeout_s, deadline_s=deadline_s)


def test_a_source_of_ones_own_that_is_none_is_refused_with_what_it_lacks():
    with pytest.raises(BadSetting, match="it has no name, events"):
        AsyncClient("quicknet", [_Half()])  # type: ignore[list-item]


class _Half:
    async def info(self) -> None: ...

    async def beacon(self) -> None: ...

    async def batches(self) -> None: ...

    async def close(self) -> None: ...


def test_a_password_in_an_address_that_is_none_is_not_repeated():
    with pytest.raises(BadSetting, match="http://h:99999 has an address") as caught:
        AsyncClient("quicknet", ["http://me:secret@h:99999"])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["1", 1.5, None, [1]])
async def test_a_range_or_a_watch_of_no_rounds_is_refused_before_anybody_is_asked(wrong: Any):
    relay = Relay()
    async with serving(relay) as urls, AsyncClient(chain().hash(), urls, clock=FakeClock()) as client:
        for asking in (client.batches(wrong, 3), client.rounds(1, wrong)):
            with pytest.raises(BadSetting, match="whole number"):
                await anext(asking)
        if wrong is not None:  # the next one
            with pytest.raises(BadSetting, match="whole number"):
                await anext(client.watch(wrong))
        if not isinstance(wrong, float):
            with pytest.raises(BadSetting, match="names no moment"):
                await client.at(wrong)
        assert relay.asked == []
        with pytest.raises(BadSetting, match="whole number"):
            await client.get(wrong)
        with pytest.raises(BadSetting, match="whole number"):
            await client.time_of(wrong)


def test_an_address_by_itself_is_one_source():
    for one in ("https://relay.example", Path("drand.sqlite")):
        assert list(AsyncClient("quicknet", one).health()) == [str(one)]


def test_a_chain_of_ones_own_needs_a_source():
    with pytest.raises(BadSetting, match="no source"):
        AsyncClient(chain())
    assert list(islice(AsyncClient("quicknet").health(), 1)) == ["https://api.drand.sh"]
