"""Who asks the same at the same time shares one question."""

import asyncio
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from drand.client.async_client import AsyncClient
from drand.client.errors import ForgedBeacon, SourceUnreachable
from drand.client.shared import Shared
from tests.support.http_chain import FakeClock, Relay, chain, committee, serving

ROUND = 7


@dataclass
class Gate:
    """A server's answer that waits until it is let through."""

    relay: Relay
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)  # the client has hung up

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.reached.set()
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        del self.relay.override[str(ROUND)]
        return await self.relay.answer(request)


def gated(**settings) -> tuple[Relay, Gate]:
    relay = Relay(**settings)
    gate = Gate(relay)
    relay.override[str(ROUND)] = gate
    return relay, gate


def requests(relay: Relay) -> int:
    return sum(path.endswith(f"/{ROUND}") for path in relay.asked)


async def test_ten_who_ask_for_one_round_at_once_cost_one_request():
    relay, gate = gated()
    async with serving(relay) as urls, AsyncClient(chain(), urls, clock=FakeClock()) as client:
        asking = [asyncio.create_task(client.get(ROUND)) for _ in range(10)]
        await gate.reached.wait()
        before = requests(relay)
        gate.opened.set()
        found = await asyncio.gather(*asking)
        assert before == 1
        assert {one.plain for one in found} == {committee().beacon(ROUND)}
        assert (await client.get(ROUND)).provenance.source == "memory"


async def test_one_who_gives_up_leaves_the_others_waiting():
    relay, gate = gated()
    async with serving(relay) as urls, AsyncClient(chain(), urls, clock=FakeClock()) as client:
        first, second, third = (asyncio.create_task(client.get(ROUND)) for _ in range(3))
        await gate.reached.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await client.get(ROUND)
        gate.opened.set()
        assert (await second) == (await third)
        assert not gate.left.is_set()


async def test_the_last_one_who_gives_up_takes_the_question_along():
    relay, gate = gated()
    async with serving(relay) as urls, AsyncClient(chain(), urls, clock=FakeClock()) as client:
        asking = [asyncio.create_task(client.get(ROUND)) for _ in range(3)]
        await gate.reached.wait()
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        async with asyncio.timeout(30):
            await gate.left.wait()
        gate.opened.set()
        assert (await client.get(ROUND)).round == ROUND, "who comes later asks anew"


async def test_an_error_is_everybodys_and_is_not_remembered():
    relay, gate = gated(lies={ROUND: committee().lie(ROUND)})
    async with serving(relay) as urls, AsyncClient(chain(), urls, clock=FakeClock()) as client:
        asking = [asyncio.create_task(client.get(ROUND)) for _ in range(3)]
        await gate.reached.wait()
        gate.opened.set()
        assert {type(error) for error in await asyncio.gather(*asking, return_exceptions=True)} == {ForgedBeacon}
        relay.lies.clear()
        assert (await client.get(ROUND)).round == ROUND


async def test_the_first_questions_about_a_chain_known_by_its_hash_share_how_asking_for_it_ends():
    relay, reached, opened = Relay(), asyncio.Event(), asyncio.Event()

    async def fail(_request: web.Request) -> web.StreamResponse:
        reached.set()
        await opened.wait()
        return web.Response(status=500)

    relay.override["info"] = fail
    async with serving(relay) as urls, AsyncClient(chain().hash(), urls, clock=FakeClock()) as client:
        asking = [asyncio.create_task(client.get(round_)) for round_ in range(1, 11)]
        await reached.wait()
        opened.set()
        errors = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(error) for error in errors} == {SourceUnreachable}
        assert len(relay.asked) == 1
        del relay.override["info"]
        assert (await client.get(ROUND)).round == ROUND, "who comes later asks anew"


async def test_nothing_is_kept_of_what_is_answered():
    shared: Shared[int] = Shared()

    async def answer() -> int:
        await asyncio.sleep(0)
        return 5

    assert await asyncio.gather(*(shared.get(place % 2, answer) for place in range(6))) == [5] * 6
    assert len(shared) == 0
