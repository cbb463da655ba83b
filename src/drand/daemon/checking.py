"""Verifies batches of synced beacons without holding up the loop: small ones at once, large ones in a worker process.

The pairing library keeps the interpreter's lock, so threads would stall every round for as long as a batch takes;
processes do not. Beacons and keys cross as bytes. The worker is started when it is needed, ends when it was not for a
while (it costs as much memory as the daemon), and ends by itself when the daemon is killed.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
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
CHUNK = 256  # beacons that the worker is given at a time: the longest that a daemon which stops waits for it
WORKERS = 1  # a node shares its machine; one worker already verifies thousands of beacons a second
IDLE_S = 60.0  # a worker without work is ended after this

log = logging.getLogger(__name__)

_Row: TypeAlias = tuple[int, bytes, bytes]  # round, signature, previous signature
_Batch: TypeAlias = tuple[str, bytes, Sequence[_Row]]  # scheme, public key, beacons


@lru_cache(maxsize=16)
def _verifier(scheme_name: str, public_key: bytes) -> ChainVerifier:
    return ChainVerifier(scheme_named(scheme_name), public_key)


def _bad_rounds(scheme_name: str, public_key: bytes, beacons: Sequence[_Row]) -> list[int]:
    rows = [Beacon(Round(round_), signature, previous) for round_, signature, previous in beacons]
    return sorted(_verifier(scheme_name, public_key).bad_rounds(rows, SystemEntropy()))


def _become_worker() -> None:
    """In the worker: Ctrl-C is the daemon's to answer, and nothing is left of us when the daemon is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # also when it was killed: the system closes its end of a pipe
        os._exit(1)


class BeaconChecker:
    """Owns the worker process; close it with the daemon."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._busy = 0
        self._idle: asyncio.TimerHandle | None = None

    @property
    def has_worker(self) -> bool:
        """Whether a worker process is there."""
        return self._pool is not None

    async def bad_rounds(self, group: Group, beacons: tuple[Beacon, ...]) -> frozenset[Round]:
        """The rounds of `beacons` that the group's key did not sign."""
        rows = [(int(beacon.round), beacon.signature, beacon.previous_signature) for beacon in beacons]
        scheme, key = group.scheme.name, group.public_key[0]
        if len(rows) <= INLINE_AT_MOST:
            return frozenset(Round(round_) for round_ in _bad_rounds(scheme, key, rows))
        bad: list[int] = []
        self._busy += 1
        try:
            for start in range(0, len(rows), CHUNK):
                bad += await self._checked(scheme, key, rows[start : start + CHUNK])
        finally:
            self._busy -= 1
            self._end_when_idle()
        return frozenset(Round(round_) for round_ in bad)

    async def _checked(self, *batch: *_Batch) -> list[int]:
        """Verified in a worker, in another one should it die (out of memory, killed), else here, slowly."""
        for _ in range(2):
            pool = self._workers()
            try:
                return await asyncio.get_running_loop().run_in_executor(pool, _bad_rounds, *batch)
            except BrokenExecutor:
                log.warning("the verification worker died")
                if self._pool is pool:  # not one that another batch has started meanwhile
                    self.close()
        log.warning("verification workers keep dying; verifying in the daemon itself, which may delay rounds")
        scheme, key, rows = batch
        bad: list[int] = []
        for start in range(0, len(rows), INLINE_AT_MOST):
            bad += _bad_rounds(scheme, key, rows[start : start + INLINE_AT_MOST])
            await asyncio.sleep(0)
        return bad

    def _workers(self) -> ProcessPoolExecutor:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                WORKERS, mp_context=multiprocessing.get_context("spawn"), initializer=_become_worker
            )
        return self._pool

    def _end_when_idle(self) -> None:
        if self._pool is not None and not self._busy:
            if self._idle is not None:
                self._idle.cancel()
            self._idle = asyncio.get_running_loop().call_later(IDLE_S, self.close)

    def close(self) -> None:
        """End the worker once it has done what it is at; the rest is dropped."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
