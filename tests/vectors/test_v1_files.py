"""The files of a node against those that Go wrote: key pairs, shares, groups, old group files."""

import tomllib
from hashlib import blake2b
from typing import Any

import pytest

from collective.errors import Malformed
from collective.secret import SecretScalar
from drand.model.chain import Index
from drand.model.group import Group, Identity, Node, indexed
from drand.model.schemes import scheme_named
from drand.model.share import Share
from drand.wire import toml_files
from drand.wire.go_duration import parse_duration
from drand.wire.groups import decode_group, encode_group
from drand.wire.identities import decode_identity, encode_identity
from tests.support.vectors import v1_cases

unhex = bytes.fromhex
Vector = dict[str, Any]


def identity_of(vector: Vector) -> Identity:
    given, expected = vector["inputs"], vector["expected"]
    return Identity(
        address=given["address"],
        key=unhex(expected["public_key"]),
        tls=given["tls"],
        signature=unhex(expected["self_signature"]),
        scheme=scheme_named(given["scheme"]),
    )


def group_of(given: Vector) -> Group:
    """The group that a vector describes field by field; its seed is computed where the vector has none."""
    scheme = scheme_named(given["scheme"])
    nodes = [
        Node(
            Identity(
                address=node["address"],
                key=unhex(node["key"]),
                tls=node["tls"],
                signature=unhex(node.get("signature", "")),
                scheme=scheme,
            ),
            Index(node["index"]),
        )
        for node in given["nodes"]
    ]
    group = Group(
        nodes=tuple(nodes),
        threshold=given["threshold"],
        period_ns=given["period_ns"],
        catchup_period_ns=given["catchup_period_ns"],
        genesis_unix_s=given["genesis_time"],
        transition_unix_s=given["transition_time"],
        genesis_seed=unhex(given.get("genesis_seed", "")),
        public_key=tuple(unhex(point) for point in given.get("public_key_coefficients", [])),
        scheme=scheme,
        beacon_id=given["id"],
    )
    return group if group.genesis_seed else group.with_seed()


@pytest.mark.parametrize("vector", v1_cases("keypair"))
def test_the_key_files_are_written_as_go_writes_them(vector: Vector) -> None:
    expected, identity = vector["expected"], identity_of(vector)
    secret = SecretScalar(int(vector["inputs"]["private_key"], 16))
    assert toml_files.encode_key_file(secret, identity.scheme).decode() == expected["drand_id.private"]
    assert toml_files.encode_identity_file(identity).decode() == expected["drand_id.public"]


@pytest.mark.parametrize("vector", v1_cases("keypair"))
def test_the_key_files_of_go_are_read(vector: Vector) -> None:
    expected, identity = vector["expected"], identity_of(vector)
    secret, scheme = toml_files.decode_key_file(expected["drand_id.private"].encode())
    assert (secret.to_bytes().hex(), scheme) == (vector["inputs"]["private_key"], identity.scheme)
    assert scheme.key_group.encode(scheme.bls.public_key(secret)) == identity.key
    assert toml_files.decode_identity_file(expected["drand_id.public"].encode()) == identity


@pytest.mark.parametrize("vector", v1_cases("keypair"))
def test_an_identity_crosses_the_wire_unchanged_and_is_signed_by_its_own_key(vector: Vector) -> None:
    expected, identity = vector["expected"], identity_of(vector)
    encoded = unhex(expected["identity_proto"])
    assert encode_identity(identity).SerializeToString() == encoded
    assert decode_identity(encoded, identity.scheme) == identity
    assert identity.hash().hex() == expected["identity_hash"]
    identity.check_self_signature()


@pytest.mark.parametrize("vector", v1_cases("share-file"))
def test_the_share_file_is_written_and_read_as_go_does(vector: Vector) -> None:
    given, text = vector["inputs"], vector["expected"]["dist_key.private"].encode()
    share = Share(
        Index(given["index"]),
        SecretScalar(int(given["share"], 16)),
        tuple(unhex(commit) for commit in given["commits"]),
        scheme_named(given["scheme"]),
    )
    assert toml_files.encode_share_file(share) == text
    assert toml_files.decode_share_file(text) == share
    assert toml_files.decode_share_file(text, share.scheme) == share
    assert given["share"] not in repr(share)


@pytest.mark.parametrize("vector", v1_cases("group"))
def test_the_group_file_is_written_as_go_writes_it(vector: Vector) -> None:
    assert toml_files.encode_group_file(group_of(vector["inputs"])).decode() == vector["expected"]["group_toml"]


@pytest.mark.parametrize("vector", v1_cases("group"))
def test_the_group_file_of_go_is_read(vector: Vector) -> None:
    expected, group = vector["expected"], toml_files.decode_group_file(vector["expected"]["group_toml"].encode())
    assert group.hash().hex() == expected["group_hash"]
    again = toml_files.encode_group_file(group).decode()
    assert again == expected["group_toml"].replace('\nID = ""\n', '\nID = "default"\n')
    assert [node.index for node in group.nodes] == sorted(node["index"] for node in vector["inputs"]["nodes"])


@pytest.mark.parametrize("vector", v1_cases("group"))
def test_the_hashes_of_a_group(vector: Vector) -> None:
    expected, group = vector["expected"], group_of(vector["inputs"])
    assert group.hash().hex() == expected["group_hash"]
    if "node_hashes" in expected:
        assert [node.hash().hex() for node in group.nodes] == expected["node_hashes"]
        assert group.genesis_seed.hex() == expected["genesis_seed"]
        assert indexed(node.identity for node in reversed(group.nodes)) == group.nodes
    if "chain_hash" in expected:
        assert group.chain_info().hash().hex() == expected["chain_hash"]
    if "dist_public_hash" in expected:
        assert blake2b(b"".join(group.public_key), digest_size=32).hexdigest() == expected["dist_public_hash"]
    for node in group.nodes:
        if node.identity.signature:
            node.identity.check_self_signature()


@pytest.mark.parametrize("vector", v1_cases("group"))
def test_a_group_crosses_the_wire(vector: Vector) -> None:
    expected, group = vector["expected"], group_of(vector["inputs"])
    encoded = encode_group(group).SerializeToString()
    if "group_packet_proto" in expected:
        assert encoded.hex() == expected["group_packet_proto"]
    decoded = decode_group(encoded, group.scheme)
    assert decoded.hash().hex() == expected.get("group_hash_after_proto_roundtrip", expected["group_hash"])
    assert encode_group(decoded).SerializeToString() == encoded
    assert decoded.genesis_seed == group.genesis_seed


def refused_by_go(vector: Vector) -> bool:
    """Whether a vector of a group file is one that cannot be read: nothing is expected of its content."""
    expected = vector["expected"]
    if "error" in expected or expected.get("valid") is False:
        return True
    return "group_hash" not in expected and not expected.get("note", "").startswith("parses")


@pytest.mark.parametrize("vector", v1_cases("group-file", where=lambda vector: not refused_by_go(vector)))
def test_group_files_of_older_releases_are_read(vector: Vector) -> None:
    given = tomllib.loads(vector["inputs"]["toml"])
    group = toml_files.decode_group_file(vector["inputs"]["toml"].encode())
    assert group.scheme.name == (given.get("SchemeID") or "pedersen-bls-chained")
    assert group.beacon_id == (given.get("ID") or "default")
    assert group.threshold == given["Threshold"]
    assert {node.identity.address for node in group.nodes} == {node["Address"] for node in given["Nodes"]}
    assert group.genesis_unix_s == given.get("GenesisTime", 0)
    assert group.catchup_period_ns == parse_duration(given.get("CatchupPeriod") or "0")
    if "group_hash" in vector["expected"]:
        assert group.hash().hex() == vector["expected"]["group_hash"]
    written = toml_files.encode_group_file(group)
    assert toml_files.encode_group_file(toml_files.decode_group_file(written)) == written


@pytest.mark.parametrize("vector", v1_cases("group-file", where=refused_by_go))
def test_group_files_that_go_refuses_are_refused(vector: Vector) -> None:
    with pytest.raises(Malformed):
        toml_files.decode_group_file(vector["inputs"]["toml"].encode())


@pytest.mark.parametrize("vector", v1_cases("group-file", where=lambda vector: not refused_by_go(vector)))
def test_a_group_file_that_lost_all_nodes_but_one_is_refused(vector: Vector) -> None:
    text = vector["inputs"]["toml"]
    if text.count("[[Nodes]]") < 2 or tomllib.loads(text)["Threshold"] < 2:
        pytest.skip("no node of it can be missing")
    head, nodes = text.split("[[Nodes]]", 1)
    with pytest.raises(Malformed, match="threshold greater"):
        toml_files.decode_group_file((head + "[[Nodes]]" + nodes.split("[[Nodes]]")[0]).encode())
