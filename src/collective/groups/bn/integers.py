"""The integers under the Barreto-Naehrig curves: gmpy2's where it is installed, Python's own otherwise.

gmpy2 makes a pairing five times as fast and nothing depends on it; this is the only file that imports it. The
environment variable `DRAND_BN_INTEGERS` (`gmpy2` or `python`) overrides the choice.

Types: a gmpy2 `mpz` behaves as an `int` in everything done here, so both are written `int`. What leaves the package
(encodings) is made of plain bytes.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from collective.errors import BadSetting

try:
    import gmpy2
except ImportError:  # pragma: no cover - depends on the installation
    gmpy2 = None

SETTING = "DRAND_BN_INTEGERS"


@dataclass(frozen=True, slots=True)
class Integers:
    """One implementation of the few operations on big integers that are worth choosing.

    integer         an `int` in this implementation's type
    inverse         (a, p) -> 1/a mod p; raises ZeroDivisionError or ValueError when a is 0 mod p
    square_root     (a, p) -> a^((p+1)/4) mod p when that is a root of a, else None; p is a prime, 3 mod 4
    split           (a, bits) -> the digits of a >= 0 to the base 2^bits, lowest first, without zeros at the end
    join            the number a >= 0 from such digits
    """

    name: str
    integer: Callable[[int], int]
    inverse: Callable[[int, int], int]
    square_root: Callable[[int, int], int | None]
    split: Callable[[int, int], list[int]]
    join: Callable[[list[int], int], int]


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


@cache
def _python_integers() -> Integers:
    def inverse(a: int, p: int) -> int:
        return pow(a, -1, p)

    def square_root(a: int, p: int) -> int | None:
        root = pow(a, (p + 1) >> 2, p)
        return root if root * root % p == a % p else None

    def split(a: int, bits: int) -> list[int]:
        return [a >> at & (1 << bits) - 1 for at in range(0, a.bit_length(), bits)]

    def join(digits: list[int], bits: int) -> int:
        return sum(digit << bits * k for k, digit in enumerate(digits))

    return Integers("python", int, inverse, square_root, split, join)


@cache
def _gmpy2_integers() -> Integers:
    legendre, power = gmpy2.legendre, gmpy2.powmod

    def square_root(a: int, p: int) -> int | None:
        if legendre(a, p) < 0:
            return None
        root: int = power(a, (p + 1) >> 2, p)
        return root

    return Integers("gmpy2", gmpy2.mpz, gmpy2.invert, square_root, gmpy2.unpack, gmpy2.pack)
