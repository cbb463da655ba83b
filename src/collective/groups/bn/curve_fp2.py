"""G2: the points of order r on the twist E': y^2 = x^3 + b/xi over Fp2.

The twist has r * (2p - r) points, so being on the curve is not enough: see `in_subgroup`. The formulas are those of
curve_fp, over Fp2.
"""

from collections.abc import Sequence

from collective.groups.bn.fp2 import Fp2, QuadraticField, add, negate, subtract
from collective.groups.bn.fp12 import TwelfthField
from collective.groups.bn.integers import Integers
from collective.groups.bn.jacobian import Affine, Curve, Jacobian
from collective.groups.bn.parameters import BNParameters

JacobianG2 = Jacobian[Fp2]
AffineG2 = Affine[Fp2]


class CurveOverFp2(Curve[Fp2]):
    """E' over Fp2 for one set of parameters. Coordinates of affine points are reduced."""

    def __init__(self, integers: Integers, parameters: BNParameters, fp2: QuadraticField, fp12: TwelfthField) -> None:
        integer = integers.integer
        self.fp2 = fp2
        self.order = parameters.order
        self.b = fp2.scale(fp2.inverse(fp2.xi), parameters.b)
        self.identity = (fp2.zero, fp2.zero)
        (x0, x1), (y0, y1) = parameters.g2
        self.generator = ((integer(x0), integer(x1)), (integer(y0), integer(y1)))
        self._infinity = (fp2.one, fp2.one, fp2.zero)
        self._psi_x, self._psi_y = fp12.frobenius_factor(2, 1), fp12.frobenius_factor(3, 1)
        self._psi_eigenvalue = 6 * parameters.u**2

    def contains(self, a: AffineG2) -> bool:
        """True for the points of the twist other than the identity, whatever their order."""
        x, y = a
        fp2 = self.fp2
        return fp2.square(y) == fp2.reduce(add(fp2.multiply(fp2.square(x), x), self.b))

    def psi(self, a: AffineG2) -> AffineG2:
        """Untwist, Frobenius, twist: an endomorphism of E' with psi^2 - t psi + p = 0, t = 6u^2 + 1."""
        fp2 = self.fp2
        x, y = a
        return fp2.multiply(fp2.conjugate(x), self._psi_x), fp2.multiply(fp2.conjugate(y), self._psi_y)

    def in_subgroup(self, a: AffineG2) -> bool:
        """True when a point of the twist has order r (or is the identity): psi(a) = 6u^2 * a.

        If psi acts on a as m = 6u^2 then a is killed by m^2 - t m + p = p - 6u^2 = r. Conversely psi acts on G2 as p,
        and p = 6u^2 mod r. So the test is exact, for every BN curve, and half as long as multiplying by r.
        """
        return self.psi(a) == self.multiply(a, self._psi_eigenvalue)

    def negate(self, a: AffineG2) -> AffineG2:
        """-a."""
        return a[0], self.fp2.reduce(negate(a[1]))

    def to_jacobian(self, a: AffineG2) -> JacobianG2:
        """The same point with Z = 1, or Z = 0 for the identity."""
        return self._infinity if a == self.identity else (a[0], a[1], self.fp2.one)

    def to_affine(self, points: Sequence[JacobianG2]) -> list[AffineG2]:
        """The same points with one inversion in all (Montgomery's trick)."""
        fp2 = self.fp2
        multiply, zero = fp2.multiply, fp2.zero
        product, before = fp2.one, []
        for _, _, z in points:
            before.append(product)
            if z != zero:
                product = multiply(product, z)
        inverse = fp2.inverse(product)
        affine = [self.identity] * len(points)
        for k in range(len(points) - 1, -1, -1):
            x, y, z = points[k]
            if z != zero:
                z_inverse = multiply(inverse, before[k])
                inverse = multiply(inverse, z)
                square = fp2.square(z_inverse)
                affine[k] = (multiply(x, square), multiply(multiply(y, square), z_inverse))
        return affine

    def double(self, a: JacobianG2) -> JacobianG2:
        """2a."""
        fp2 = self.fp2
        multiply, square = fp2.multiply, fp2.square
        x, y, z = a
        xx, yy = square(x), square(y)
        s = fp2.scale(multiply(x, yy), 4)
        m = (3 * xx[0], 3 * xx[1])
        mm = square(m)
        x3 = fp2.reduce((mm[0] - 2 * s[0], mm[1] - 2 * s[1]))
        y4 = square(yy)
        u = multiply(m, subtract(s, x3))
        y3 = fp2.reduce((u[0] - 8 * y4[0], u[1] - 8 * y4[1]))
        return x3, y3, multiply((2 * y[0], 2 * y[1]), z)

    def add_mixed(self, a: JacobianG2, b: AffineG2) -> JacobianG2:
        """a + b, for b not the identity."""
        fp2 = self.fp2
        if a[2] == fp2.zero:
            return b[0], b[1], fp2.one
        multiply = fp2.multiply
        x1, y1, z1 = a
        zz = fp2.square(z1)
        h = fp2.reduce(subtract(multiply(b[0], zz), x1))
        r = fp2.reduce(subtract(multiply(multiply(b[1], zz), z1), y1))
        return self._finish_addition(a, x1, y1, z1, h, r)

    def add_jacobian(self, a: JacobianG2, b: JacobianG2) -> JacobianG2:
        """a + b."""
        fp2 = self.fp2
        if a[2] == fp2.zero:
            return b
        if b[2] == fp2.zero:
            return a
        multiply = fp2.multiply
        (x1, y1, z1), (x2, y2, z2) = a, b
        zz1, zz2 = fp2.square(z1), fp2.square(z2)
        u1, s1 = multiply(x1, zz2), multiply(multiply(y1, zz2), z2)
        h = fp2.reduce(subtract(multiply(x2, zz1), u1))
        r = fp2.reduce(subtract(multiply(multiply(y2, zz1), z1), s1))
        return self._finish_addition(a, u1, s1, multiply(z1, z2), h, r)

    def _finish_addition(self, a: JacobianG2, u: Fp2, s: Fp2, z: Fp2, h: Fp2, r: Fp2) -> JacobianG2:
        """The sum whose terms, over a common Z = z, are (u, s) and (u + h, s + r); `a` is the first of them."""
        fp2 = self.fp2
        if h == fp2.zero:
            return self.double(a) if r == fp2.zero else self._infinity
        multiply = fp2.multiply
        hh = fp2.square(h)
        hhh, v = multiply(h, hh), multiply(u, hh)
        rr = fp2.square(r)
        x3 = fp2.reduce((rr[0] - hhh[0] - 2 * v[0], rr[1] - hhh[1] - 2 * v[1]))
        y3 = fp2.reduce(subtract(multiply(r, subtract(v, x3)), multiply(s, hhh)))
        return x3, y3, multiply(z, h)
