"""A client that is closed under the hands of those who ask it, and sources that give up by themselves."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from drand.client.async_client import AsyncClient
from drand.client.errors import ClientClosed, SourceUnreachable
from drand.client.pool import Policy
from drand.client.sources import open_source
from drand.model.chain import Beacon, ChainInfo, Round
from tests.support.http_chain import ROUNDS, FakeClock, Relay, chain, committee, serving


@dataclass
class Slow:
    """A source whose answers come when they are let through, whatever becomes of the client meanwhile."""

    name: str = "slow"
    clock_ahead_s: float | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    cancels_itself: bool = False

    async def info(self, chain_hash: bytes) -> ChainInfo:
        return chain()

    async def beacon(self, chain: ChainInfo, round_: Round | None) -> Beacon:
        self.asked.set()
        await self.answers.wait()
        if self.cancels_itself:
            raise asyncio.CancelledError
        return committee().beacon(round_ or ROUNDS)

    async def batches(self, chain: ChainInfo, first: Round, last: Round) -> AsyncGenerator[list[Beacon], None]:
        for round_ in range(first, last + 1):
            yield [await self.beacon(chain, Round(round_))]

    def events(self, chain: ChainInfo) -> None:
        return None

    async def close(self) -> None:
        return None


@pytest.mark.parametrize("round_", [7, None])
async def test_an_answer_that_comes_after_closing_is_not_given_out(tmp_path: Path, round_: int | None):
    source = Slow()
    client = AsyncClient(chain(), [source], clock=FakeClock(), archive=tmp_path / "a")
    asking = asyncio.create_task(client.latest() if round_ is None else client.get(round_))
    await source.asked.wait()
    await client.close()
    source.answers.set()
    with pytest.raises(ClientClosed):
        await asking


async def test_closing_in_the_middle_of_a_question_asks_no_further_source():
    reached = asyncio.Event()

    async def silent(_request: web.Request) -> web.StreamResponse:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    first, second = Relay(override={"*": silent}), Relay()
    async with serving(first, second) as urls:
        client = AsyncClient(chain(), urls, clock=FakeClock(), policy=Policy(hedge_after_s=60.0))
        asking = asyncio.create_task(client.get(7))
        await reached.wait()
        await client.close()
        with pytest.raises(ClientClosed):
            await asking
        assert second.asked == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "grpc://127.0.0.1:1"])
async def test_a_closed_source_opens_no_connection_any_more(address: str):
    source = open_source(address, timeout_s=10.0)
    await source.close()
    with pytest.raises(SourceUnreachable, match="was closed"):
        await source.beacon(chain(), Round(7))
    await source.close()


async def test_a_range_that_was_begun_ends_with_closing_and_not_as_if_it_were_complete(tmp_path: Path):
    source = Slow()
    source.answers.set()
    client = AsyncClient(chain(), [source], clock=FakeClock(), archive=tmp_path / "a")
    async with aclosing(client.rounds(1, 30)) as rounds:
        assert (await anext(rounds)).round == 1
        await client.close()
        with pytest.raises(ClientClosed):
            _ = [beacon async for beacon in rounds]


async def test_a_source_that_cancels_its_own_call_has_failed_and_the_caller_is_not_cancelled():
    source = Slow(cancels_itself=True)
    source.answers.set()
    async with AsyncClient(chain(), [source], clock=FakeClock()) as client:
        with pytest.raises(SourceUnreachable, match="gave up"):
            await client.get(7)
