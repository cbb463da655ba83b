"""Fp12, where the pairing takes its values: Fp2[w] with w^6 = xi = a + i.

Two coordinates describe one element f:

    tower   six elements g_k of Fp2:     f = g_0 + g_1 w + ... + g_5 w^5
    flat    twelve elements c_k of Fp:   f = c_0 + c_1 w + ... + c_11 w^11

Since i = w^6 - a, the element (x + y*i) w^k is (x - a*y) w^k + y w^(k+6): so c_k = x - a*y and c_(k+6) = y.

An element is held as one integer (type `Fp12`): its flat coordinates, each in Montgomery's form and in a slot of
SLOT_BITS. A product of two elements is then one product of two integers. What follows, the reduction by the minimal
polynomial of w

    (w^6 - a)^2 = -1,   that is   w^12 = s w^6 - n,   s = 2a,   n = a^2 + 1,

and Montgomery's modulo p, is done in all twelve slots at once by shifts, masks and products with short integers. Where
every operation on an integer costs as much as a short product, that takes half the time of twelve remainders.

Slots lie in [0, 2p] and are not reduced further, so one element has several integers: compare `coefficients`.
Source: P. L. Montgomery, "Modular multiplication without trial division", Math. Comp. 44 (1985).
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from collective.groups.bn.digits import non_adjacent_form
from collective.groups.bn.fp2 import Fp2, QuadraticField, add, subtract
from collective.groups.bn.integers import Integers

Fp12: TypeAlias = int  # twelve slots; see above

SLOTS = 12
MONTGOMERY_BITS = 272
SLOT_BITS = 2 * MONTGOMERY_BITS  # room for a product of two numbers of MONTGOMERY_BITS
WINDOW_BITS = 4
_HALF, _WHOLE = SLOTS // 2 * SLOT_BITS, SLOTS * SLOT_BITS


class TwelfthField:
    """Arithmetic in Fp12 over one quadratic field."""

    def __init__(self, integers: Integers, fp2: QuadraticField) -> None:
        self.fp2 = fp2
        self.p = fp2.p
        self._integers = integers
        p, integer = int(fp2.p), integers.integer
        self._to_montgomery = integer(pow(2, MONTGOMERY_BITS, p))
        self._from_montgomery = integer(pow(2, -MONTGOMERY_BITS, p))
        odd = [k & 1 for k in range(SLOTS)]
        self._odd_mask = integer(sum(((1 << SLOT_BITS) - 1) * bit << SLOT_BITS * k for k, bit in enumerate(odd)))
        self._twice_p_odd = integer(sum(2 * p * bit << SLOT_BITS * k for k, bit in enumerate(odd)))
        self.reduce_slots = _slot_reduction(integers, p)
        self.multiply = _product(integers, p, fp2.xi_real)
        self.one: Fp12 = self.from_tower([fp2.one] + [fp2.zero] * 5)
        # (w^k)^(p^n) = w^k * xi^(k (p^n - 1) / 6)
        self._frobenius_factors = [[fp2.power(fp2.xi, k * (p**n - 1) // 6) for k in range(6)] for n in range(4)]

    def frobenius_factor(self, k: int, n: int) -> Fp2:
        """xi^(k (p^n - 1) / 6), by which w^k is multiplied when raised to p^n; 0 <= k < 6, 0 <= n < 4."""
        return self._frobenius_factors[n][k]

    # Coordinates

    def from_coefficients(self, flat: Sequence[int]) -> Fp12:
        """The element with these flat coordinates (any integers)."""
        p, factor = self.p, self._to_montgomery
        return self._join([c * factor % p for c in flat])

    def coefficients(self, f: Fp12) -> list[int]:
        """The twelve flat coordinates, in [0, p)."""
        p, factor = self.p, self._from_montgomery
        return [c * factor % p for c in self._split(f)]

    def monomial(self, g: Fp2, k: int) -> Fp12:
        """g w^k for 0 <= k < 6."""
        (x, y), p, factor = g, self.p, self._to_montgomery
        return ((x - self.fp2.xi_real * y) * factor % p << SLOT_BITS * k) + (y * factor % p << SLOT_BITS * (k + 6))

    def to_tower(self, f: Fp12) -> list[Fp2]:
        """The six coefficients over Fp2, not reduced."""
        return self._to_tower(self.coefficients(f))

    def from_tower(self, tower: Sequence[Fp2]) -> Fp12:
        """The element with these six coefficients over Fp2 (any integers)."""
        return self.from_coefficients(self._to_flat(tower))

    def _to_tower(self, flat: Sequence[int]) -> list[Fp2]:
        a = self.fp2.xi_real
        return [(flat[k] + a * flat[k + 6], flat[k + 6]) for k in range(6)]

    def _to_flat(self, tower: Sequence[Fp2]) -> list[int]:
        a = self.fp2.xi_real
        return [x - a * y for x, y in tower] + [y for _, y in tower]

    def _split(self, f: Fp12) -> list[int]:
        slots = self._integers.split(f, SLOT_BITS)
        return slots + [self.fp2.zero[0]] * (SLOTS - len(slots))

    def _join(self, slots: list[int]) -> Fp12:
        return self._integers.join(slots, SLOT_BITS)

    # Field operations

    def square(self, f: Fp12) -> Fp12:
        """f^2."""
        return self.multiply(f, f)

    def conjugate(self, f: Fp12) -> Fp12:
        """f^(p^6), which sends w to -w; in the cyclotomic subgroup, of order p^4 - p^2 + 1, this is 1/f."""
        odd = f & self._odd_mask
        return f - odd + (self._twice_p_odd - odd)

    def frobenius(self, f: Fp12, n: int) -> Fp12:
        """f^(p^n) for n = 1, 2 or 3."""
        fp2, factors, p = self.fp2, self._frobenius_factors[n], self.p
        tower = self._to_tower(self._split(f))  # Montgomery's factor lies in Fp and stays
        if n & 1:
            tower = [fp2.conjugate(g) for g in tower]
        raised = [fp2.multiply(g, factor) for g, factor in zip(tower, factors, strict=True)]
        return self._join([c % p for c in self._to_flat(raised)])

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

    def cyclotomic_power(self, f: Fp12, exponent: int) -> Fp12:
        """f^exponent, exponent > 0, for f in the cyclotomic subgroup only: there the conjugate is the inverse."""
        square, multiply = self.square, self.multiply
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


def _in_every_slot(integers: Integers, value: int) -> int:
    return integers.integer(sum(value << SLOT_BITS * k for k in range(SLOTS)))


def _slot_reduction(integers: Integers, p: int) -> Callable[[int], Fp12]:
    """t -> t / 2^MONTGOMERY_BITS modulo p, slot by slot.

    Slots of t lie in [0, 2^MONTGOMERY_BITS p), those of the result in [0, 2p).
    """
    field, mask = integers.integer(p), _in_every_slot(integers, (1 << MONTGOMERY_BITS) - 1)
    minus_inverse = integers.integer(-pow(p, -1, 1 << MONTGOMERY_BITS) % (1 << MONTGOMERY_BITS))

    def reduce_slots(t: int) -> Fp12:
        return (((t & mask) * minus_inverse & mask) * field + t) >> MONTGOMERY_BITS

    return reduce_slots


def _product(integers: Integers, p: int, xi_real: int) -> Callable[[Fp12, Fp12], Fp12]:
    """The product of two elements.

    A product of integers has 23 slots. Let h be those from w^12 on, h = h0 + h1 w^6, and q = h + s h1. Since
    w^12 = s w^6 - n, h w^12 = s (h0 + s h1) w^6 - n q: the first term is the low half of s q. No slot may become
    negative, so a multiple of p is added to each that is as large as what may be taken away.
    """
    integer = integers.integer
    s, n = integer(2 * xi_real), integer(xi_real * xi_real + 1)
    largest = 4 * p * p  # of two slots multiplied: a slot of h adds up at most 11 such products, one of h1 5, of low 12
    most_of_q = 11 + 5 * s
    positive = _in_every_slot(integers, n * most_of_q * largest)
    assert (12 + s * most_of_q + n * most_of_q) * largest < p << MONTGOMERY_BITS
    low = integer((1 << _WHOLE) - 1)
    reduce_slots = _slot_reduction(integers, p)

    def multiply(f: Fp12, g: Fp12) -> Fp12:
        t = f * g
        h = t >> _WHOLE
        q = h + s * (h >> _HALF)
        return reduce_slots((t + positive + (s * q << _HALF) - n * q) & low)

    return multiply
