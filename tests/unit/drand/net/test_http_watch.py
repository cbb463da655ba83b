"""Rates, the access log, the numbers of an HTTP port."""

import asyncio
import io

import aiohttp
from hypothesis import given
from hypothesis import strategies as st

from drand.net.addresses import HostPort
from drand.net.http_routes import HttpRoutes
from drand.net.http_server import HttpServer
from drand.net.http_watch import RateLimiter, Tally, Watch
from tests.support.served import GENESIS, PERIOD, FixedClock, MemoryChain, until


def test_a_client_may_ask_in_bursts_and_then_at_its_rate():
    limiter = RateLimiter(2, 3)
    assert [limiter.allows("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert limiter.allows("b", 0.0)
    assert [limiter.allows("a", 0.5), limiter.allows("a", 0.5)] == [True, False]


def test_a_clock_that_steps_back_gives_no_tokens():
    limiter = RateLimiter(1, 1)
    assert limiter.allows("a", 100.0)
    assert not limiter.allows("a", 50.0)
    assert limiter.allows("a", 51.0)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 100)), max_size=60))
def test_the_table_of_clients_is_bounded(asked: list[tuple[str, float]]):
    limiter = RateLimiter(1, 2, max_clients=4)
    for client, now in asked:
        limiter.allows(client, now)
        assert len(limiter) <= 4


def test_numbers_of_several_processes_add_up_and_invented_methods_share_one_place():
    one, two = Tally(), Tally()
    one.add(200, "GET", 0.002)
    two.add(200, "GET", 0.2)
    two.add(404, "BREW", 99)
    one.merge(two)
    assert one.calls == {("200", "get"): 2, ("404", "unknown"): 1}
    assert sum(one.slots["get"]) == 2
    assert one.slots["unknown"][-1] == 1


async def test_a_watched_server_limits_and_writes_one_line_a_request():
    log = io.StringIO()
    routes = HttpRoutes()
    routes.register(MemoryChain(), default=True)
    watch = Watch(limiter=RateLimiter(1, 2), access_log=log)
    server = HttpServer(routes, FixedClock(GENESIS + 2 * PERIOD), watch=watch)
    port = (await server.start(HostPort("127.0.0.1", 0))).port
    forged = 'agent\t" 200 -'
    async with aiohttp.ClientSession(headers={"User-Agent": forged, "X-Real-IP": "203.0.113.9"}) as client:
        statuses = []
        for _ in range(3):
            async with client.get(f"http://127.0.0.1:{port}/public/2") as answer:
                statuses.append(answer.status)
    await server.stop()
    assert statuses == [200, 200, 429]
    lines = log.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("203.0.113.9 - - [")
    assert '"GET /public/2 HTTP/1.1" 200 ' in lines[0]
    assert lines[0].endswith('"-" "agent\\x09\\" 200 -"')
    assert (watch.in_flight, watch.tally.calls[("429", "get")]) == (0, 1)


async def test_a_stream_and_a_client_that_did_not_wait_are_written_down_when_they_end():
    log = io.StringIO()
    routes = HttpRoutes()
    chain = MemoryChain()
    routes.register(chain, default=True)
    watch = Watch(access_log=log)
    server = HttpServer(routes, FixedClock(GENESIS + 3 * PERIOD), max_readers=1, watch=watch)
    port = (await server.start(HostPort("127.0.0.1", 0))).port
    root = f"http://127.0.0.1:{port}/v2/beacons/default"
    async with aiohttp.ClientSession() as client:
        reading = await client.get(f"{root}/events")
        await until(lambda: server.events.readers == 1)
        async with client.get(f"{root}/events") as refused:
            assert refused.status == 503
        held = asyncio.ensure_future(client.get(f"{root}/rounds/next"))
        await chain.until(lambda: chain.waiting == 1)
        held.cancel()
        reading.close()
        await until(lambda: watch.in_flight == 0)
    await server.stop()
    statuses = sorted(line.split('HTTP/1.1" ')[1][:3] for line in log.getvalue().splitlines())
    assert statuses == ["200", "499", "503"]
    assert watch.tally.calls == {("200", "get"): 1, ("499", "get"): 1, ("503", "get"): 1}
    assert sum(watch.tally.slots["get"]) == 1, "how long a stream lasts says nothing about the server"
