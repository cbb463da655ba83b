"""Points of a BN curve's twist that are not in G2, for tests of strict decoding."""

from collective.groups.bn.curve_fp2 import AffineG2, CurveOverFp2
from collective.groups.bn.fp2 import Fp2, QuadraticField, add


def square_root(fp2: QuadraticField, a: Fp2) -> Fp2 | None:
    """A root of a in Fp2 for p = 3 mod 4, through the root of its norm, or None."""
    p = fp2.p

    def root(value: int) -> int | None:
        candidate = pow(int(value) % p, (p + 1) // 4, p)
        return candidate if candidate * candidate % p == value % p else None

    norm = root(a[0] * a[0] + a[1] * a[1])
    if norm is None:
        return None
    half = pow(2, -1, p)
    real = root((a[0] + norm) * half) or root((a[0] - norm) * half)
    if real is None:
        return None
    candidate = (real, a[1] * pow(2 * int(real), -1, p) % p)
    return candidate if fp2.square(candidate) == fp2.reduce(a) else None


def point_on_twist(twist: CurveOverFp2, seed: int = 1) -> AffineG2:
    """A point of the twist, at the first x = seed + k * i that has one: of G2 only by an accident nobody will see."""
    fp2 = twist.fp2
    imaginary = 1
    while True:
        x = (seed, imaginary)
        y = square_root(fp2, add(fp2.multiply(fp2.square(x), x), twist.b))
        if y is not None:
            return x, y
        imaginary += 1


def times(twist: CurveOverFp2, a: AffineG2, scalar: int) -> AffineG2:
    """scalar * a by doubling and adding, without the tables and windows under test."""
    total = twist.identity
    for bit in bin(scalar)[2:]:
        total = twist.add(total, total)
        if bit == "1":
            total = twist.add(total, a)
    return total
