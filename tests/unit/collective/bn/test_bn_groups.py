import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collective.errors import BadSetting, MalformedPoint
from collective.groups.bn import bn254, bn256
from tests.support.twist_points import point_on_twist, times

SCALARS = [0, 1, 2, 3, 15, 16, 2**32 - 1, 2**32, 2**128 - 1]


def by_doubling(group, a, scalar):
    total = group.identity()
    for bit in bin(scalar)[2:]:
        total = group.add(total, total)
        if bit == "1":
            total = group.add(total, a)
    return total


def test_suites_and_groups_say_their_names(integers_name):
    suite = bn254(integers_name)
    assert [repr(suite), repr(suite.g1), repr(suite.g2)] == [f"<BN254 ({integers_name})>", "<BN254 G1>", "<BN254 G2>"]


def test_suites_are_made_once(monkeypatch):
    monkeypatch.setenv("DRAND_BN_INTEGERS", "python")
    assert bn254() is bn254("python")
    assert bn256("python") is bn256("python")


def test_multiples_agree_with_doubling_and_adding(group):
    other = group.multiply(group.generator(), 987654321)
    for scalar in [*SCALARS, group.order - 1]:
        for a in (group.generator(), other):
            assert group.equal(group.multiply(a, scalar), by_doubling(group, a, scalar))


def test_scalars_count_modulo_the_order(group):
    g = group.generator()
    assert group.is_identity(group.multiply(g, group.order))
    assert group.equal(group.multiply(g, -1), group.negate(g))
    assert group.equal(group.multiply(g, group.order + 5), group.multiply(g, 5))


def test_the_identity_is_neutral(group):
    g, zero = group.generator(), group.identity()
    assert group.is_identity(zero)
    assert not group.is_identity(g)
    assert group.equal(group.add(g, zero), g)
    assert group.equal(group.add(zero, g), g)
    assert group.is_identity(group.add(zero, zero))
    assert group.is_identity(group.add(g, group.negate(g)))
    assert group.is_identity(group.negate(zero))
    assert group.is_identity(group.multiply(zero, 7))


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_a_sum_of_products_is_the_sum_of_the_products(group, count):
    rng = random.Random(count)
    points = [group.multiply(group.generator(), rng.randrange(1, 1000)) for _ in range(count)]
    scalars = [rng.choice([0, 1, rng.randrange(2**128), rng.randrange(group.order), -3]) for _ in range(count)]
    wanted = group.identity()
    for a, k in zip(points, scalars, strict=True):
        wanted = group.add(wanted, group.multiply(a, k))
    assert group.equal(group.sum_of_products(points, scalars), wanted)


def test_a_sum_of_products_survives_equal_opposite_and_neutral_points(group):
    g = group.generator()
    points = [g, g, group.negate(g), group.identity(), g, group.negate(g)]
    assert group.is_identity(group.sum_of_products(points, [5, 7, 12, 9, 1, 1]))
    assert group.equal(group.sum_of_products(points, [5, 5, 1, 9, 1, 1]), group.multiply(g, 9))


def test_a_sum_of_nothing_is_the_identity_and_lengths_must_match(group):
    assert group.is_identity(group.sum_of_products([], []))
    with pytest.raises(ValueError, match="1 points and 2 scalars"):
        group.sum_of_products([group.generator()], [1, 2])


def test_a_point_of_the_other_group_is_refused(suite):
    with pytest.raises(TypeError, match="no point of"):
        suite.g1.add(suite.g1.generator(), suite.g2.generator())
    with pytest.raises(TypeError, match="no point of"):
        suite.g2.encode(suite.g1.generator())


def test_jacobian_additions_meet_every_special_case(group):
    curve = group._curve
    g = curve.to_jacobian(group._base)
    zero = curve.to_jacobian(curve.identity)
    two, three = curve.double(g), curve.add_jacobian(curve.double(g), g)
    minus_two = curve.to_jacobian(curve.negate(curve.to_affine([two])[0]))
    sums = [
        curve.add_jacobian(two, two),
        curve.add_mixed(three, group._base),
        curve.add_jacobian(zero, two),
        curve.add_jacobian(two, zero),
        curve.add_jacobian(two, minus_two),
        curve.add_mixed(curve.to_jacobian(curve.negate(group._base)), group._base),
        curve.double(zero),
    ]
    wanted = [group.multiply(group.generator(), k) for k in (4, 4, 2, 2, 0, 0, 0)]
    assert curve.to_affine(sums) == wanted


# Encodings


def test_every_point_has_one_encoding_of_the_length_stated(group):
    for scalar in (1, 2, 77, group.order - 1):
        a = group.multiply(group.generator(), scalar)
        data = group.encode(a)
        assert len(data) == group.point_bytes
        assert group.equal(group.decode(data), a)


def test_the_identity_is_zeros_and_decodes_only_on_request(group):
    zeros = bytes(group.point_bytes)
    assert group.encode(group.identity()) == zeros
    assert group.is_identity(group.decode(zeros, allow_identity=True))
    with pytest.raises(MalformedPoint, match="identity"):
        group.decode(zeros)


def test_other_lengths_and_other_types_are_refused(group):
    data = group.encode(group.generator())
    for wrong in (b"", data[:-1], data + b"\0", data * 2):
        with pytest.raises(MalformedPoint, match="bytes, not"):
            group.decode(wrong)
    for wrong in (data.hex(), list(data), bytearray(data), None):
        with pytest.raises(MalformedPoint, match="is bytes"):
            group.decode(wrong)


def test_coordinates_that_are_not_reduced_are_refused(suite):
    p = int(suite.fp2.p)
    for group in (suite.g1, suite.g2):
        data = group.encode(group.generator())
        for at in range(0, group.point_bytes, 32):
            larger = int.from_bytes(data[at : at + 32], "big") + p
            if larger >= 2**256:
                larger = p
            with pytest.raises(MalformedPoint, match="not below"):
                group.decode(data[:at] + larger.to_bytes(32, "big") + data[at + 32 :])


def test_points_off_the_curve_are_refused(group):
    data = bytearray(group.encode(group.generator()))
    data[-1] ^= 1
    with pytest.raises(MalformedPoint, match="not on the curve"):
        group.decode(bytes(data))


def test_points_of_the_twist_outside_the_subgroup_are_refused(suite):
    twist, group = suite.pairing._twist, suite.g2
    stray = point_on_twist(twist)
    assert twist.contains(stray)
    assert times(twist, stray, group.order) != twist.identity
    with pytest.raises(MalformedPoint, match="subgroup"):
        group.decode(group.encode(group.wrap(stray)))


@pytest.mark.parametrize(("maker", "small_order"), [(bn254, 10069), (bn256, 13), (bn256, 7369)])
def test_a_point_of_small_order_is_refused_alone_and_added_to_a_good_point(maker, small_order, integers_name):
    suite = maker(integers_name)
    twist, group = suite.pairing._twist, suite.g2
    points_on_twist = group.order * (2 * int(suite.fp2.p) - group.order)
    seed, small = 1, twist.identity
    while small == twist.identity:
        small = times(twist, point_on_twist(twist, seed), points_on_twist // small_order)
        seed += 1
    assert times(twist, small, small_order) == twist.identity
    for scalar in (small_order - 1, small_order, 6 * suite.pairing.u**2):
        assert twist.multiply(small, scalar) == times(twist, small, scalar)
    for stray in (small, twist.add(small, group._base)):
        with pytest.raises(MalformedPoint, match="subgroup"):
            group.decode(group.encode(group.wrap(stray)))


GROUPS = [bn254().g1, bn254().g2, bn256().g1, bn256().g2]


@pytest.mark.parametrize("any_group", GROUPS, ids=lambda g: g.name)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_decodes_encodes_to_the_same_bytes_and_the_rest_is_malformed(any_group, data):
    length = st.sampled_from([0, 31, 32, 64, 128, 384, any_group.point_bytes])
    noise = length.flatmap(lambda size: st.binary(min_size=size, max_size=size))
    raw = bytearray(any_group.encode(any_group.multiply(any_group.generator(), data.draw(st.integers(1, 40)))))
    for bit in data.draw(st.lists(st.integers(0, 8 * len(raw) - 1), max_size=3)):
        raw[bit // 8] ^= 1 << bit % 8
    candidate = data.draw(st.one_of(st.just(bytes(raw)), noise))
    try:
        point = any_group.decode(candidate, allow_identity=True)
    except MalformedPoint:
        return
    assert any_group.encode(point) == candidate
    assert any_group.is_identity(any_group.multiply(any_group.add(point, point), any_group.order))


# Hashing


def test_bn254_hashes_to_its_first_group_only(suite254):
    with pytest.raises(BadSetting, match="nothing hashes"):
        suite254.g2.hash_to_point(b"message", b"tag")
    a = suite254.g1.hash_to_point(b"message", b"tag")
    assert suite254.g1.equal(suite254.g1.decode(suite254.g1.encode(a)), a)


def test_bn256_says_that_it_has_no_such_hash(integers_name):
    for group in (bn256(integers_name).g1, bn256(integers_name).g2):
        with pytest.raises(BadSetting, match="hash"):
            group.hash_to_point(b"message", b"tag")
