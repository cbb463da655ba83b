"""Polynomials, commitments, shares, and the combination of many dealers."""

import pickle
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import BadSetting, Malformed, MalformedPoint, NotEnoughShares
from collective.groups.bls12381 import bls12381
from collective.groups.group import HashableGroup, Point
from collective.groups.toy import toy
from collective.secret import SecretScalar
from collective.sharing import commitment, dealing
from collective.sharing.commitment import PublicPolynomial
from collective.sharing.lagrange import coefficients_at_zero, fractions_at_zero
from collective.sharing.polynomial import SecretPolynomial
from collective.sharing.share import InvalidShare, Share, verify_share
from tests.support.entropy import SeededEntropy
from tests.support.suites import GROUPS

TOY = toy().g1
every_group = pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS.keys())


def polynomial(threshold: int, seed: int = 1, group: HashableGroup = TOY) -> SecretPolynomial:
    return SecretPolynomial.random(threshold, group.order, SeededEntropy(seed))


def recovered(shares: dict[int, SecretScalar], order: int) -> int:
    weights = coefficients_at_zero(shares, order)
    return sum(weights[index] * share.expose() for index, share in shares.items()) % order


def test_any_three_of_five_shares_give_the_secret_and_two_do_not() -> None:
    secret = polynomial(3)
    for chosen in combinations(range(5), 3):
        assert recovered({index: secret.evaluate(index) for index in chosen}, TOY.order) == secret.constant.expose()
    for chosen in combinations(range(5), 2):
        assert recovered({index: secret.evaluate(index) for index in chosen}, TOY.order) != secret.constant.expose()


def test_the_share_of_an_index_sits_one_further() -> None:
    order = TOY.order
    secret = SecretPolynomial([SecretScalar(5), SecretScalar(7), SecretScalar(order - 1)], order)
    assert secret.evaluate(0).expose() == (5 + 7 - 1) % order
    assert secret.evaluate(9).expose() == (5 + 70 - 100) % order


@every_group
def test_every_share_lies_on_the_committed_polynomial(group: HashableGroup) -> None:
    secret = polynomial(3, group=group)
    public = secret.commit(group)
    assert public.threshold == secret.threshold == 3
    assert group.equal(public.constant, group.multiply(group.generator(), secret.constant.expose()))
    for index in (0, 1, 4, 299):
        verify_share(public, Share(index, secret.evaluate(index)))


@every_group
def test_a_share_off_the_polynomial_is_refused(group: HashableGroup) -> None:
    secret = polynomial(3, group=group)
    public = secret.commit(group)
    wrong = SecretScalar((secret.evaluate(2).expose() + 1) % group.order)
    with pytest.raises(InvalidShare, match="node 2"):
        verify_share(public, Share(2, wrong))
    with pytest.raises(InvalidShare, match="node 3"):
        verify_share(public, Share(3, secret.evaluate(2)))


def test_a_given_constant_term_is_kept() -> None:
    constant = SecretScalar(1234)
    entropy = SeededEntropy(3)
    assert SecretPolynomial.random(4, TOY.order, entropy, constant).constant == constant
    assert SecretPolynomial.random(1, TOY.order, entropy, constant).evaluate(7) == constant


def test_coefficients_are_fresh() -> None:
    exposed = [one.expose() for one in polynomial(8).coefficients]
    assert len(set(exposed)) == 8


def test_secrets_do_not_print_or_pickle() -> None:
    secret = polynomial(2)
    for shown in (repr(secret), str(secret), repr(Share(0, secret.evaluate(0)))):
        assert "redacted" in shown
        assert not any(str(one.expose()) in shown for one in (*secret.coefficients, secret.evaluate(0)))
    for hidden in (secret, Share(0, secret.evaluate(0))):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(hidden)


def test_a_polynomial_needs_a_coefficient() -> None:
    with pytest.raises(BadSetting):
        SecretPolynomial([], TOY.order)
    with pytest.raises(BadSetting):
        SecretPolynomial.random(0, TOY.order, SeededEntropy())
    with pytest.raises(BadSetting):
        PublicPolynomial(TOY, [])


def test_a_polynomial_commits_only_over_its_own_scalars() -> None:
    with pytest.raises(BadSetting, match="BLS12-381"):
        polynomial(2).commit(bls12381().g1)


@pytest.mark.parametrize("index", [-1, TOY.order - 1, TOY.order])
def test_an_index_whose_place_is_zero_or_out_of_range_is_refused(index: int) -> None:
    secret = polynomial(2)
    for ask in (secret.evaluate, secret.commit(TOY).evaluate):
        with pytest.raises(BadSetting):
            ask(index)
    with pytest.raises(BadSetting):
        coefficients_at_zero([index], TOY.order)


def test_interpolation_needs_distinct_indices() -> None:
    for weights in (coefficients_at_zero, fractions_at_zero):
        for indices in ([], [1, 1], [2, 0, 2]):
            with pytest.raises(BadSetting):
                weights(indices, TOY.order)


@given(indices=st.sets(st.integers(min_value=0, max_value=65535), min_size=1, max_size=12))
def test_the_coefficients_at_zero_sum_to_one(indices: set[int]) -> None:
    found = coefficients_at_zero(indices, TOY.order)
    assert list(found) == sorted(indices)
    assert sum(found.values()) % TOY.order == 1


@given(indices=st.sets(st.integers(min_value=0, max_value=65535), min_size=1, max_size=60))
def test_fractions_at_zero_are_the_coefficients_and_never_longer(indices: set[int]) -> None:
    order = bls12381().g1.order
    weights, denominator = fractions_at_zero(indices, order)
    assert 0 < denominator < order
    assert all(abs(weight) < order for weight in weights.values())
    inverse = pow(denominator, -1, order)
    found = {index: weight * inverse % order for index, weight in weights.items()}
    assert found == coefficients_at_zero(indices, order)


def test_the_fractions_of_the_lowest_indices_are_binomials() -> None:
    assert fractions_at_zero(range(5), bls12381().g1.order) == ({0: 5, 1: -10, 2: 10, 3: -5, 4: 1}, 1)


def test_scattered_indices_of_a_large_group_have_the_coefficients_themselves() -> None:
    order = bls12381().g1.order
    scattered = [index * index for index in range(1, 80)]
    assert fractions_at_zero(scattered, order) == (coefficients_at_zero(scattered, order), 1)


@every_group
def test_commitments_encode_and_decode(group: HashableGroup) -> None:
    public = polynomial(3, group=group).commit(group)
    decoded = PublicPolynomial.decode(group, public.encode())
    assert decoded == public
    assert hash(decoded) == hash(public)
    assert decoded != polynomial(3, 2, group).commit(group)
    assert decoded != "something else"
    assert public.encode()[0].hex() in repr(public)


def test_a_commitment_that_is_no_point_is_named() -> None:
    encoded = polynomial(3).commit(TOY).encode()
    with pytest.raises(MalformedPoint, match="coefficient 1"):
        PublicPolynomial.decode(TOY, [encoded[0], b"short", encoded[2]])
    with pytest.raises(MalformedPoint, match="coefficient 0"):
        PublicPolynomial.decode(TOY, [TOY.encode(TOY.identity()), *encoded])
    with pytest.raises(Malformed):
        PublicPolynomial.decode(TOY, [])


class Counting:
    """A group that counts what it decodes."""

    def __init__(self, group: HashableGroup) -> None:
        self.group, self.decoded = group, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.group, name)

    def decode(self, data: bytes, *, allow_identity: bool = False) -> Point:
        self.decoded += 1
        return self.group.decode(data, allow_identity=allow_identity)


def test_a_polynomial_that_comes_again_is_not_decoded_again() -> None:
    group, encoded = Counting(TOY), polynomial(3).commit(TOY).encode()
    first, again = (PublicPolynomial.decode(group, encoded) for _ in range(2))  # type: ignore[arg-type]
    assert first == again
    assert group.decoded == 3
    with pytest.raises(MalformedPoint):
        PublicPolynomial.decode(group, [*encoded, b"short"])  # type: ignore[arg-type]
    with pytest.raises(MalformedPoint):  # what is no polynomial is none the second time
        PublicPolynomial.decode(group, [*encoded, b"short"])  # type: ignore[arg-type]
    for constant in range(1, commitment.MAX_KNOWN + 1):
        PublicPolynomial.decode(group, [TOY.encode(TOY.multiply(TOY.generator(), constant))])  # type: ignore[arg-type]
    before = group.decoded
    PublicPolynomial.decode(group, encoded)  # type: ignore[arg-type]
    assert group.decoded == before + 3, "only MAX_KNOWN are remembered"


def test_the_memory_of_evaluations_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment, "MAX_CACHED_EVALUATIONS", 3)
    public = polynomial(2).commit(TOY)
    first = [public.evaluate(index) for index in range(10)]
    assert [public.evaluate(index) for index in range(10)] == first
    assert len(public._evaluated) == 3


@every_group
def test_a_fresh_combination_adds_the_qualified_dealers(group: HashableGroup) -> None:
    dealers = {index: polynomial(3, index + 10, group) for index in (0, 2, 3)}
    public = dealing.combine_fresh_commitments({index: one.commit(group) for index, one in dealers.items()})
    shares = {}
    for holder in range(4):
        received = {index: one.evaluate(holder) for index, one in dealers.items()}
        shares[holder] = dealing.combine_fresh_shares(received, group.order)
        verify_share(public, Share(holder, shares[holder]))
    secret = sum(one.constant.expose() for one in dealers.values()) % group.order
    assert recovered({index: shares[index] for index in (0, 1, 3)}, group.order) == secret


@every_group
def test_a_resharing_keeps_the_key_and_changes_the_shares(group: HashableGroup) -> None:
    old = polynomial(2, 50, group)
    old_public = old.commit(group)
    dealers = {
        index: SecretPolynomial.random(3, group.order, SeededEntropy(60 + index), old.evaluate(index))
        for index in (1, 4)
    }
    dealt = {index: one.commit(group) for index, one in dealers.items()}
    for index, one in dealt.items():
        dealing.verify_reshared_constant(old_public, index, one)
    public = dealing.combine_reshared_commitments(dealt)
    assert group.equal(public.constant, old_public.constant)
    shares = {}
    for holder in range(5):
        received = {index: one.evaluate(holder) for index, one in dealers.items()}
        shares[holder] = dealing.combine_reshared_shares(received, group.order)
        verify_share(public, Share(holder, shares[holder]))
    assert shares[1] != old.evaluate(1)
    assert recovered({index: shares[index] for index in (0, 2, 4)}, group.order) == old.constant.expose()


def test_a_dealer_that_reshares_another_secret_is_refused() -> None:
    old_public = polynomial(2, 50).commit(TOY)
    with pytest.raises(InvalidShare, match="dealer 1"):
        dealing.verify_reshared_constant(old_public, 1, polynomial(3, 51).commit(TOY))


def test_polynomials_of_different_shape_do_not_combine() -> None:
    short, long, elsewhere = polynomial(2).commit(TOY), polynomial(3).commit(TOY), polynomial(2).commit(toy().g2)
    for combine in (dealing.combine_fresh_commitments, dealing.combine_reshared_commitments):
        for other in (long, elsewhere):
            with pytest.raises(BadSetting):
                combine({0: short, 1: other})


def test_no_dealer_left_is_not_enough() -> None:
    for combine in (dealing.combine_fresh_commitments, dealing.combine_reshared_commitments):
        with pytest.raises(NotEnoughShares):
            combine({})
    with pytest.raises(NotEnoughShares):
        dealing.combine_fresh_shares({}, TOY.order)
    with pytest.raises(NotEnoughShares):
        dealing.combine_reshared_shares({}, TOY.order)


def test_dealers_that_cancel_each_other_make_no_key() -> None:
    public = polynomial(2).commit(TOY)
    opposite = PublicPolynomial(TOY, [TOY.negate(commit) for commit in public.commits])
    with pytest.raises(BadSetting, match="identity"):
        dealing.combine_fresh_commitments({0: public, 1: opposite})
