"""BLS12-381 on py-arkworks-bls12381; the only file that imports it.

Quirks handled here: any bytes with bit 0x40 decode as the identity; multi-exponentiation truncates silently on unequal
lengths; `Scalar(int)` goes through decimal text; target elements print as little-endian hexadecimal. Scalar
multiplication takes variable time.
"""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from collective.errors import MalformedPoint
from collective.groups.compressed import encodes_identity
from collective.groups.group import HashableGroup, Point

ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
_Element = TypeVar("_Element", G1Point, G2Point)


def _scalar(value: int) -> Scalar:
    return Scalar.from_be_bytes((value % ORDER).to_bytes(32, "big"))


class ArkworksGroup(Generic[_Element]):
    """G1 or G2 (`collective.groups.group.HashableGroup`); points are arkworks elements in the prime-order subgroup."""

    order: int = ORDER

    def __init__(self, name: str, element: Any, point_bytes: int) -> None:
        self.name: str = name
        self.point_bytes: int = point_bytes
        self._element = element
        self._generator: _Element = element()
        self._identity: _Element = element.identity()

    def __repr__(self) -> str:
        return f"<{self.name} by arkworks>"

    def _own(self, point: Point) -> _Element:
        return cast(_Element, point)

    def generator(self) -> Point:
        """The standard generator."""
        return Point(self._generator)

    def identity(self) -> Point:
        """The point at infinity."""
        return Point(self._identity)

    def add(self, a: Point, b: Point) -> Point:
        """a + b."""
        return Point(self._own(a) + self._own(b))

    def negate(self, a: Point) -> Point:
        """-a."""
        return Point(-self._own(a))

    def multiply(self, a: Point, scalar: int) -> Point:
        """scalar * a, for any integer; the time depends on the scalar."""
        return Point(self._own(a) * _scalar(scalar))

    def sum_of_products(self, points: Sequence[Point], scalars: Sequence[int]) -> Point:
        """sum scalars[i] * points[i] by the library's own bucket method; ValueError on unequal lengths."""
        if len(points) != len(scalars):
            raise ValueError(f"{len(points)} points but {len(scalars)} scalars")
        if not points:
            return self.identity()
        own = [self._own(point) for point in points]
        return Point(self._element.multiexp_unchecked(own, [_scalar(scalar) for scalar in scalars]))

    def equal(self, a: Point, b: Point) -> bool:
        """True when both are the same element."""
        return self._own(a) == self._own(b)

    def is_identity(self, a: Point) -> bool:
        """True for the point at infinity."""
        return self._own(a) == self._identity

    def encode(self, a: Point) -> bytes:
        """The compressed form."""
        return self._own(a).to_compressed_bytes()

    def decode(self, data: bytes, *, allow_identity: bool = False) -> Point:
        """The point `data` encodes, checked to be in the subgroup; raises MalformedPoint on anything else."""
        if encodes_identity(data, self.point_bytes, allow_identity=allow_identity, group=self.name):
            return self.identity()
        try:
            return Point(self._element.from_compressed_bytes(data))
        except ValueError as error:
            raise MalformedPoint(f"{self.name}: {error}") from error

    def hash_to_point(self, message: bytes, domain: bytes) -> Point:
        """RFC 9380 hash_to_curve, XMD:SHA-256, SSWU, random oracle; `domain` has 1 to 255 bytes."""
        if not 0 < len(domain) < 256:
            raise ValueError("a domain separation tag has between 1 and 255 bytes (RFC 9380, 5.3.3)")
        return Point(self._element.hash_to_curve(message, domain))


class ArkworksSuite:
    """BLS12-381 by arkworks (`collective.groups.group.PairingSuite`)."""

    def __init__(self) -> None:
        self.name: str = "BLS12-381 (arkworks)"
        self.g1: HashableGroup = ArkworksGroup("BLS12-381 G1", G1Point, 48)
        self.g2: HashableGroup = ArkworksGroup("BLS12-381 G2", G2Point, 96)

    def pairings_equal(self, a1: Point, a2: Point, b1: Point, b2: Point) -> bool:
        """True when e(a1, a2) == e(b1, b2)."""
        left, right = cast(G1Point, a1), -cast(G1Point, b1)
        return GT.pairing_check([left, right], [cast(G2Point, a2), cast(G2Point, b2)])

    def target_bytes(self, p1: Point, p2: Point) -> bytes:
        """e(p1, p2), 576 bytes: kyber's order, which is arkworks' reversed."""
        return bytes.fromhex(str(GT.pairing(cast(G1Point, p1), cast(G2Point, p2))))[::-1]
