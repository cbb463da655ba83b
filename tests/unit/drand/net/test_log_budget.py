"""What strangers do fills no log."""

import asyncio
import logging

import pytest

from collective.clock import SystemClock
from drand.net import log_budget
from drand.net.addresses import HostPort
from drand.net.http_content import Answer
from drand.net.http_routes import HttpRoutes
from drand.net.http_server import HttpServer
from drand.net.http_watch import Watch
from drand.net.log_budget import LogBudget

GARBAGE = [
    b"\x16\x03\x01" + bytes(100),
    b"GET /\xff HTTP/1.1\r\n\r\n",
    b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nConnection: close\r\nContent-Length: 20\r\n\r\n"
    + bytes(20),
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n" + bytes(200),
    b"GET / HTTP/7.0\r\n\r\n",
]


async def said_to(port: int, data: bytes, *, ends: bool = False) -> bytes:
    """What the port answers before it hangs up; `ends`: we say that nothing follows."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    if ends:
        writer.write_eof()
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_bytes_that_are_no_http_are_not_written_down(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    server = HttpServer(HttpRoutes(), SystemClock())
    address = await server.start(HostPort("127.0.0.1", 0))
    async with asyncio.timeout(30):
        for data in GARBAGE:
            await said_to(address.port, data, ends=True)
    await server.stop()
    assert caplog.records == []


async def test_a_fault_of_ours_is_written_down(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> Answer:
        raise ZeroDivisionError("ours")

    routes = HttpRoutes()
    monkeypatch.setattr(routes, "answer", broken)
    server = HttpServer(routes, SystemClock())
    address = await server.start(HostPort("127.0.0.1", 0))
    async with asyncio.timeout(30):
        assert b"500" in await said_to(address.port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await server.stop()
    assert "ZeroDivisionError" in caplog.text


async def test_a_full_disk_keeps_no_request_from_its_answer(caplog: pytest.LogCaptureFixture):
    class FullDisk:
        def write(self, text: str) -> None:
            raise OSError(28, "No space left on device")

    server = HttpServer(HttpRoutes(), SystemClock(), watch=Watch(access_log=FullDisk()))
    address = await server.start(HostPort("127.0.0.1", 0))
    async with asyncio.timeout(30):
        assert b"404" in await said_to(address.port, b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await server.stop()
    assert "No space left on device" in caplog.text


def test_lines_beyond_the_budget_are_counted_and_not_written(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    now_s = 1000.0
    monkeypatch.setattr(log_budget, "monotonic_s", lambda: now_s)
    log = logging.getLogger("tests.budget")
    log.setLevel(logging.INFO)
    budget = LogBudget(lines_a_minute=2)
    log.addFilter(budget)
    for number in range(5):
        log.warning("line %d", number)
        log.info("information %d", number)
    now_s += 60
    log.error("line %d", 5)
    log.error("line %d", 6)
    log.removeFilter(budget)
    warnings = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    assert warnings == ["line 0", "line 1", "line 5 (3 more lines like this one were left out before)", "line 6"]
    assert sum(record.levelno == logging.INFO for record in caplog.records) == 5
