"""The blocking client: the same core, from any thread."""

import asyncio
import contextlib
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

import pytest
from aiohttp import web

from drand.client import Client
from drand.client.chains import public_chain
from drand.client.errors import ClientClosed, RoundMissing, RoundTooEarly
from tests.support.http_chain import Relay, chain, committee, serving_in_a_thread

# The blocking client goes by the machine's clock: by it, this chain began long ago and is far ahead of its 40 rounds.


@pytest.fixture
def relay() -> Relay:
    return Relay(apis=("v2",), pages=16)


@pytest.fixture
def url(relay: Relay) -> Iterator[str]:
    with serving_in_a_thread(relay) as address:
        yield address


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "drand client"]


def test_rounds_are_fetched_and_verified_and_the_thread_ends(url: str):
    with Client(chain(), [url]) as client:
        assert client.get(7).plain == committee().beacon(7)
        assert [one.round for one in client.rounds(1, 40)] == list(range(1, 41))
        assert client.info() == chain()
        assert client.time_of(2).timestamp() == chain().schedule.due_unix_s(2)
        assert client.round_at(client.time_of(2)) == 2
        assert client.at(client.time_of(5)).round == 5
        assert threads()
    assert not threads()
    with pytest.raises(ClientClosed):
        client.get(7)
    client.close()


def test_an_iterator_can_be_left_early(url: str):
    with Client(chain(), [url]) as client:
        with contextlib.closing(client.rounds(1, 40)) as rounds:
            assert [one.round for one in islice(rounds, 2)] == [1, 2]
        assert client.get(1).round == 1


def test_closing_ends_a_watch_that_waits_in_another_thread(url: str):
    client = Client(replace(chain(), genesis_unix_s=2**40), [url])  # the first round is a long way off
    began = threading.Event()

    def watch() -> None:
        rounds = client.watch()
        began.set()
        next(rounds)

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(watch)
        assert began.wait(30)
        client.close()
        with pytest.raises(ClientClosed):
            call.result(30)


def test_errors_come_through_as_they_are(url: str):
    with Client(chain(), [url]) as client:
        with pytest.raises(RoundMissing):
            client.get(41)
        with pytest.raises(RoundTooEarly):
            client.get(2**40)


def test_many_threads_use_one_client(url: str):
    with Client(chain(), [url]) as client, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(client.get, [1 + place % 40 for place in range(120)]))
    assert [one.round for one in found] == [1 + place % 40 for place in range(120)]


def test_it_works_inside_a_running_loop(url: str):
    async def notebook() -> int:
        with Client(chain(), [url]) as client:
            return client.get(3).round

    assert asyncio.run(notebook()) == 3


def test_closing_ends_a_call_under_way_in_another_thread(url: str, relay: Relay):
    reached = threading.Event()

    async def hang(_request: web.Request) -> web.StreamResponse:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    relay.override["7"] = hang
    client = Client(chain(), [url], timeout_s=60.0, deadline_s=60.0)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.get, 7)
        assert reached.wait(30)
        client.close()
        with pytest.raises(ClientClosed):
            call.result(30)
    assert not threads()


def test_a_client_that_is_never_closed_ends_its_thread_when_it_is_forgotten(url: str):
    client = Client(chain(), [url])
    client.get(1)
    assert threads()
    del client
    gc.collect()
    assert not threads()


def test_a_client_that_is_never_used_starts_nothing():
    with Client("quicknet") as client:
        assert client.chain_hash == public_chain("quicknet").hash()
        assert not threads()
