"""Event streams that end before their first event, as those of a server that begins again just then."""

import asyncio
from contextlib import aclosing

from aiohttp import web

from drand.client.async_client import AsyncClient
from drand.client.watching import MOST_PASSED_OVER
from tests.support.committee import PERIOD_S
from tests.support.http_chain import NOW, ROUNDS, FakeClock, Relay, chain, committee
from tests.support.http_clients import clients


async def ends_at_once(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b": welcome\n\n")
    return response


def streams(relay: Relay) -> int:
    return sum(path.endswith("/events") for path in relay.asked)


async def test_a_stream_that_ended_before_its_first_event_is_opened_again_for_the_next_round():
    clock = FakeClock()
    relay = Relay(apis=("v2",), last=ROUNDS + 1, override={"events": ends_at_once})

    async def a_period_later(request: web.Request) -> web.StreamResponse:
        clock.at += PERIOD_S
        return await relay.events(request)

    async with (
        clients(relay, clock=clock, sleep=clock.sleep) as client,
        aclosing(client.watch()) as rounds,
        asyncio.timeout(20),
    ):
        assert (await anext(rounds)).round == ROUNDS + 1
        relay.override["events"], relay.pushes = a_period_later, (ROUNDS + 2,)
        assert (await anext(rounds)).round == ROUNDS + 2, "which no question would be answered with"
    assert streams(relay) == 2


async def test_a_server_without_a_stream_is_asked_for_it_less_and_less_often():
    rounds_watched = 3 * MOST_PASSED_OVER
    clock = FakeClock()
    relay = Relay(apis=("v2",), last=ROUNDS + rounds_watched)
    async with clients(relay, clock=clock, sleep=clock.sleep) as client, aclosing(client.watch()) as rounds:
        found = [(await anext(rounds)).round for _ in range(rounds_watched)]
    assert found == list(range(ROUNDS + 1, ROUNDS + rounds_watched + 1))
    assert streams(relay) == 9, "at first, after 1, 3, 7, 15, 31, 63, 127 and 191 rounds"


async def test_a_source_that_cannot_push_is_not_asked_for_a_stream_again():
    clock = FakeClock(NOW)

    class Still:
        name, clock_ahead_s, asked = "still", None, 0

        def events(self, chain: object) -> None:
            self.asked += 1

        async def info(self, chain_hash: bytes): ...
        async def batches(self, chain: object, first: int, last: int): ...
        async def close(self) -> None: ...

        async def beacon(self, chain: object, round_: int | None):
            return committee().beacon(round_ or ROUNDS)

    source = Still()
    async with (
        AsyncClient(chain(), [source], clock=clock, sleep=clock.sleep) as client,
        aclosing(client.watch()) as rounds,
    ):
        assert [(await anext(rounds)).round for _ in range(3)] == [ROUNDS + 1, ROUNDS + 2, ROUNDS + 3]
    assert source.asked == 1
