"""The checks on a compressed BLS12-381 point that no backend is trusted with.

Encoding: the ZCash/IETF form, 48 bytes for G1 and 96 for G2, big-endian x; the three top bits of the first byte say
compressed (0x80), identity (0x40), and larger y (0x20). Source: draft-irtf-cfrg-pairing-friendly-curves-11, appendix C.
"""

from collective.errors import MalformedPoint

COMPRESSED = 0x80
IDENTITY = 0x40


def encodes_identity(data: bytes, length: int, *, allow_identity: bool, group: str) -> bool:
    """Whether `data` is the identity; the backend decodes it only when this answers False.

    raises  MalformedPoint when `data` is not bytes, not `length` long, not flagged as compressed, an identity that is
            not allowed, or an identity with any other bit set (py-arkworks-bls12381 0.5 takes the latter for the
            identity).
    """
    if type(data) is not bytes:
        raise MalformedPoint(f"{group}: an encoded point is bytes, got {type(data).__name__}")
    if len(data) != length:
        raise MalformedPoint(f"{group}: an encoded point has {length} bytes, got {len(data)}")
    if not data[0] & COMPRESSED:
        raise MalformedPoint(f"{group}: the compression bit is missing")
    if not data[0] & IDENTITY:
        return False
    if data[0] != COMPRESSED | IDENTITY or any(data[1:]):
        raise MalformedPoint(f"{group}: the identity is not canonically encoded")
    if not allow_identity:
        raise MalformedPoint(f"{group}: the identity is not allowed here")
    return True
