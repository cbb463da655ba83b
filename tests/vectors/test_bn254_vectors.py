"""BN254 and BN256 against values made by others: kyber's own tests, drand's beacons, and kyber run for this purpose."""

import importlib.util
import json
from pathlib import Path

import pytest

from collective.errors import MalformedPoint
from collective.groups.bn import bn254, bn256
from collective.groups.bn.curve_fp import CurveOverFp
from collective.groups.bn.hash_to_curve import HashToG1
from collective.groups.bn.integers import choose_integers
from collective.groups.bn.parameters import BN254
from collective.keccak import keccak256
from tests.support.vectors import extra, folder, load

SCHEME = "bls-bn254-unchained-on-g1"
DOMAIN = b"BLS_SIG_BN254G1_XMD:KECCAK-256_SVDW_RO_NUL_"
KYBER = json.loads((Path(__file__).parent / "bn" / "kyber_pairings.json").read_text())
WITHOUT_GMPY2 = pytest.mark.skipif(importlib.util.find_spec("gmpy2") is None, reason="gmpy2 is not installed")


@pytest.fixture(params=[pytest.param("gmpy2", marks=WITHOUT_GMPY2), "python"])
def integers_name(request):
    return request.param


@pytest.fixture
def hashing(integers_name):
    chosen = choose_integers(integers_name)
    return HashToG1(chosen, CurveOverFp(chosen, BN254))


def beacon_verifies(suite, beacon, *, round_=None, signature=None):
    """Whether the signature on the round's digest holds under the beacon's key; raises MalformedPoint."""
    key = suite.g2.decode(bytes.fromhex(beacon["public_key"]))
    digest = keccak256((beacon["round"] if round_ is None else round_).to_bytes(8, "big"))
    signed = suite.g1.decode(bytes.fromhex(beacon["signature"]) if signature is None else signature)
    return suite.pairings_equal(suite.g1.hash_to_point(digest, DOMAIN), key, signed, suite.g2.generator())


def bn254_beacons():
    return [b for b in load("drand/beacons.json")["beacons"] if b["scheme"] == SCHEME] or pytest.skip("no such beacon")


def test_beacons_are_accepted_exactly_when_they_are_valid(integers_name):
    for beacon in bn254_beacons():
        try:
            accepted = beacon_verifies(bn254(integers_name), beacon)
        except (MalformedPoint, ValueError):  # no hexadecimal
            accepted = False
        assert accepted is beacon["valid"], beacon.get("note")


def test_a_valid_beacon_is_refused_for_another_round_with_another_signature_and_with_the_identity(integers_name):
    suite = bn254(integers_name)
    for beacon in filter(lambda b: b["valid"], bn254_beacons()):
        assert not beacon_verifies(suite, beacon, round_=beacon["round"] + 1)
        negated = suite.g1.encode(suite.g1.negate(suite.g1.decode(bytes.fromhex(beacon["signature"]))))
        assert not beacon_verifies(suite, beacon, signature=negated)
        assert not beacon_verifies(suite, beacon, signature=suite.g1.encode(suite.g1.generator()))
        with pytest.raises(MalformedPoint, match="identity"):
            beacon_verifies(suite, beacon, signature=bytes(64))
        with pytest.raises(MalformedPoint, match="64 bytes"):
            beacon_verifies(suite, beacon, signature=bytes.fromhex(beacon["signature"]) + b"\0")


def test_the_keys_of_all_bn254_chains_decode(integers_name):
    suite = bn254(integers_name)
    keys = [bytes.fromhex(c["public_key"]) for c in load("drand/beacons.json")["chains"] if c["scheme"] == SCHEME]
    for key in keys or pytest.skip("no such chain"):
        assert suite.g2.encode(suite.g2.decode(key)) == key


def test_messages_hash_to_the_field_as_in_kyber(hashing):
    vectors = extra("bn254_hash_to_field")
    for v in vectors:
        elements = hashing.hash_to_field(bytes.fromhex(v["msg"]), v["dst"].encode())
        assert elements == (int(v["x"], 16), int(v["y"], 16))


def test_field_elements_map_to_the_points_of_kyber(hashing):
    vectors = extra("bn254_map_to_point")
    for v in vectors:
        assert hashing.map_to_curve(int(v["u"])) == (int(v["x"]), int(v["y"]))


def test_messages_hash_to_the_points_of_kyber(integers_name):
    g1 = bn254(integers_name).g1
    vectors = extra("bn254_hash_to_g1")
    for v in vectors:
        assert g1.encode(g1.hash_to_point(bytes.fromhex(v["msg"]), v["dst"].encode())).hex() == v["point"]
    for v in KYBER["hash_to_g1"]["bn254"]:
        assert g1.encode(g1.hash_to_point(bytes.fromhex(v["msg"]), KYBER["domain"].encode())).hex() == v["point"]


@pytest.mark.parametrize("maker", [bn254, bn256])
def test_multiples_and_pairings_are_those_of_kyber_byte_for_byte(maker, integers_name):
    suite = maker(integers_name)
    vectors = KYBER["pairings"][maker.__name__]
    assert len(vectors) == 5
    for v in vectors:
        p = suite.g1.multiply(suite.g1.generator(), int(v["a"], 16))
        q = suite.g2.multiply(suite.g2.generator(), int(v["b"], 16))
        assert suite.g1.encode(p).hex() == v["a_g1"]
        assert suite.g2.encode(q).hex() == v["b_g2"]
        assert suite.g2.equal(suite.g2.decode(bytes.fromhex(v["b_g2"])), q)
        assert suite.target_bytes(p, q).hex() == v["pairing"]


def conode_lines():
    """The lines of conode/vec.txt as name -> fields, where a name may have two words ("key 0")."""
    path = folder() / "conode" / "vec.txt"
    if not path.is_file():
        pytest.skip(f"no test vectors at {path}; set DRAND_VECTORS")
    words = [line.split() for line in path.read_text().splitlines()]
    return {" ".join(w[:2]) if w[0] == "key" else w[0]: w[2:] if w[0] == "key" else w[1:] for w in words if w}


def test_bn256_generators_pairing_and_keys_are_those_of_the_cothority(integers_name):
    lines, suite = conode_lines(), bn256(integers_name)
    g1, g2 = suite.g1, suite.g2
    assert [g1.encode(g1.generator()).hex()] == lines["G1base"]
    assert [g2.encode(g2.generator()).hex()] == lines["G2base"]
    assert [suite.target_bytes(g1.generator(), g2.generator()).hex()] == lines["pair(G1,G2)"]
    keys = [fields for name, fields in lines.items() if name.startswith("key ")]
    assert keys
    for scalar, key, *_ in keys:
        assert g2.encode(g2.multiply(g2.generator(), int(scalar, 16))).hex() == key
