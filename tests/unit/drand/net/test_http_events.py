"""Streams of rounds on real sockets: server-sent events and WebSocket, readers that come back, lag or are too many."""

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from drand.net import http_events
from drand.net.addresses import HostPort
from drand.net.http_events import MAX_BEHIND_BYTES, REPLAY_ROUNDS, SEND_BUFFER_BYTES
from drand.net.http_routes import HttpRoutes
from drand.net.http_server import HttpServer
from drand.net.http_watch import new_watch
from drand.wire.http_json import parse_beacon
from tests.support.served import GENESIS, PERIOD, FixedClock, MemoryChain, beacon, until

EVENTS = "/v2/beacons/default/events"


class Streamed:
    """A server of one chain, and a client."""

    def __init__(self, max_readers: int) -> None:
        self.chain = MemoryChain()
        routes = HttpRoutes()
        routes.register(self.chain)
        self.server = HttpServer(routes, FixedClock(GENESIS + 2 * PERIOD), max_readers=max_readers)
        self.client = aiohttp.ClientSession()
        self.url = ""
        self.port = 0

    async def start(self) -> None:
        self.port = (await self.server.start(HostPort("127.0.0.1", 0))).port
        self.url = f"http://127.0.0.1:{self.port}{EVENTS}"

    async def readers(self, count: int) -> None:
        await until(lambda: self.server.events.readers == count)


@pytest.fixture
async def streamed() -> AsyncIterator[Streamed]:
    made = Streamed(max_readers=3)
    await made.start()
    yield made
    await made.client.close()
    await made.server.stop()


async def event(answer: aiohttp.ClientResponse) -> tuple[int, bytes]:
    """Id and data of the next event; comments and the retry line are passed over."""
    fields: dict[bytes, bytes] = {}
    while True:
        line = (await answer.content.readline()).rstrip(b"\n")
        if not line and b"data" in fields:
            return int(fields[b"id"]), fields[b"data"]
        name, _, value = line.partition(b": ")
        fields[name] = value


async def test_a_reader_is_told_of_each_new_round(streamed: Streamed):
    async with streamed.client.get(streamed.url) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-store"
        await streamed.readers(1)
        for round_ in (4, 5):
            await streamed.chain.append()
            number, data = await event(answer)
            assert (number, parse_beacon(data)) == (round_, beacon(round_))


async def test_a_reader_that_comes_back_gets_what_it_missed_and_then_what_is_new(streamed: Streamed):
    async with streamed.client.get(streamed.url, headers={"Last-Event-ID": "1"}) as answer:
        await streamed.readers(1)
        await streamed.chain.append()
        assert [(await event(answer))[0] for _ in range(3)] == [2, 3, 4]


async def test_a_reader_that_comes_back_after_long_gets_the_last_thousand_rounds_and_then_what_is_new(
    streamed: Streamed,
):
    streamed.chain.last_round = 1500
    async with streamed.client.get(streamed.url + "?from=7") as answer:
        assert [(await event(answer))[0] for _ in range(REPLAY_ROUNDS)] == list(range(501, 1501))
        await streamed.readers(1)
        await streamed.chain.append()
        assert (await event(answer))[0] == 1501


async def test_a_reader_that_comes_back_and_never_reads_is_sent_a_few_rounds_only_and_dropped(
    streamed: Streamed, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(http_events, "REPLAY_PATIENCE_S", 0.01)
    streamed.chain.last_round = 1000
    asked: list[int] = []
    stored = streamed.chain.range
    monkeypatch.setattr(
        streamed.chain, "range", lambda first, limit: asked.append(first + limit) or stored(first, limit)
    )
    deaf = deaf_socket(streamed.port, EVENTS + "?from=1")
    await until(lambda: streamed.server.events.dropped == 1)
    assert max(asked) < REPLAY_ROUNDS / 2, "the rest was never read from the store"
    assert streamed.server.events.readers == 0
    deaf.close()


async def test_a_websocket_carries_the_same_rounds(streamed: Streamed):
    async with streamed.client.ws_connect(streamed.url + "?from=3") as link:
        await streamed.readers(1)
        await link.send_str("a reader has nothing to say")
        await streamed.chain.append()
        assert [parse_beacon((await link.receive_str()).encode()) for _ in range(2)] == [beacon(3), beacon(4)]
        await link.ping()
        await link.close()
    await streamed.readers(0)


async def test_a_websocket_that_sends_too_much_is_closed(streamed: Streamed):
    async with streamed.client.ws_connect(streamed.url) as link:
        await streamed.readers(1)
        await link.send_bytes(bytes(100_000))
        assert (await link.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    await streamed.readers(0)


async def test_one_reader_too_many_is_sent_away_and_a_place_becomes_free_again(streamed: Streamed):
    opened = [await streamed.client.get(streamed.url) for _ in range(3)]
    await streamed.readers(3)
    async with streamed.client.get(streamed.url) as refused:
        assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    opened[0].close()
    await streamed.readers(2)
    async with streamed.client.get(streamed.url) as answer:
        assert answer.status == 200
    for answer in opened:
        answer.close()


async def test_a_reader_that_never_reads_is_dropped_and_the_others_are_told(streamed: Streamed):
    deaf = deaf_socket(streamed.port, EVENTS)
    async with streamed.client.get(streamed.url) as answer:
        await streamed.readers(2)
        told = 0
        most = 16 * (MAX_BEHIND_BYTES + 4 * SEND_BUFFER_BYTES) // len(http_events.sse_frame(*_served(streamed)))
        while streamed.server.events.dropped == 0:
            await streamed.chain.append()
            told += 1
            assert (await event(answer))[0] == 3 + told
            assert told < most, "it was not dropped"
        await streamed.readers(1)
    deaf.close()


def deaf_socket(port: int, target: str) -> socket.socket:
    """A connection that asks and never reads."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", port))
    made.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return made


def _served(streamed: Streamed):
    return streamed.server.routes.chains[0], beacon(3)


async def test_readers_are_given_a_sign_of_life(streamed: Streamed, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_events, "HEARTBEAT_S", 0.001)
    async with streamed.client.get(streamed.url) as answer:
        assert await answer.content.readline() == b"retry: 1000\n"
        await answer.content.readline()
        assert await answer.content.readline() == b": \n"


async def test_readers_are_sent_away_when_the_server_stops_or_the_chain_ends(streamed: Streamed):
    async with streamed.client.get(streamed.url) as answer:
        await streamed.readers(1)
        streamed.chain.feed.close()
        await answer.content.read()
    assert streamed.server.events.readers == 0


def make_at_once(chain: MemoryChain) -> None:
    """The next round, without a turn of the loop for anybody."""
    chain.last_round += 1
    chain.feed.publish(beacon(chain.last_round))


@pytest.mark.parametrize("query", ["", "?from=3"])
async def test_the_first_reader_is_told_of_a_round_that_is_made_in_the_turn_in_which_it_comes(
    query: str, streamed: Streamed, monkeypatch: pytest.MonkeyPatch
):
    hub = streamed.server.events
    made = hub._channel
    monkeypatch.setattr(hub, "_channel", lambda chain: (made(chain), make_at_once(streamed.chain))[0])
    async with streamed.client.get(streamed.url + query) as answer:
        await streamed.readers(1)
        await streamed.chain.append()
        assert [(await event(answer))[0] for _ in range(3 if query else 2)] == ([3, 4, 5] if query else [4, 5])


async def test_a_round_that_is_made_while_a_reader_catches_up_comes_once(
    streamed: Streamed, monkeypatch: pytest.MonkeyPatch
):
    stored = streamed.chain.range

    def made_meanwhile(first: int, limit: int):
        found = stored(first, limit)
        if streamed.chain.last_round == 3:
            make_at_once(streamed.chain)  # whoever listens already has it in its queue
        return found

    async with streamed.client.get(streamed.url) as first:
        await streamed.readers(1)
        monkeypatch.setattr(streamed.chain, "range", made_meanwhile)
        async with streamed.client.get(streamed.url + "?from=3") as second:
            await streamed.readers(2)
            await streamed.chain.append()
            assert [(await event(second))[0] for _ in range(3)] == [3, 4, 5]
            assert [(await event(first))[0] for _ in range(2)] == [4, 5]


@pytest.mark.parametrize(("query", "seen"), [("?from=6", None), ("", "5")])
async def test_a_reader_that_is_ahead_is_sent_nothing_before_the_round_that_it_asks_for(
    query: str, seen: str | None, streamed: Streamed
):
    headers = {"Last-Event-ID": seen} if seen else {}
    async with (
        streamed.client.get(streamed.url + query, headers=headers) as answer,
        streamed.client.ws_connect(streamed.url + query, headers=headers) as link,
    ):
        await streamed.readers(2)
        for _ in range(4):
            await streamed.chain.append()
        assert [(await event(answer))[0] for _ in range(2)] == [6, 7]
        assert [parse_beacon((await link.receive_str()).encode()) for _ in range(2)] == [beacon(6), beacon(7)]


async def test_nobody_listens_to_a_chain_whose_readers_have_left_or_that_has_ended(streamed: Streamed):
    async with streamed.client.get(streamed.url):
        await streamed.readers(1)
        assert streamed.chain.feed.readers == 1
    await streamed.readers(0)
    assert streamed.chain.feed.readers == 0
    streamed.chain.feed.close()
    async with streamed.client.get(streamed.url) as answer:
        assert await answer.content.read() == b"retry: 1000\n\n"
    async with streamed.client.ws_connect(streamed.url) as link:
        assert (await link.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", KEY)


@pytest.mark.parametrize(
    "changed",
    [
        {KEY: "Sec-WebSocket-Key: <b>the client's own words</b>"},
        {KEY: "X: y"},
        {"Sec-WebSocket-Version: 13": "Sec-WebSocket-Version: 12"},
        {"Connection: Upgrade": "Connection: keep-alive"},
    ],
)
@pytest.mark.parametrize("watched", [False, True])
async def test_a_handshake_that_fails_is_answered_in_our_words_and_counted_as_refused(
    watched: bool, changed: dict[str, str]
):
    routes, counted = HttpRoutes(), list[tuple[str, int]]()
    routes.register(MemoryChain())
    watch = new_watch(rate_per_s=0, burst=0, access_log="", counted=True) if watched else None
    clock = FixedClock(GENESIS + 2 * PERIOD)
    server = HttpServer(routes, clock, answered=lambda method, status: counted.append((method, status)), watch=watch)
    port = (await server.start(HostPort("127.0.0.1", 0))).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"GET {EVENTS} HTTP/1.1", "Host: x", *(changed.get(line, line) for line in HANDSHAKE)]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    writer.write(b"GET /v2/chains HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")  # the connection goes on
    answers = (await reader.read()).decode()
    assert answers.startswith("HTTP/1.1 400 Bad Request\r\nServer: drand/")
    assert "Sec-WebSocket-Version: 13" in answers
    assert "aiohttp" not in answers
    assert "own words" not in answers
    assert answers.count("HTTP/1.1 200 OK") == 1
    assert counted == [("GET", 400), ("GET", 200)]
    assert watch is None or watch.tally.calls == {("400", "get"): 1, ("200", "get"): 1}
    writer.close()
    await server.stop()


async def test_an_unknown_chain_has_no_stream(streamed: Streamed):
    async with streamed.client.get(streamed.url.replace("default", "other")) as answer:
        assert answer.status == 404
