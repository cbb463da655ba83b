"""The integers under the Barreto-Naehrig curves: gmpy2's where it is installed, Python's own otherwise.

gmpy2 halves the time of a pairing and nothing depends on it; this is the only file that imports it. The environment
variable `DRAND_BN_INTEGERS` (`gmpy2` or `python`) overrides the choice.

Types: a gmpy2 `mpz` behaves as an `int` in everything done here, so both are written `int`. What leaves the package
(encodings) is made of plain bytes.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from operator import add

from collective.errors import BadSetting

try:
    import gmpy2
except ImportError:  # pragma: no cover - depends on the installation
    gmpy2 = None

SETTING = "DRAND_BN_INTEGERS"

# A product of two polynomials of 12 coefficients below 2^256 has coefficients below 12 * 2^512 < 2^516.
SLOT_BITS = 544
PRODUCT_TERMS = 23


@dataclass(frozen=True, slots=True)
class Integers:
    """One implementation of the few operations on big integers that are worth choosing.

    integer         an `int` in this implementation's type
    inverse         (a, p) -> 1/a mod p; raises ZeroDivisionError or ValueError when a is 0 mod p
    square_root     (a, p) -> a^((p+1)/4) mod p when that is a root of a, else None; p is a prime, 3 mod 4
    product         coefficients of the product of two polynomials, each given by 12 coefficients in [0, 2^256)
    square          the same for the square of one polynomial
    """

    name: str
    integer: Callable[[int], int]
    inverse: Callable[[int, int], int]
    square_root: Callable[[int, int], int | None]
    product: Callable[[list[int], list[int]], list[int]]
    square: Callable[[list[int]], list[int]]


def choose_integers(name: str | None = None) -> Integers:
    """The implementation called `name`; by default the one the environment names, else the fastest installed.

    raises     BadSetting when the name is unknown or gmpy2 is asked for and not installed
    """
    wanted = name or os.environ.get(SETTING) or ("python" if gmpy2 is None else "gmpy2")
    if wanted == "python":
        return _python_integers()
    if wanted != "gmpy2":
        raise BadSetting(f"{SETTING}={wanted!r} names no implementation", hint="use gmpy2 or python")
    if gmpy2 is None:
        raise BadSetting("gmpy2 is not installed", hint=f"install pydrand[fast], or set {SETTING}=python")
    return _gmpy2_integers()


# Python: Karatsuba's three products of halves. CPython gains next to nothing from multiplying long integers at once, so
# the coefficients stay apart.


def _product_of_halves(x: list[int], y: list[int]) -> list[int]:
    x0, x1, x2, x3, x4, x5 = x
    y0, y1, y2, y3, y4, y5 = y
    return [
        x0 * y0,
        x0 * y1 + x1 * y0,
        x0 * y2 + x1 * y1 + x2 * y0,
        x0 * y3 + x1 * y2 + x2 * y1 + x3 * y0,
        x0 * y4 + x1 * y3 + x2 * y2 + x3 * y1 + x4 * y0,
        x0 * y5 + x1 * y4 + x2 * y3 + x3 * y2 + x4 * y1 + x5 * y0,
        x1 * y5 + x2 * y4 + x3 * y3 + x4 * y2 + x5 * y1,
        x2 * y5 + x3 * y4 + x4 * y3 + x5 * y2,
        x3 * y5 + x4 * y4 + x5 * y3,
        x4 * y5 + x5 * y4,
        x5 * y5,
    ]


def _square_of_half(x: list[int]) -> list[int]:
    x0, x1, x2, x3, x4, x5 = x
    return [
        x0 * x0,
        2 * x0 * x1,
        2 * x0 * x2 + x1 * x1,
        2 * (x0 * x3 + x1 * x2),
        2 * (x0 * x4 + x1 * x3) + x2 * x2,
        2 * (x0 * x5 + x1 * x4 + x2 * x3),
        2 * (x1 * x5 + x2 * x4) + x3 * x3,
        2 * (x2 * x5 + x3 * x4),
        2 * x3 * x5 + x4 * x4,
        2 * x4 * x5,
        x5 * x5,
    ]


def _join(low: list[int], high: list[int], both: list[int]) -> list[int]:
    """low + (both - low - high) X^6 + high X^12, where each is of degree 10."""
    middle = [c - a - b for a, b, c in zip(low, high, both, strict=True)]
    return [
        *low[:6],
        *map(add, low[6:], middle),
        middle[5],
        *map(add, middle[6:], high),
        *high[5:],
    ]


@cache
def _python_integers() -> Integers:
    def product(x: list[int], y: list[int]) -> list[int]:
        x_low, x_high, y_low, y_high = x[:6], x[6:], y[:6], y[6:]
        both = _product_of_halves(list(map(add, x_low, x_high)), list(map(add, y_low, y_high)))
        return _join(_product_of_halves(x_low, y_low), _product_of_halves(x_high, y_high), both)

    def square(x: list[int]) -> list[int]:
        low, high = x[:6], x[6:]
        both = _square_of_half(list(map(add, low, high)))
        return _join(_square_of_half(low), _square_of_half(high), both)

    def inverse(a: int, p: int) -> int:
        return pow(a, -1, p)

    def square_root(a: int, p: int) -> int | None:
        root = pow(a, (p + 1) >> 2, p)
        return root if root * root % p == a % p else None

    return Integers("python", int, inverse, square_root, product, square)


# gmpy2: Kronecker substitution. Write each polynomial at X = 2^SLOT_BITS, multiply the two integers once, and read the
# coefficients of the product out of the slots.


@cache
def _gmpy2_integers() -> Integers:
    pack, unpack, legendre, power = gmpy2.pack, gmpy2.unpack, gmpy2.legendre, gmpy2.powmod
    zeros = [gmpy2.mpz(0)] * PRODUCT_TERMS

    def terms(packed: int) -> list[int]:
        found: list[int] = unpack(packed, SLOT_BITS)
        return found + zeros[len(found) :]

    def product(x: list[int], y: list[int]) -> list[int]:
        return terms(pack(x, SLOT_BITS) * pack(y, SLOT_BITS))

    def square(x: list[int]) -> list[int]:
        packed = pack(x, SLOT_BITS)
        return terms(packed * packed)

    def square_root(a: int, p: int) -> int | None:
        if legendre(a, p) < 0:
            return None
        root: int = power(a, (p + 1) >> 2, p)
        return root

    return Integers("gmpy2", gmpy2.mpz, gmpy2.invert, square_root, product, square)
