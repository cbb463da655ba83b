"""The relay: requests a second beside Go's node, behind nginx's cache, and rounds fanned out to many readers."""

import asyncio
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

from bench.contestants import contestants, hold, network, say
from bench.http_api import _wait_for_round_1, load
from bench.table import Goal, Row
from tests.support.relays import NGINX, Nginx, RelayProcess

PATHS = ("/public/1", "/public/latest")
WORKERS = 2
LEAST_OF_GO = 0.9
READERS = 5_000
FAN_OUT_GOAL_MS = 250
PERIOD_S = 3
SPARE_FILES = 200  # descriptors for everything but the readers


def measure(samples: int = 3, duration_s: int = 4, readers: int = READERS, rounds: int = 4) -> list[Row]:
    """Node, relay and relay behind nginx, loaded in turns with Go's node; then the streams."""
    if shutil.which("wrk") is None:
        return [Row(what="relay", unit="requests/s", ours=None, note="wrk is not installed (Debian: apt install wrk)")]
    rates: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as running:
        addresses = {}
        for who in contestants():
            say(f"relay: starting a network, {who.name}")
            made = running.enter_context(network(who, 2))
            group, _ = hold(made, period_s=PERIOD_S, genesis_in_s=1, phase_s=1)
            addresses["go" if who.name == "go" else "node"] = made.nodes[0].public
            _wait_for_round_1(made.nodes[0].public, group.genesis_unix_s)
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="drand-bench-")))
        upstream = ("--url", f"http://{addresses['node']}")
        addresses["relay"] = running.enter_context(
            relay(*upstream, "--workers", str(WORKERS), "--max-readers", "20000")
        )
        if NGINX is not None:
            other = running.enter_context(relay(*upstream))
            addresses["nginx"] = running.enter_context(nginx(folder / "nginx", addresses["relay"], other))
        for number in range(samples):
            say(f"relay: sample {number + 1} of {samples}")
            for path in PATHS:
                for name, address in addresses.items():
                    rates.setdefault((path, name), []).append(load(f"http://{address}{path}", duration_s))
        rows = [row for path in PATHS for row in _rate_rows(path, rates)]
        say(f"relay: {readers} readers")
        rows.append(fan_out(addresses["relay"], readers, rounds))
    return rows


def _rate_rows(path: str, rates: dict[tuple[str, str], list[float]]) -> Iterator[Row]:
    go = statistics.median(rates[path, "go"]) if (path, "go") in rates else None
    goals = {
        "node": None,
        "relay": None if go is None else Goal(least=round(LEAST_OF_GO * go)),
        "nginx": None if go is None else Goal(least=round(go)),
    }
    names = {"node": "node", "relay": f"relay, {WORKERS} workers", "nginx": "relay behind nginx's cache"}
    for name, words in names.items():
        ours = rates.get((path, name))
        yield Row(
            what=f"{words}: {path}",
            unit="requests/s",
            ours=statistics.median(ours) if ours else None,
            go=go,
            goal=goals[name],
            spread=(min(ours), max(ours)) if ours else None,
            note="wrk on the same cores" if ours else "nginx is not installed (Debian: nginx-light)",
        )


@contextmanager
def relay(*flags: str) -> Iterator[str]:
    """A relay in processes of its own; its address."""
    made = RelayProcess(*flags)
    made.start()
    try:
        yield made.address
    finally:
        made.stop()


@contextmanager
def nginx(folder: Path, one: str, two: str) -> Iterator[str]:
    """nginx in front of two relays; its address."""
    made = Nginx(folder, one, two)
    made.start()
    try:
        yield made.address
    finally:
        made.stop()


# ---------------------------------------------------------------- streams


def fan_out(address: str, readers: int, rounds: int) -> Row:
    """From the first reader's copy of a round to the last one's, and from the round's own time, in milliseconds.

    The readers are a process of their own, which reads them all with one epoll loop; its own share of the time is in
    the result.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(readers, hard - SPARE_FILES)
    command = [sys.executable, "-m", "bench.relay", address, str(most), str(rounds)]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
    spreads = [float(word) for word in text.split()]
    return Row(
        what=f"a round to the last of {most} readers",
        unit="ms",
        ours=statistics.median(spreads),
        goal=Goal(most=FAN_OUT_GOAL_MS),
        spread=(min(spreads), max(spreads)),
        note=f"from a first reader's copy, {WORKERS} workers, {rounds} rounds, readers on the same cores",
    )


class _Reader(asyncio.Protocol):
    """Notes when the last byte of a round came."""

    def __init__(self, hall: "_Hall", request: bytes) -> None:
        self._hall = hall
        self._request = request
        self._head = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.WriteTransport, transport).write(self._request)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        if self._head:
            self._hall.seated += b"retry" in data
            self._head = b"retry" not in data
        if b"data: " in data:
            self._hall.heard(data)


class _Hall:
    """All readers together."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.seated = 0
        self.times: dict[int, list[float]] = {}
        self.full: list[float] = []

    def heard(self, data: bytes) -> None:
        round_ = int(data.split(b"id: ")[1].split(b"\n")[0])
        times = self.times.setdefault(round_, [])
        times.append(time.perf_counter())
        if len(times) == self.size:
            self.full.append((times[-1] - times[0]) * 1000)


async def _listen(address: str, readers: int, rounds: int) -> None:
    host, _, port = address.partition(":")
    hall = _Hall(readers)
    request = f"GET /v2/beacons/default/events HTTP/1.1\r\nHost: {address}\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    for start in range(0, readers, 100):
        count = min(100, readers - start)
        await asyncio.gather(
            *(loop.create_connection(lambda: _Reader(hall, request), host, int(port)) for _ in range(count))
        )
    deadline = time.monotonic() + 30 + 2 * rounds * PERIOD_S
    while len(hall.full) < rounds:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{hall.seated} of {readers} were seated, {len(hall.full)} rounds were heard by all")
        await asyncio.sleep(0.1)
    print(*hall.full[:rounds])


if __name__ == "__main__":
    import uvloop

    uvloop.run(_listen(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
