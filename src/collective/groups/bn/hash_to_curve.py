"""Hashing to G1 as RFC 9380 says (hash_to_curve, random-oracle variant), with Keccak-256 and the map of Shallue-van de
Woestijne.

This is what kyber does for drand's scheme bls-bn254-unchained-on-g1: expand_message_xmd over Keccak-256, two field
elements of 48 bytes each, two maps with Z = 1, one addition. The cofactor is 1.
"""

from typing import NamedTuple

from collective.errors import BadSetting
from collective.groups.bn.curve_fp import AffineG1, CurveOverFp
from collective.groups.bn.integers import Integers
from collective.keccak import BLOCK_BYTES, DIGEST_BYTES, keccak256

ELEMENT_BYTES = 48  # L of RFC 9380 section 5.1: ceil((254 + 128) / 8)
MAX_DOMAIN_BYTES = 255


def expand_message_xmd(message: bytes, domain: bytes, length_bytes: int) -> bytes:
    """`length_bytes` (at most 65535, and 255 digests) uniform bytes from a message under a domain separation tag.

    raises     BadSetting for an empty tag or one over 255 bytes; the RFC's rule for longer tags is not used by drand
    Source: RFC 9380 section 5.3.1, with H = Keccak-256, so that Z_pad is 136 zero bytes.
    """
    if not 1 <= len(domain) <= MAX_DOMAIN_BYTES:
        raise BadSetting(f"a domain separation tag has 1 to {MAX_DOMAIN_BYTES} bytes, not {len(domain)}")
    blocks = -(-length_bytes // DIGEST_BYTES)
    if blocks > 255:
        raise BadSetting(f"{length_bytes} bytes are more than expand_message_xmd can give")
    tag = domain + bytes([len(domain)])
    first = keccak256(bytes(BLOCK_BYTES) + message + length_bytes.to_bytes(2, "big") + b"\0" + tag)
    block = keccak256(first + b"\1" + tag)
    uniform = [block]
    for index in range(2, blocks + 1):
        mixed = int.from_bytes(first, "big") ^ int.from_bytes(block, "big")
        block = keccak256(mixed.to_bytes(DIGEST_BYTES, "big") + bytes([index]) + tag)
        uniform.append(block)
    return b"".join(uniform)[:length_bytes]


class SvdWConstants(NamedTuple):
    """c1 to c4 of RFC 9380 section 6.6.1 for one curve y^2 = g(x) and Z = 1."""

    c1: int  # g(Z)
    c2: int  # -Z / 2
    c3: int  # sqrt(-g(Z) * 3 Z^2), the root whose parity is even
    c4: int  # -4 g(Z) / (3 Z^2)


class HashToG1:
    """hash_to_curve for y^2 = x^3 + b over Fp with p = 3 mod 4, where Z = 1 serves the map (g(1) = 1 + b != 0)."""

    def __init__(self, integers: Integers, curve: CurveOverFp) -> None:
        self.curve = curve
        self._integer = integers.integer
        self._inverse = integers.inverse
        self._square_root = integers.square_root
        self._constants = self._svdw_constants()

    def _svdw_constants(self) -> SvdWConstants:
        p, b = self.curve.p, self.curve.b
        g = 1 + b
        root = self._square_root(-3 * g % p, p)
        if root is None:
            raise BadSetting("Z = 1 does not suit the Shallue-van de Woestijne map of this curve")
        return SvdWConstants(
            c1=self._integer(g),
            c2=-self._inverse(self._integer(2), p) % p,
            c3=root if root % 2 == 0 else p - root,
            c4=-4 * g * self._inverse(self._integer(3), p) % p,
        )

    def hash_to_field(self, message: bytes, domain: bytes) -> tuple[int, int]:
        """Two elements of Fp (RFC 9380 section 5.2, count = 2, m = 1)."""
        uniform = expand_message_xmd(message, domain, 2 * ELEMENT_BYTES)
        low, high = uniform[:ELEMENT_BYTES], uniform[ELEMENT_BYTES:]
        integer, p = self._integer, self.curve.p
        return integer(int.from_bytes(low, "big")) % p, integer(int.from_bytes(high, "big")) % p

    def map_to_curve(self, u: int) -> AffineG1:
        """The point that the Shallue-van de Woestijne map gives for u in Fp.

        Source: RFC 9380 section 6.6.1. One of x1, x2, x3 is always on the curve; the first that is, is taken, and the
        sign of y is that of u (sgn0, the parity).
        """
        p, b = self.curve.p, self.curve.b
        c1, c2, c3, c4 = self._constants
        tv1 = u * u * c1 % p
        tv2 = 1 + tv1
        tv1 = 1 - tv1
        tv3 = tv1 * tv2 % p
        tv3 = self._inverse(tv3, p) if tv3 else tv3  # inv0 of the RFC
        tv4 = u * tv1 * tv3 * c3 % p
        x = (c2 - tv4) % p
        y = self._square_root((x * x * x + b) % p, p)
        if y is None:
            x = (c2 + tv4) % p
            y = self._square_root((x * x * x + b) % p, p)
        if y is None:
            x = tv2 * tv2 * tv3 % p
            x = (1 + c4 * x * x) % p
            y = self._square_root((x * x * x + b) % p, p)
        if y is None:  # pragma: no cover - excluded by the theorem behind the map
            raise ArithmeticError(f"no x-coordinate on the curve for u = {u}")
        return x, (p - y if (u ^ y) & 1 else y)

    def hash_to_curve(self, message: bytes, domain: bytes) -> AffineG1:
        """A point of G1 whose logarithm nobody knows."""
        u0, u1 = self.hash_to_field(message, domain)
        return self.curve.add(self.map_to_curve(u0), self.map_to_curve(u1))
