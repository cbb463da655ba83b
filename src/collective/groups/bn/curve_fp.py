"""G1: the points of E: y^2 = x^3 + b over Fp. Its order is prime, so every point on the curve is in the group.

Formulas for a = 0 from the Explicit-Formulas Database (hyperelliptic.org/EFD, short Weierstrass, Jacobian): doubling
dbl-2009-l, additions after Cohen, Miyaji and Ono 1998. They are written out in integers because they carry the batches.
"""

from collections.abc import Sequence

from collective.groups.bn.integers import Integers
from collective.groups.bn.jacobian import Affine, Curve, Jacobian
from collective.groups.bn.parameters import BNParameters

JacobianG1 = Jacobian[int]
AffineG1 = Affine[int]


class CurveOverFp(Curve[int]):
    """E over Fp for one set of parameters."""

    def __init__(self, integers: Integers, parameters: BNParameters) -> None:
        integer = integers.integer
        self.p = integer(parameters.p)
        self.b = parameters.b
        self.order = parameters.order
        self.identity = (integer(0), integer(0))
        self.generator = (integer(parameters.g1[0] % parameters.p), integer(parameters.g1[1] % parameters.p))
        self.one = integer(1)
        self._infinity = (self.one, self.one, integer(0))
        self._inverse = integers.inverse

    def contains(self, a: AffineG1) -> bool:
        """True for the points of the curve other than the identity."""
        x, y = a
        return (y * y - x * x * x - self.b) % self.p == 0

    def negate(self, a: AffineG1) -> AffineG1:
        """-a."""
        return a[0], -a[1] % self.p

    def to_jacobian(self, a: AffineG1) -> JacobianG1:
        """The same point with Z = 1, or Z = 0 for the identity."""
        return self._infinity if a == self.identity else (a[0], a[1], self.one)

    def to_affine(self, points: Sequence[JacobianG1]) -> list[AffineG1]:
        """The same points with one inversion in all (Montgomery's trick)."""
        p = self.p
        product, before = self.one, []
        for _, _, z in points:
            before.append(product)
            if z:
                product = product * z % p
        inverse = self._inverse(product, p)
        affine = [self.identity] * len(points)
        for k in range(len(points) - 1, -1, -1):
            x, y, z = points[k]
            if z:
                z_inverse = inverse * before[k] % p
                inverse = inverse * z % p
                square = z_inverse * z_inverse % p
                affine[k] = (x * square % p, y * square * z_inverse % p)
        return affine

    def double(self, a: JacobianG1) -> JacobianG1:
        """2a."""
        x, y, z = a
        p = self.p
        xx, yy = x * x % p, y * y % p
        s = 4 * x * yy % p
        m = 3 * xx
        x3 = (m * m - 2 * s) % p
        return x3, (m * (s - x3) - 8 * yy * yy) % p, 2 * y * z % p

    def add_mixed(self, a: JacobianG1, b: AffineG1) -> JacobianG1:
        """a + b, for b not the identity."""
        x1, y1, z1 = a
        x2, y2 = b
        if not z1:
            return x2, y2, self.one
        p = self.p
        zz = z1 * z1 % p
        h = (x2 * zz - x1) % p
        r = (y2 * zz % p * z1 - y1) % p
        if not h:
            return self._infinity if r else self.double(a)
        hh = h * h % p
        hhh = h * hh % p
        v = x1 * hh % p
        x3 = (r * r - hhh - 2 * v) % p
        return x3, (r * (v - x3) - y1 * hhh) % p, z1 * h % p

    def add_jacobian(self, a: JacobianG1, b: JacobianG1) -> JacobianG1:
        """a + b."""
        x1, y1, z1 = a
        x2, y2, z2 = b
        if not z1:
            return b
        if not z2:
            return a
        p = self.p
        zz1, zz2 = z1 * z1 % p, z2 * z2 % p
        u1, s1 = x1 * zz2 % p, y1 * zz2 % p * z2 % p
        h = (x2 * zz1 - u1) % p
        r = (y2 * zz1 % p * z1 - s1) % p
        if not h:
            return self._infinity if r else self.double(a)
        hh = h * h % p
        hhh = h * hh % p
        v = u1 * hh % p
        x3 = (r * r - hhh - 2 * v) % p
        return x3, (r * (v - x3) - s1 * hhh) % p, z1 * z2 % p * h % p
