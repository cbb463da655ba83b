"""The append rule: which beacon may follow which, with nothing skipped and nothing replaced."""

from collections.abc import Sequence
from dataclasses import replace

from drand.errors import InvalidBeacon
from drand.model.chain import Beacon, Round
from drand.model.group import Group
from drand.model.schemes import Scheme


class ForeignChain(InvalidBeacon):
    """The stored beacons do not belong to this group's chain."""

    hint = "this folder holds the database of another network; move it away, or restore the group file that fits it"


def genesis_beacon(group: Group) -> Beacon:
    """Round 0: the genesis seed in place of a signature."""
    return Beacon(Round(0), group.genesis_seed)


def as_stored(beacon: Beacon, scheme: Scheme) -> Beacon:
    """`beacon` without the previous signature where the scheme does not chain (v1.5.11, schemeStore.Put)."""
    if scheme.chained or not beacon.previous_signature:
        return beacon
    return replace(beacon, previous_signature=b"")


def check_follows(last: Beacon, beacon: Beacon, scheme: Scheme) -> None:
    """Raise InvalidBeacon unless `beacon` is, by its shape, the one after `last`. Its signature is not verified here.

    Source: v1.5.11, chain/beacon/store.go (appendStore, schemeStore).
    """
    if beacon.round != last.round + 1:
        raise InvalidBeacon(f"invalid round inserted: last {last.round}, new {beacon.round}")
    if len(beacon.signature) != scheme.signature_bytes:
        raise InvalidBeacon(
            f"round {beacon.round} has a signature of {len(beacon.signature)} bytes, not {scheme.signature_bytes}"
        )
    if scheme.chained and beacon.previous_signature != last.signature:
        ours, theirs = last.signature.hex(), beacon.previous_signature.hex()
        raise InvalidBeacon(f"invalid previous signature for {beacon.round}: {ours} != {theirs}")


class Chain:
    """The head of one chain, and the signature that came before it.

    parent_signature  what a partial of the head's round carries as its previous signature; None when not known, which
                      is so for an unchained scheme after a restart (its beacons are stored without)
    """

    def __init__(self, group: Group, head: Beacon) -> None:
        """`head` is the last stored beacon, verified when it was stored; raises ForeignChain for another's genesis."""
        if head.round == 0 and head.signature != group.genesis_seed:
            raise ForeignChain("the stored genesis beacon is not this group's genesis seed")
        self._scheme = group.scheme
        self.head = head
        self.parent_signature: bytes | None = head.previous_signature or None

    def append(self, beacon: Beacon) -> None:
        """Make `beacon`, whose signature is verified, the head; raises InvalidBeacon unless it follows."""
        check_follows(self.head, beacon, self._scheme)
        self.parent_signature = self.head.signature
        self.head = beacon

    def extend(self, beacons: Sequence[Beacon]) -> tuple[Beacon, ...]:
        """Append a run of verified beacons, passing over those that are stored already; returns those that are new.

        raises  InvalidBeacon, with the chain unchanged, when the new ones do not follow the head
        """
        fresh = tuple(beacon for beacon in beacons if beacon.round > self.head.round)
        last = self.head
        for beacon in fresh:
            check_follows(last, beacon, self._scheme)
            last = beacon
        for beacon in fresh:
            self.append(beacon)
        return fresh
