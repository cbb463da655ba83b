"""The optimal ate pairing e: G1 x G2 -> GT on a BN curve, with what depends on the second argument computed once.

    e(P, Q) = (f_{6u+2, Q}(P) * l1(P) * l2(P)) ^ ((p^12 - 1) / r)

Source: Vercauteren, "Optimal pairings", IEEE Trans. Inf. Theory 2010; Beuchat et al., "High-speed software
implementation of the optimal ate pairing over Barreto-Naehrig curves", Pairing 2010, algorithm 1. l1 and l2 are the
lines that add psi(Q) and -psi^2(Q).

drand pairs with few different points of G2 (the generator, the group's key, the keys of the shares), millions of times.
So the Miller loop goes by digits of 6u + 2 to the base 4, and what each digit brings is kept as the coefficients of one
function on the twist (`collective.groups.bn.functions`), with a pole of order 5 to 7: to evaluate it is to add up as
many products. A point (x, y) of G1 is (x w^-2, y w^-3) on the twist. (Base 8 is as fast and its tables take longer.)
"""

from collections.abc import Sequence
from operator import mul
from typing import TypeAlias

from collective.groups.bn.curve_fp import AffineG1
from collective.groups.bn.curve_fp2 import AffineG2, CurveOverFp2
from collective.groups.bn.digits import signed_digits
from collective.groups.bn.fp12 import MONTGOMERY_BITS, Fp12, TwelfthField
from collective.groups.bn.functions import Function, MillerFunctions

DIGIT_BITS = 2  # digits are -1, 0, 1, 2
LARGEST_POLE = 7  # of a function with zeros 4(T) + 2(Q) + (-4T-2Q)
FACTOR_W = 12  # functions are multiplied by w^12: no exponent is negative then, and the final exponentiation makes it 1

Row: TypeAlias = list[int]  # one element of Fp12 for each monomial, by rising order of its pole
Table: TypeAlias = list[Row]  # the functions of the Miller loop in the order of their use


class Pairing:
    """The pairing for one set of parameters. Every point given here differs from the identity."""

    def __init__(self, u: int, twist: CurveOverFp2, fp12: TwelfthField) -> None:
        self.u = u
        self.fp2 = fp12.fp2
        self.fp12 = fp12
        self._twist = twist
        self._functions = MillerFunctions(twist)
        self._digits = [column[0] for column in signed_digits([6 * u + 2], DIGIT_BITS)][::-1]
        # Powers of xi = w^6, and a second factor of Montgomery's, which the sum of an evaluation loses.
        xi, second = self.fp2.xi, pow(2, MONTGOMERY_BITS, int(fp12.p))
        self._row_factors = [self.fp2.scale(self.fp2.power(xi, k), second) for k in range(FACTOR_W // 6 + 1)]

    # What depends on the second argument

    def table(self, q: AffineG2) -> Table:
        """The functions of the Miller loop for q: of each digit, then of l1 and l2 together."""
        functions = self._functions
        small = {1: functions.first(q), 2: functions.double(q), -1: functions.first(self._twist.negate(q))}
        walk = small[self._digits[0]]
        rows = [self._row(walk.function)]
        for digit in self._digits[1:]:
            walk = functions.quadruple(walk.point)
            if digit:
                walk = functions.add(walk, small[digit])
            rows.append(self._row(walk.function))
        psi_q = self._twist.psi(q)
        walk = functions.add(functions.first(walk.point), functions.first(psi_q))
        walk = functions.add(walk, functions.first(self._twist.negate(self._twist.psi(psi_q))))
        return [*rows, self._row(walk.function)]

    def _row(self, function: Function) -> Row:
        """The coefficients of `function` for the coordinates of points of G1, times w^FACTOR_W."""
        fp2, row = self.fp2, []
        for order, coefficient in sorted(function.by_pole_order()):
            turns, place = divmod(FACTOR_W - order, 6)
            row.append(self.fp12.monomial(fp2.multiply(coefficient, self._row_factors[turns]), place))
        return row

    # Miller loop

    def miller(self, pairs: Sequence[tuple[AffineG1, Table]]) -> Fp12:
        """The product of the Miller functions of all pairs (P, table(Q)), with the squarings shared."""
        multiply, square = self.fp12.multiply, self.fp12.square
        monomials = [self._monomials(point) for point, _ in pairs]
        last = len(self._digits)
        value = self.fp12.one
        for place, rows in enumerate(zip(*(table for _, table in pairs), strict=True)):
            if 0 < place < last:
                value = square(square(value))
            for powers, row in zip(monomials, rows, strict=True):
                value = multiply(value, self._evaluate(powers, row))
        return value

    def _monomials(self, point: AffineG1) -> list[int]:
        """1, x, y, x^2, xy, x^3, ...: one for each order of a pole."""
        (x, y), p = point, self.fp12.p
        monomials = [1, x, y]
        while len(monomials) < LARGEST_POLE:
            monomials.append(monomials[-2] * x % p)
        return monomials

    def _evaluate(self, monomials: list[int], row: Row) -> Fp12:
        return self.fp12.reduce_slots(sum(map(mul, monomials, row)))

    # Final exponentiation

    def final_exponentiation(self, f: Fp12) -> Fp12:
        """f^((p^12 - 1) / r), with exactly this exponent.

        The exponent is (p^6 - 1)(p^2 + 1) * (p^4 - p^2 + 1)/r, and its last factor is

            p^3 + (6u^2 + 1) p^2 + (1 - g) p - (g + 12u^2 + 6u + 2),     g = 6u (6u^2 + 3u + 2).

        Source: Devegili, Scott, Dahab, "Implementing cryptographic pairings over Barreto-Naehrig curves", Pairing 2007;
        the addition chain is ours. The chain of Fuentes-Castaneda, Knapp and Rodriguez-Henriquez (SAC 2011) gives a
        fixed power of this value; kyber's GT bytes need the value itself.
        """
        fp12 = self.fp12
        multiply, conjugate, square = fp12.multiply, fp12.conjugate, fp12.square
        f = multiply(conjugate(f), fp12.inverse(f))
        f = multiply(fp12.frobenius(f, 2), f)
        # From here on f is in the cyclotomic subgroup, where the conjugate is the inverse.
        f_2 = square(f)
        f_u = fp12.cyclotomic_power(f, self.u)
        f_2uu = square(fp12.cyclotomic_power(f_u, self.u))
        k = multiply(f_2uu, f_u)  # to 2u^2 + u
        k_3 = multiply(square(k), k)
        m = fp12.cyclotomic_power(multiply(k_3, f_2), self.u)
        g = square(multiply(square(m), m))
        by_p2 = multiply(multiply(square(f_2uu), f_2uu), f)
        by_p = multiply(conjugate(g), f)
        by_1 = conjugate(multiply(multiply(g, square(k_3)), f_2))
        value = multiply(fp12.frobenius(f, 1), by_p2)
        value = multiply(fp12.frobenius(value, 1), by_p)
        return multiply(fp12.frobenius(value, 1), by_1)
