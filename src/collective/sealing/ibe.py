"""Identity-based encryption over a pairing: a message that a signature on its identity opens, and nothing else does.

Boneh-Franklin with the Fujisaki-Okamoto transform, the master key being a BLS key and the private key of an identity
being the BLS signature on it. With P the generator of the key group, M the master key, Q = H(identity) in the
signature group, and 1 <= |message| <= 32:

    sigma  random, as long as the message
    r      = H3(sigma, message), a scalar
    U      = r * P                                       an encoded point of the key group
    V      = sigma   xor H2(e(M, Q)^r)                   truncated to the message's length
    W      = message xor H4(sigma)                       truncated likewise
    opened with S = signature on the identity: e(U, S) = e(M, Q)^r, then r is recomputed and r * P compared with U

    H2(t)     = H("IBE-H2" || t)   with t as kyber encodes an element of the target group
    H4(s)     = H("IBE-H4" || s)
    H3(s, m)  = the first of H(u16LE i || H("IBE-H3" || s || m)), i = 1, 2, ..., that is below the order once the bits
                above the order's length are shifted out of its first byte; big-endian

H is SHA-256 over BLS12-381, legacy Keccak-256 over BN254. The suites have no power in the target group, so
e(M, Q)^r is computed as e(r * M, Q).
Source: Boneh, Franklin, CRYPTO 2001, section 4.2; kyber v1.3.1, encrypt/ibe/ibe.go; vectors extra.ibe.
"""

from collections.abc import Callable
from dataclasses import dataclass

from collective.entropy import Entropy
from collective.errors import BadSetting, CollectiveError, Malformed
from collective.groups.group import HashableGroup, Point
from collective.signatures.bls import BlsScheme

MAX_MESSAGE_BYTES = 32  # what one hash can mask
MOST_ATTEMPTS = 65_534  # of H3; each succeeds with probability above 0.45


class NotSealedForThis(Malformed):
    """A ciphertext that this signature does not open: it was altered, made wrongly, or is for another identity."""


@dataclass(frozen=True, slots=True)
class IbeCiphertext:
    """What was encrypted to one identity; U is still encoded, so nothing about it has been checked."""

    u: bytes  # a point of the key group
    v: bytes  # as long as the message
    w: bytes  # as long as the message

    def to_bytes(self) -> bytes:
        """U || V || W, the form that tlock puts into files."""
        return self.u + self.v + self.w


@dataclass(frozen=True, slots=True)
class IdentityEncryption:
    """Encryption to identities under one BLS scheme.

    bls      whose keys are master keys and whose signatures open
    digest   H, 32 bytes out
    """

    bls: BlsScheme
    digest: Callable[[bytes], bytes]

    def encrypt(self, master: Point, identity: bytes, message: bytes, entropy: Entropy) -> IbeCiphertext:
        """Encrypt 1 to 32 bytes so that the signature on `identity` under `master` opens them.

        raises  BadSetting when the master key is the identity element, or the message is empty or too long
        """
        if self._keys.is_identity(master):
            raise BadSetting("nothing can be encrypted under the identity element")
        if not 1 <= len(message) <= MAX_MESSAGE_BYTES:
            raise BadSetting(f"between 1 and {MAX_MESSAGE_BYTES} bytes can be encrypted at once, got {len(message)}")
        sigma = entropy.bytes(len(message))
        r = self._scalar(sigma, message)
        mask = self._pairing_mask(self._keys.multiply(master, r), self.bls.hash_to_point(identity))
        return IbeCiphertext(
            u=self._keys.encode(self._keys.multiply(self._keys.generator(), r)),
            v=_xor(sigma, mask),
            w=_xor(message, self._sigma_mask(sigma)),
        )

    def decrypt(self, signature: bytes, sealed: IbeCiphertext) -> bytes:
        """The message, opened with the encoded signature on its identity (verified by the caller).

        raises  MalformedPoint when U or the signature is no point of its group; NotSealedForThis otherwise
        """
        if not 1 <= len(sealed.w) == len(sealed.v) <= MAX_MESSAGE_BYTES:
            raise NotSealedForThis(f"{len(sealed.v)} and {len(sealed.w)} bytes are no masks of one message")
        mask = self._pairing_mask(self._keys.decode(sealed.u), self.bls.signature_group.decode(signature))
        sigma = _xor(sealed.v, mask)
        message = _xor(sealed.w, self._sigma_mask(sigma))
        r = self._scalar(sigma, message)
        if self._keys.encode(self._keys.multiply(self._keys.generator(), r)) != sealed.u:
            raise NotSealedForThis("the ciphertext was altered, or is not for this identity")
        return message

    @property
    def _keys(self) -> HashableGroup:
        return self.bls.key_group

    def _pairing_mask(self, in_keys: Point, in_signatures: Point) -> bytes:
        """H2 of the pairing of a point of the key group with one of the signature group."""
        pair = (in_keys, in_signatures) if self.bls.keys_on_g1 else (in_signatures, in_keys)
        return self.digest(b"IBE-H2" + self.bls.suite.target_bytes(*pair))

    def _sigma_mask(self, sigma: bytes) -> bytes:
        return self.digest(b"IBE-H4" + sigma)

    def _scalar(self, sigma: bytes, message: bytes) -> int:
        order = self._keys.order
        spare_bits = 256 - order.bit_length()  # fewer than eight on both curves
        seed = self.digest(b"IBE-H3" + sigma + message)
        for attempt in range(1, MOST_ATTEMPTS + 1):
            hashed = self.digest(attempt.to_bytes(2, "little") + seed)
            value = int.from_bytes(bytes([hashed[0] >> spare_bits]) + hashed[1:], "big")
            if value < order:
                return value
        raise CollectiveError("no scalar was found: the hash function is broken")


def _xor(data: bytes, mask: bytes) -> bytes:
    """`data` masked; a longer mask is truncated."""
    return bytes(a ^ b for a, b in zip(data, mask, strict=False))
