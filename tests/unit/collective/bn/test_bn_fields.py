import random

import pytest

from collective.errors import BadSetting
from collective.groups.bn import integers as integers_module
from collective.groups.bn.digits import non_adjacent_form, signed_digits
from collective.groups.bn.fp12 import SLOT_BITS, SLOTS
from collective.groups.bn.integers import choose_integers
from collective.groups.bn.parameters import BN254, BN256


def random_element(suite, seed):
    rng, p = random.Random(seed), suite.fp12.p
    return suite.fp12.from_coefficients([p * 0 + rng.randrange(p) for _ in range(12)])


def same(suite, f, g):
    return suite.fp12.coefficients(f) == suite.fp12.coefficients(g)


def in_cyclotomic_subgroup(suite, f):
    fp12 = suite.fp12
    f = fp12.multiply(fp12.conjugate(f), fp12.inverse(f))
    return fp12.multiply(fp12.frobenius(f, 2), f)


def naive_power(suite, f, exponent):
    result = suite.fp12.one
    for bit in bin(exponent)[2:]:
        result = suite.fp12.square(result)
        if bit == "1":
            result = suite.fp12.multiply(result, f)
    return result


def test_the_digits_of_a_number_join_to_it_again(integers_name):
    chosen = choose_integers(integers_name)
    for digits in ([5, 0, 2**64 - 1], [0, 1], [1]):
        number = chosen.join([chosen.integer(digit) for digit in digits], 64)
        assert number == sum(digit << 64 * k for k, digit in enumerate(digits))
        assert chosen.split(chosen.integer(number), 64) == digits


def schoolbook_product(suite, x, y):
    """The flat coordinates of a product, one term after the other."""
    p, a = int(suite.fp12.p), suite.fp2.xi_real
    terms = [sum(x[i] * y[k - i] for i in range(12) if 0 <= k - i < 12) for k in range(23)]
    while len(terms) > 12:  # w^12 = 2a w^6 - (a^2 + 1)
        top = terms.pop()
        terms[len(terms) - 6] += 2 * a * top
        terms[len(terms) - 12] -= (a * a + 1) * top
    return [c % p for c in terms]


def test_a_product_is_the_schoolbook_one_even_with_the_largest_slots(suite):
    fp12, p = suite.fp12, int(suite.fp12.p)
    rng = random.Random(1)
    cases = [[p - 1] * 12, [0] * 12, [1] + [0] * 11, [rng.randrange(p) for _ in range(12)]]
    largest = p * 0 + sum(2 * p << SLOT_BITS * k for k in range(SLOTS))  # is zero
    for x in cases:
        f = fp12.from_coefficients(x)
        for y in cases:
            g = fp12.from_coefficients(y)
            for raised in (f, fp12.conjugate(fp12.conjugate(f)), f + largest - f % (1 << SLOT_BITS)):
                wanted = schoolbook_product(suite, fp12.coefficients(raised), y)
                assert fp12.coefficients(fp12.multiply(raised, g)) == wanted


def test_slots_stay_below_twice_the_prime_whatever_is_done(suite):
    fp12, p = suite.fp12, int(suite.fp12.p)
    largest = sum((2 * p) << SLOT_BITS * k for k in range(SLOTS)) + suite.fp12.one * 0
    for f in (fp12.multiply(largest, largest), fp12.conjugate(largest), fp12.conjugate(largest * 0)):
        assert f >= 0
        assert all(f >> SLOT_BITS * k & (1 << SLOT_BITS) - 1 <= 2 * p for k in range(SLOTS))
        assert f >> SLOT_BITS * SLOTS == 0


def test_a_square_root_is_found_exactly_when_there_is_one(integers_name):
    chosen = choose_integers(integers_name)
    p = chosen.integer(BN254.p)
    for value in range(1, 40):
        root = chosen.square_root(chosen.integer(value * value), p)
        assert root in (value, p - value)
        assert chosen.square_root(chosen.integer(-value * value % p), p) is None
    assert chosen.square_root(chosen.integer(0), p) == 0


def test_zero_has_no_inverse(integers_name):
    chosen = choose_integers(integers_name)
    with pytest.raises((ZeroDivisionError, ValueError)):
        chosen.inverse(chosen.integer(0), chosen.integer(BN254.p))


def test_the_environment_chooses_the_integers_and_an_argument_overrules_it(monkeypatch):
    monkeypatch.setenv("DRAND_BN_INTEGERS", "python")
    assert choose_integers().name == "python"
    monkeypatch.setenv("DRAND_BN_INTEGERS", "abacus")
    with pytest.raises(BadSetting, match="abacus"):
        choose_integers()
    assert choose_integers("python").name == "python"


def test_python_integers_serve_where_gmpy2_is_not_installed(monkeypatch):
    monkeypatch.delenv("DRAND_BN_INTEGERS", raising=False)
    monkeypatch.setattr(integers_module, "gmpy2", None)
    assert choose_integers().name == "python"
    with pytest.raises(BadSetting, match="not installed"):
        choose_integers("gmpy2")


@pytest.mark.parametrize("parameters", [BN254, BN256], ids=lambda c: c.name)
def test_the_parameters_are_those_of_a_bn_curve(parameters):
    p, r, u = parameters.p, parameters.order, parameters.u
    assert r == 36 * u**4 + 36 * u**3 + 18 * u**2 + 6 * u + 1
    assert pow(3, p - 1, p) == 1
    assert pow(3, r - 1, r) == 1
    assert p % 4 == 3
    norm_of_xi = parameters.xi_real**2 + 1
    assert pow(norm_of_xi, (p - 1) // 2, p) == p - 1  # xi is no square in Fp2 when its norm is none in Fp
    x, y = parameters.g1
    assert (y * y - x**3 - parameters.b) % p == 0


def test_fp2_is_a_field_in_which_the_square_of_i_is_minus_one(suite):
    fp2 = suite.fp2
    i = (fp2.zero[0], fp2.one[0])
    assert fp2.square(i) == fp2.reduce((-1, 0))
    x, y = (random.Random(5).randrange(fp2.p), 7), (11, random.Random(6).randrange(fp2.p))
    assert fp2.multiply(fp2.multiply(x, y), fp2.inverse(y)) == x
    assert fp2.square(x) == fp2.multiply(x, x)
    assert fp2.reduce(fp2.times_xi(x)) == fp2.multiply(x, fp2.xi)
    assert fp2.reduce(fp2.conjugate(x)) == fp2.power(x, int(fp2.p))


def test_fp12_has_the_inverse_and_both_coordinates_of_every_element(suite):
    fp12 = suite.fp12
    f = random_element(suite, 1)
    assert same(suite, fp12.multiply(f, fp12.inverse(f)), fp12.one)
    assert same(suite, fp12.from_tower(fp12.to_tower(f)), f)
    assert same(suite, fp12.from_coefficients(fp12.coefficients(f)), f)


def test_the_sixth_power_of_w_is_xi(suite):
    fp12, fp2 = suite.fp12, suite.fp2
    w = fp12.monomial(fp2.one, 1)
    assert same(suite, naive_power(suite, w, 6), fp12.monomial(fp2.xi, 0))
    assert same(suite, naive_power(suite, w, 4), fp12.monomial(fp2.one, 4))


def test_frobenius_maps_raise_to_powers_of_the_prime(suite):
    fp12 = suite.fp12
    f = random_element(suite, 2)
    power = f
    for n in (1, 2, 3):
        power = naive_power(suite, power, int(fp12.p))
        assert same(suite, fp12.frobenius(f, n), power)
    assert same(suite, fp12.conjugate(f), fp12.frobenius(fp12.frobenius(f, 3), 3))


def test_cyclotomic_powers_are_ordinary_ones(suite):
    fp12 = suite.fp12
    f = in_cyclotomic_subgroup(suite, random_element(suite, 3))
    for exponent in (1, 2, 3, 8, 15, 29, suite.pairing.u):
        assert same(suite, fp12.cyclotomic_power(f, exponent), naive_power(suite, f, exponent))
    assert same(suite, fp12.multiply(f, fp12.conjugate(f)), fp12.one)


@pytest.mark.parametrize("width", [2, 3, 5])
def test_a_non_adjacent_form_adds_up_and_is_sparse(width):
    for scalar in (0, 1, 2, 3, 7, 255, 2**64 - 1, 123456789):
        digits = non_adjacent_form(scalar, width)
        assert sum(d << k for k, d in enumerate(digits)) == scalar
        assert all(d == 0 or (d % 2 and abs(d) < 1 << (width - 1)) for d in digits)
        assert all(sum(d != 0 for d in digits[k : k + width]) <= 1 for k in range(len(digits)))


@pytest.mark.parametrize("width", [3, 8])
def test_signed_digits_add_up_and_stay_in_range(width):
    scalars = [0, 1, 4, 5, 2**128 - 1, 2**128, 987654321]
    columns = signed_digits(scalars, width)
    for place, scalar in enumerate(scalars):
        digits = [column[place] for column in columns]
        assert sum(d << (width * k) for k, d in enumerate(digits)) == scalar
        assert all(-(1 << (width - 1)) < d <= 1 << (width - 1) for d in digits)
