"""Fp2 = Fp[i] with i^2 = -1: an element a + b*i is the pair (a, b).

Products return coordinates in [0, p). Sums do not reduce: every product takes any integers and reduces once, which
saves half of the divisions. `reduce` is for where canonical coordinates are needed, as in comparisons and encodings.
"""

from typing import TypeAlias

from collective.groups.bn.integers import Integers

Fp2: TypeAlias = tuple[int, int]


class QuadraticField:
    """Arithmetic in Fp2 for one prime p = 3 mod 4, with the non-residue xi = xi_real + i."""

    def __init__(self, integers: Integers, p: int, xi_real: int) -> None:
        self.p = integers.integer(p)
        self.xi_real = xi_real
        self.zero: Fp2 = (integers.integer(0), integers.integer(0))
        self.one: Fp2 = (integers.integer(1), integers.integer(0))
        self.xi: Fp2 = (integers.integer(xi_real), integers.integer(1))
        self._inverse = integers.inverse

    def reduce(self, x: Fp2) -> Fp2:
        """The same element with both coordinates in [0, p)."""
        return x[0] % self.p, x[1] % self.p

    def multiply(self, x: Fp2, y: Fp2) -> Fp2:
        """x * y, by three products (Karatsuba)."""
        a, b = x
        c, d = y
        ac, bd = a * c, b * d
        return (ac - bd) % self.p, ((a + b) * (c + d) - ac - bd) % self.p

    def square(self, x: Fp2) -> Fp2:
        """x^2 = (a + b)(a - b) + 2ab*i."""
        a, b = x
        return (a + b) * (a - b) % self.p, 2 * a * b % self.p

    def scale(self, x: Fp2, k: int) -> Fp2:
        """k * x for k in Fp."""
        return x[0] * k % self.p, x[1] * k % self.p

    def times_xi(self, x: Fp2) -> Fp2:
        """xi * x, not reduced."""
        a, b = x
        return self.xi_real * a - b, self.xi_real * b + a

    def inverse(self, x: Fp2) -> Fp2:
        """1/x = (a - b*i) / (a^2 + b^2); raises ZeroDivisionError or ValueError for zero."""
        a, b = x
        norm = self._inverse((a * a + b * b) % self.p, self.p)
        return a * norm % self.p, -b * norm % self.p

    def conjugate(self, x: Fp2) -> Fp2:
        """x^p = a - b*i, not reduced."""
        return x[0], -x[1]

    def power(self, x: Fp2, exponent: int) -> Fp2:
        """x^exponent for a non-negative exponent; for constants only, by squaring and multiplying."""
        result = self.one
        for bit in bin(exponent)[2:]:
            result = self.square(result)
            if bit == "1":
                result = self.multiply(result, x)
        return result


def add(x: Fp2, y: Fp2) -> Fp2:
    """x + y, not reduced."""
    return x[0] + y[0], x[1] + y[1]


def subtract(x: Fp2, y: Fp2) -> Fp2:
    """x - y, not reduced."""
    return x[0] - y[0], x[1] - y[1]


def negate(x: Fp2) -> Fp2:
    """-x, not reduced."""
    return -x[0], -x[1]
