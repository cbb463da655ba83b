"""Verifies synced beacons without holding up the loop: a few at once, more in a worker process (`drand.verifying`)."""

import asyncio
from functools import lru_cache

from collective.entropy import SystemEntropy
from drand.model.chain import Beacon, Round
from drand.model.group import Group
from drand.model.schemes import scheme_named
from drand.model.verification import ChainVerifier
from drand.verifying.verifiers import MAX_BEACONS, Verifiers

INLINE_AT_MOST = 8  # about 3 ms; more goes to a worker
WORKERS = 1  # a node shares its machine; one worker already verifies thousands of beacons a second


@lru_cache(maxsize=16)
def _verifier(scheme_name: str, public_key: bytes) -> ChainVerifier:
    return ChainVerifier(scheme_named(scheme_name), public_key)


class BeaconChecker:
    """Owns the daemon's verifiers, whose worker comes with a long batch and ends when there is none for a while."""

    def __init__(self) -> None:
        self.verifiers = Verifiers(WORKERS, worth=INLINE_AT_MOST + 1)

    async def bad_rounds(self, group: Group, beacons: tuple[Beacon, ...]) -> frozenset[Round]:
        """The rounds of `beacons` that the group's key did not sign."""
        verifier = _verifier(group.scheme.name, group.public_key[0])
        if len(beacons) <= INLINE_AT_MOST:
            return verifier.bad_rounds(beacons, SystemEntropy())
        bad = set[Round]()
        for start in range(0, len(beacons), MAX_BEACONS):
            piece = beacons[start : start + MAX_BEACONS]
            found = await asyncio.wrap_future(self.verifiers.submit(verifier, piece, of=len(beacons)))
            bad |= found
        return frozenset(bad)

    def close(self) -> None:
        """End the worker; what it was at is dropped."""
        self.verifiers.close()
