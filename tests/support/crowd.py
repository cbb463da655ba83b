"""Thousands of readers and the server they read, in processes of their own: one would need twice the descriptors.

    python -m tests.support.crowd serve                     the production server of one chain, told on standard input
    python -m tests.support.crowd read PORT READERS DEAF    readers, and DEAF more that never read what they are sent

Both print one line of JSON for each thing that happened; nothing sleeps.
"""

import asyncio
import json
import resource
import socket
import sys
from pathlib import Path
from typing import Any, cast

from drand.model.chain import Beacon, Round
from drand.net.addresses import HostPort
from drand.net.http_routes import HttpRoutes
from drand.net.http_server import HttpServer
from tests.support.served import GENESIS, PERIOD, FixedClock, MemoryChain, until

EVENTS = "/v2/beacons/default/events"
REQUEST = f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
SIGNATURE_BYTES = 8192  # no real one: large, so that who does not read has 32 kB waiting after five rounds, not 200
SPARE_FILES = 200  # descriptors for everything but the readers
AT_ONCE = 200  # connections that are opened together


def raise_file_limit() -> None:
    """As many descriptors as this process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def file_limit() -> int:
    """How many descriptors a process may have, once it has raised its limit."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def tell(**what: Any) -> None:
    """One line for the test."""
    print(json.dumps(what), flush=True)


def resident_bytes() -> int:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


# ---------------------------------------------------------------- the serving process


def large_beacon(round_: int) -> Beacon:
    """A beacon that nobody signed, and nobody could."""
    return Beacon(Round(round_), round_.to_bytes(SIGNATURE_BYTES, "big"))


class Served:
    """The production server with its usual bounds, over one chain in memory."""

    def __init__(self) -> None:
        self.chain = MemoryChain()
        routes = HttpRoutes()
        routes.register(self.chain)
        self.server = HttpServer(routes, FixedClock(GENESIS + 2 * PERIOD))

    async def run(self) -> None:
        """Do what the lines of standard input say."""
        bound = await self.server.start(HostPort("127.0.0.1", 0))
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        tell(port=bound.port)
        round_ = self.chain.last_round
        while line := await lines.readline():
            match line.split():
                case [b"readers", count]:
                    await until(lambda count=int(count): self.server.events.readers == count)  # type: ignore[misc]
                case [b"publish"]:
                    round_ += 1
                    self.chain.feed.publish(large_beacon(round_))
            events = self.server.events
            tell(readers=events.readers, dropped=events.dropped, resident=resident_bytes(), round=round_)
        await self.server.stop()


# ---------------------------------------------------------------- the reading process


class Crowd:
    """All readers of one process."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.seated = 0
        self.heard: dict[int, int] = {}
        self._proved: dict[bytes, int] = {}  # an event that is a round to its last byte

    def sat_down(self) -> None:
        """One reader has the head of the answer."""
        self.seated += 1
        if self.seated == self.size:
            tell(seated=self.size)

    def has_heard(self, event: bytes) -> None:
        """One reader has all of a round."""
        round_ = self._proved.get(event)
        if round_ is None:
            number, _, body = event.partition(b"\n")
            round_ = self._proved[event] = int(number.removeprefix(b"id: "))
            assert json.loads(body.removeprefix(b"data: "))["signature"] == large_beacon(round_).signature.hex()
        self.heard[round_] = self.heard.get(round_, 0) + 1
        if self.heard[round_] == self.size:
            tell(heard=round_)


class CrowdReader(asyncio.Protocol):
    """One reader: it checks the head, and every event to its last byte."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._unread = b""
        self._seated = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.WriteTransport, transport).write(REQUEST)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        self._unread += data
        if not data.endswith(b"\n\n"):
            return
        *whole, self._unread = self._unread.split(b"\n\n")
        for one in whole:
            if not self._seated:
                assert one.startswith(b"HTTP/1.1 200 OK\r\n"), one
                assert one.endswith(b"\r\n\r\nretry: 1000"), one
                self._seated = True
                self._crowd.sat_down()
            elif not one.startswith(b":"):  # a comment keeps the line alive
                self._crowd.has_heard(one)


def deaf(port: int) -> socket.socket:
    """A connection that asks for events and never reads one."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", port))
    made.sendall(REQUEST)
    return made


async def read(port: int, readers: int, deaf_readers: int) -> None:
    """Connect, and read until standard input ends."""
    crowd = Crowd(readers)
    loop = asyncio.get_running_loop()
    silent = [deaf(port) for _ in range(deaf_readers)]
    opened = []
    for start in range(0, readers, AT_ONCE):
        count = min(AT_ONCE, readers - start)
        opened += await asyncio.gather(
            *(loop.create_connection(lambda: CrowdReader(crowd), "127.0.0.1", port) for _ in range(count))
        )
    await asyncio.to_thread(sys.stdin.read)
    for one in silent:
        one.close()
    for transport, _ in opened:
        transport.abort()


def main() -> None:
    """One of the two."""
    import uvloop

    raise_file_limit()
    match sys.argv[1:]:
        case ["serve"]:
            uvloop.run(Served().run())
        case ["read", port, readers, deaf_readers]:
            uvloop.run(read(int(port), int(readers), int(deaf_readers)))


if __name__ == "__main__":
    main()
