"""BLS12-381: two native backends and py_ecc agree, and nothing malformed gets through."""

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collective.errors import BadSetting, MalformedPoint
from collective.groups import bls12381 as module
from collective.groups.bls12381 import BACKEND_VARIABLE, BrokenBackend, available_backends, bls12381, self_test
from collective.groups.group import HashableGroup
from collective.groups.toy import toy
from tests.support.torsion import shift_by_torsion

BACKENDS = available_backends()
both_needed = pytest.mark.skipif(len(BACKENDS) < 2, reason="only one BLS12-381 backend is installed")
on_every_backend = pytest.mark.parametrize("backend", BACKENDS)
on_both_groups = pytest.mark.parametrize("side", ["g1", "g2"])
P = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB


def group_of(backend: str, side: str) -> HashableGroup:
    group: HashableGroup = getattr(bls12381(backend), side)
    return group


@both_needed
@on_both_groups
@settings(max_examples=25)
@given(message=st.binary(max_size=300), tag=st.binary(min_size=1, max_size=255), scalar=st.integers())
def test_both_backends_compute_the_same(side: str, message: bytes, tag: bytes, scalar: int) -> None:
    answers = set()
    for backend in ("blst", "arkworks"):
        group = group_of(backend, side)
        hashed = group.hash_to_point(message, tag)
        product = group.multiply(hashed, scalar)
        total = group.sum_of_products([hashed, product, group.generator()], [scalar, 3, scalar * scalar])
        answers.add(b"".join(map(group.encode, (hashed, product, group.negate(product), group.add(hashed, total)))))
    assert len(answers) == 1


@both_needed
def test_both_backends_give_the_same_target_bytes() -> None:
    answers = set()
    for backend in ("blst", "arkworks"):
        suite = bls12381(backend)
        hashed = suite.g1.hash_to_point(b"m", b"tag")
        answers.add(suite.target_bytes(hashed, suite.g2.multiply(suite.g2.generator(), 99)))
        assert len(suite.target_bytes(suite.g1.identity(), suite.g2.generator())) == 576
    assert len(answers) == 1


@on_every_backend
def test_hashes_and_products_are_those_of_py_ecc(backend: str) -> None:
    from py_ecc.bls.hash_to_curve import hash_to_G1, hash_to_G2
    from py_ecc.bls.point_compression import compress_G1, compress_G2
    from py_ecc.optimized_bls12_381 import multiply

    suite, tag, scalar = bls12381(backend), b"PY-ECC", 0xDEADBEEF
    expected1 = compress_G1(multiply(hash_to_G1(b"msg", tag, hashlib.sha256), scalar)).to_bytes(48, "big")
    assert suite.g1.encode(suite.g1.multiply(suite.g1.hash_to_point(b"msg", tag), scalar)) == expected1
    high, low = compress_G2(multiply(hash_to_G2(b"msg", tag, hashlib.sha256), scalar))
    expected2 = high.to_bytes(48, "big") + low.to_bytes(48, "big")
    assert suite.g2.encode(suite.g2.multiply(suite.g2.hash_to_point(b"msg", tag), scalar)) == expected2


def test_the_pinned_target_bytes_are_a_known_power_of_the_pairing_of_py_ecc() -> None:
    """The power is -3: kyber's final exponentiation uses three times the exact exponent, and py_ecc's Miller loop runs
    over the absolute value of the curve's negative parameter, which gives the inverse."""
    from py_ecc.optimized_bls12_381 import G1, G2, pairing

    value = pairing(G2, G1) ** 3
    value = value.one() / value
    suite = bls12381()
    mine = suite.target_bytes(suite.g1.generator(), suite.g2.generator())
    assert kyber_bytes(value) == mine
    assert hashlib.sha256(mine).hexdigest() == module._TARGET_DIGEST


def kyber_bytes(value: Any) -> bytes:
    """A polynomial in w (w^12 = 2 w^6 - 2) as the tower's coefficients, highest first, imaginary part first."""
    flat = [int(coefficient) for coefficient in value.coeffs]
    parts = []
    for half in (1, 0):
        for third in (2, 1, 0):
            power = half + 2 * third
            imaginary = flat[power + 6]
            parts += [imaginary, (flat[power] + imaginary) % P]
    return b"".join(part.to_bytes(48, "big") for part in parts)


@on_every_backend
@on_both_groups
def test_every_malformed_identity_is_refused(backend: str, side: str) -> None:
    group = group_of(backend, side)
    rest = group.point_bytes - 1
    assert group.is_identity(group.decode(b"\xc0" + bytes(rest), allow_identity=True))
    malformed = [bytes([first]) + bytes(rest) for first in (0x00, 0x20, 0x40, 0x60, 0xE0, 0xC1, 0xFF)]
    malformed += [b"\xff" * (rest + 1), b"\xc0" + bytes(rest - 1) + b"\x01", b"\xc0\x01" + bytes(rest - 1)]
    for encoded in malformed:
        with pytest.raises(MalformedPoint):
            group.decode(encoded, allow_identity=True)


@on_every_backend
@on_both_groups
def test_coordinates_that_are_not_reduced_are_refused(backend: str, side: str) -> None:
    group = group_of(backend, side)
    for x in (P, P + 1, 2**381 - 1):
        head = ((0b100 << 381) | x).to_bytes(48, "big")
        with pytest.raises(MalformedPoint):
            group.decode(head + bytes(group.point_bytes - 48))
    if side == "g2":
        valid = group.encode(group.generator())
        with pytest.raises(MalformedPoint):
            group.decode(valid[:48] + (int.from_bytes(valid[48:], "big") + P).to_bytes(48, "big"))


@on_every_backend
@on_both_groups
def test_an_encoding_without_the_compression_bit_is_refused(backend: str, side: str) -> None:
    group = group_of(backend, side)
    encoded = group.encode(group.generator())
    with pytest.raises(MalformedPoint, match="compression"):
        group.decode(bytes([encoded[0] & 0x7F]) + encoded[1:])


@on_every_backend
def test_a_point_of_the_curve_outside_the_subgroup_is_refused(backend: str) -> None:
    group = bls12381(backend).g1
    refused = on_curve = 0
    for x in range(60):
        if pow(x**3 + 4, (P - 1) // 2, P) != 1:
            continue
        on_curve += 1
        try:
            group.decode((0b100 << 381 | x).to_bytes(48, "big"))
        except MalformedPoint:
            refused += 1
    assert on_curve > 20
    assert refused == on_curve  # one in 2**125 is in the subgroup


@on_every_backend
def test_a_signature_shifted_by_a_point_of_cofactor_order_is_refused(backend: str) -> None:
    """Decoded without the subgroup check it satisfies the pairing equation, and its bytes, the randomness, differ."""
    from py_arkworks_bls12381 import GT, G1Point, G2Point

    group = bls12381(backend).g1
    good = group.encode(group.hash_to_point(b"round", b"tag"))
    shifted = shift_by_torsion(good)
    assert shifted != good
    unchecked, genuine = G1Point.from_compressed_bytes_unchecked(shifted), G1Point.from_compressed_bytes(good)
    assert GT.pairing(unchecked, G2Point()) == GT.pairing(genuine, G2Point())
    with pytest.raises(MalformedPoint):
        group.decode(shifted)


@on_every_backend
@on_both_groups
def test_a_tag_has_between_1_and_255_bytes(backend: str, side: str) -> None:
    group = group_of(backend, side)
    for tag in (b"", b"x" * 256):
        with pytest.raises(ValueError, match="255"):
            group.hash_to_point(b"m", tag)


@pytest.mark.skipif("blst" not in BACKENDS, reason="pyblst is not installed")
@on_both_groups
def test_short_scalars_take_the_same_value_on_the_short_way(side: str) -> None:
    group = group_of("blst", side)
    point = group.hash_to_point(b"p", b"tag")
    for scalar in (1, 2, 3, 255, 300, 2**24 - 1, 2**24, 2**24 + 1):
        split = group.add(group.multiply(point, scalar - 2**200), group.multiply(point, 2**200))
        assert group.equal(group.multiply(point, scalar), split)


def test_a_suite_is_made_once() -> None:
    for backend in BACKENDS:
        assert bls12381(backend) is bls12381(backend)
        assert backend in bls12381(backend).name


def test_the_environment_names_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    for backend in BACKENDS:
        monkeypatch.setenv(BACKEND_VARIABLE, backend)
        assert bls12381() is bls12381(backend)
    monkeypatch.delenv(BACKEND_VARIABLE)
    assert bls12381() is bls12381(BACKENDS[0])


def test_an_unknown_backend_is_a_bad_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BACKEND_VARIABLE, "openssl")
    with pytest.raises(BadSetting, match="openssl"):
        bls12381()


def test_a_backend_that_is_not_installed_is_a_bad_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_backends", lambda: ("arkworks",))
    monkeypatch.delenv(BACKEND_VARIABLE, raising=False)
    with pytest.raises(BadSetting, match="not installed"):
        bls12381("blst")
    assert bls12381() is bls12381("arkworks")


def test_a_backend_that_answers_wrongly_is_refused() -> None:
    with pytest.raises(BrokenBackend, match="toy"):
        self_test(toy())


@both_needed
def test_target_bytes_are_refused_of_a_library_that_gets_them_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The blst suite is made without them, and asks arkworks, which is tested then."""
    monkeypatch.setattr(module, "_TARGET_DIGEST", "00" * 32)
    monkeypatch.setattr(module, "_tested", module._tested.__wrapped__)
    suite = bls12381("blst")
    with pytest.raises(BrokenBackend, match="arkworks"):
        suite.target_bytes(suite.g1.generator(), suite.g2.generator())
