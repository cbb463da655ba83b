"""The HTTP port on a real socket."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drand.model.chain import Beacon, Round
from drand.net import http_server
from drand.net.addresses import HostPort
from drand.net.errors import CannotListen, PortTaken
from drand.net.http_chain import GATHERS_AT_ONCE
from drand.net.http_content import Request
from drand.net.http_routes import NOT_YET, Hold, HttpRoutes
from drand.net.http_server import HttpServer
from drand.net.tls import load_server_tls
from tests.support.authority import Authority
from tests.support.served import GENESIS, PERIOD, FixedClock, MemoryChain, beacon, until

ANY = HostPort("127.0.0.1", 0)
NOW = GENESIS + 2 * PERIOD + 10


class Served:
    """A server, its chain and its address."""

    def __init__(self) -> None:
        self.chain = MemoryChain()
        self.clock = FixedClock(NOW)
        routes = HttpRoutes()
        routes.register(self.chain, default=True)
        self.server = HttpServer(routes, self.clock, max_held=2)
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def ask(self, text: str) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)  # a dropped writer closes its connection
        writer.write(text.encode())
        return reader

    async def exchange(self, text: str) -> tuple[bytes, bytes]:
        """Head and body of one answer; `text` must ask for the connection to be closed."""
        reader = await self.ask(text)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return head, body


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    made = Served()
    made.port = (await made.server.start(ANY)).port
    yield made
    await made.server.stop()
    for writer in made.writers:
        writer.close()


def request(path: str, method: str = "GET", *headers: str) -> str:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""])


async def test_a_round_comes_with_length_date_and_our_name(served: Served):
    head, body = await served.exchange(request("/public/2?utm=1"))
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert f"Content-Length: {len(body)}" in lines
    assert "Server: drand/1.5.11 (pydrand)" in lines
    assert any(line.startswith("Date: ") for line in lines)


async def test_head_gives_the_headers_alone_and_post_is_as_get(served: Served):
    _, whole = await served.exchange(request("/public/2"))
    head, body = await served.exchange(request("/public/2", "HEAD"))
    assert body == b""
    assert f"Content-Length: {len(whole)}".encode() in head
    assert (await served.exchange(request("/public/2", "POST", "Content-Length: 0")))[1] == whole


async def test_one_connection_serves_many_requests_until_it_is_asked_to_close(served: Served):
    two = "GET /public/1 HTTP/1.1\r\nHost: x\r\n\r\n" + request("/public/2")
    reader = await served.ask(two)
    answers = (await reader.read()).split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [b"Connection: close" in answer for answer in answers] == [False, True]
    assert [b'{"round":1,' in answers[0], b'{"round":2,' in answers[1]] == [True, True]


async def test_an_old_client_keeps_its_connection_only_when_it_asks(served: Served):
    old = "GET /public/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /public/2 HTTP/1.0\r\n\r\n"
    reader = await served.ask(old)
    answers = (await reader.read()).split(b"HTTP/1.0 200 OK\r\n")[1:]
    assert [b"Connection: keep-alive" in answer for answer in answers] == [True, False]


async def test_bytes_that_are_no_http_are_answered_and_the_connection_closed(served: Served):
    reader = await served.ask("NONSENSE\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.0 400 Bad Request")


@pytest.mark.parametrize(
    "text",
    [
        "A" * 200_000,
        "GET / HTTP/9.9\r\n\r\n",
        "GET /secret HTTP/1.1\r\n\r\n",
        f"GET /{'secret' * 2000} HTTP/1.1\r\nHost: x\r\n\r\n",
        request("/public/1", "GET", "X-Long: " + "secret" * 4000),
    ],
    ids=["no method", "no version of today", "no host", "long path", "long header"],
)
async def test_what_cannot_be_read_is_answered_in_fixed_words(served: Served, text: str):
    """Not repeated to its sender, and without the names and versions of what serves it."""
    head, body = await served.exchange(text)
    assert body == b"400 Bad Request"
    assert not any(word in head.lower() for word in (b"aiohttp", b"python", b"secret", b"aaaa"))


async def test_headers_that_are_too_long_are_refused(served: Served):
    head, _ = await served.exchange(request("/public/1", "GET", "X-Long: " + "x" * 20_000))
    assert b" 400 " in head.split(b"\r\n")[0]


async def test_conditions_and_ranges_arrive_at_the_routes(served: Served):
    head, body = await served.exchange(request("/public/2", "GET", "Range: bytes=0-8"))
    assert (head.startswith(b"HTTP/1.1 206 "), body) == (True, b'{"round":')
    head, body = await served.exchange(request("/public/2", "GET", "If-None-Match: *"))
    assert (head.startswith(b"HTTP/1.1 304 "), body) == (True, b"")
    assert b"Content-Type" not in head


async def test_an_answer_without_content_tells_no_length_of_it(served: Served):
    head, body = await served.exchange(request("/v2/chains", "OPTIONS", "Origin: http://there"))
    assert (head.startswith(b"HTTP/1.1 204 "), body) == (True, b"")
    assert b"Content-" not in head


async def test_caches_are_told_that_the_root_is_not_the_same_for_all(served: Served):
    for accept in ("text/html", "application/json"):
        head, _ = await served.exchange(request("/", "GET", f"Accept: {accept}"))
        assert b"Vary: Accept\r\n" in head


async def test_a_plain_404_says_no_more_than_go(served: Served):
    head, body = await served.exchange(request("/nothing"))
    assert (head.startswith(b"HTTP/1.1 404 "), body) == (True, b"404 page not found\n")
    assert b"aiohttp" not in head


async def test_the_next_round_is_sent_the_moment_it_is_stored(served: Served):
    reader = await served.ask(request("/public/4"))
    await served.chain.until(lambda: served.chain.waiting == 1)
    assert served.server.held == 1
    await served.chain.append()
    assert b'{"round":4,' in await reader.read()
    assert served.server.held == 0


async def test_a_client_that_leaves_frees_its_held_request(served: Served):
    await served.ask(request("/public/4"))
    await served.chain.until(lambda: served.chain.waiting == 1)
    served.writers[-1].transport.abort()
    await served.chain.until(lambda: served.chain.waiting == 0)
    assert served.server.held == 0


async def test_more_held_requests_than_allowed_are_told_to_come_back(served: Served):
    for _ in range(2):
        await served.ask(request("/public/4"))
    await served.chain.until(lambda: served.chain.waiting == 2)
    head, body = await served.exchange(request("/public/4"))
    assert (head.startswith(b"HTTP/1.1 404 "), body) == (True, b"")
    assert b"Cache-Control: must-revalidate, no-cache, max-age=0" in head


async def test_a_connection_too_many_is_closed_and_others_stay():
    served = Served()
    served.server = HttpServer(served.server.routes, served.clock, max_connections=2)
    served.port = (await served.server.start(ANY)).port
    kept = [await served.ask("GET /public/1 HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(2)]
    for reader in kept:
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    refused = await served.ask("")
    with contextlib.suppress(ConnectionResetError):
        assert await refused.read() == b""
    served.writers[0].close()
    await served.writers[0].wait_closed()
    assert kept[1].at_eof() is False
    await served.server.stop()


async def test_held_requests_are_sent_away_when_the_server_stops(served: Served):
    reader = await served.ask(request("/public/4"))
    await served.chain.until(lambda: served.chain.waiting == 1)
    await served.server.stop()
    assert (await reader.read()).startswith(b"HTTP/1.1 404 ")


async def test_a_round_that_does_not_come_in_time_ends_the_wait(served: Served):
    hold = served.server.routes.answer(Request("GET", "/public/4"), NOW)
    assert isinstance(hold, Hold)
    served.clock.unix_s = hold.until_unix_s  # the wait starts when its time is over
    assert await served.server._hold(hold, Request("GET", "/public/4")) == NOT_YET
    assert served.server.held == 0


async def test_a_taken_port_is_named(served: Served):
    with pytest.raises(PortTaken, match=f"127.0.0.1:{served.port} is taken") as caught:
        await Served().server.start(HostPort("127.0.0.1", served.port))
    assert "another drand" in caught.value.advice


async def test_an_address_of_another_machine_cannot_be_listened_on():
    with pytest.raises(CannotListen):
        await Served().server.start(HostPort("192.0.2.1", 0))


async def test_the_api_is_served_over_tls(tmp_path: Path):
    authority = Authority(tmp_path)
    tls = load_server_tls(*authority.issue("localhost"))
    served = Served()
    port = (await served.server.start(ANY, tls)).port
    context = ssl.create_default_context(cafile=str(authority.root_path))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    writer.write(request("/public/2").encode())
    assert b'{"round":2,' in await reader.read()
    writer.close()
    served.chain.last_round = 1500
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    writer.write(request("/v2/beacons/default/rounds?from=1").encode())
    assert (await reader.read()).count(b"\n{") == 999, "all of a long answer, which waits for its reader"
    writer.close()
    await served.server.stop()


class Fetching(MemoryChain):
    """Stores nothing; a fetched round comes when `come` is set."""

    come: asyncio.Event
    asked = under_way = most = 0

    def range(self, first: Round, limit: int) -> list[Beacon]:
        return []

    async def wait(self, round_: Round) -> Beacon:
        self.asked += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.come.wait()
        self.under_way -= 1
        return beacon(round_)


async def test_pages_for_which_rounds_are_fetched_wait_for_their_turn():
    chain, routes = Fetching(fetches=True), HttpRoutes()
    chain.come = asyncio.Event()
    routes.register(chain)
    server = HttpServer(routes, FixedClock(NOW))
    port = (await server.start(ANY)).port
    page = request("/v2/beacons/default/rounds?from=1&to=1").encode()
    links = [await asyncio.open_connection("127.0.0.1", port) for _ in range(GATHERS_AT_ONCE + 3)]
    for _, writer in links:
        writer.write(page)
    await until(lambda: server.held == len(links) and chain.asked == GATHERS_AT_ONCE)
    chain.come.set()
    for reader, writer in links:
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()
    assert (chain.asked, chain.most, server.held) == (len(links), GATHERS_AT_ONCE, 0)
    await server.stop()


@pytest.mark.parametrize("kind", ["one long page", "many short answers"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_reader_that_does_not_take_its_answers_is_hung_up_on(loop: str, kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_server, "TAKE_S", 0.02)
    monkeypatch.setattr(http_server, "TAKE_BYTES_A_SECOND", 1 << 30)

    async def check() -> None:
        chain, routes = MemoryChain(last_round=1500), HttpRoutes()
        routes.register(chain, default=True)
        server = HttpServer(routes, FixedClock(NOW))
        port = (await server.start(ANY)).port
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", port))
        deaf.setblocking(False)
        path = "/v2/beacons/default/rounds?from=1" if kind == "one long page" else "/public/3"
        asked = request(path).replace("Connection: close\r\n", "").encode()
        assert server._runner is not None
        await until(lambda: len(server._runner.server.connections) == 1)
        while server._runner.server.connections:  # until no buffer between us takes more, and then until the end
            with contextlib.suppress(BlockingIOError, ConnectionError):
                deaf.send(asked * 100)
            await asyncio.sleep(0)
        monkeypatch.undo()
        other, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("/v2/beacons/default/rounds?from=1").encode())
        assert (await other.read()).count(b"\n{") == 999, "who reads gets all of it"
        writer.close()
        deaf.close()
        await server.stop()

    with asyncio.Runner(
        loop_factory=pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else None
    ) as runner:
        runner.run(asyncio.wait_for(check(), 60))


async def test_connections_that_never_shake_hands_count_as_connections(tmp_path: Path):
    """Else strangers could take every descriptor of the process with them."""
    authority = Authority(tmp_path)
    served = Served()
    served.server = HttpServer(served.server.routes, served.clock, max_connections=2)
    served.port = (await served.server.start(ANY, load_server_tls(*authority.issue("localhost")))).port
    silent = [await served.ask("") for _ in range(2)]
    refused = await served.ask("")
    with contextlib.suppress(ConnectionResetError):
        assert await refused.read() == b""
    assert [reader.at_eof() for reader in silent] == [False, False]
    served.writers[0].write(b"this is no TLS, and so it makes room for somebody else\r\n\r\n")
    with contextlib.suppress(ConnectionResetError):
        await silent[0].read()
    context = ssl.create_default_context(cafile=str(authority.root_path))
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=context, server_hostname="localhost")
    writer.write(request("/public/2").encode())
    assert b'{"round":2,' in await reader.read()
    writer.close()
    await served.server.stop()
    with contextlib.suppress(ConnectionResetError):
        assert await silent[1].read() == b""


async def test_a_taken_port_is_named_with_tls_too(served: Served, tmp_path: Path):
    tls = load_server_tls(*Authority(tmp_path).issue("localhost"))
    with pytest.raises(PortTaken, match=str(served.port)):
        await Served().server.start(HostPort("127.0.0.1", served.port), tls)


async def test_every_interface_is_listened_on_with_tls_where_no_host_is_named(tmp_path: Path):
    served = Served()
    port = (await served.server.start(HostPort("", 0), load_server_tls(*Authority(tmp_path).issue("localhost")))).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await served.server.stop()
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
