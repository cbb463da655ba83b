"""The two Barreto-Naehrig curves of the family, by the few numbers that tell them apart.

A BN curve is given by one integer u (Barreto and Naehrig, "Pairing-friendly elliptic curves of prime order", SAC 2005):

    p = 36u^4 + 36u^3 + 24u^2 + 6u + 1      the field,
    r = 36u^4 + 36u^3 + 18u^2 + 6u + 1      the order of E: y^2 = x^3 + b over Fp.

Both p are 3 mod 4, so Fp2 = Fp[i] with i^2 = -1, and xi = a + i is neither a square nor a cube in Fp2. The second group
lives on the twist E': y^2 = x^3 + b/xi over Fp2, a sextic twist of type D.
"""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, kw_only=True)
class BNParameters:
    """What defines one curve with its two generators. Elements of Fp2 are pairs (real, imaginary)."""

    name: str
    u: int
    b: int  # the curve is y^2 = x^3 + b
    xi_real: int  # xi = xi_real + i
    g1: tuple[int, int]
    g2: tuple[tuple[int, int], tuple[int, int]]

    @cached_property
    def p(self) -> int:
        """The field's prime."""
        u = self.u
        return 36 * u**4 + 36 * u**3 + 24 * u**2 + 6 * u + 1

    @cached_property
    def order(self) -> int:
        """The prime number of points of G1, of G2, and of GT."""
        return self.p - 6 * self.u**2


BN254 = BNParameters(
    # Known as alt_bn128 and bn_snark1. Source: EIP-196 and EIP-197.
    name="BN254",
    u=4965661367192848881,
    b=3,
    xi_real=9,
    g1=(1, 2),
    g2=(
        (
            10857046999023057135944570762232829481370756359578518086990519993285655852781,
            11559732032986387107991004021392285783925812861821192530917403151452391805634,
        ),
        (
            8495653923123431417604973247489272438418190587263600148770280649306958101930,
            4082367875863433681332203403145435568316851327593401208105741076214120093531,
        ),
    ),
)

BN256 = BNParameters(
    # The curve of golang.org/x/crypto/bn256 (u = 1868033^3), which dedis kyber calls "bn256.adapter".
    name="BN256",
    u=6518589491078791937,
    b=3,
    xi_real=3,
    g1=(1, -2),
    g2=(
        (
            64746500191241794695844075326670126197795977525365406531717464316923369116492,
            21167961636542580255011770066570541300993051739349375019639421053990175267184,
        ),
        (
            17778617556404439934652658462602675281523610326338642107814333856843981424549,
            20666913350058776956210519119118544732556678129809273996262322366050359951122,
        ),
    ),
)
