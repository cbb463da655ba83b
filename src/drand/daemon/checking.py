"""Verifies batches of synced beacons without holding up the loop: small ones at once, large ones in a worker process.

The pairing library keeps the interpreter's lock, so threads would stall every round for as long as a batch takes;
processes do not. Beacons and keys cross as bytes.
"""

import asyncio
import logging
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from functools import lru_cache
from typing import TypeAlias

from collective.entropy import SystemEntropy
from drand.model.chain import Beacon, Round
from drand.model.group import Group
from drand.model.schemes import scheme_named
from drand.model.verification import ChainVerifier

INLINE_AT_MOST = 8  # about 3 ms; more goes to a worker
WORKERS = 1  # a node shares its machine; one worker already verifies thousands of beacons a second

log = logging.getLogger(__name__)

_Batch: TypeAlias = tuple[
    str, bytes, list[tuple[int, bytes, bytes]]
]  # scheme, public key, (round, signature, previous)


@lru_cache(maxsize=16)
def _verifier(scheme_name: str, public_key: bytes) -> ChainVerifier:
    return ChainVerifier(scheme_named(scheme_name), public_key)


def _bad_rounds(scheme_name: str, public_key: bytes, beacons: Sequence[tuple[int, bytes, bytes]]) -> list[int]:
    rows = [Beacon(Round(round_), signature, previous) for round_, signature, previous in beacons]
    return sorted(_verifier(scheme_name, public_key).bad_rounds(rows, SystemEntropy()))


class BeaconChecker:
    """Owns the worker process; start it lazily, close it with the daemon."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    async def bad_rounds(self, group: Group, beacons: tuple[Beacon, ...]) -> frozenset[Round]:
        """The rounds of `beacons` that the group's key did not sign."""
        rows = [(int(beacon.round), beacon.signature, beacon.previous_signature) for beacon in beacons]
        arguments: _Batch = (group.scheme.name, group.public_key[0], rows)
        if len(rows) <= INLINE_AT_MOST:
            bad = _bad_rounds(*arguments)
        else:
            bad = await self._in_worker(*arguments)
        return frozenset(Round(round_) for round_ in bad)

    async def _in_worker(self, *arguments: *_Batch) -> list[int]:
        """Verified in the worker; in this very process, slowly, should the worker have died (out of memory, killed)."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._workers(), _bad_rounds, *arguments)
        except BrokenExecutor:
            log.warning("the verification worker died; verifying here, and starting a new one for the next batch")
            self.close()
            return _bad_rounds(*arguments)

    def _workers(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn"))
        return self._pool

    def close(self) -> None:
        """End the worker; batches under way are dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
