"""Schnorr signatures over a prime-order group, as drand's nodes sign the bundles of a ceremony.

Signature: R (an encoded point) then s (32 bytes big-endian), with R = k * G, c = SHA-512(R || P || message) read as a
big-endian integer modulo the order, s = k + c * secret. 80 bytes over BLS12-381 G1, 128 over G2.
Source: kyber v1.2.0, sign/schnorr/schnorr.go (R is hashed before P, whatever its comment says).
"""

import hashlib

from collective.entropy import Entropy
from collective.errors import InvalidSignature, Malformed, MalformedPoint
from collective.groups.group import Point, PrimeGroup
from collective.secret import SCALAR_BYTES, SecretScalar

_NONCE_TAG = b"collective schnorr nonce v1"


class MalformedSignature(Malformed):
    """Bytes that are no Schnorr signature: wrong length, R no point, or s not below the group order."""


def signature_bytes(group: PrimeGroup) -> int:
    """The length of a signature over `group`."""
    return group.point_bytes + SCALAR_BYTES


def sign(
    group: PrimeGroup, secret: SecretScalar, message: bytes, entropy: Entropy, *, public_key: bytes | None = None
) -> bytes:
    """A signature on `message`; randomised, so two of them differ.

    public_key  the encoded key that belongs to `secret`, where the caller has it: half of the work is making it
    The nonce is hashed from the secret and the message together with fresh randomness, so that a source which repeats
    itself does not give the key away (the hedging of RFC 8937).
    """
    nonce = _nonce(secret, message, entropy.bytes(32), group.order)
    commitment = group.encode(group.multiply(group.generator(), nonce))
    public_key = public_key or group.encode(group.multiply(group.generator(), secret.expose()))
    challenge = _challenge(commitment, public_key, message, group.order)
    response = (nonce + challenge * secret.expose()) % group.order
    return commitment + response.to_bytes(SCALAR_BYTES, "big")


def verify(group: PrimeGroup, public_key: Point, message: bytes, signature: bytes) -> None:
    """Check s * G - c * P == R, the points compared as encoded: to decode R takes half of a multiplication.

    raises  MalformedSignature when the bytes do not decode; InvalidSignature when the equation does not hold, or when
            the public key is the identity, for which anybody can sign
    """
    if len(signature) != signature_bytes(group):
        raise MalformedSignature(f"a Schnorr signature has {signature_bytes(group)} bytes, got {len(signature)}")
    if group.is_identity(public_key):
        raise InvalidSignature("the identity is no public key")
    encoded = signature[: group.point_bytes]
    response = int.from_bytes(signature[group.point_bytes :], "big")
    if response >= group.order:
        raise MalformedSignature("the response is not below the group order")
    challenge = _challenge(encoded, group.encode(public_key), message, group.order)
    keyless = group.multiply(group.generator(), response)
    commitment = group.add(keyless, group.negate(group.multiply(public_key, challenge)))
    if group.is_identity(commitment) or group.encode(commitment) != encoded:
        _require_point(group, encoded)
        raise InvalidSignature("the Schnorr signature does not verify under this key")


def _require_point(group: PrimeGroup, commitment: bytes) -> None:
    try:
        group.decode(commitment)
    except MalformedPoint as error:
        raise MalformedSignature(f"the commitment is no point: {error}") from error


def _nonce(secret: SecretScalar, message: bytes, fresh: bytes, order: int) -> int:
    digest = hashlib.sha512(_NONCE_TAG + secret.to_bytes() + fresh + message).digest()
    return int.from_bytes(digest, "big") % (order - 1) + 1


def _challenge(commitment: bytes, public_key: bytes, message: bytes, order: int) -> int:
    return int.from_bytes(hashlib.sha512(commitment + public_key + message).digest(), "big") % order
