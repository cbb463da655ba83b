"""What the protocols ask of a prime-order group and of a pair of groups with a pairing.

A point is opaque: only the group object that made it can add, compare or encode it. Scalars are plain integers modulo
`order`; a secret one travels as `collective.secret.SecretScalar` and is exposed at the line that uses it.
All groups write their operation additively.
"""

from collections.abc import Sequence
from typing import NewType, Protocol

Point = NewType("Point", object)


class PrimeGroup(Protocol):
    """A group of prime order with a fixed generator and one canonical encoding.

    Decoding is strict and is where untrusted bytes become points: exact length, canonical coordinates, on the curve,
    in the subgroup of prime order, and not the identity unless the caller says that it may be.
    """

    name: str  # "BLS12-381 G1"
    order: int  # the prime
    point_bytes: int  # length of an encoded point

    def __hash__(self) -> int:
        """A group is a key of caches: it equals itself only, since another one's points are other objects."""
        ...

    def generator(self) -> Point:
        """The fixed generator."""
        ...

    def identity(self) -> Point:
        """The neutral element."""
        ...

    def add(self, a: Point, b: Point) -> Point:
        """a + b."""
        ...

    def negate(self, a: Point) -> Point:
        """-a."""
        ...

    def multiply(self, a: Point, scalar: int) -> Point:
        """scalar * a, for any integer (reduced modulo the order)."""
        ...

    def sum_of_products(self, points: Sequence[Point], scalars: Sequence[int]) -> Point:
        """sum scalars[i] * points[i]; short scalars (128 bits) cost less. Raises ValueError on unequal lengths."""
        ...

    def equal(self, a: Point, b: Point) -> bool:
        """True when both are the same element."""
        ...

    def is_identity(self, a: Point) -> bool:
        """True for the neutral element."""
        ...

    def encode(self, a: Point) -> bytes:
        """The canonical encoding, `point_bytes` long."""
        ...

    def decode(self, data: bytes, *, allow_identity: bool = False) -> Point:
        """The point that `data` encodes; raises collective.errors.MalformedPoint on anything else."""
        ...


class HashableGroup(PrimeGroup, Protocol):
    """A group one can hash into."""

    def hash_to_point(self, message: bytes, domain: bytes) -> Point:
        """A point whose logarithm nobody knows (RFC 9380 hash_to_curve under the tag `domain`)."""
        ...


class PairingSuite(Protocol):
    """Two groups of one prime order with a pairing e: G1 x G2 -> GT."""

    name: str  # "BLS12-381 (blst)"
    g1: HashableGroup
    g2: HashableGroup

    def pairings_equal(self, a1: Point, a2: Point, b1: Point, b2: Point) -> bool:
        """True when e(a1, a2) == e(b1, b2); a1 and b1 lie in G1, a2 and b2 in G2."""
        ...

    def target_bytes(self, p1: Point, p2: Point) -> bytes:
        """e(p1, p2) as kyber encodes a GT element (576 bytes for BLS12-381, 384 for BN254)."""
        ...
