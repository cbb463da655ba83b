"""What a verified beacon costs through the client, fetched one by one and in bulk; drand's JavaScript client beside it.

The source is in memory, so that no server and no network is measured: what is left is the client itself, from the
question to the verified answer, in CPU time of this process (bulk verification runs in a thread of it). The JavaScript
client is measured in wall time by `tests/clients/time_verification.mjs` when `npm ci` was run there.
"""

import asyncio
import json
import shutil
import statistics
import subprocess
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import say
from bench.table import Goal, Row
from collective.entropy import SystemEntropy, random_scalar
from collective.secret import SecretScalar
from drand.client import AsyncClient
from drand.client.sources import MAX_BATCH
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.schemes import Scheme, scheme_named
from drand.wire.http_json import beacon_json, chain_info_json

SCHEMES = ("bls-unchained-g1-rfc9380", "pedersen-bls-chained")  # quicknet's and the default chain's
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
    """Two rows for each of the two schemes that public chains use."""
    say(f"client: {count} beacons in bulk, {SINGLE_SAMPLE} one by one, {samples} times")
    return [row for name in SCHEMES for row in _rows(source_of(scheme_named(name), count), samples)]


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


def _rows(source: InMemory, samples: int) -> list[Row]:
    single = [asyncio.run(_one_by_one(source)) for _ in range(samples)]
    bulk = [asyncio.run(_in_bulk(source)) for _ in range(samples)]
    javascript, note = javascript_ms(source)
    scheme = source.info_.scheme.name
    return [
        _row(f"client: a verified beacon, {scheme}", single, GOAL_SINGLE, javascript, note),
        _row(f"client: a verified beacon in bulk, {scheme}", bulk, GOAL_BULK, javascript, note),
    ]


def _row(what: str, taken: list[float], goal: Goal, javascript: float | None, note: str) -> Row:
    median = statistics.median(taken)
    if javascript is not None:
        note = f"JavaScript drand-client {javascript:.1f} ms: {javascript / median:.0f} times as long"
    return Row(what=what, unit="ms", ours=median, goal=goal, spread=(min(taken), max(taken)), note=note)


async def _one_by_one(source: InMemory) -> float:
    async with AsyncClient(source.info_, [source]) as client:
        started = time.process_time()
        for round_ in range(1, SINGLE_SAMPLE + 1):
            await client.get(round_)
        return (time.process_time() - started) / SINGLE_SAMPLE * 1e3


async def _in_bulk(source: InMemory) -> float:
    async with AsyncClient(source.info_, [source]) as client:
        started = time.process_time()
        seen = [beacon.round async for beacon in client.rounds(1, len(source.beacons))]
        taken_s = time.process_time() - started
    if seen != list(range(1, len(source.beacons) + 1)):
        raise RuntimeError("a beacon is missing")
    return taken_s / len(seen) * 1e3


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
