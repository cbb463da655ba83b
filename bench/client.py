"""What a verified beacon costs through the client, fetched one by one and in bulk; drand's JavaScript client beside it.

The source is in memory, so that no server and no network is measured: what is left is the client itself, from the
question to the verified answer. One by one and in bulk in one process are CPU time of this process. In bulk as the
client does it unless told otherwise, with workers, is wall time: other programs on the same cores are in it, so the CPU
time of all workers together stands beside it. The workers are there already: a range begins with starting them, which
is a row of its own. The JavaScript client is measured in wall time by `tests/clients/time_verification.mjs` when
`npm ci` was run there.
"""

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import AsyncGenerator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.contestants import say
from bench.table import Goal, Row
from collective.entropy import SystemEntropy, random_scalar
from collective.secret import SecretScalar
from drand.client import AsyncClient
from drand.client.contract import MAX_BATCH
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.schemes import Scheme, scheme_named
from drand.model.verification import ChainVerifier
from drand.verifying.verifiers import Verifiers
from drand.wire.http_json import beacon_json, chain_info_json

# quicknet's, the default chain's, evmnet's; then those of older chains
SCHEMES = (
    "bls-unchained-g1-rfc9380",
    "pedersen-bls-chained",
    "bls-bn254-unchained-on-g1",
    "bls-unchained-on-g1",
    "pedersen-bls-unchained",
)
SINGLE_SAMPLE = 100
JAVASCRIPT_SAMPLE = 20
CLIENTS = Path(__file__).resolve().parents[1] / "tests" / "clients"
GOAL_SINGLE, GOAL_BULK = Goal(most=2.0), Goal(most=0.3)


@dataclass
class InMemory:
    """A source that answers at once."""

    info_: ChainInfo
    beacons: list[Beacon]  # rounds 1, 2, ...
    name: str = "in memory"
    clock_ahead_s: float | None = None

    async def info(self, chain_hash: bytes) -> ChainInfo:
        return self.info_

    async def beacon(self, chain: ChainInfo, round_: Round | None) -> Beacon:
        return self.beacons[(round_ or 0) - 1]

    async def batches(self, chain: ChainInfo, first: Round, last: Round) -> AsyncGenerator[list[Beacon], None]:
        for start in range(first - 1, last, MAX_BATCH):
            yield self.beacons[start : min(start + MAX_BATCH, last)]

    def events(self, chain: ChainInfo) -> None:
        return None

    async def close(self) -> None:
        return None


def measure(count: int = 4000, samples: int = 5) -> list[Row]:
    """Three rows for each scheme, and one for the start of the workers."""
    say(f"client: {count} beacons in bulk, {SINGLE_SAMPLE} one by one, {samples} times")
    rows = [row for name in SCHEMES for row in _rows(name, source_of(scheme_named(name), count), samples)]
    return [*rows, _starting(samples)]


def source_of(scheme: Scheme, count: int) -> InMemory:
    """A chain of `count` rounds with a key of its own."""
    secret = SecretScalar(random_scalar(SystemEntropy(), scheme.key_group.order))
    key = scheme.key_group.encode(scheme.bls.public_key(secret))
    info = ChainInfo(public_key=key, period_s=30, genesis_unix_s=1_600_000_000, genesis_seed=bytes(32), scheme=scheme)
    beacons, previous = list[Beacon](), info.genesis_seed
    for round_ in range(1, count + 1):
        signature = scheme.bls.sign(secret, scheme.digest(round_, previous))
        beacons.append(Beacon(Round(round_), signature, previous if scheme.chained else b""))
        previous = signature
    return InMemory(info, beacons)


def _rows(scheme: str, source: InMemory, samples: int) -> list[Row]:
    say(f"client: {scheme}")
    with closing(Verifiers()) as workers, closing(Verifiers(0)) as nobody:
        asyncio.run(_in_bulk(source, workers))  # starts them
        taken = [
            (
                asyncio.run(_one_by_one(source)),
                asyncio.run(_in_bulk(source, nobody)),
                asyncio.run(_in_bulk(source, workers)),
            )
            for _ in range(samples)
        ]
        cores = workers.most
    javascript, note = javascript_ms(source)
    single = [one for one, _, _ in taken]
    alone = [one.cpu_ms for _, one, _ in taken]
    spread = [one.wall_ms for _, _, one in taken]
    together = statistics.median(one.all_cpu_ms for _, _, one in taken)
    others = statistics.median(one.others for _, _, one in taken)
    beside = f"CPU of all {together:.3f} ms; other programs had {others:.0%} of the cores"
    return [
        _row(f"client: a verified beacon, {scheme}", single, GOAL_SINGLE, javascript, note),
        _row(f"client: in bulk, one process, {scheme}", alone, None, None, "CPU of one core"),
        _row(f"client: in bulk, {cores} workers, {scheme}", spread, GOAL_BULK, javascript, note, beside),
    ]


def _row(
    what: str, taken: list[float], goal: Goal | None, javascript: float | None, note: str, beside: str = ""
) -> Row:
    median = statistics.median(taken)
    if javascript is not None:
        note = f"JavaScript drand-client {javascript:.1f} ms: {javascript / median:.0f} times as long"
    note = "; ".join(part for part in (beside, note) if part)
    return Row(what=what, unit="ms", ours=median, goal=goal, spread=(min(taken), max(taken)), note=note)


def _starting(samples: int) -> Row:
    """From nothing to the first verdict of a worker."""
    source = source_of(scheme_named(SCHEMES[0]), 1)
    verifier = ChainVerifier(source.info_.scheme, source.info_.public_key)
    taken = []
    for _ in range(samples):
        with closing(Verifiers(1, worth=1)) as verifiers:
            started = time.perf_counter()
            verifiers.submit(verifier, source.beacons).result()
            taken.append((time.perf_counter() - started) * 1e3)
    return _row("client: a worker starts and verifies one beacon", taken, None, None, "wall time; once a range")


async def _one_by_one(source: InMemory) -> float:
    async with AsyncClient(source.info_, [source]) as client:
        started = time.process_time()
        for round_ in range(1, SINGLE_SAMPLE + 1):
            await client.get(round_)
        return (time.process_time() - started) / SINGLE_SAMPLE * 1e3


class Bulk(NamedTuple):
    """Milliseconds a beacon."""

    wall_ms: float
    cpu_ms: float  # of this process
    all_cpu_ms: float  # and of its workers
    others: float  # the share of all cores that other programs took meanwhile


async def _in_bulk(source: InMemory, verifiers: Verifiers) -> Bulk:
    async with AsyncClient(source.info_, [source], verifiers=verifiers) as client:
        before = _counters(verifiers)
        seen = [beacon.round async for beacon in client.rounds(1, len(source.beacons))]
        after = _counters(verifiers)
    if seen != list(range(1, len(source.beacons) + 1)):
        raise RuntimeError("a beacon is missing")
    wall_s, cpu_s, workers_s, busy_s = (end - begin for begin, end in zip(before, after, strict=True))
    others = max(busy_s - cpu_s - workers_s, 0.0) / (wall_s * (os.cpu_count() or 1))
    one_ms = 1e3 / len(seen)
    return Bulk(wall_s * one_ms, cpu_s * one_ms, (cpu_s + workers_s) * one_ms, others)


def _counters(verifiers: Verifiers) -> tuple[float, float, float, float]:
    """Seconds: on the wall, of this process, of its workers, and of all programs together (Linux: proc(5))."""
    workers = everybody = 0
    if Path("/proc/stat").exists():
        for pid in verifiers.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            workers += int(fields[11]) + int(fields[12])  # utime and stime
        user, nice, system, *_ = Path("/proc/stat").read_text().split()[1:]
        everybody = int(user) + int(nice) + int(system)
    tick_s = 1.0 / os.sysconf("SC_CLK_TCK")
    return time.perf_counter(), time.process_time(), workers * tick_s, everybody * tick_s


def javascript_ms(source: InMemory) -> tuple[float | None, str]:
    """The JavaScript client's median on the same beacons; else why it was not measured."""
    node = shutil.which("node")
    if node is None:
        return None, "no node on the PATH: JavaScript not measured"
    if not (CLIENTS / "node_modules" / "drand-client").is_dir():
        return None, "no `npm ci` in tests/clients: JavaScript not measured"
    work = {
        "info": json.loads(chain_info_json(source.info_)),
        "beacons": [json.loads(beacon_json(beacon)) for beacon in source.beacons[: JAVASCRIPT_SAMPLE + 1]],
    }
    done = subprocess.run(
        [node, "time_verification.mjs"],
        cwd=CLIENTS,
        input=json.dumps(work),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        return None, f"the JavaScript client failed: {done.stderr.strip().splitlines()[-1][:80]}"
    return float(done.stdout), ""
