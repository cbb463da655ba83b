"""Functions on the twist whose only pole is at the identity, and the Miller functions among them.

On E': y^2 = x^3 + b such a function is A(x) + B(x) y for two polynomials over Fp2. x has a pole of order 2 at the
identity and y one of order 3, so x^j y^k with k < 2 has the order 2j + 3k, each order but 1 occurs once, and a function
whose pole is of order N has N coefficients (Riemann-Roch).

Miller's function for a point T and a number m has an m-fold zero at T. Up to verticals (functions of x alone, which the
final exponentiation makes 1) it is

    F(m, T):  zeros m(T) + (-mT), a pole of order m + 1,     F(1, T) = x - x_T,
    F(m + n, T) = F(m, T) F(n, T) * (line through mT and nT) / ((x - x_mT) (x - x_nT)).

Source: V. Miller, "The Weil pairing, and its efficient calculation", Journal of Cryptology 17 (2004).
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from collective.groups.bn.curve_fp2 import AffineG2, CurveOverFp2
from collective.groups.bn.fp2 import Fp2, add, negate, subtract

Polynomial: TypeAlias = list[Fp2]  # coefficients of 1, x, x^2, ...


class Function(NamedTuple):
    """a(x) + b(x) y."""

    a: Polynomial
    b: Polynomial

    def by_pole_order(self) -> Iterator[tuple[int, Fp2]]:
        """Every coefficient with the order that its monomial's pole has: 0, 2, 3, 4, ..."""
        yield from ((2 * j, c) for j, c in enumerate(self.a))
        yield from ((2 * j + 3, c) for j, c in enumerate(self.b))


class Walk(NamedTuple):
    """F(m, T) with the point mT."""

    function: Function
    point: AffineG2


class MillerFunctions:
    """Makes F(m, T) on one twist. Points differ from the identity, and no sum of two is the identity."""

    def __init__(self, twist: CurveOverFp2) -> None:
        self._b = twist.b
        self._fp2 = twist.fp2
        self._one = Function([self._fp2.one], [])

    def first(self, point: AffineG2) -> Walk:
        """F(1, T), left out: it is a vertical, and `add` would divide it by itself."""
        return Walk(self._one, point)

    def double(self, point: AffineG2) -> Walk:
        """F(2, T)."""
        slope = self._tangent(point)
        return Walk(self._line(point, slope), self._sum_of_points(point, point, slope))

    def quadruple(self, point: AffineG2) -> Walk:
        """F(4, T), from the first terms of y as a power series in t = x - x_T.

        y = y0 + y1 t + y2 t^2 + y3 t^3 + ... gives (y3 t - y2) y = c0 + c1 t + c2 t^2 + 0 t^3 + ...: so the function
        (y3 t - y2) y - (c0 + c1 t + c2 t^2), whose pole has the order 5, has a fourfold zero at T.
        """
        fp2, (x, y0) = self._fp2, point
        multiply, square = fp2.multiply, fp2.square
        half = fp2.inverse(add(y0, y0))  # 1 / 2y
        # (y0 + y1 t + ...)^2 = (x + t)^3 + b, coefficient by coefficient
        y1 = multiply(fp2.scale(square(x), 3), half)
        y2 = multiply(subtract(fp2.scale(x, 3), square(y1)), half)
        y3 = multiply(subtract(fp2.one, fp2.scale(multiply(y1, y2), 2)), half)
        c0 = negate(multiply(y2, y0))
        c1 = subtract(multiply(y3, y0), multiply(y2, y1))
        c2 = subtract(multiply(y3, y1), square(y2))
        c2_x = multiply(c2, x)
        function = Function(
            a=[
                negate(subtract(c0, multiply(subtract(c1, c2_x), x))),
                negate(subtract(c1, add(c2_x, c2_x))),
                negate(c2),
            ],
            b=[negate(add(y2, multiply(y3, x))), y3],
        )
        twice = self._sum_of_points(point, point, y1)
        return Walk(function, self._sum_of_points(twice, twice, self._tangent(twice)))

    def add(self, one: Walk, other: Walk) -> Walk:
        """F(m, T) F(n, U) * line / verticals, which is F(m + n, T) where U = T; mT != nU."""
        fp2, (x1, y1), (x2, y2) = self._fp2, one.point, other.point
        slope = fp2.multiply(subtract(y2, y1), fp2.inverse(subtract(x2, x1)))
        function = self._line(one.point, slope)
        for walk in (one, other):
            if walk.function is not self._one:
                function = self._divided(self._product(function, walk.function), walk.point[0])
        return Walk(function, self._sum_of_points(one.point, other.point, slope))

    def _tangent(self, point: AffineG2) -> Fp2:
        """The tangent's slope."""
        (x, y), fp2 = point, self._fp2
        return fp2.multiply(fp2.scale(fp2.square(x), 3), fp2.inverse(add(y, y)))

    def _line(self, point: AffineG2, slope: Fp2) -> Function:
        """y - slope * x + ...: zero at the point."""
        (x, y), fp2 = point, self._fp2
        return Function([fp2.reduce(subtract(fp2.multiply(slope, x), y)), fp2.reduce(negate(slope))], [fp2.one])

    def _sum_of_points(self, one: AffineG2, other: AffineG2, slope: Fp2) -> AffineG2:
        """The sum of two points whose line has this slope."""
        fp2, (x, y) = self._fp2, one
        x3 = fp2.reduce(subtract(subtract(fp2.square(slope), x), other[0]))
        return x3, fp2.reduce(subtract(fp2.multiply(slope, subtract(x, x3)), y))

    def _product(self, f: Function, g: Function) -> Function:
        """With y^2 = x^3 + b: (f.a + f.b y)(g.a + g.b y)."""
        squares = self._times(f.b, g.b)  # what y^2 is multiplied by
        a = _sum(self._times(f.a, g.a), _sum([self._fp2.zero] * 3 + squares, self._times(squares, [self._b])))
        return Function(a, _sum(self._times(f.a, g.b), self._times(f.b, g.a)))

    def _times(self, f: Polynomial, g: Polynomial) -> Polynomial:
        multiply = self._fp2.multiply
        result = [self._fp2.zero] * (len(f) + len(g) - 1)
        for j, c in enumerate(f):
            for k, d in enumerate(g, j):
                result[k] = add(result[k], multiply(c, d))
        return result

    def _divided(self, f: Function, x0: Fp2) -> Function:
        """f / (x - x0), which divides it."""
        return Function(self._quotient(f.a, x0), self._quotient(f.b, x0))

    def _quotient(self, f: Polynomial, x0: Fp2) -> Polynomial:
        """By Horner's rule from the top down; the remainder is zero and not computed."""
        reduce, multiply = self._fp2.reduce, self._fp2.multiply
        quotient = [reduce(f[-1])]
        for c in f[-2:0:-1]:
            quotient.append(reduce(add(c, multiply(quotient[-1], x0))))
        return quotient[::-1]


def _sum(f: Polynomial, g: Polynomial) -> Polynomial:
    if len(f) < len(g):
        f, g = g, f
    return [add(c, d) for c, d in zip(f, g, strict=False)] + f[len(g) :]
