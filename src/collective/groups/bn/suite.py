"""Pairing suites over the Barreto-Naehrig curves: `bn254()` for drand, `bn256()` for the cothority's curve."""

from collections.abc import Sequence
from functools import cache, lru_cache

from collective.groups.bn.curve_fp import CurveOverFp
from collective.groups.bn.curve_fp2 import CurveOverFp2
from collective.groups.bn.fp2 import QuadraticField
from collective.groups.bn.fp12 import Fp12, TwelfthField
from collective.groups.bn.groups import COORDINATE_BYTES, BNGroup1, BNGroup2
from collective.groups.bn.hash_to_curve import HashToG1
from collective.groups.bn.integers import Integers, choose_integers
from collective.groups.bn.pairing import Pairing
from collective.groups.bn.parameters import BN254, BN256, BNParameters
from collective.groups.group import HashableGroup, PairingSuite, Point

TABLES = 16  # about 130 kB each; a network's generator, group key and share keys


class BNSuite:
    """One BN curve: a `collective.groups.group.PairingSuite`."""

    def __init__(self, parameters: BNParameters, integers: Integers, *, hashing: bool) -> None:
        self.name = f"{parameters.name} ({integers.name})"
        self.fp2 = QuadraticField(integers, parameters.p, parameters.xi_real)
        self.fp12 = TwelfthField(integers, self.fp2)
        curve = CurveOverFp(integers, parameters)
        twist = CurveOverFp2(integers, parameters, self.fp2, self.fp12)
        self.pairing = Pairing(parameters.u, twist, self.fp12)
        self._group1 = BNGroup1(
            f"{parameters.name} G1", integers, curve, HashToG1(integers, curve) if hashing else None
        )
        self._group2 = BNGroup2(f"{parameters.name} G2", integers, twist)
        self.g1: HashableGroup = self._group1
        self.g2: HashableGroup = self._group2
        self._tables = lru_cache(maxsize=TABLES)(self.pairing.table)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def pairings_equal(self, a1: Point, a2: Point, b1: Point, b2: Point) -> bool:
        """True when e(a1, a2) == e(b1, b2); a1 and b1 lie in G1, a2 and b2 in G2."""
        value = self._product([(a1, a2), (self.g1.negate(b1), b2)])
        return self.fp12.coefficients(value) == self.fp12.coefficients(self.fp12.one)

    def pair(self, p1: Point, p2: Point) -> Fp12:
        """e(p1, p2)."""
        return self._product([(p1, p2)])

    def target_bytes(self, p1: Point, p2: Point) -> bytes:
        """e(p1, p2) as kyber encodes a GT element, 384 bytes.

        kyber's tower is Fp12 = Fp6[w], Fp6 = Fp2[v], v = w^2; it writes the highest power first at every level.
        """
        tower = self.fp12.to_tower(self.pair(p1, p2))
        values = [self.fp2.reduce(tower[k]) for k in (5, 3, 1, 4, 2, 0)]
        return b"".join(
            int(c).to_bytes(COORDINATE_BYTES, "big") for real, imaginary in values for c in (imaginary, real)
        )

    def _product(self, pairs: Sequence[tuple[Point, Point]]) -> Fp12:
        """The product of the pairings; a pair with the identity in it contributes 1."""
        loop = []
        for p1, p2 in pairs:
            first, second = self._group1.unwrap(p1), self._group2.unwrap(p2)
            if not self.g1.is_identity(p1) and not self.g2.is_identity(p2):
                loop.append((first, self._tables(second)))
        return self.pairing.final_exponentiation(self.pairing.miller(loop))


@cache
def _suite(parameters: BNParameters, integers: Integers, *, hashing: bool) -> BNSuite:
    return BNSuite(parameters, integers, hashing=hashing)


def bn254(integers: str | None = None) -> PairingSuite:
    """BN254 as kyber has it for drand's scheme bls-bn254-unchained-on-g1. `integers` is "gmpy2", "python", or chosen.

    One can hash to G1 (RFC 9380, Keccak-256, Shallue-van de Woestijne) and not to G2.
    raises     BadSetting when the implementation of integers asked for is not there
    """
    return _suite(BN254, choose_integers(integers), hashing=True)


def bn256(integers: str | None = None) -> PairingSuite:
    """The 256-bit BN curve of golang.org/x/crypto/bn256 (kyber's bn256.adapter). `integers` as in `bn254`.

    One can hash to neither group: its users hash by trial, not by RFC 9380.
    """
    return _suite(BN256, choose_integers(integers), hashing=False)
