"""ECIES over a prime-order group: how a dealer hides a share from everybody but its holder.

Sealed form: R (an encoded point, R = r * G) || AES-256-GCM(plaintext) || 16-byte tag, no associated data.
HKDF-SHA256 of the encoded point r * P = secret * R, with no salt and no info, gives 44 bytes: the key, then the nonce.
A 32-byte share takes 96 bytes over BLS12-381 G1 and 144 over G2.
Source: kyber v1.2.0, encrypt/ecies/ecies.go; HKDF is RFC 5869.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from collective.entropy import Entropy, random_scalar
from collective.errors import BadSetting, Malformed
from collective.groups.group import Point, PrimeGroup
from collective.secret import SecretScalar

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
MAX_PLAINTEXT_BYTES = 65536


class Unopenable(Malformed):
    """A sealed message that this key does not open: cut short, altered, or meant for somebody else."""


def sealed_bytes(group: PrimeGroup, plaintext_bytes: int) -> int:
    """The length of a sealed message."""
    return group.point_bytes + plaintext_bytes + TAG_BYTES


def seal(group: PrimeGroup, public_key: Point, plaintext: bytes, entropy: Entropy) -> bytes:
    """Seal `plaintext` so that only the holder of the secret of `public_key` reads it.

    raises  BadSetting when the public key is the identity or the plaintext is above MAX_PLAINTEXT_BYTES
    """
    if group.is_identity(public_key):
        raise BadSetting("nothing can be sealed to the identity")
    if len(plaintext) > MAX_PLAINTEXT_BYTES:
        raise BadSetting(f"at most {MAX_PLAINTEXT_BYTES} bytes can be sealed, got {len(plaintext)}")
    ephemeral = random_scalar(entropy, group.order)
    key, nonce = _key_and_nonce(group.encode(group.multiply(public_key, ephemeral)))
    return group.encode(group.multiply(group.generator(), ephemeral)) + AESGCM(key).encrypt(nonce, plaintext, None)


def unseal(group: PrimeGroup, secret: SecretScalar, sealed: bytes) -> bytes:
    """The plaintext of `sealed`.

    raises  MalformedPoint when its first bytes are no point; Unopenable when the length or the tag is wrong
    """
    if not sealed_bytes(group, 0) <= len(sealed) <= sealed_bytes(group, MAX_PLAINTEXT_BYTES):
        raise Unopenable(f"{len(sealed)} bytes cannot be a message sealed over {group.name}")
    ephemeral = group.decode(sealed[: group.point_bytes])
    key, nonce = _key_and_nonce(group.encode(group.multiply(ephemeral, secret.expose())))
    try:
        return AESGCM(key).decrypt(nonce, sealed[group.point_bytes :], None)
    except InvalidTag as error:
        raise Unopenable("the sealed message was altered, or is meant for another key") from error


def _key_and_nonce(shared_point: bytes) -> tuple[bytes, bytes]:
    derived = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES + NONCE_BYTES, salt=None, info=b"").derive(shared_point)
    return derived[:KEY_BYTES], derived[KEY_BYTES:]
