"""Keccak-256 with the padding of the original submission, the hash that Ethereum calls keccak256.

It differs from SHA3-256 (FIPS 202) in the padding byte only, so the standard library cannot stand in for it. This is
the only file that imports pycryptodome.
"""

from Crypto.Hash import keccak

BLOCK_BYTES = 136  # the rate: 1600 bits of state less twice the 256 bits of capacity
DIGEST_BYTES = 32


def keccak256(data: bytes) -> bytes:
    """The 32-byte Keccak-256 digest of `data` (legacy padding, not SHA3-256).

    >>> keccak256(b"").hex()[:16]
    'c5d2460186f7233c'
    """
    return keccak.new(digest_bits=256, data=data).digest()
