import random
from functools import cache

import pytest
from py_ecc import bn128, optimized_bn128
from py_ecc.fields import bn128_FQ2

from collective.groups.bn.integers import choose_integers
from collective.groups.bn.parameters import BN254
from collective.groups.bn.suite import TABLES, BNSuite


def multiples(suite, a, b):
    return suite.g1.multiply(suite.g1.generator(), a), suite.g2.multiply(suite.g2.generator(), b)


def is_one(suite, f):
    return suite.fp12.coefficients(f) == [1] + [0] * 11


def test_the_pairing_is_bilinear(suite):
    rng = random.Random(11)
    a, b = rng.randrange(1, suite.g1.order), rng.randrange(1, suite.g1.order)
    g1, g2 = suite.g1.generator(), suite.g2.generator()
    p, q = multiples(suite, a, b)
    assert suite.pairings_equal(p, q, suite.g1.multiply(g1, a * b), g2)
    assert suite.pairings_equal(p, q, g1, suite.g2.multiply(g2, a * b))
    assert suite.pairings_equal(p, g2, g1, suite.g2.multiply(g2, a))
    assert not suite.pairings_equal(p, q, suite.g1.multiply(g1, a * b + 1), g2)


def test_the_pairing_is_not_degenerate_and_its_values_have_the_groups_order(suite):
    fp12 = suite.fp12
    value = suite.pair(suite.g1.generator(), suite.g2.generator())
    assert not is_one(suite, value)
    assert is_one(suite, fp12.cyclotomic_power(value, suite.g1.order))


def test_the_pairing_with_the_identity_is_one(suite):
    p, q = multiples(suite, 3, 5)
    zero1, zero2 = suite.g1.identity(), suite.g2.identity()
    for first, second in ((zero1, q), (p, zero2), (zero1, zero2)):
        assert is_one(suite, suite.pair(first, second))
        assert suite.pairings_equal(first, second, zero1, zero2)
        assert not suite.pairings_equal(first, second, p, q)
        assert not suite.pairings_equal(p, q, first, second)
    one = bytes(383) + b"\1"
    assert suite.target_bytes(zero1, q) == one


def test_the_miller_loop_of_no_or_of_three_pairs_is_the_product_of_theirs(suite):
    pairing, fp12 = suite.pairing, suite.fp12
    pairs = [(p, pairing.table(q)) for p, q in (multiples(suite, k, k + 1) for k in (2, 5, 9))]
    wanted = fp12.one
    for pair in pairs:
        wanted = fp12.multiply(wanted, pairing.final_exponentiation(pairing.miller([pair])))
    value = pairing.final_exponentiation(pairing.miller(pairs))
    assert fp12.coefficients(value) == fp12.coefficients(wanted)
    assert is_one(suite, pairing.miller([]))


def test_the_final_exponent_is_exactly_the_cofactor_of_the_target_group(suite):
    fp12, p, r = suite.fp12, int(suite.fp2.p), suite.g1.order
    rng = random.Random(12)
    f = fp12.from_coefficients([fp12.p * 0 + rng.randrange(p) for _ in range(12)])
    exponent, remainder = divmod(p**12 - 1, r)
    assert remainder == 0
    power = fp12.one
    for bit in bin(exponent)[2:]:
        power = fp12.square(power)
        if bit == "1":
            power = fp12.multiply(power, f)
    assert fp12.coefficients(suite.pairing.final_exponentiation(f)) == fp12.coefficients(power)


def test_the_tables_of_functions_are_kept_for_a_bounded_number_of_points(integers_name):
    suite = BNSuite(BN254, choose_integers(integers_name), hashing=False)
    p, q = multiples(suite, 1, 1)
    suite.pair(p, q)
    suite.pair(p, q)
    assert (suite._tables.cache_info().hits, suite._tables.cache_info().misses) == (1, 1)
    assert suite._tables.cache_info().maxsize == TABLES


# py_ecc writes Fp12 in the same flat coordinates and uses the same exponent.


def oracle_g1(a):
    return tuple(c.n for c in bn128.multiply(bn128.G1, a))


def oracle_g2(b):
    return tuple(tuple(int(part) for part in c.coeffs) for c in bn128.multiply(bn128.G2, b))


@cache
def oracle_pairing(a, b):
    q = optimized_bn128.multiply(optimized_bn128.G2, b)
    p = optimized_bn128.multiply(optimized_bn128.G1, a)
    return [int(c) for c in optimized_bn128.pairing(q, p).coeffs]


@pytest.mark.parametrize("scalar", [1, 2, 12345678901234567890, bn128.curve_order - 1])
def test_multiples_of_the_generators_agree_with_py_ecc(suite254, scalar):
    p, q = multiples(suite254, scalar, scalar)
    assert p == oracle_g1(scalar)
    assert q == oracle_g2(scalar)


def test_sums_agree_with_py_ecc(suite254):
    g = suite254.g2
    q = g.add(multiples(suite254, 1, 31)[1], multiples(suite254, 1, 41)[1])
    total = bn128.add(bn128.multiply(bn128.G2, 31), bn128.multiply(bn128.G2, 41))
    assert all(isinstance(c, bn128_FQ2) for c in total)
    assert q == tuple(tuple(int(part) for part in c.coeffs) for c in total)


def test_pairing_values_agree_with_py_ecc(suite254):
    assert suite254.fp12.coefficients(suite254.pair(*multiples(suite254, 11, 7))) == oracle_pairing(11, 7)
