"""Threshold BLS: partials and what they recover."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import BadSetting, Malformed, NotEnoughShares
from collective.groups.group import Point
from collective.sharing.polynomial import SecretPolynomial
from collective.sharing.threshold import PartialSignature, recover
from collective.signatures.bls import BlsScheme
from tests.support.entropy import SeededEntropy
from tests.support.suites import SCHEMES

every_scheme = pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES.keys())
TOY = SCHEMES["toy-signatures-on-g1"]


def dealt(scheme: BlsScheme, threshold: int, nodes: int) -> tuple[SecretPolynomial, dict[int, Point]]:
    secret = SecretPolynomial.random(threshold, scheme.key_group.order, SeededEntropy(9))
    hashed = scheme.hash_to_point(b"round 1")
    group = scheme.signature_group
    return secret, {index: group.multiply(hashed, secret.evaluate(index).expose()) for index in range(nodes)}


@every_scheme
def test_any_three_of_five_recover_the_signature_of_the_group(scheme: BlsScheme) -> None:
    secret, partials = dealt(scheme, 3, 5)
    expected = scheme.sign(secret.constant, b"round 1")
    for chosen in combinations(range(5), 3):
        found = recover(scheme.signature_group, {index: partials[index] for index in chosen}, 3)
        assert scheme.signature_group.encode(found) == expected
    scheme.verify(scheme.public_key(secret.constant), b"round 1", expected)


@given(order=st.permutations(range(7)), extra=st.integers(min_value=0, max_value=3))
def test_any_four_or_more_of_seven_recover_the_same_signature(order: list[int], extra: int) -> None:
    secret, partials = dealt(TOY, 4, 7)
    found = recover(TOY.signature_group, {index: partials[index] for index in order[: 4 + extra]}, 4)
    assert TOY.signature_group.encode(found) == TOY.sign(secret.constant, b"round 1")


def test_fewer_than_the_threshold_recover_nothing() -> None:
    _, partials = dealt(TOY, 3, 5)
    with pytest.raises(NotEnoughShares, match="2 partial signatures, 3 are needed"):
        recover(TOY.signature_group, {index: partials[index] for index in (0, 4)}, 3)
    with pytest.raises(BadSetting):
        recover(TOY.signature_group, partials, 0)


def test_one_wrong_partial_gives_a_signature_that_does_not_verify() -> None:
    secret, partials = dealt(TOY, 3, 3)
    group = TOY.signature_group
    partials[1] = group.add(partials[1], group.generator())
    assert group.encode(recover(group, partials, 3)) != TOY.sign(secret.constant, b"round 1")


@given(index=st.integers(min_value=0, max_value=65535), signature=st.binary(min_size=48, max_size=48))
def test_a_partial_is_its_index_then_its_signature(index: int, signature: bytes) -> None:
    encoded = PartialSignature(index, signature).encode()
    assert encoded == bytes([index >> 8, index & 0xFF]) + signature
    assert PartialSignature.decode(encoded, 48) == PartialSignature(index, signature)


@pytest.mark.parametrize("length", [0, 1, 2, 48, 49, 51, 98])
def test_a_partial_of_another_length_is_malformed(length: int) -> None:
    with pytest.raises(Malformed, match="50 bytes"):
        PartialSignature.decode(bytes(length), 48)


@pytest.mark.parametrize("index", [-1, 65536])
def test_an_index_that_does_not_fit_is_refused(index: int) -> None:
    with pytest.raises(BadSetting):
        PartialSignature(index, b"").encode()
