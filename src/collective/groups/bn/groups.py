"""The two groups of a BN curve as the protocols use them: opaque points, strict decoding, uncompressed encodings.

Encodings are those of kyber's pairing/bn254 and pairing/bn256: affine coordinates of 32 bytes, big-endian, x before y,
in Fp2 the imaginary part before the real one; the identity is all zeros. Unlike kyber, decoding refuses coordinates
that are not below p, and any length but the right one: drand derives randomness from these bytes, so one point has one
encoding.
"""

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar, cast

from collective.errors import BadSetting, MalformedPoint
from collective.groups.bn.curve_fp import CurveOverFp
from collective.groups.bn.curve_fp2 import CurveOverFp2
from collective.groups.bn.fp2 import Fp2
from collective.groups.bn.hash_to_curve import HashToG1
from collective.groups.bn.integers import Integers
from collective.groups.bn.jacobian import SHORT_SCALAR_BITS, Affine, Curve
from collective.groups.group import Point

COORDINATE_BYTES = 32

Coordinate = TypeVar("Coordinate")


class G1Point(NamedTuple):
    """An element of G1: reduced affine coordinates, or two zeros for the identity. Immutable and hashable."""

    x: int
    y: int


class G2Point(NamedTuple):
    """An element of G2: reduced affine coordinates in Fp2 as (real, imaginary), or zeros for the identity."""

    x: Fp2
    y: Fp2


class BNGroup(Generic[Coordinate]):
    """What G1 and G2 share. Nothing here is constant time; see `collective.groups.bn.jacobian`."""

    point_bytes: int

    def __init__(self, name: str, curve: Curve[Coordinate], generator: Affine[Coordinate]) -> None:
        self.name = name
        self.order = curve.order
        self._curve = curve
        self._base = generator
        self._generator = self.wrap(generator)
        self._identity = self.wrap(curve.identity)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @abstractmethod
    def wrap(self, affine: Affine[Coordinate]) -> Point:
        """The opaque point with these coordinates."""

    @abstractmethod
    def unwrap(self, point: Point) -> Affine[Coordinate]:
        """The coordinates of an opaque point; raises TypeError when it is of another group."""

    @abstractmethod
    def _coordinates(self, a: Affine[Coordinate]) -> tuple[int, ...]:
        """The coordinates in the order of their encoding."""

    @abstractmethod
    def _checked(self, coordinates: list[int]) -> Point:
        """The point with these reduced coordinates, not all zero; raises MalformedPoint when there is none."""

    @abstractmethod
    def hash_to_point(self, message: bytes, domain: bytes) -> Point:
        """A point whose logarithm nobody knows; raises BadSetting where the protocols define no such hash."""

    def generator(self) -> Point:
        """The fixed generator."""
        return self._generator

    def identity(self) -> Point:
        """The neutral element."""
        return self._identity

    def add(self, a: Point, b: Point) -> Point:
        """a + b."""
        return self.wrap(self._curve.add(self.unwrap(a), self.unwrap(b)))

    def negate(self, a: Point) -> Point:
        """-a."""
        return self.wrap(self._curve.negate(self.unwrap(a)))

    def multiply(self, a: Point, scalar: int) -> Point:
        """scalar * a, for any integer (reduced modulo the order).

        Not constant time: a Python process gives its scalar away to whoever can time or trace it closely.
        """
        affine, reduced = self.unwrap(a), int(scalar) % self.order
        if affine == self._base and reduced.bit_length() > SHORT_SCALAR_BITS:
            return self.wrap(self._curve.multiply_fixed_base(self._generator_table, reduced))
        return self.wrap(self._curve.multiply(affine, reduced))

    @cached_property
    def _generator_table(self) -> list[list[Affine[Coordinate]]]:
        return self._curve.fixed_base_table(self._base)

    def sum_of_products(self, points: Sequence[Point], scalars: Sequence[int]) -> Point:
        """sum scalars[i] * points[i]; short scalars (128 bits) cost less. Raises ValueError on unequal lengths."""
        if len(points) != len(scalars):
            raise ValueError(f"{len(points)} points and {len(scalars)} scalars")
        unwrap, order = self.unwrap, self.order
        total = self._curve.sum_of_products([unwrap(a) for a in points], [int(k) % order for k in scalars])
        return self.wrap(total)

    def equal(self, a: Point, b: Point) -> bool:
        """True when both are the same element."""
        return self.unwrap(a) == self.unwrap(b)

    def is_identity(self, a: Point) -> bool:
        """True for the neutral element."""
        return self.unwrap(a) == self._curve.identity

    def encode(self, a: Point) -> bytes:
        """The canonical encoding, `point_bytes` long."""
        return b"".join([int(c).to_bytes(COORDINATE_BYTES, "big") for c in self._coordinates(self.unwrap(a))])

    def decode(self, data: bytes, *, allow_identity: bool = False) -> Point:
        """The point that `data` encodes; raises collective.errors.MalformedPoint on anything else."""
        if type(data) is not bytes:
            raise MalformedPoint(f"{self.name}: an encoded point is bytes, not {type(data).__name__}")
        if len(data) != self.point_bytes:
            raise MalformedPoint(f"{self.name}: an encoded point has {self.point_bytes} bytes, not {len(data)}")
        if not any(data):
            if allow_identity:
                return self._identity
            raise MalformedPoint(f"{self.name}: the identity is not allowed here")
        starts = range(0, self.point_bytes, COORDINATE_BYTES)
        return self._checked([int.from_bytes(data[at : at + COORDINATE_BYTES], "big") for at in starts])


class BNGroup1(BNGroup[int]):
    """G1: points of E over Fp, 64 bytes x then y."""

    point_bytes = 2 * COORDINATE_BYTES

    def __init__(self, name: str, integers: Integers, curve: CurveOverFp, hashing: HashToG1 | None) -> None:
        super().__init__(name, curve, curve.generator)
        self._e = curve
        self._integer = integers.integer
        self._hashing = hashing

    def wrap(self, affine: Affine[int]) -> Point:
        """The opaque point with these coordinates."""
        return cast(Point, G1Point(*affine))

    def unwrap(self, point: Point) -> Affine[int]:
        """The coordinates of an opaque point; raises TypeError when it is of another group."""
        if not isinstance(point, G1Point):
            raise TypeError(f"{type(point).__name__} is no point of {self.name}")
        return point

    def _coordinates(self, a: Affine[int]) -> tuple[int, ...]:
        return a

    def _checked(self, coordinates: list[int]) -> Point:
        x, y = map(self._integer, coordinates)
        if max(x, y) >= self._e.p:
            raise MalformedPoint(f"{self.name}: a coordinate is not below the field's prime")
        if not self._e.contains((x, y)):
            raise MalformedPoint(f"{self.name}: the point is not on the curve")
        return cast(Point, G1Point(x, y))

    def hash_to_point(self, message: bytes, domain: bytes) -> Point:
        """RFC 9380 hash_to_curve under the tag `domain`; raises BadSetting on a curve without such a hash."""
        if self._hashing is None:
            raise BadSetting(f"{self.name}: hashing to this group is not defined", hint="use BN254, or sign elsewhere")
        return self.wrap(self._hashing.hash_to_curve(message, domain))


class BNGroup2(BNGroup[Fp2]):
    """G2: points of order r of the twist over Fp2, 128 bytes x.imaginary, x.real, y.imaginary, y.real."""

    point_bytes = 4 * COORDINATE_BYTES

    def __init__(self, name: str, integers: Integers, curve: CurveOverFp2) -> None:
        super().__init__(name, curve, curve.generator)
        self._twist = curve
        self._integer = integers.integer

    def wrap(self, affine: Affine[Fp2]) -> Point:
        """The opaque point with these coordinates."""
        return cast(Point, G2Point(*affine))

    def unwrap(self, point: Point) -> Affine[Fp2]:
        """The coordinates of an opaque point; raises TypeError when it is of another group."""
        if not isinstance(point, G2Point):
            raise TypeError(f"{type(point).__name__} is no point of {self.name}")
        return point

    def _coordinates(self, a: Affine[Fp2]) -> tuple[int, ...]:
        (x_real, x_imaginary), (y_real, y_imaginary) = a
        return x_imaginary, x_real, y_imaginary, y_real

    def _checked(self, coordinates: list[int]) -> Point:
        x_imaginary, x_real, y_imaginary, y_real = map(self._integer, coordinates)
        if max(x_imaginary, x_real, y_imaginary, y_real) >= self._twist.fp2.p:
            raise MalformedPoint(f"{self.name}: a coordinate is not below the field's prime")
        a = G2Point((x_real, x_imaginary), (y_real, y_imaginary))
        if not self._twist.contains(a):
            raise MalformedPoint(f"{self.name}: the point is not on the curve")
        if not self._twist.in_subgroup(a):
            raise MalformedPoint(f"{self.name}: the point is not in the subgroup of prime order")
        return cast(Point, a)

    def hash_to_point(self, message: bytes, domain: bytes) -> Point:
        """Always raises BadSetting: neither drand nor kyber hashes to G2 of a BN curve."""
        raise BadSetting(f"{self.name}: nothing hashes to this group", hint="sign on G1, with keys on G2")
