"""What the two curves y^2 = x^3 + b (over Fp and over Fp2) have in common: sums of multiples of points.

Points are affine pairs (x, y) outside and Jacobian triples (X, Y, Z), x = X/Z^2, y = Y/Z^3, inside. The identity is the
pair of zeros outside, which is on neither curve since b != 0, and is also how it is encoded; inside it has Z = 0.

Nothing here runs in constant time: the additions done depend on the scalar, and so does the time of a big-integer
operation. Who can time us finely can learn about a secret scalar; see SECURITY.md.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeAlias, TypeVar

from collective.groups.bn.digits import bucket_width, non_adjacent_form, signed_digits

Coordinate = TypeVar("Coordinate")
Affine: TypeAlias = tuple[Coordinate, Coordinate]
Jacobian: TypeAlias = tuple[Coordinate, Coordinate, Coordinate]

SHORT_SCALAR_BITS = 32
FIXED_BASE_BITS = 4


class Curve(ABC, Generic[Coordinate]):
    """One curve over one field. Subclasses give the formulas, this class the schedules of additions."""

    identity: Affine[Coordinate]
    order: int

    # The formulas

    @abstractmethod
    def to_jacobian(self, a: Affine[Coordinate]) -> Jacobian[Coordinate]:
        """The same point with Z = 1, or Z = 0 for the identity."""

    @abstractmethod
    def to_affine(self, points: Sequence[Jacobian[Coordinate]]) -> list[Affine[Coordinate]]:
        """The same points with one inversion in all (Montgomery's trick)."""

    @abstractmethod
    def double(self, a: Jacobian[Coordinate]) -> Jacobian[Coordinate]:
        """2a."""

    @abstractmethod
    def add_mixed(self, a: Jacobian[Coordinate], b: Affine[Coordinate]) -> Jacobian[Coordinate]:
        """a + b, for b not the identity."""

    @abstractmethod
    def add_jacobian(self, a: Jacobian[Coordinate], b: Jacobian[Coordinate]) -> Jacobian[Coordinate]:
        """a + b."""

    @abstractmethod
    def negate(self, a: Affine[Coordinate]) -> Affine[Coordinate]:
        """-a."""

    # The schedules

    def add(self, a: Affine[Coordinate], b: Affine[Coordinate]) -> Affine[Coordinate]:
        """a + b."""
        if b == self.identity:
            return a
        return self.to_affine([self.add_mixed(self.to_jacobian(a), b)])[0]

    def multiply(self, a: Affine[Coordinate], scalar: int) -> Affine[Coordinate]:
        """scalar * a for a scalar >= 0, by its non-adjacent form of a width that suits its length."""
        if scalar == 0 or a == self.identity:
            return self.identity
        width = 2 if scalar.bit_length() <= SHORT_SCALAR_BITS else 5
        multiples = self._odd_multiples(a, 1 << (width - 2))
        total = self.to_jacobian(self.identity)
        for digit in reversed(non_adjacent_form(scalar, width)):
            total = self.double(total)
            multiple = multiples[abs(digit) >> 1]
            # An untrusted point of the twist may have order 13 on BN256: then 13a is the identity.
            if digit and multiple != self.identity:
                total = self.add_mixed(total, multiple if digit > 0 else self.negate(multiple))
        return self.to_affine([total])[0]

    def _odd_multiples(self, a: Affine[Coordinate], count: int) -> list[Affine[Coordinate]]:
        """a, 3a, 5a, ... (`count` of them); some are the identity for a point of small odd order."""
        if count == 1:
            return [a]
        (twice,) = self.to_affine([self.double(self.to_jacobian(a))])
        multiples = [self.to_jacobian(a)]
        for _ in range(count - 1):
            multiples.append(self.add_mixed(multiples[-1], twice))
        return self.to_affine(multiples)

    def fixed_base_table(self, a: Affine[Coordinate]) -> list[list[Affine[Coordinate]]]:
        """For each window of 4 bits of a scalar below the order, the fifteen multiples of a it may stand for."""
        rows: list[list[Affine[Coordinate]]] = []
        base = a
        for _ in range(0, self.order.bit_length(), FIXED_BASE_BITS):
            row = [self.to_jacobian(base)]
            for _ in range((1 << FIXED_BASE_BITS) - 1):
                row.append(self.add_mixed(row[-1], base))
            *multiples, base = self.to_affine(row)
            rows.append(multiples)
        return rows

    def multiply_fixed_base(self, table: list[list[Affine[Coordinate]]], scalar: int) -> Affine[Coordinate]:
        """scalar times the point of `table`, 0 <= scalar < order: one addition for each window, no doubling."""
        total = self.to_jacobian(self.identity)
        for row in table:
            digit = scalar & ((1 << FIXED_BASE_BITS) - 1)
            if digit:
                total = self.add_mixed(total, row[digit - 1])
            scalar >>= FIXED_BASE_BITS
        return self.to_affine([total])[0]

    def sum_of_products(self, points: Sequence[Affine[Coordinate]], scalars: Sequence[int]) -> Affine[Coordinate]:
        """sum scalars[i] * points[i] for scalars >= 0, by buckets.

        Source: Pippenger 1976, as in Bernstein et al., "Faster batch forgery identification", section 4. Signed digits
        halve the buckets. The cost is about bits/c * (n + 2^c) additions, so 128-bit scalars cost half of full ones.
        """
        pairs = [(a, k) for a, k in zip(points, scalars, strict=True) if k and a != self.identity]
        if not pairs:
            return self.identity
        width = bucket_width(len(pairs))
        columns = signed_digits([k for _, k in pairs], width)
        signed = [(a, self.negate(a)) for a, _ in pairs]
        total = self.to_jacobian(self.identity)
        for column in reversed(columns):
            for _ in range(width):
                total = self.double(total)
            total = self.add_jacobian(total, self._sum_of_column(signed, column, width))
        return self.to_affine([total])[0]

    def _sum_of_column(
        self, signed: list[tuple[Affine[Coordinate], Affine[Coordinate]]], column: list[int], width: int
    ) -> Jacobian[Coordinate]:
        """sum column[i] * point[i], for digits of at most 2^(width - 1) in absolute value; `signed` has a and -a."""
        add_mixed, add_jacobian = self.add_mixed, self.add_jacobian
        nothing = self.to_jacobian(self.identity)
        buckets = [nothing] * ((1 << (width - 1)) + 1)
        for (plus, minus), digit in zip(signed, column, strict=True):
            if digit > 0:
                buckets[digit] = add_mixed(buckets[digit], plus)
            elif digit < 0:
                buckets[-digit] = add_mixed(buckets[-digit], minus)
        # sum d * bucket[d] is the sum of the sums of all tails.
        tail = total = nothing
        for bucket in reversed(buckets[1:]):
            tail = add_jacobian(tail, bucket)
            total = add_jacobian(total, tail)
        return total
