"""The optimal ate pairing e: G1 x G2 -> GT on a BN curve, with the lines of a fixed second argument computed once.

    e(P, Q) = (f_{6u+2, Q}(P) * l1(P) * l2(P)) ^ ((p^12 - 1) / r)

Source: Vercauteren, "Optimal pairings", IEEE Trans. Inf. Theory 2010; Beuchat et al., "High-speed software
implementation of the optimal ate pairing over Barreto-Naehrig curves", Pairing 2010, algorithm 1. l1 and l2 are the
lines that add psi(Q) and -psi^2(Q).

The line of slope m through a point T of the twist, evaluated at P = (x, y) of G1, is y - m x w + (m x_T - y_T) w^3.
Factors in Fp die in the final exponentiation, so it is divided by y. What depends on Q only is the pair
(-m, m x_T - y_T), and lists of such pairs are what `lines` gives: drand pairs with few different points of G2 (the
generator, the group's key, the keys of the shares), millions of times.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from collective.groups.bn.curve_fp import AffineG1
from collective.groups.bn.curve_fp2 import AffineG2, CurveOverFp2
from collective.groups.bn.digits import non_adjacent_form
from collective.groups.bn.fp2 import Fp2, add, negate, subtract
from collective.groups.bn.fp12 import Fp12, TwelfthField
from collective.groups.bn.integers import Integers

Line: TypeAlias = tuple[Fp2, Fp2]  # (-m, m x_T - y_T)
SQUARE_FIRST, MULTIPLY_ONLY = True, False


class PreparedG1(NamedTuple):
    """What the lines need of a point P = (x, y) of G1."""

    x_over_y: int
    one_over_y: int


class Pairing:
    """The pairing for one set of parameters. Every point given here differs from the identity."""

    def __init__(self, integers: Integers, u: int, twist: CurveOverFp2, fp12: TwelfthField) -> None:
        self.u = u
        self.fp2 = fp12.fp2
        self.fp12 = fp12
        self._twist = twist
        self._inverse = integers.inverse
        digits = non_adjacent_form(6 * u + 2, 2)
        self._digits = digits[-2::-1]  # below the leading one, from the top down
        # One entry for each line of a table: is the value so far squared before this line?
        self._schedule = [
            kind for digit in self._digits for kind in ([SQUARE_FIRST, MULTIPLY_ONLY] if digit else [SQUARE_FIRST])
        ] + [MULTIPLY_ONLY, MULTIPLY_ONLY]

    # Lines of the second argument

    def lines(self, q: AffineG2) -> list[Line]:
        """The lines of the Miller loop for q, in the order in which they are used."""
        minus_q = self._twist.negate(q)
        table, t = [], q
        for digit in self._digits:
            line, t = self._tangent(t)
            table.append(line)
            if digit:
                line, t = self._chord(t, q if digit > 0 else minus_q)
                table.append(line)
        q1 = self._twist.psi(q)
        line, t = self._chord(t, q1)
        table.append(line)
        line, t = self._chord(t, self._twist.negate(self._twist.psi(q1)))
        table.append(line)
        return table

    def _tangent(self, t: AffineG2) -> tuple[Line, AffineG2]:
        """The tangent at t, and 2t."""
        (x, y), fp2 = t, self.fp2
        slope = fp2.multiply(fp2.scale(fp2.square(x), 3), fp2.inverse(add(y, y)))
        return self._step(t, x, slope)

    def _chord(self, t: AffineG2, q: AffineG2) -> tuple[Line, AffineG2]:
        """The line through t and q, and t + q. Neither q = t nor q = -t: in the loop t is m * Q with 1 < m < r - 1."""
        fp2 = self.fp2
        slope = fp2.multiply(subtract(q[1], t[1]), fp2.inverse(subtract(q[0], t[0])))
        return self._step(t, q[0], slope)

    def _step(self, t: AffineG2, x_other: Fp2, slope: Fp2) -> tuple[Line, AffineG2]:
        """The line with this slope through t and a point at x_other, and the sum of those two points."""
        fp2, (x, y) = self.fp2, t
        line = (fp2.reduce(negate(slope)), fp2.reduce(subtract(fp2.multiply(slope, x), y)))
        x3 = fp2.reduce(subtract(subtract(fp2.square(slope), x), x_other))
        y3 = fp2.reduce(subtract(fp2.multiply(slope, subtract(x, x3)), y))
        return line, (x3, y3)

    # Miller loop

    def miller(self, pairs: Sequence[tuple[AffineG1, list[Line]]]) -> Fp12:
        """The product of the Miller functions of all pairs (P, lines(Q)), with the squarings shared."""
        fp12 = self.fp12
        if not pairs:
            return fp12.one
        prepared = [self._prepare(point) for point, _ in pairs]
        columns = zip(*(table for _, table in pairs), strict=True)
        value: Fp12 | None = None
        for square_first, column in zip(self._schedule, columns, strict=True):
            if square_first and value is not None:
                value = fp12.square(value)
            for factor in self._factors(prepared, column):
                value = factor if value is None else fp12.multiply(value, factor)
        return fp12.one if value is None else value

    def _prepare(self, point: AffineG1) -> PreparedG1:
        x, y = point
        p = self.fp12.p
        one_over_y = self._inverse(y, p)
        return PreparedG1(x * one_over_y % p, one_over_y)

    def _factors(self, prepared: list[PreparedG1], column: Sequence[Line]) -> Iterator[Fp12]:
        """The values of one column of lines, two of them multiplied together wherever there are two."""
        waiting: Line | None = None
        for point, line in zip(prepared, column, strict=True):
            value = self._evaluate(point, line)
            if waiting is None:
                waiting = value
            else:
                yield self._line_product(waiting, value)
                waiting = None
        if waiting is not None:
            yield self._line_value(waiting)

    def _evaluate(self, point: PreparedG1, line: Line) -> Line:
        """(A, B) when the line at the point is 1 + A w + B w^3."""
        p = self.fp12.p
        (a0, a1), (b0, b1) = line
        x_over_y, one_over_y = point
        return (a0 * x_over_y % p, a1 * x_over_y % p), (b0 * one_over_y % p, b1 * one_over_y % p)

    def _line_value(self, line: Line) -> Fp12:
        """1 + A w + B w^3."""
        (a, b), zero = line, self.fp2.zero
        return self.fp12.from_tower([self.fp2.one, a, zero, b, zero, zero])

    def _line_product(self, first: Line, second: Line) -> Fp12:
        """(1 + A w + B w^3)(1 + C w + D w^3) = 1 + xi BD + (A + C) w + AC w^2 + (B + D) w^3 + (AD + BC) w^4."""
        fp2 = self.fp2
        (a, b), (c, d) = first, second
        ac, bd = fp2.multiply(a, c), fp2.multiply(b, d)
        ad_bc = subtract(subtract(fp2.multiply(add(a, b), add(c, d)), ac), bd)
        return self.fp12.from_tower([add(fp2.one, fp2.times_xi(bd)), add(a, c), ac, add(b, d), ad_bc, fp2.zero])

    # Final exponentiation

    def final_exponentiation(self, f: Fp12) -> Fp12:
        """f^((p^12 - 1) / r), with exactly this exponent.

        The exponent is (p^6 - 1)(p^2 + 1) * (p^4 - p^2 + 1)/r. The last factor follows Scott et al., "On the final
        exponentiation for calculating pairings on ordinary elliptic curves", Pairing 2009, section 5, with the addition
        chain given there: y0 y1^2 y2^6 y3^12 y4^18 y5^30 y6^36. The slightly cheaper chain of Fuentes-Castaneda, Knapp
        and Rodriguez-Henriquez (SAC 2011) gives a fixed power of this value; kyber's GT bytes need the value itself.
        """
        fp12 = self.fp12
        multiply, conjugate, square = fp12.multiply, fp12.conjugate, fp12.cyclotomic_square
        f = multiply(conjugate(f), fp12.inverse(f))
        f = multiply(fp12.frobenius(f, 2), f)
        # From here on f is in the cyclotomic subgroup, where the conjugate is the inverse.
        fu = fp12.cyclotomic_power(f, self.u)
        fu2 = fp12.cyclotomic_power(fu, self.u)
        fu3 = fp12.cyclotomic_power(fu2, self.u)
        y0 = multiply(multiply(fp12.frobenius(f, 1), fp12.frobenius(f, 2)), fp12.frobenius(f, 3))
        y1 = conjugate(f)
        y2 = fp12.frobenius(fu2, 2)
        y3 = conjugate(fp12.frobenius(fu, 1))
        y4 = conjugate(multiply(fu, fp12.frobenius(fu2, 1)))
        y5 = conjugate(fu2)
        y6 = conjugate(multiply(fu3, fp12.frobenius(fu3, 1)))
        t0 = multiply(multiply(square(y6), y4), y5)
        t1 = multiply(multiply(y3, y5), t0)
        t0 = multiply(t0, y2)
        t1 = square(multiply(square(t1), t0))
        t0 = multiply(t1, y1)
        t1 = multiply(t1, y0)
        return multiply(square(t0), t1)
