"""Fp12, where the pairing takes its values: Fp2[w] with w^6 = xi = a + i.

Two coordinates are in use for one element f:

    tower   six elements g_k of Fp2:     f = g_0 + g_1 w + ... + g_5 w^5
    flat    twelve elements c_k of Fp:   f = c_0 + c_1 w + ... + c_11 w^11

Since i = w^6 - a, the element (x + y*i) w^k is (x - a*y) w^k + y w^(k+6): so c_k = x - a*y and c_(k+6) = y. Elements
are kept flat (type `Fp12`, coefficients in [0, p)) because a product of two is then one product of two polynomials over
the integers, which gmpy2 does in a single multiplication, reduced by the minimal polynomial of w,

    (w^6 - a)^2 = -1,   that is   w^12 = 2a w^6 - (a^2 + 1).

The tower is used where its structure saves work: Frobenius maps, inversion, squaring in the cyclotomic subgroup.
"""

from typing import TypeAlias

from collective.groups.bn.digits import non_adjacent_form
from collective.groups.bn.fp2 import Fp2, QuadraticField, add, subtract
from collective.groups.bn.integers import Integers

Fp12: TypeAlias = list[int]  # flat coordinates, twelve integers in [0, p); never changed in place

WINDOW_BITS = 4


class TwelfthField:
    """Arithmetic in Fp12 over one quadratic field."""

    def __init__(self, integers: Integers, fp2: QuadraticField) -> None:
        self.fp2 = fp2
        self.p = fp2.p
        self._product = integers.product
        self._square = integers.square
        a = fp2.xi_real
        self.one: Fp12 = [integers.integer(1)] + [integers.integer(0)] * 11
        # w^12 = s w^6 - n; hence w^18 = s w^12 - n w^6 = (s^2 - n) w^6 - s n.
        s, n = 2 * a, a * a + 1
        self._fold_12 = (-n, s)
        self._fold_18 = (-s * n, s * s - n)
        # (w^k)^(p^n) = w^k * xi^(k (p^n - 1) / 6)
        self._frobenius_factors = [
            [fp2.power(fp2.xi, k * (int(self.p) ** n - 1) // 6) for k in range(6)] for n in range(4)
        ]

    def frobenius_factor(self, k: int, n: int) -> Fp2:
        """xi^(k (p^n - 1) / 6), by which w^k is multiplied when raised to p^n; 0 <= k < 6, 0 <= n < 4."""
        return self._frobenius_factors[n][k]

    # Coordinates

    def to_tower(self, f: Fp12) -> list[Fp2]:
        """The six coefficients over Fp2, not reduced."""
        a = self.fp2.xi_real
        return [(f[k] + a * f[k + 6], f[k + 6]) for k in range(6)]

    def from_tower(self, tower: list[Fp2]) -> Fp12:
        """The element with these six coefficients over Fp2 (any integers)."""
        a, p = self.fp2.xi_real, self.p
        return [(x - a * y) % p for x, y in tower] + [y % p for _, y in tower]

    # Field operations

    def multiply(self, f: Fp12, g: Fp12) -> Fp12:
        """f * g."""
        return self._fold(self._product(f, g))

    def square(self, f: Fp12) -> Fp12:
        """f^2."""
        return self._fold(self._square(f))

    def _fold(self, t: list[int]) -> Fp12:
        """A polynomial in w of degree at most 22, by its 23 coefficients, modulo the minimal polynomial of w."""
        p = self.p
        n12, s12 = self._fold_12
        n18, s18 = self._fold_18
        t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15, t16, t17, t18, t19, t20, t21, t22 = t
        return [
            (t0 + n12 * t12 + n18 * t18) % p,
            (t1 + n12 * t13 + n18 * t19) % p,
            (t2 + n12 * t14 + n18 * t20) % p,
            (t3 + n12 * t15 + n18 * t21) % p,
            (t4 + n12 * t16 + n18 * t22) % p,
            (t5 + n12 * t17) % p,
            (t6 + s12 * t12 + s18 * t18) % p,
            (t7 + s12 * t13 + s18 * t19) % p,
            (t8 + s12 * t14 + s18 * t20) % p,
            (t9 + s12 * t15 + s18 * t21) % p,
            (t10 + s12 * t16 + s18 * t22) % p,
            (t11 + s12 * t17) % p,
        ]

    def conjugate(self, f: Fp12) -> Fp12:
        """f^(p^6), which sends w to -w; in the cyclotomic subgroup this is 1/f."""
        p = self.p
        return [-c % p if k & 1 else c for k, c in enumerate(f)]

    def frobenius(self, f: Fp12, n: int) -> Fp12:
        """f^(p^n) for n = 1, 2 or 3."""
        fp2, factors = self.fp2, self._frobenius_factors[n]
        tower = self.to_tower(f)
        if n & 1:
            tower = [fp2.conjugate(g) for g in tower]
        return self.from_tower([fp2.multiply(g, factor) for g, factor in zip(tower, factors, strict=True)])

    def inverse(self, f: Fp12) -> Fp12:
        """1/f for f != 0, through the norms to Fp6 = Fp2[v], v = w^2, v^3 = xi, and from there to Fp2."""
        fp2 = self.fp2
        multiply, square, times_xi = fp2.multiply, fp2.square, fp2.times_xi
        conjugate = self.conjugate(f)
        g0, _, g1, _, g2, _ = self.to_tower(self.multiply(f, conjugate))  # odd coefficients vanish
        # The inverse of g0 + g1 v + g2 v^2 is (h0 + h1 v + h2 v^2) / norm (Beuchat et al., Pairing 2010, algorithm 17).
        h0 = subtract(square(g0), times_xi(multiply(g1, g2)))
        h1 = subtract(times_xi(square(g2)), multiply(g0, g1))
        h2 = subtract(square(g1), multiply(g0, g2))
        norm = add(multiply(g0, h0), times_xi(add(multiply(g2, h1), multiply(g1, h2))))
        scale = fp2.inverse(norm)
        zero = fp2.zero
        h = [multiply(h0, scale), zero, multiply(h1, scale), zero, multiply(h2, scale), zero]
        return self.multiply(conjugate, self.from_tower(h))

    # The cyclotomic subgroup, of order p^4 - p^2 + 1

    def cyclotomic_square(self, f: Fp12) -> Fp12:
        """f^2 for f in the cyclotomic subgroup only, by three squarings in Fp4.

        Source: Granger and Scott, "Faster squaring in the cyclotomic subgroup of sixth degree extensions", PKC 2010,
        section 3.2. Let z = w^3, z^2 = xi, Fp4 = Fp2[z]; write f = A + B w + C w^2 with A = g_0 + g_3 z,
        B = g_1 + g_4 z, C = g_2 + g_5 z. Then f^2 = (3A^2 - 2 conj A) + (3z C^2 + 2 conj B) w + (3B^2 - 2 conj C) w^2.
        """
        a = self.fp2.xi_real
        x0, x1, x2, x3, x4, x5, y0, y1, y2, y3, y4, y5 = f
        x0, x1, x2, x3, x4, x5 = x0 + a * y0, x1 + a * y1, x2 + a * y2, x3 + a * y3, x4 + a * y4, x5 + a * y5
        a0x, a0y, a1x, a1y = self._square_fp4(x0, y0, x3, y3)
        c0x, c0y, c1x, c1y = self._square_fp4(x2, y2, x5, y5)
        b0x, b0y, b1x, b1y = self._square_fp4(x1, y1, x4, y4)
        # z C^2 has the coordinates (xi c1, c0)
        zx, zy = a * c1x - c1y, a * c1y + c1x
        return self.from_tower(
            [
                (3 * a0x - 2 * x0, 3 * a0y - 2 * y0),
                (3 * zx + 2 * x1, 3 * zy + 2 * y1),
                (3 * b0x - 2 * x2, 3 * b0y - 2 * y2),
                (3 * a1x + 2 * x3, 3 * a1y + 2 * y3),
                (3 * c0x - 2 * x4, 3 * c0y - 2 * y4),
                (3 * b1x + 2 * x5, 3 * b1y + 2 * y5),
            ]
        )

    def _square_fp4(self, gx: int, gy: int, hx: int, hy: int) -> tuple[int, int, int, int]:
        """(g + h z)^2 = (g^2 + xi h^2) + 2gh z, where g = gx + gy*i and h = hx + hy*i; not reduced."""
        a = self.fp2.xi_real
        h2x, h2y = (hx + hy) * (hx - hy), 2 * hx * hy
        real, imaginary = gx * hx, gy * hy
        cross = (gx + gy) * (hx + hy) - real - imaginary
        return (
            (gx + gy) * (gx - gy) + a * h2x - h2y,
            2 * gx * gy + a * h2y + h2x,
            2 * (real - imaginary),
            2 * cross,
        )

    def cyclotomic_power(self, f: Fp12, exponent: int) -> Fp12:
        """f^exponent, exponent > 0, for f in the cyclotomic subgroup only: there the conjugate is the inverse."""
        square, multiply = self.cyclotomic_square, self.multiply
        f2 = square(f)
        odd_powers = [f]
        for _ in range((1 << (WINDOW_BITS - 2)) - 1):
            odd_powers.append(multiply(odd_powers[-1], f2))
        *digits, top = non_adjacent_form(exponent, WINDOW_BITS)
        result = odd_powers[top >> 1]
        for digit in reversed(digits):
            result = square(result)
            if digit > 0:
                result = multiply(result, odd_powers[digit >> 1])
            elif digit < 0:
                result = multiply(result, self.conjugate(odd_powers[-digit >> 1]))
        return result
