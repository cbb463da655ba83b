"""The BLS schemes of drand, written out once more so that tests of the mathematics need nothing above it."""

import hashlib

from collective.groups.bls12381 import bls12381
from collective.groups.group import PairingSuite
from collective.signatures.bls import BlsScheme

G1_TAG = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
G2_TAG = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"
BLS12381_SCHEMES = {  # name -> keys on G1, tag
    "pedersen-bls-chained": (True, G2_TAG),
    "pedersen-bls-unchained": (True, G2_TAG),
    "bls-unchained-on-g1": (False, G2_TAG),
    "bls-unchained-g1-rfc9380": (False, G1_TAG),
}


def scheme(name: str, suite: PairingSuite | None = None) -> BlsScheme:
    keys_on_g1, tag = BLS12381_SCHEMES[name]
    return BlsScheme(suite or bls12381(), keys_on_g1, tag)


def digest(name: str, round_: int, previous_signature: bytes) -> bytes:
    """What is signed for a round."""
    previous = previous_signature if name == "pedersen-bls-chained" else b""
    return hashlib.sha256(previous + round_.to_bytes(8, "big")).digest()
