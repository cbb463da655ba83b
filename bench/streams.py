"""How soon a round is with five thousand readers: nodes of a chain, a relay with two workers that follows one, readers.

Measured from the second in which the round is due (genesis + (round - 1) * period), so everything is in it: the nodes
sign, exchange and aggregate; the relay is told, verifies, and hands over to its workers; these write to every reader.
All processes share the machine's cores, the readers' own too: what they used of them is in the note.
"""

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from typing import Any, cast

from bench.contestants import contestants, hold, network, say
from bench.http_api import wait_for_round_1
from bench.lateness import quantile
from bench.relay import WORKERS, relay
from bench.table import Goal, Row

READERS = 5_000
GOAL_MS = 250
PERIOD_S = 3
NODES = 2
SPARE_FILES = 200  # descriptors for everything but the readers
CONNECT_AT_ONCE = 100
CONNECT_S = 60.0


@dataclass(frozen=True, slots=True)
class Heard:
    """One round at all readers, in milliseconds after it was due; and the CPU time that the readers took for it."""

    first_ms: float
    median_ms: float
    last_ms: float
    readers_cpu_ms: float


def measure(readers: int = READERS, rounds: int = 10) -> list[Row]:
    """A network of our own, a relay, and the readers; nothing else is running."""
    say("streams: starting a network")
    with network(contestants()[0], NODES) as made:
        group, _ = hold(made, period_s=PERIOD_S, genesis_in_s=1, phase_s=1)
        node = made.nodes[0].public
        wait_for_round_1(node, group.genesis_unix_s)
        with relay("--url", f"http://{node}", "--workers", str(WORKERS)) as address:
            most = min(readers, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE_FILES)
            say(f"streams: {most} readers, {rounds} rounds")
            return rows(most, heard_by(address, most, rounds))


def heard_by(address: str, readers: int, rounds: int) -> list[Heard]:
    """What a process of `readers` readers hears from the server at `address`."""
    command = [sys.executable, "-m", "bench.streams", address, str(readers), str(rounds)]
    limit_s = CONNECT_S + 60 + 2 * rounds * PERIOD_S
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=limit_s).stdout
    return [Heard(**one) for one in json.loads(text)]


def rows(readers: int, heard: list[Heard]) -> list[Row]:
    """The table's rows."""
    last = [one.last_ms for one in heard]
    spread = [one.last_ms - one.first_ms for one in heard]
    first, median, cpu = (
        statistics.median(values)
        for values in zip(*((one.first_ms, one.median_ms, one.readers_cpu_ms) for one in heard), strict=True)
    )
    about = f"{len(heard)} rounds, {NODES} nodes, {WORKERS} workers"
    return [
        Row(
            what=f"a round is due, the last of {readers} readers has it, median",
            unit="ms",
            ours=statistics.median(last),
            goal=Goal(most=GOAL_MS),
            spread=(min(last), max(last)),
            note=f"{about}; the first has it after {first:.0f}, half of them after {median:.0f}",
        ),
        Row(
            what=f"a round is due, the last of {readers} readers has it, 90th percentile",
            unit="ms",
            ours=quantile(last, 0.9),
            goal=Goal(most=GOAL_MS),
            note=f"the readers share the cores: {cpu:.0f} ms of CPU a round are theirs",
        ),
        Row(
            what=f"the first of {readers} readers has a round, the last one has it",
            unit="ms",
            ours=statistics.median(spread),
            spread=(min(spread), max(spread)),
            note=about,
        ),
    ]


# ---------------------------------------------------------------- the readers' process


class _Reader(asyncio.Protocol):
    """Notes when the last byte of a round came."""

    def __init__(self, hall: "_Hall", request: bytes) -> None:
        self._hall = hall
        self._request = request
        self._unread = b""
        self._seated = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.WriteTransport, transport).write(self._request)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        *whole, self._unread = (self._unread + data).split(b"\n\n")
        for event in whole:
            if not self._seated:
                self._seated = True
                self._hall.seated += 1
            elif event.startswith(b"id: "):
                self._hall.heard(int(event[4 : event.index(b"\n")]))


class _Hall:
    """All readers together; only rounds that all of them were seated for count."""

    def __init__(self, size: int, wanted: int, genesis_unix_s: int, period_s: int) -> None:
        self.size = size
        self.seated = 0
        self.full: list[Heard] = []
        self.done = asyncio.Event()
        self._wanted = wanted
        self._genesis_unix_s = genesis_unix_s
        self._period_s = period_s
        self._times: dict[int, list[float]] = {}
        self._cpu: dict[int, float] = {}

    def heard(self, round_: int) -> None:
        times = self._times.get(round_)
        if times is None:
            times = self._times[round_] = []
            self._cpu[round_] = time.process_time()
        times.append(time.time())
        if len(times) == self.size and not self.done.is_set():
            due = self._genesis_unix_s + (round_ - 1) * self._period_s
            late = [(at - due) * 1000 for at in times]
            cpu_ms = (time.process_time() - self._cpu[round_]) * 1000
            self.full.append(Heard(late[0], statistics.median(late), max(late), cpu_ms))
            if len(self.full) == self._wanted:
                self.done.set()


async def _listen(address: str, readers: int, rounds: int) -> list[Heard]:
    host, _, port = address.partition(":")
    with urllib.request.urlopen(f"http://{address}/info", timeout=10) as answer:  # noqa: ASYNC210 - nothing runs yet
        info: dict[str, Any] = json.load(answer)
    hall = _Hall(readers, rounds, info["genesis_time"], info["period"])
    request = f"GET /v2/beacons/default/events HTTP/1.1\r\nHost: {address}\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_S):
        for start in range(0, readers, CONNECT_AT_ONCE):
            count = min(CONNECT_AT_ONCE, readers - start)
            await asyncio.gather(
                *(loop.create_connection(lambda: _Reader(hall, request), host, int(port)) for _ in range(count))
            )
    try:
        async with asyncio.timeout(30 + 2 * rounds * PERIOD_S):
            await hall.done.wait()
    except TimeoutError:
        raise RuntimeError(
            f"{hall.seated} of {readers} were seated, {len(hall.full)} of {rounds} rounds were heard by all"
        ) from None
    return hall.full


def main() -> None:
    """Read, and print what was heard as JSON."""
    import uvloop

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    address, readers, rounds = sys.argv[1:]
    print(json.dumps([asdict(one) for one in uvloop.run(_listen(address, int(readers), int(rounds)))]))


if __name__ == "__main__":
    main()
