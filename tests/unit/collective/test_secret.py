"""Secret scalars and where they come from."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.entropy import SystemEntropy, random_scalar
from collective.errors import MalformedScalar, PeerFault
from collective.secret import SecretScalar
from tests.support.entropy import SeededEntropy

ORDER = 2**61 - 1


@given(value=st.integers(min_value=1, max_value=ORDER - 1))
def test_a_secret_is_32_bytes_big_endian(value: int) -> None:
    encoded = SecretScalar(value).to_bytes()
    assert encoded == value.to_bytes(32, "big")
    assert SecretScalar.from_bytes(encoded, ORDER).expose() == value


@pytest.mark.parametrize("value", [0, ORDER, ORDER + 1, 2**256 - 1])
def test_a_secret_out_of_range_is_malformed(value: int) -> None:
    with pytest.raises(MalformedScalar, match="order"):
        SecretScalar.from_bytes(value.to_bytes(32, "big"), ORDER)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_secret_of_another_length_is_malformed(length: int) -> None:
    with pytest.raises(MalformedScalar, match="32 bytes"):
        SecretScalar.from_bytes(b"\x01" * length, ORDER)


def test_a_secret_does_not_print_pickle_or_hash() -> None:
    secret = SecretScalar(987654321)
    assert "987654321" not in f"{secret} {secret!r}"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)
    with pytest.raises(TypeError, match="unhashable"):
        hash(secret)


def test_secrets_compare_by_value_and_with_secrets_only() -> None:
    assert SecretScalar(5) == SecretScalar(5)
    assert SecretScalar(5) != SecretScalar(6)
    assert SecretScalar(5) != 5


@given(seed=st.integers(min_value=0, max_value=10**6), order=st.sampled_from([2, 3, 257, ORDER]))
def test_a_random_scalar_is_never_zero_nor_the_order(seed: int, order: int) -> None:
    assert 1 <= random_scalar(SeededEntropy(seed), order) < order


def test_the_operating_system_gives_as_many_bytes_as_asked() -> None:
    entropy = SystemEntropy()
    assert [len(entropy.bytes(count)) for count in (0, 1, 32)] == [0, 1, 32]
    assert entropy.bytes(32) != entropy.bytes(32)


def test_a_peer_fault_names_its_culprit() -> None:
    fault = PeerFault("two deals for one session", culprit=3, hint="evict it")
    assert str(fault) == "node 3: two deals for one session"
    assert (fault.culprit, fault.advice) == (3, "evict it")
