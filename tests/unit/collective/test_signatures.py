"""Schnorr and BLS signatures, one by one."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.entropy import random_scalar
from collective.errors import InvalidSignature, MalformedPoint
from collective.groups.group import HashableGroup, Point
from collective.groups.toy import toy
from collective.secret import SecretScalar
from collective.signatures import schnorr
from collective.signatures.bls import BlsScheme
from tests.support.entropy import SeededEntropy
from tests.support.suites import GROUPS, SCHEMES

every_group = pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS.keys())
every_scheme = pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES.keys())
TOY = toy().g1


def key_pair(group: HashableGroup, seed: int = 5) -> tuple[SecretScalar, Point]:
    secret = SecretScalar(random_scalar(SeededEntropy(seed), group.order))
    return secret, group.multiply(group.generator(), secret.expose())


class StuckEntropy:
    """A broken source that always says the same."""

    def bytes(self, count: int) -> bytes:
        return bytes(count)


@every_group
def test_a_schnorr_signature_verifies_under_its_key_and_message_only(group: HashableGroup) -> None:
    secret, public = key_pair(group)
    signature = schnorr.sign(group, secret, b"bundle", SeededEntropy())
    assert len(signature) == schnorr.signature_bytes(group) == group.point_bytes + 32
    schnorr.verify(group, public, b"bundle", signature)
    for key, message in ((public, b"bungle"), (key_pair(group, 6)[1], b"bundle")):
        with pytest.raises(InvalidSignature):
            schnorr.verify(group, key, message, signature)


@every_group
def test_a_signer_that_knows_its_public_key_signs_the_same_and_need_not_make_it(group: HashableGroup) -> None:
    secret, public = key_pair(group)
    known = schnorr.sign(group, secret, b"bundle", SeededEntropy(), public_key=group.encode(public))
    assert known == schnorr.sign(group, secret, b"bundle", SeededEntropy())


@every_group
def test_a_schnorr_signature_with_a_broken_part_is_refused(group: HashableGroup) -> None:
    secret, public = key_pair(group)
    signature = schnorr.sign(group, secret, b"m", SeededEntropy())
    response = int.from_bytes(signature[-32:], "big")
    head = signature[:-32]
    broken = [
        (head + group.order.to_bytes(32, "big"), schnorr.MalformedSignature),
        (head + b"\xff" * 32, schnorr.MalformedSignature),
        (b"\xff" * group.point_bytes + signature[-32:], schnorr.MalformedSignature),
        (group.encode(group.identity()) + signature[-32:], schnorr.MalformedSignature),
        (signature[:-1], schnorr.MalformedSignature),
        (signature + b"\0", schnorr.MalformedSignature),
        (b"", schnorr.MalformedSignature),
        (head + ((response + 1) % group.order).to_bytes(32, "big"), InvalidSignature),
        (group.encode(group.generator()) + signature[-32:], InvalidSignature),
    ]
    for wrong, error in broken:
        with pytest.raises(error):
            schnorr.verify(group, public, b"m", wrong)


@every_group
def test_nobody_signs_for_the_identity_key(group: HashableGroup) -> None:
    """s * G == R + c * 0 is met by any s and R = s * G."""
    forged = group.encode(group.multiply(group.generator(), 77)) + (77).to_bytes(32, "big")
    with pytest.raises(InvalidSignature, match="identity"):
        schnorr.verify(group, group.identity(), b"m", forged)


@every_group
def test_an_identity_commitment_is_refused_though_the_equation_holds(group: HashableGroup) -> None:
    secret, public = key_pair(group)
    commitment = group.encode(group.identity())
    digest = hashlib.sha512(commitment + group.encode(public) + b"m").digest()
    response = int.from_bytes(digest, "big") % group.order * secret.expose() % group.order
    with pytest.raises(schnorr.MalformedSignature):
        schnorr.verify(group, public, b"m", commitment + response.to_bytes(32, "big"))


def test_two_schnorr_signatures_on_one_message_differ() -> None:
    secret, _ = key_pair(TOY)
    entropy = SeededEntropy()
    assert schnorr.sign(TOY, secret, b"m", entropy) != schnorr.sign(TOY, secret, b"m", entropy)


def test_a_source_that_repeats_itself_does_not_repeat_a_nonce() -> None:
    secret, _ = key_pair(TOY)
    first, second = (schnorr.sign(TOY, secret, message, StuckEntropy()) for message in (b"a", b"b"))
    assert first[: TOY.point_bytes] != second[: TOY.point_bytes]


@given(message=st.binary(max_size=100), seed=st.integers(min_value=0, max_value=1000))
def test_every_schnorr_signature_verifies_and_none_for_a_longer_message(message: bytes, seed: int) -> None:
    secret, public = key_pair(TOY, seed)
    signature = schnorr.sign(TOY, secret, message, SeededEntropy(seed))
    schnorr.verify(TOY, public, message, signature)
    with pytest.raises(InvalidSignature):
        schnorr.verify(TOY, public, message + b"!", signature)


@every_scheme
def test_a_bls_signature_verifies_under_its_key_and_message_only(scheme: BlsScheme) -> None:
    secret, public = key_pair(scheme.key_group)
    assert scheme.key_group.equal(scheme.public_key(secret), public)
    signature = scheme.sign(secret, b"m")
    assert len(signature) == scheme.signature_group.point_bytes
    assert signature == scheme.sign(secret, b"m")
    scheme.verify(public, b"m", signature)
    for key, message in ((public, b"n"), (key_pair(scheme.key_group, 6)[1], b"m")):
        with pytest.raises(InvalidSignature):
            scheme.verify(key, message, signature)


@every_scheme
def test_a_message_hashed_before_gives_the_same_answers(scheme: BlsScheme) -> None:
    secret, public = key_pair(scheme.key_group)
    hashed, other = scheme.hash_to_point(b"m"), scheme.hash_to_point(b"n")
    signature = scheme.sign_point(secret, hashed)
    assert signature == scheme.sign(secret, b"m")
    point = scheme.signature_group.decode(signature)
    scheme.verify_encoded(public, hashed, signature)
    scheme.verify_point(public, hashed, point)
    for refuse in (
        lambda: scheme.verify_encoded(public, other, signature),
        lambda: scheme.verify_point(public, other, point),
    ):
        with pytest.raises(InvalidSignature):
            refuse()


@every_scheme
def test_the_identity_is_neither_key_nor_signature(scheme: BlsScheme) -> None:
    """Together they would satisfy the pairing equation for every message."""
    keys, signatures = scheme.key_group, scheme.signature_group
    assert scheme.holds(scheme.hash_to_point(b"m"), keys.identity(), signatures.identity())
    with pytest.raises(InvalidSignature, match="identity"):
        scheme.verify_point(keys.identity(), scheme.hash_to_point(b"m"), signatures.identity())
    with pytest.raises(MalformedPoint):
        scheme.verify(key_pair(keys)[1], b"m", signatures.encode(signatures.identity()))


@every_scheme
def test_a_bls_signature_of_another_length_is_malformed(scheme: BlsScheme) -> None:
    secret, public = key_pair(scheme.key_group)
    signature = scheme.sign(secret, b"m")
    for wrong in (b"", signature[:-1], signature + b"\0"):
        with pytest.raises(MalformedPoint):
            scheme.verify(public, b"m", wrong)


def test_the_tag_separates_schemes() -> None:
    for name, scheme in SCHEMES.items():
        other = BlsScheme(scheme.suite, scheme.keys_on_g1, scheme.domain + b"2")
        secret = key_pair(scheme.key_group)[0]
        assert scheme.sign(secret, b"m") != other.sign(secret, b"m"), name
