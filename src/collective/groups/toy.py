"""A bilinear group with no security at all, for simulation: the real one's equations at a thousandth of the cost.

A point of either group is its own discrete logarithm times a fixed constant, an integer modulo q = 2**61 - 1; the
pairing is multiplication modulo q. G1 encodes in 8 bytes and G2 in 16, so that code which mixes them up fails here too.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

from collective.errors import MalformedPoint
from collective.groups.group import HashableGroup, PairingSuite, Point

ORDER = 2**61 - 1
_G1_GENERATOR = 0x243F6A8885A308D3 % ORDER  # first 64 bits of the fraction of pi
_G2_GENERATOR = 0xB7E151628AED2A6A % ORDER  # first 64 bits of the fraction of e


class ToyGroup:
    """Integers modulo q under addition (`collective.groups.group.HashableGroup`); no logarithm is hidden."""

    order: int = ORDER

    def __init__(self, name: str, generator: int, point_bytes: int) -> None:
        self.name: str = name
        self.point_bytes: int = point_bytes
        self._generator = generator

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def generator(self) -> Point:
        """The fixed generator: not 1, so that a public key never equals its secret key."""
        return Point(self._generator)

    def identity(self) -> Point:
        """Zero."""
        return Point(0)

    def add(self, a: Any, b: Any) -> Point:
        """a + b."""
        return Point((a + b) % ORDER)

    def negate(self, a: Any) -> Point:
        """-a."""
        return Point(-a % ORDER)

    def multiply(self, a: Any, scalar: int) -> Point:
        """scalar * a, for any integer."""
        return Point(a * scalar % ORDER)

    def sum_of_products(self, points: Sequence[Any], scalars: Sequence[int]) -> Point:
        """sum scalars[i] * points[i]; ValueError on unequal lengths."""
        if len(points) != len(scalars):
            raise ValueError(f"{len(points)} points but {len(scalars)} scalars")
        return Point(sum(point * scalar for point, scalar in zip(points, scalars, strict=True)) % ORDER)

    def equal(self, a: Point, b: Point) -> bool:
        """True when both are the same element."""
        return a == b

    def is_identity(self, a: Any) -> bool:
        """True for zero."""
        return bool(a == 0)

    def encode(self, a: Any) -> bytes:
        """Big-endian, 8 bytes in G1 and 16 in G2."""
        return int(a).to_bytes(self.point_bytes, "big")

    def decode(self, data: bytes, *, allow_identity: bool = False) -> Point:
        """The integer `data` encodes; raises MalformedPoint unless its length is exact and it lies below q."""
        if type(data) is not bytes or len(data) != self.point_bytes:
            raise MalformedPoint(f"{self.name}: an encoded point is {self.point_bytes} bytes")
        value = int.from_bytes(data, "big")
        if value >= ORDER:
            raise MalformedPoint(f"{self.name}: not below the group order")
        if value == 0 and not allow_identity:
            raise MalformedPoint(f"{self.name}: the identity is not allowed here")
        return Point(value)

    def hash_to_point(self, message: bytes, domain: bytes) -> Point:
        """SHA-256 of group name, tag and message (the first two with their lengths), modulo q - 1, plus 1."""
        name = self.name.encode()
        preimage = bytes([len(name)]) + name + len(domain).to_bytes(2, "big") + domain + message
        return Point(int.from_bytes(hashlib.sha256(preimage).digest(), "big") % (ORDER - 1) + 1)


class ToySuite:
    """Both toy groups and their pairing (`collective.groups.group.PairingSuite`)."""

    def __init__(self) -> None:
        self.name: str = "toy"
        self.g1: HashableGroup = ToyGroup("toy G1", _G1_GENERATOR, 8)
        self.g2: HashableGroup = ToyGroup("toy G2", _G2_GENERATOR, 16)

    def pairings_equal(self, a1: Any, a2: Any, b1: Any, b2: Any) -> bool:
        """True when a1 * a2 == b1 * b2 modulo q."""
        return bool((a1 * a2 - b1 * b2) % ORDER == 0)

    def target_bytes(self, p1: Any, p2: Any) -> bytes:
        """p1 * p2 modulo q, 24 bytes big-endian."""
        return int(p1 * p2 % ORDER).to_bytes(24, "big")


@cache
def toy() -> PairingSuite:
    """The toy suite, made once. Never for a real chain: anybody can read a secret key off its public key."""
    return ToySuite()
