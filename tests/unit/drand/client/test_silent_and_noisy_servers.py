"""Servers that hang, fail or babble, on real sockets: a typed error names them, and what they send is bounded."""

import asyncio
import gzip
import socket

import pytest
from aiohttp import web

from drand.client import errors
from drand.client.async_client import AsyncClient
from drand.client.http_source import MAX_ROUND_BYTES
from drand.client.pool import Policy
from drand.model.chain import Round
from tests.support.http_chain import ROUNDS, FakeClock, Relay, chain
from tests.support.http_clients import ROUND, clients, hang, replies, url_of


async def test_a_server_that_hangs_is_given_up():
    async with clients(Relay(override={"7": hang}), timeout_s=0.5) as client:
        with pytest.raises(errors.SourceTimeout) as caught:
            await client.get(ROUND)
        assert caught.value.source == url_of(client)


async def test_a_server_that_hangs_costs_a_hedged_request_not_the_answer():
    slow, good = Relay(override={"*": hang}), Relay()
    async with clients(slow, good, policy=Policy(hedge_after_s=0.0)) as client:
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

    async with clients(Relay(apis=("v2",), pages=9, override={place: flood})) as client:
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


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120),
        ("Fri, 20 Nov 2026 08:46:45 GMT", 120),
        ("Fri, 20 Nov 2020 08:46:45 GMT", 0),
        ("99999999999", None),
        ("soon", None),
        ("999999999", 3600),
    ],
)
async def test_a_server_that_asks_for_patience_is_given_it(said: str, seconds: float | None):
    date = "Fri, 20 Nov 2026 08:44:45 GMT"
    tired = Relay(override={"7": replies(status=429, headers={"Retry-After": said})}, date=date)
    good = Relay()
    async with clients(tired, good) as client:
        assert (await client.get(ROUND)).provenance.source == url_of(client, 1)
        with pytest.raises(errors.RateLimited) as caught:
            await client.runner.sources[url_of(client)].beacon(chain(), Round(ROUND))
        assert caught.value.retry_after_s == seconds


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


async def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch):
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # no network is asked, whatever the machine is connected to
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
