"""Threshold BLS: partial signatures on the wire, and the group's signature recovered from them."""

from collections.abc import Mapping
from dataclasses import dataclass

from collective.errors import BadSetting, Malformed, NotEnoughShares
from collective.groups.group import Point, PrimeGroup
from collective.sharing.lagrange import fractions_at_zero

INDEX_BYTES = 2
MAX_INDEX = 2 ** (8 * INDEX_BYTES) - 1


@dataclass(frozen=True, slots=True)
class PartialSignature:
    """One node's share of a signature: f(index + 1) * H(m), encoded but not yet decoded as a point.

    Wire form: u16 big-endian index, then the signature (drand v1.5.11, kyber sign/tbls).
    """

    index: int
    signature: bytes

    def encode(self) -> bytes:
        """2 + len(signature) bytes; raises BadSetting for an index above 65535."""
        if not 0 <= self.index <= MAX_INDEX:
            raise BadSetting(f"a partial's index lies between 0 and {MAX_INDEX}, got {self.index}")
        return self.index.to_bytes(INDEX_BYTES, "big") + self.signature

    @classmethod
    def decode(cls, data: bytes, signature_bytes: int) -> "PartialSignature":
        """From exactly 2 + `signature_bytes` bytes; raises Malformed. The signature itself is not decoded."""
        if len(data) != INDEX_BYTES + signature_bytes:
            raise Malformed(f"a partial signature has {INDEX_BYTES + signature_bytes} bytes, got {len(data)}")
        return cls(int.from_bytes(data[:INDEX_BYTES], "big"), bytes(data[INDEX_BYTES:]))


def recover(group: PrimeGroup, partials: Mapping[int, Point], threshold: int) -> Point:
    """The group's signature on one message, from any `threshold` partials of it.

    group      the signature group
    partials   index -> f(index + 1) * H(m), each already verified; the `threshold` lowest indices are used
    returns    f(0) * H(m), not yet verified under the group key
    raises     NotEnoughShares when fewer than `threshold` are given
    Source: Boldyreva, PKC 2003 (threshold GDH).
    """
    if threshold < 1:
        raise BadSetting(f"a threshold is at least 1, got {threshold}")
    if len(partials) < threshold:
        raise NotEnoughShares(f"{len(partials)} partial signatures, {threshold} are needed")
    weights, denominator = fractions_at_zero(sorted(partials)[:threshold], group.order)
    points = [partials[index] if weight > 0 else group.negate(partials[index]) for index, weight in weights.items()]
    total = group.sum_of_products(points, [abs(weight) for weight in weights.values()])
    return total if denominator == 1 else group.multiply(total, pow(denominator, -1, group.order))
