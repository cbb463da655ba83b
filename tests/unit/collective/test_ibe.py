"""Identity-based encryption: a signature opens what was encrypted to its message, and nothing else does."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collective.entropy import random_scalar
from collective.errors import BadSetting, MalformedPoint
from collective.groups.bls12381 import available_backends, bls12381
from collective.groups.bn import bn254
from collective.keccak import keccak256
from collective.sealing.ibe import IbeCiphertext, IdentityEncryption, NotSealedForThis
from collective.secret import SecretScalar
from collective.signatures.bls import BlsScheme
from tests.support.entropy import SeededEntropy
from tests.support.schemes import G1_TAG, G2_TAG, scheme

BN_TAG = b"BLS_SIG_BN254G1_XMD:KECCAK-256_SVDW_RO_NUL_"


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


ALL = {
    "keys on G1": IdentityEncryption(scheme("pedersen-bls-unchained"), sha256),
    "keys on G2": IdentityEncryption(scheme("bls-unchained-g1-rfc9380"), sha256),
    "keys on G2 under G2's tag": IdentityEncryption(scheme("bls-unchained-on-g1"), sha256),
    "BN254": IdentityEncryption(BlsScheme(bn254(), keys_on_g1=False, domain=BN_TAG), keccak256),
}
everywhere = pytest.mark.parametrize("encryption", ALL.values(), ids=ALL.keys())


def secret_of(encryption: IdentityEncryption, seed: int = 5) -> SecretScalar:
    return SecretScalar(random_scalar(SeededEntropy(seed), encryption.bls.key_group.order))


def sealed_for(encryption: IdentityEncryption, message: bytes, identity: bytes = b"round") -> IbeCiphertext:
    return encryption.encrypt(encryption.bls.public_key(secret_of(encryption)), identity, message, SeededEntropy(9))


@everywhere
@pytest.mark.parametrize("size", [1, 16, 32])
def test_the_signature_on_the_identity_opens_the_message(encryption: IdentityEncryption, size: int):
    message = bytes(range(size))
    sealed = sealed_for(encryption, message)
    assert len(sealed.to_bytes()) == encryption.bls.key_group.point_bytes + 2 * size
    assert encryption.decrypt(encryption.bls.sign(secret_of(encryption), b"round"), sealed) == message


@everywhere
def test_another_identity_or_another_master_key_opens_nothing(encryption: IdentityEncryption):
    sealed = sealed_for(encryption, bytes(16))
    for secret, identity in ((secret_of(encryption), b"other"), (secret_of(encryption, 6), b"round")):
        with pytest.raises(NotSealedForThis):
            encryption.decrypt(encryption.bls.sign(secret, identity), sealed)


@everywhere
@pytest.mark.parametrize("part", ["v", "w"])
def test_a_changed_mask_is_noticed(encryption: IdentityEncryption, part: str):
    sealed = sealed_for(encryption, bytes(16))
    changed = replace(sealed, **{part: bytes([getattr(sealed, part)[0] ^ 1]) + getattr(sealed, part)[1:]})
    with pytest.raises(NotSealedForThis):
        encryption.decrypt(encryption.bls.sign(secret_of(encryption), b"round"), changed)


@everywhere
def test_another_point_is_noticed_and_no_point_is_refused(encryption: IdentityEncryption):
    keys = encryption.bls.key_group
    sealed, signature = sealed_for(encryption, bytes(16)), encryption.bls.sign(secret_of(encryption), b"round")
    with pytest.raises(NotSealedForThis):
        encryption.decrypt(signature, replace(sealed, u=keys.encode(keys.generator())))
    for bad in (b"", sealed.u[:-1], sealed.u + b"\0", b"\xff" * keys.point_bytes, keys.encode(keys.identity())):
        with pytest.raises(MalformedPoint):
            encryption.decrypt(signature, replace(sealed, u=bad))


@pytest.mark.parametrize(("v", "w"), [(b"", b""), (bytes(16), bytes(15)), (bytes(33), bytes(33))])
def test_masks_of_impossible_lengths_are_refused(v: bytes, w: bytes):
    encryption = ALL["keys on G1"]
    with pytest.raises(NotSealedForThis):
        encryption.decrypt(b"", replace(sealed_for(encryption, bytes(16)), v=v, w=w))


@everywhere
def test_nothing_is_encrypted_under_the_identity_element_or_of_a_wrong_length(encryption: IdentityEncryption):
    with pytest.raises(BadSetting, match="identity element"):
        encryption.encrypt(encryption.bls.key_group.identity(), b"round", bytes(16), SeededEntropy())
    for size in (0, 33):
        with pytest.raises(BadSetting, match="between 1 and 32"):
            sealed_for(encryption, bytes(size))


@pytest.mark.skipif(len(available_backends()) < 2, reason="one BLS12-381 backend is installed")
@pytest.mark.parametrize(("on_g1", "tag"), [(True, G2_TAG), (False, G1_TAG)])
def test_both_backends_encrypt_to_the_same_bytes(on_g1: bool, tag: bytes):
    sealed = {
        sealed_for(IdentityEncryption(BlsScheme(bls12381(name), on_g1, tag), sha256), b"sixteen bytes ok").to_bytes()
        for name in available_backends()
    }
    assert len(sealed) == 1


@settings(max_examples=15, deadline=None)
@given(message=st.binary(min_size=1, max_size=32), identity=st.binary(max_size=40))
def test_whatever_is_encrypted_opens(message: bytes, identity: bytes):
    encryption = ALL["keys on G2"]
    sealed = sealed_for(encryption, message, identity)
    assert encryption.decrypt(encryption.bls.sign(secret_of(encryption), identity), sealed) == message
