"""The mathematics against values that Go made: keys, partials, Schnorr, ECIES, beacons, the operator's randomness."""

import hashlib
from collections import defaultdict
from typing import Any

import pytest

from collective.blake2x import blake2xb
from collective.errors import InvalidSignature, Malformed
from collective.groups.bls12381 import available_backends, bls12381
from collective.groups.bls12381_arkworks import ORDER
from collective.groups.group import Point
from collective.sealing import ecies
from collective.secret import SecretScalar
from collective.sharing.commitment import PublicPolynomial
from collective.sharing.polynomial import SecretPolynomial
from collective.sharing.share import Share, verify_share
from collective.sharing.threshold import PartialSignature, recover
from collective.signatures import schnorr
from collective.signatures.batch import verify_batch, verify_partials
from collective.signatures.bls import BlsScheme
from collective.user_entropy import pick_scalar
from drand.model.schemes import scheme_named
from tests.support.entropy import SeededEntropy
from tests.support.schemes import BLS12381_SCHEMES, scheme
from tests.support.vectors import beacon_cases, extra_cases, load, v1_cases

unhex = bytes.fromhex
on_every_backend = pytest.mark.parametrize("backend", available_backends())


def secret_of(text: str, order: int = ORDER) -> SecretScalar:
    return SecretScalar.from_bytes(unhex(text), order)


def signing(name: str, backend: str) -> BlsScheme:
    """The scheme on one of the backends of BLS12-381; the scheme of BN254 has its own curve."""
    return scheme(name, bls12381(backend)) if name in BLS12381_SCHEMES else scheme_named(name).bls


@on_every_backend
@pytest.mark.parametrize("vector", v1_cases("keypair"))
def test_a_key_pair_and_its_self_signature(vector: dict[str, Any], backend: str) -> None:
    given, expected = vector["inputs"], vector["expected"]
    bls = signing(given["scheme"], backend)
    secret = secret_of(given["private_key"], bls.key_group.order)
    public = bls.key_group.encode(bls.public_key(secret))
    assert public.hex() == expected["public_key"]
    identity_hash = hashlib.blake2b(public, digest_size=32).digest()
    assert bls.sign(secret, identity_hash).hex() == expected["self_signature"]
    bls.verify(bls.key_group.decode(public), identity_hash, unhex(expected["self_signature"]))


@on_every_backend
@pytest.mark.parametrize("vector", v1_cases("bls-sign"))
def test_a_signature_of_an_older_release(vector: dict[str, Any], backend: str) -> None:
    given = vector["inputs"]
    bls = signing(given["scheme"], backend)
    secret = secret_of(given["private_key"], bls.key_group.order)
    assert bls.sign(secret, unhex(given["message"])).hex() == vector["expected"]["signature"]


@on_every_backend
@pytest.mark.parametrize("vector", extra_cases("bls_sign"))
def test_a_signature_that_drand_itself_compares_with(vector: dict[str, Any], backend: str) -> None:
    bls = signing(vector["scheme"], backend)
    assert bls.sign(secret_of(vector["secret_key"]), unhex(vector["message"])).hex() == vector["signature"]


@on_every_backend
@pytest.mark.parametrize("vector", extra_cases("groups"))
def test_the_members_of_a_public_network_signed_their_own_keys(vector: dict[str, Any], backend: str) -> None:
    bls = signing(vector["scheme"], backend)
    for node in vector["nodes"]:
        key = unhex(node["key"])
        bls.verify(bls.key_group.decode(key), hashlib.blake2b(key, digest_size=32).digest(), unhex(node["signature"]))
    public = PublicPolynomial.decode(bls.key_group, [unhex(text) for text in vector["coefficients"]])
    assert [coefficient.hex() for coefficient in public.encode()] == vector["coefficients"]


@on_every_backend
@pytest.mark.parametrize("vector", v1_cases("partial"))
def test_partials_and_the_beacon_they_recover(vector: dict[str, Any], backend: str) -> None:
    given, expected = vector["inputs"], vector["expected"]
    bls = signing(given["scheme"], backend)
    order = bls.key_group.order
    secret = SecretPolynomial([secret_of(text, order) for text in given["private_poly"]], order)
    public = PublicPolynomial.decode(bls.key_group, [unhex(text) for text in given["commits"]])
    assert secret.commit(bls.key_group) == public
    message = scheme_named(given["scheme"]).digest(given["round"], unhex(given["previous_signature"]))
    assert message.hex() == expected["digest"]
    hashed = bls.hash_to_point(message)
    points: dict[int, Point] = {}
    for one in expected["partials"]:
        share = Share(one["index"], secret.evaluate(one["index"]))
        assert share.value.to_bytes().hex() == one["share"]
        assert bls.key_group.encode(public.evaluate(share.index)).hex() == one["public_share"]
        verify_share(public, share)
        partial = PartialSignature(share.index, bls.sign_point(share.value, hashed))
        assert partial.encode().hex() == one["partial_sig"]
        assert PartialSignature.decode(unhex(one["partial_sig"]), bls.signature_group.point_bytes) == partial
        points[share.index] = bls.signature_group.decode(partial.signature)
    shares = [public.evaluate(index) for index in points]
    signatures = [unhex(one["partial_sig"])[2:] for one in expected["partials"]]
    assert verify_partials(bls, shares, hashed, signatures, SeededEntropy()) == []
    threshold, indices = len(given["private_poly"]), list(points)
    for chosen in (indices[:threshold], indices[-threshold:], sorted(indices)[::2][:threshold]):
        if len(chosen) == threshold:
            recovered = recover(bls.signature_group, {index: points[index] for index in chosen}, threshold)
            encoded = bls.signature_group.encode(recovered)
            assert encoded.hex() == expected[f"recovered_signature_threshold_{threshold}"]
    assert hashlib.sha256(encoded).hexdigest() == expected["randomness"]
    bls.verify(public.constant, message, encoded)


@on_every_backend
@pytest.mark.parametrize("vector", v1_cases("schnorr"))
def test_a_schnorr_signature_of_kyber(vector: dict[str, Any], backend: str) -> None:
    given = vector["inputs"]
    group = signing(given["scheme"], backend).key_group
    public, message = group.decode(unhex(given["public_key"])), unhex(given["message"])
    if not vector["expected"]["valid"]:
        with pytest.raises((InvalidSignature, Malformed)):
            schnorr.verify(group, public, message, unhex(given["signature"]))
        return
    schnorr.verify(group, public, message, unhex(given["signature"]))
    schnorr.verify(
        group,
        public,
        message,
        schnorr.sign(group, secret_of(given["private_key"], group.order), message, SeededEntropy()),
    )
    with pytest.raises(InvalidSignature):
        schnorr.verify(group, public, message + b"!", unhex(given["signature"]))


@on_every_backend
@pytest.mark.parametrize("vector", v1_cases("ecies"))
def test_a_message_sealed_by_kyber(vector: dict[str, Any], backend: str) -> None:
    given, expected = vector["inputs"], vector["expected"]
    group = signing(given["scheme"], backend).key_group
    secret = secret_of(given["private_key"], group.order)
    assert ecies.unseal(group, secret, unhex(given["ciphertext"])).hex() == expected["plaintext"]
    again = ecies.seal(group, group.decode(unhex(given["public_key"])), unhex(expected["plaintext"]), SeededEntropy())
    assert len(again) == len(unhex(given["ciphertext"]))
    assert ecies.unseal(group, secret, again).hex() == expected["plaintext"]


@on_every_backend
@pytest.mark.parametrize("vector", v1_cases("verify-beacon"))
def test_a_beacon_of_a_go_network(vector: dict[str, Any], backend: str) -> None:
    assert accepted(vector["inputs"], backend) is vector["expected"]["valid"]


@on_every_backend
@pytest.mark.parametrize("beacon", beacon_cases(*BLS12381_SCHEMES))
def test_a_beacon_of_a_public_chain(beacon: dict[str, Any], backend: str) -> None:
    """Valid ones are accepted, broken ones are refused; randomness is the hash of the signature."""
    right = accepted(beacon, backend)
    hashed = right and hashlib.sha256(unhex(beacon["signature"])).hexdigest() == beacon["randomness"]
    assert (hashed if beacon["randomness_given"] else right) is beacon["valid"]
    assert hashed or not beacon["valid"]


def accepted(beacon: dict[str, Any], backend: str) -> bool:
    bls = signing(beacon["scheme"], backend)
    try:
        message = scheme_named(beacon["scheme"]).digest(beacon["round"], unhex(beacon["previous_signature"]))
        bls.verify(bls.key_group.decode(unhex(beacon["public_key"])), message, unhex(beacon["signature"]))
    except (InvalidSignature, Malformed, ValueError):
        return False
    return True


def decodes(beacon: dict[str, Any]) -> bool:
    """Whether there is something to put into a batch: a key, and bytes for a signature."""
    try:
        scheme_named(beacon["scheme"]).decode_key(unhex(beacon["public_key"]))
        return all(unhex(beacon[name]) is not None for name in ("signature", "previous_signature"))
    except (Malformed, ValueError):
        return False


@on_every_backend
def test_batches_of_public_beacons_single_out_the_broken_ones(backend: str) -> None:
    chains: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for beacon in load("drand/beacons.json")["beacons"]:
        if beacon["scheme"] in BLS12381_SCHEMES and decodes(beacon):
            chains[beacon["scheme"], beacon["public_key"]].append(beacon)
    for (name, key), beacons in chains.items():
        bls = signing(name, backend)
        items = [
            (scheme_named(name).digest(one["round"], unhex(one["previous_signature"])), unhex(one["signature"]))
            for one in beacons
        ]
        bad = [place for place, one in enumerate(beacons) if not one["valid"]]
        assert verify_batch(bls, bls.key_group.decode(unhex(key)), items, SeededEntropy()) == bad
    assert chains


@pytest.mark.parametrize("vector", v1_cases("blake2xb"))
def test_a_stream_of_blake2xb(vector: dict[str, Any]) -> None:
    expected = unhex(vector["expected"]["first_100_bytes"])
    assert blake2xb(unhex(vector["inputs"]["key"]), len(expected)) == expected


@pytest.mark.parametrize("vector", v1_cases("user-source-only"))
def test_a_secret_from_the_operators_reader_alone(vector: dict[str, Any]) -> None:
    source = unhex(vector["inputs"]["reader_bytes_cycled"])
    consumed = 0

    def cycled(count: int) -> bytes:
        nonlocal consumed
        answer = bytes(source[(consumed + place) % len(source)] for place in range(count))
        consumed += count
        return answer

    assert pick_scalar([cycled], ORDER).to_bytes().hex() == vector["expected"]["scalar"]
    assert consumed == vector["inputs"]["bytes_consumed"]
