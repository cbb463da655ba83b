"""Sealing a share to its holder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import BadSetting, Malformed, MalformedPoint
from collective.groups.group import HashableGroup
from collective.groups.toy import toy
from collective.sealing import ecies
from collective.secret import SecretScalar
from tests.support.entropy import SeededEntropy
from tests.support.suites import GROUPS

every_group = pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS.keys())
SECRET = SecretScalar(123456789)
TOY = toy().g1


def sealed(group: HashableGroup, plaintext: bytes = b"s" * 32) -> bytes:
    return ecies.seal(group, group.multiply(group.generator(), SECRET.expose()), plaintext, SeededEntropy(3))


@every_group
def test_the_holder_opens_what_was_sealed_to_it(group: HashableGroup) -> None:
    message = sealed(group)
    assert len(message) == ecies.sealed_bytes(group, 32) == group.point_bytes + 48
    assert ecies.unseal(group, SECRET, message) == b"s" * 32


@every_group
def test_nobody_else_opens_it(group: HashableGroup) -> None:
    with pytest.raises(ecies.Unopenable):
        ecies.unseal(group, SecretScalar(987654321), sealed(group))


@given(plaintext=st.binary(max_size=200))
def test_every_length_comes_back(plaintext: bytes) -> None:
    assert ecies.unseal(TOY, SECRET, sealed(TOY, plaintext)) == plaintext


@given(at=st.integers(min_value=0, max_value=55), bit=st.integers(min_value=0, max_value=7))
def test_a_message_with_one_bit_flipped_is_malformed(at: int, bit: int) -> None:
    message = bytearray(sealed(TOY))
    message[at] ^= 1 << bit
    with pytest.raises(Malformed):
        ecies.unseal(TOY, SECRET, bytes(message))


@pytest.mark.parametrize("length", [0, 1, 8, 23])
def test_a_message_too_short_for_its_tag_is_unopenable(length: int) -> None:
    with pytest.raises(ecies.Unopenable):
        ecies.unseal(TOY, SECRET, sealed(TOY)[:length])


def test_a_message_that_starts_with_no_point_says_so() -> None:
    message = sealed(TOY)
    for head in (b"\xff" * 8, bytes(8)):
        with pytest.raises(MalformedPoint):
            ecies.unseal(TOY, SECRET, head + message[8:])


def test_two_seals_of_one_message_differ() -> None:
    entropy = SeededEntropy(1)
    public = TOY.multiply(TOY.generator(), SECRET.expose())
    assert ecies.seal(TOY, public, b"m", entropy) != ecies.seal(TOY, public, b"m", entropy)


def test_what_can_be_sealed_is_bounded() -> None:
    public = TOY.multiply(TOY.generator(), SECRET.expose())
    with pytest.raises(BadSetting):
        ecies.seal(TOY, public, bytes(ecies.MAX_PLAINTEXT_BYTES + 1), SeededEntropy())
    with pytest.raises(BadSetting, match="identity"):
        ecies.seal(TOY, TOY.identity(), b"m", SeededEntropy())
    with pytest.raises(ecies.Unopenable):
        ecies.unseal(TOY, SECRET, sealed(TOY) + bytes(ecies.MAX_PLAINTEXT_BYTES))
