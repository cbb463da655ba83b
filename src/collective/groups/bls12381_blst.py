"""BLS12-381 on pyblst; the only file that imports it.

pyblst has no multi-scalar multiplication (done by buckets in Python) and no target-group bytes (asked of whoever builds
the suite). Its scalar multiplication takes constant time, also for short scalars; those of up to 24 bits, which are
indices and never secrets, are therefore multiplied by doubling and adding.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pyblst

from collective.errors import MalformedPoint
from collective.groups import pippenger
from collective.groups.compressed import encodes_identity
from collective.groups.group import HashableGroup, Point

ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
SHORT_SCALAR_BITS = 24
MULTIPLICATION_ADDITIONS = 90  # one scalar multiplication costs about as much as 105 additions in G1 and 85 in G2
_G1_GENERATOR = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
_G2_GENERATOR = (
    "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
    "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
)


class BlstGroup:
    """G1 or G2 (`collective.groups.group.HashableGroup`); points are blst elements in the prime-order subgroup."""

    order: int = ORDER

    def __init__(self, name: str, element: Any, generator: str) -> None:
        encoded = bytes.fromhex(generator)
        self.name: str = name
        self.point_bytes: int = len(encoded)
        self._element = element
        self._generator = element.uncompress(encoded)
        self._identity = element()

    def __repr__(self) -> str:
        return f"<{self.name} by blst>"

    def generator(self) -> Point:
        """The standard generator."""
        return Point(self._generator)

    def identity(self) -> Point:
        """The point at infinity."""
        return Point(self._identity)

    def add(self, a: Any, b: Any) -> Point:
        """a + b."""
        return Point(a + b)

    def negate(self, a: Any) -> Point:
        """-a."""
        return Point(-a)

    def multiply(self, a: Any, scalar: int) -> Point:
        """scalar * a, for any integer; constant time above SHORT_SCALAR_BITS."""
        reduced = scalar % ORDER
        if reduced.bit_length() <= SHORT_SCALAR_BITS:
            return Point(self._double_and_add(a, reduced))
        return Point(a.scalar_mul(reduced))

    def _double_and_add(self, a: Any, scalar: int) -> Any:
        if scalar == 0:
            return self._identity
        total = a
        for bit in bin(scalar)[3:]:
            total = total + total
            if bit == "1":
                total = total + a
        return total

    def sum_of_products(self, points: Sequence[Any], scalars: Sequence[int]) -> Point:
        """sum scalars[i] * points[i] in variable time; ValueError on unequal lengths."""
        return Point(
            pippenger.sum_of_products(
                points,
                [scalar % ORDER for scalar in scalars],
                identity=self._identity,
                multiply=self.multiply,
                multiplication_additions=MULTIPLICATION_ADDITIONS,
            )
        )

    def equal(self, a: Any, b: Any) -> bool:
        """True when both are the same element."""
        return bool(a == b)

    def is_identity(self, a: Any) -> bool:
        """True for the point at infinity."""
        return bool(a == self._identity)

    def encode(self, a: Any) -> bytes:
        """The compressed form."""
        return bytes(a.compress())

    def decode(self, data: bytes, *, allow_identity: bool = False) -> Point:
        """The point `data` encodes, checked to be in the subgroup; raises MalformedPoint on anything else."""
        if encodes_identity(data, self.point_bytes, allow_identity=allow_identity, group=self.name):
            return self.identity()
        try:
            return Point(self._element.uncompress(data))
        except ValueError as error:
            raise MalformedPoint(f"{self.name}: {error}") from error

    def hash_to_point(self, message: bytes, domain: bytes) -> Point:
        """RFC 9380 hash_to_curve, XMD:SHA-256, SSWU, random oracle; `domain` has 1 to 255 bytes."""
        if not 0 < len(domain) < 256:
            raise ValueError("a domain separation tag has between 1 and 255 bytes (RFC 9380, 5.3.3)")
        return Point(self._element.hash_to_group(message, domain))


class BlstSuite:
    """BLS12-381 by blst (`collective.groups.group.PairingSuite`).

    target_of  computes e(P1, P2) as kyber encodes it from the two compressed points, since pyblst cannot.
    """

    def __init__(self, target_of: Callable[[bytes, bytes], bytes]) -> None:
        self.name: str = "BLS12-381 (blst)"
        self.g1: HashableGroup = BlstGroup("BLS12-381 G1", pyblst.BlstP1Element, _G1_GENERATOR)
        self.g2: HashableGroup = BlstGroup("BLS12-381 G2", pyblst.BlstP2Element, _G2_GENERATOR)
        self._target_of = target_of

    def pairings_equal(self, a1: Any, a2: Any, b1: Any, b2: Any) -> bool:
        """True when e(a1, a2) == e(b1, b2)."""
        return bool(pyblst.final_verify(pyblst.miller_loop(a1, a2), pyblst.miller_loop(b1, b2)))

    def target_bytes(self, p1: Point, p2: Point) -> bytes:
        """e(p1, p2), 576 bytes in kyber's order."""
        return self._target_of(self.g1.encode(p1), self.g2.encode(p2))
