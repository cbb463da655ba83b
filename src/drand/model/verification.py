"""Verifying beacons of one chain: one by one, or many at a time."""

from collections.abc import Iterator, Sequence

from collective.entropy import Entropy
from collective.errors import CollectiveError, InvalidSignature, Malformed
from collective.groups.group import Point
from collective.signatures.batch import GOOD_BATCH, verify_batch
from drand.errors import InvalidBeacon
from drand.model.chain import Beacon, Round
from drand.model.schemes import Scheme


class ChainVerifier:
    """Checks beacons against one chain's public key.

    public_key   encoded point of the scheme's key group; raises MalformedPoint when it is none, or the identity
    """

    def __init__(self, scheme: Scheme, public_key: bytes) -> None:
        self.scheme = scheme
        self.public_key = public_key
        self._key: Point = scheme.decode_key(public_key)

    def check(self, beacon: Beacon) -> None:
        """Raise InvalidBeacon unless the group signed this round (on top of this previous signature, when chained)."""
        try:
            self._require_form(beacon)
            self.scheme.bls.verify(self._key, self._message(beacon), beacon.signature)
        except (InvalidSignature, Malformed) as error:
            raise InvalidBeacon(f"round {beacon.round}: {error}") from error

    def bad_rounds(self, beacons: Sequence[Beacon], entropy: Entropy) -> frozenset[Round]:
        """The rounds that do not verify. Two pairings per batch of about a thousand, instead of two a beacon.

        Each beacon is judged alone: that a chained beacon's previous signature is the preceding beacon's is the
        append rule's business.
        """
        bad: set[Round] = set()
        for piece in _pieces(beacons, GOOD_BATCH):
            formed = [beacon for beacon in piece if self._well_formed(beacon)]
            bad.update(beacon.round for beacon in piece if not self._well_formed(beacon))
            items = [(self._message(beacon), beacon.signature) for beacon in formed]
            bad.update(formed[place].round for place in verify_batch(self.scheme.bls, self._key, items, entropy))
        return frozenset(bad)

    def _message(self, beacon: Beacon) -> bytes:
        return self.scheme.digest(beacon.round, beacon.previous_signature)

    def _well_formed(self, beacon: Beacon) -> bool:
        try:
            self._require_form(beacon)
        except CollectiveError:
            return False
        return True

    def _require_form(self, beacon: Beacon) -> None:
        """What a served beacon must look like before any mathematics; round 0 is nobody's signature."""
        if not 1 <= beacon.round < 2**64:
            raise InvalidBeacon(f"there is no signed round {beacon.round}")
        if self.scheme.chained and not beacon.previous_signature:
            raise InvalidBeacon("a chained beacon needs its previous signature")


def _pieces(beacons: Sequence[Beacon], size: int) -> Iterator[Sequence[Beacon]]:
    for start in range(0, len(beacons), size):
        yield beacons[start : start + size]
