import pytest

from collective.errors import BadSetting
from collective.groups.bn.curve_fp import CurveOverFp
from collective.groups.bn.hash_to_curve import HashToG1, expand_message_xmd
from collective.groups.bn.integers import choose_integers
from collective.groups.bn.parameters import BN254, BNParameters
from collective.keccak import keccak256


def test_keccak256_is_the_original_one_and_not_sha3():
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    abc = "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    assert keccak256(b"").hex() == empty
    assert keccak256(b"abc").hex() == abc


@pytest.mark.parametrize("length_bytes", [1, 32, 33, 96, 255 * 32])
def test_expansion_gives_the_length_asked_for(length_bytes):
    assert len(expand_message_xmd(b"message", b"tag", length_bytes)) == length_bytes


def test_expansion_separates_lengths_messages_and_tags():
    outputs = {
        expand_message_xmd(b"a", b"tag", 96)[:32],
        expand_message_xmd(b"a", b"tag", 64)[:32],
        expand_message_xmd(b"b", b"tag", 96)[:32],
        expand_message_xmd(b"a", b"other", 96)[:32],
    }
    assert len(outputs) == 4


def test_a_tag_without_bytes_or_with_more_than_255_is_refused():
    assert len(expand_message_xmd(b"", b"t" * 255, 32)) == 32
    for domain in (b"", b"t" * 256):
        with pytest.raises(BadSetting, match="domain separation tag"):
            expand_message_xmd(b"", domain, 32)


def test_an_expansion_that_is_too_long_is_refused():
    with pytest.raises(BadSetting, match="more than"):
        expand_message_xmd(b"", b"tag", 255 * 32 + 1)


@pytest.mark.parametrize("exceptional", [0, "root"])
def test_the_map_takes_the_elements_for_which_it_would_divide_by_zero(integers_name, exceptional):
    chosen = choose_integers(integers_name)
    curve = CurveOverFp(chosen, BN254)
    hashing = HashToG1(chosen, curve)
    # 1 - g(Z)^2 u^4 = 0, for instance at u^2 = 1/g(Z); with g(1) = 4 that is u = 1/2.
    u = chosen.integer(0 if exceptional == 0 else pow(2, -1, BN254.p))
    x, y = hashing.map_to_curve(u)
    assert curve.contains((x, y))
    assert (y - u) % 2 == 0


def test_a_curve_that_does_not_suit_the_map_is_refused(integers_name):
    chosen = choose_integers(integers_name)
    # -3 g(1) must be a square: look for a coefficient b with which it is none.
    p = BN254.p
    b = next(b for b in range(1, 100) if pow(-3 * (1 + b) % p, (p - 1) // 2, p) == p - 1)
    parameters = BNParameters(name="unsuitable", u=BN254.u, b=b, xi_real=9, g1=(0, 0), g2=((0, 0), (0, 0)))
    with pytest.raises(BadSetting, match="does not suit"):
        HashToG1(chosen, CurveOverFp(chosen, parameters))
