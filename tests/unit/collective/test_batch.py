"""Many signatures at once: the answers are those of one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import BadSetting
from collective.groups.bls12381 import bls12381
from collective.groups.group import Point
from collective.secret import SecretScalar
from collective.sharing.polynomial import SecretPolynomial
from collective.signatures import batch
from collective.signatures.batch import verify_batch, verify_partials
from collective.signatures.bls import BlsScheme
from tests.support.entropy import SeededEntropy
from tests.support.suites import SCHEMES, TAG
from tests.support.torsion import shift_by_torsion

every_scheme = pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES.keys())
TOY = SCHEMES["toy-signatures-on-g1"]
SECRET = SecretScalar(0xC0FFEE)
ENTROPY = SeededEntropy(4)


def signed(scheme: BlsScheme, count: int) -> tuple[Point, list[tuple[bytes, bytes]]]:
    messages = [place.to_bytes(4, "big") for place in range(count)]
    return scheme.public_key(SECRET), [(one, scheme.sign(SECRET, one)) for one in messages]


@every_scheme
@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_a_good_batch_has_no_bad_position(scheme: BlsScheme, count: int) -> None:
    public, items = signed(scheme, count)
    assert verify_batch(scheme, public, items, ENTROPY) == []


@every_scheme
def test_the_bad_ones_are_singled_out(scheme: BlsScheme) -> None:
    public, items = signed(scheme, 12)
    items[2] = (b"another message", items[2][1])
    items[5] = (items[5][0], b"\xff" * len(items[5][1]))
    items[8], items[9] = (items[8][0], items[9][1]), (items[9][0], items[8][1])
    items[11] = (items[11][0], b"")
    assert verify_batch(scheme, public, items, ENTROPY) == [2, 5, 8, 9, 11]


@given(bad=st.sets(st.integers(min_value=0, max_value=32)))
def test_any_set_of_bad_positions_is_found(bad: set[int]) -> None:
    public, items = signed(TOY, 33)
    spoilt = [(message + b"!" if place in bad else message, sig) for place, (message, sig) in enumerate(items)]
    assert verify_batch(TOY, public, spoilt, ENTROPY) == sorted(bad)


def test_two_errors_that_cancel_are_found() -> None:
    """A plain sum of all equations would hold; the random exponents keep the errors apart."""
    public, items = signed(TOY, 4)
    group = TOY.signature_group
    error = group.generator()
    up = group.encode(group.add(group.decode(items[0][1]), error))
    down = group.encode(group.add(group.decode(items[1][1]), group.negate(error)))
    items[0], items[1] = (items[0][0], up), (items[1][0], down)
    assert verify_batch(TOY, public, items, ENTROPY) == [0, 1]


def test_a_point_of_cofactor_order_does_not_slip_through_a_batch() -> None:
    scheme = BlsScheme(bls12381(), False, TAG)
    public, items = signed(scheme, 5)
    items[3] = (items[3][0], shift_by_torsion(items[3][1]))
    assert verify_batch(scheme, public, items, ENTROPY) == [3]


def test_a_wrong_key_makes_all_bad() -> None:
    _, items = signed(TOY, 6)
    assert verify_batch(TOY, TOY.public_key(SecretScalar(77)), items, ENTROPY) == [0, 1, 2, 3, 4, 5]


def test_under_the_identity_key_all_are_bad() -> None:
    _, items = signed(TOY, 3)
    assert verify_batch(TOY, TOY.key_group.identity(), items, ENTROPY) == [0, 1, 2]


def test_one_bad_signature_costs_few_pairings(monkeypatch: pytest.MonkeyPatch) -> None:
    public, items = signed(TOY, 1024)
    items[700] = (b"other", items[700][1])
    calls = []
    holds = BlsScheme.holds
    monkeypatch.setattr(BlsScheme, "holds", lambda *given: calls.append(1) or holds(*given))
    assert verify_batch(TOY, public, items, ENTROPY) == [700]
    assert len(calls) <= 2 * 10 + 1


def test_exponents_are_drawn_once_whatever_fails() -> None:
    public, items = signed(TOY, 8)
    good, failing = SeededEntropy(1), SeededEntropy(1)
    verify_batch(TOY, public, items, good)
    verify_batch(TOY, public, [(message + b"!", signature) for message, signature in items], failing)
    assert good.drawn == failing.drawn


def test_an_exponent_has_128_bits() -> None:
    exponents = batch._exponents(64, SeededEntropy(2))
    assert len(set(exponents)) == 64
    assert 120 < max(one.bit_length() for one in exponents) <= 128


def test_a_batch_is_bounded() -> None:
    items = [(b"", b"")] * (batch.MAX_BATCH + 1)
    with pytest.raises(BadSetting, match="at most"):
        verify_batch(TOY, TOY.public_key(SECRET), items, ENTROPY)
    with pytest.raises(BadSetting, match="at most"):
        verify_partials(TOY, [], TOY.hash_to_point(b"m"), [b""] * (batch.MAX_BATCH + 1), ENTROPY)


def partials(scheme: BlsScheme, nodes: int) -> tuple[list[Point], Point, list[bytes]]:
    secret = SecretPolynomial.random(3, scheme.key_group.order, SeededEntropy(7))
    public = secret.commit(scheme.key_group)
    hashed = scheme.hash_to_point(b"round")
    signatures = [scheme.sign_point(secret.evaluate(index), hashed) for index in range(nodes)]
    return [public.evaluate(index) for index in range(nodes)], hashed, signatures


@every_scheme
def test_good_partials_of_one_round_have_no_bad_position(scheme: BlsScheme) -> None:
    shares, hashed, signatures = partials(scheme, 5)
    assert verify_partials(scheme, shares, hashed, signatures, ENTROPY) == []
    assert verify_partials(scheme, [], hashed, [], ENTROPY) == []


@every_scheme
def test_bad_partials_are_singled_out(scheme: BlsScheme) -> None:
    shares, hashed, signatures = partials(scheme, 7)
    signatures[1], signatures[4] = signatures[4], signatures[1]
    signatures[6] = b"\x80" + bytes(len(signatures[6]) - 1)
    shares[0] = scheme.key_group.identity()
    found = verify_partials(scheme, shares, hashed, signatures, ENTROPY)
    assert [place for place in found if place != 6] == [0, 1, 4]
    assert 6 in found
    assert verify_partials(scheme, shares[2:4], scheme.hash_to_point(b"x"), signatures[2:4], ENTROPY) == [0, 1]


def test_each_partial_needs_its_public_share() -> None:
    shares, hashed, signatures = partials(TOY, 3)
    with pytest.raises(ValueError, match="2 public shares but 3 signatures"):
        verify_partials(TOY, shares[:2], hashed, signatures, ENTROPY)
