"""What every prime-order group and every pairing suite keeps, whichever library computes it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collective.errors import MalformedPoint
from collective.groups.group import HashableGroup, PairingSuite
from tests.support.suites import GROUPS, HASHABLE, SUITES, TAG

every_group = pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS.keys())
every_suite = pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES.keys())
integers = st.integers(min_value=-(2**256), max_value=2**256)


@every_group
def test_the_group_has_prime_order(group: HashableGroup) -> None:
    assert pow(3, group.order - 1, group.order) == 1
    generator = group.generator()
    assert not group.is_identity(generator)
    assert group.is_identity(group.multiply(generator, group.order))
    assert group.equal(group.multiply(generator, group.order - 1), group.negate(generator))


@every_group
def test_the_identity_is_neutral(group: HashableGroup) -> None:
    zero, point = group.identity(), group.multiply(group.generator(), 5)
    assert group.is_identity(zero)
    assert group.equal(group.add(point, zero), point)
    assert group.equal(group.add(zero, point), point)
    assert group.equal(group.add(zero, zero), zero)
    assert group.is_identity(group.add(point, group.negate(point)))
    assert group.is_identity(group.negate(zero))
    assert group.is_identity(group.multiply(zero, 7))
    assert group.is_identity(group.multiply(point, 0))


@every_group
@settings(max_examples=8)
@given(a=integers, b=integers)
def test_multiplication_is_linear_in_the_scalar(group: HashableGroup, a: int, b: int) -> None:
    generator = group.generator()
    left = group.multiply(generator, a + b)
    assert group.equal(left, group.add(group.multiply(generator, a), group.multiply(generator, b)))
    assert group.equal(group.multiply(group.multiply(generator, a), b), group.multiply(generator, a * b))
    assert group.equal(group.multiply(generator, a), group.multiply(generator, a % group.order))


@every_group
def test_different_points_are_not_equal(group: HashableGroup) -> None:
    a, b = group.multiply(group.generator(), 2), group.multiply(group.generator(), 3)
    assert not group.equal(a, b)
    assert not group.equal(a, group.negate(a))
    assert not group.is_identity(a)


@every_group
@pytest.mark.parametrize("terms", [0, 1, 2, 5, 40])
def test_a_sum_of_products_is_what_it_says(group: HashableGroup, terms: int) -> None:
    logarithms = [pow(7, place, group.order) for place in range(terms)]
    scalars = [pow(11, place + 3, 2**128 if place % 2 else group.order) - place for place in range(terms)]
    points = [group.multiply(group.generator(), one) for one in logarithms]
    expected = sum(one * scalar for one, scalar in zip(logarithms, scalars, strict=True))
    found = group.sum_of_products(points, scalars)
    assert group.equal(found, group.multiply(group.generator(), expected))


@every_group
def test_a_sum_of_products_takes_zeros_and_identities(group: HashableGroup) -> None:
    generator = group.generator()
    assert group.is_identity(group.sum_of_products([generator, generator], [0, group.order]))
    assert group.is_identity(group.sum_of_products([group.identity()] * 3, [5, 6, 7]))
    assert group.is_identity(group.sum_of_products([generator, group.negate(generator)], [2**100, 2**100]))


@every_group
def test_a_sum_of_products_refuses_unequal_lengths(group: HashableGroup) -> None:
    for points, scalars in (([group.generator()], []), ([], [1]), ([group.generator()], [1, 2])):
        with pytest.raises(ValueError, match="scalars"):
            group.sum_of_products(points, scalars)


@every_group
@settings(max_examples=8)
@given(scalar=st.integers(min_value=1, max_value=2**60))
def test_decoding_gives_back_the_encoded_point(group: HashableGroup, scalar: int) -> None:
    point = group.multiply(group.generator(), scalar)
    encoded = group.encode(point)
    assert type(encoded) is bytes
    assert len(encoded) == group.point_bytes
    assert group.equal(group.decode(encoded), point)
    assert group.encode(group.decode(encoded)) == encoded


@every_group
def test_the_identity_decodes_only_on_request(group: HashableGroup) -> None:
    encoded = group.encode(group.identity())
    assert len(encoded) == group.point_bytes
    with pytest.raises(MalformedPoint):
        group.decode(encoded)
    assert group.is_identity(group.decode(encoded, allow_identity=True))


@every_group
def test_decoding_refuses_every_other_length(group: HashableGroup) -> None:
    encoded = group.encode(group.generator())
    for wrong in (b"", encoded[:-1], encoded[1:], encoded + b"\0", b"\0" + encoded, encoded * 2):
        with pytest.raises(MalformedPoint):
            group.decode(wrong)


@every_group
def test_decoding_refuses_what_is_not_bytes(group: HashableGroup) -> None:
    encoded = group.encode(group.generator())
    for wrong in (bytearray(encoded), memoryview(encoded), list(encoded), encoded.hex(), None, 0):
        with pytest.raises(MalformedPoint):
            group.decode(wrong)  # type: ignore[arg-type]


@every_group
@settings(max_examples=60)
@given(data=st.data())
def test_random_bytes_are_refused_or_canonical(group: HashableGroup, data: st.DataObject) -> None:
    encoded = data.draw(st.binary(min_size=group.point_bytes, max_size=group.point_bytes))
    try:
        point = group.decode(encoded, allow_identity=True)
    except MalformedPoint:
        return
    assert group.encode(point) == encoded
    assert group.is_identity(group.multiply(point, group.order))


@every_group
@settings(max_examples=60)
@given(data=st.data())
def test_a_flipped_bit_is_refused_or_gives_another_point(group: HashableGroup, data: st.DataObject) -> None:
    good = group.encode(group.multiply(group.generator(), 12345))
    bit = data.draw(st.integers(min_value=0, max_value=8 * len(good) - 1))
    flipped = (int.from_bytes(good, "big") ^ (1 << bit)).to_bytes(len(good), "big")
    try:
        point = group.decode(flipped, allow_identity=True)
    except MalformedPoint:
        return
    assert group.encode(point) == flipped
    assert not group.equal(point, group.decode(good))


@pytest.mark.parametrize("group", HASHABLE.values(), ids=HASHABLE.keys())
def test_hashing_depends_on_message_and_tag_alone(group: HashableGroup) -> None:
    once = group.hash_to_point(b"message", TAG)
    assert group.equal(once, group.hash_to_point(b"message", TAG))
    assert not group.equal(once, group.hash_to_point(b"massage", TAG))
    assert not group.equal(once, group.hash_to_point(b"message", TAG + b"2"))
    assert not group.is_identity(group.hash_to_point(b"", TAG))
    assert group.is_identity(group.multiply(once, group.order))
    assert group.equal(group.decode(group.encode(once)), once)


@every_suite
def test_the_groups_of_a_suite_share_their_order_but_not_their_encoding(suite: PairingSuite) -> None:
    assert suite.g1.order == suite.g2.order
    assert suite.g1.point_bytes != suite.g2.point_bytes
    assert suite.g1.name != suite.g2.name
    with pytest.raises(MalformedPoint):
        suite.g1.decode(suite.g2.encode(suite.g2.generator()))


@every_suite
@settings(max_examples=5)
@given(a=st.integers(min_value=1, max_value=2**200), b=st.integers(min_value=1, max_value=2**200))
def test_the_pairing_is_bilinear(suite: PairingSuite, a: int, b: int) -> None:
    p, q = suite.g1.generator(), suite.g2.generator()
    pa, qb = suite.g1.multiply(p, a), suite.g2.multiply(q, b)
    assert suite.pairings_equal(pa, qb, suite.g1.multiply(p, a * b), q)
    assert suite.pairings_equal(pa, qb, p, suite.g2.multiply(q, a * b))
    assert not suite.pairings_equal(pa, qb, p, suite.g2.multiply(q, a * b + 1))


@every_suite
def test_pairing_with_the_identity_gives_one(suite: PairingSuite) -> None:
    p, q = suite.g1.generator(), suite.g2.generator()
    assert suite.pairings_equal(suite.g1.identity(), q, p, suite.g2.identity())
    assert not suite.pairings_equal(suite.g1.identity(), q, p, q)
    assert not suite.pairings_equal(p, q, p, suite.g2.identity())


@every_suite
def test_target_bytes_tell_pairings_apart(suite: PairingSuite) -> None:
    p, q = suite.g1.generator(), suite.g2.generator()
    left = suite.target_bytes(suite.g1.multiply(p, 6), q)
    assert left == suite.target_bytes(suite.g1.multiply(p, 2), suite.g2.multiply(q, 3))
    assert left != suite.target_bytes(p, q)
    assert len(left) == len(suite.target_bytes(suite.g1.identity(), q))
