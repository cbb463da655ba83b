"""Verifies synced beacons without holding up the loop: a few at once, more in a worker process (`drand.verifying`).

And the end of the stored chain, once, before a beacon starts.
"""

import asyncio
from functools import lru_cache

from collective.entropy import SystemEntropy
from drand.errors import InvalidBeacon
from drand.model.chain import Beacon, Round
from drand.model.group import Group
from drand.model.schemes import scheme_named
from drand.model.verification import ChainVerifier
from drand.store.contract import BeaconStore, StoreFailed
from drand.verifying.verifiers import MAX_BEACONS, Verifiers

INLINE_AT_MOST = 8  # about 3 ms; more goes to a worker
WORKERS = 1  # a node shares its machine; one worker already verifies thousands of beacons a second
LOOKED_BACK_ROUNDS = 128  # for where the damage begins


class DamagedChain(StoreFailed):
    """The end of the stored chain is not what the group signed: the disk has changed it."""

    hint = "restore a backup of the store, or remove it: the node fetches the chain from its peers"


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


def check_head(beacon_id: str, group: Group, store: BeaconStore) -> None:
    """Raise DamagedChain unless the group signed the last stored round.

    Every round that comes is built on it, in a chained scheme: a node that believes it finds fault with all its peers.
    """
    last = store.last()
    if last is None or _is_signed(last, group):
        return
    bad = last.round
    for beacon in reversed(store.range(Round(max(last.round - LOOKED_BACK_ROUNDS, 0)), LOOKED_BACK_ROUNDS)):
        if _is_signed(beacon, group):
            hint = f"`drand util del-beacon --id {beacon_id} {bad}` removes it and what follows; peers have it, too"
            raise DamagedChain(f"the store is damaged: round {bad} is not what the group signed", hint=hint)
        bad = beacon.round
    raise DamagedChain(f"the store is damaged, or another chain's: from round {bad} on, the group signed none of it")


def _is_signed(beacon: Beacon, group: Group) -> bool:
    if beacon.round == 0:
        return beacon.signature == group.genesis_seed
    try:
        _verifier(group.scheme.name, group.public_key[0]).check(beacon)
    except InvalidBeacon:
        return False
    return True
