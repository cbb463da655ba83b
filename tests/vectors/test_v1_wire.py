"""Every captured gRPC message of a live Go network, decoded to nouns and encoded again; and its HTTP bodies."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import InvalidSignature, Malformed
from collective.sharing.commitment import PublicPolynomial
from collective.sharing.threshold import PartialSignature
from collective.signatures import schnorr
from drand.model.chain import Beacon, Round
from drand.model.group import Group
from drand.model.packets import OUR_VERSION, Metadata, PartialPacket
from drand.model.schemes import scheme_named
from drand.model.verification import ChainVerifier
from drand.wire import packets
from drand.wire.bundles import decode_dkg_packet, encode_dkg_packet
from drand.wire.gen import drand_pb2, protocol_pb2
from drand.wire.groups import decode_chain_info, encode_chain_info
from drand.wire.http_json import beacon_json, chain_info_json, parse_beacon, parse_beacons, parse_chain_info
from drand.wire.identities import decode_identity_response, encode_identity_response
from drand.wire.metadata import decode_metadata, encode_empty, encode_metadata, metadata_of
from drand.wire.toml_files import decode_group_file
from tests.support.vectors import folder, load, named, nothing, v1_cases
from tests.support.wire_samples import assert_only_malformed, damaged

unhex = bytes.fromhex
Vector = dict[str, Any]
CHAINED = scheme_named("pedersen-bls-chained")
ABOUT_DEFAULT = Metadata(OUR_VERSION, "default")


@cache
def captured() -> list[Any]:
    """One parameter per line of the capture, named by line and method."""
    if not folder().is_dir():
        return [nothing(f"no test vectors at {folder()}; set DRAND_VECTORS")]
    text = (folder() / "drand/wire.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [pytest.param(one, id=f"{at}-{one['method'].rsplit('/')[-1]}") for at, one in enumerate(lines, 1)]


def again_identity_request(data: bytes) -> Message:
    message = protocol_pb2.IdentityRequest.FromString(data)
    return protocol_pb2.IdentityRequest(metadata=encode_metadata(metadata_of(message)))


def again_identity(data: bytes) -> Message:
    metadata = metadata_of(protocol_pb2.IdentityResponse.FromString(data))
    identity = decode_identity_response(data)
    identity.check_self_signature()
    return encode_identity_response(identity, metadata)


def again_empty(data: bytes) -> Message:
    message = drand_pb2.Empty.FromString(data)
    return encode_empty(metadata_of(message) if message.HasField("metadata") else None)


def again_signal(data: bytes) -> Message:
    metadata = metadata_of(protocol_pb2.SignalDKGPacket.FromString(data))
    return packets.encode_signal(packets.decode_signal(data, CHAINED), metadata)


def again_push(data: bytes) -> Message:
    metadata = metadata_of(protocol_pb2.DKGInfoPacket.FromString(data))
    return packets.encode_group_push(packets.decode_group_push(data, CHAINED), metadata)


def again_dkg(data: bytes) -> Message:
    metadata = metadata_of(protocol_pb2.DKGPacket.FromString(data))
    return encode_dkg_packet(decode_dkg_packet(data, CHAINED), metadata)


def again_partial(data: bytes) -> Message:
    metadata = metadata_of(protocol_pb2.PartialBeaconPacket.FromString(data))
    return packets.encode_partial(packets.decode_partial(data), metadata)


def again_sync_request(data: bytes) -> Message:
    return packets.encode_sync_request(packets.decode_sync_request(data))


def again_synced(data: bytes) -> Message:
    return packets.encode_synced_beacon(packets.decode_synced_beacon(data))


AGAIN: dict[str, tuple[Callable[[bytes], Message], Callable[[bytes], Message]]] = {
    "/drand.Protocol/GetIdentity": (again_identity_request, again_identity),
    "/drand.Protocol/SignalDKGParticipant": (again_signal, again_empty),
    "/drand.Protocol/PushDKGInfo": (again_push, again_empty),
    "/drand.Protocol/BroadcastDKG": (again_dkg, again_empty),
    "/drand.Protocol/PartialBeacon": (again_partial, again_empty),
    "/drand.Protocol/SyncChain": (again_sync_request, again_synced),
}


@pytest.mark.parametrize("line", captured())
def test_a_captured_message_becomes_nouns_and_the_same_bytes_again(line: Vector) -> None:
    request, response = AGAIN[line["method"]]
    seen = Counter(line.keys() & {"req", "resp", "stream_item", "code"})
    assert seen, "a line that shows no message"
    if "req" in line:
        assert request(unhex(line["req"])).SerializeToString().hex() == line["req"]
    for part in ("resp", "stream_item"):
        if part in line:
            assert response(unhex(line[part])).SerializeToString().hex() == line[part]


DECODERS: dict[str, Callable[[bytes], object]] = {
    "/drand.Protocol/SignalDKGParticipant": lambda data: packets.decode_signal(data, CHAINED),
    "/drand.Protocol/PushDKGInfo": lambda data: packets.decode_group_push(data, CHAINED),
    "/drand.Protocol/BroadcastDKG": lambda data: decode_dkg_packet(data, CHAINED),
    "/drand.Protocol/PartialBeacon": packets.decode_partial,
    "/drand.Protocol/SyncChain": packets.decode_sync_request,
}


@pytest.mark.parametrize("method", DECODERS)
@given(data=st.data())
def test_a_captured_request_that_was_damaged_decodes_or_is_malformed(method: str, data: st.DataObject) -> None:
    lines = [case.values[0] for case in captured()]
    requests = [unhex(line["req"]) for line in lines if line and line["method"] == method and "req" in line]
    if not requests:
        pytest.skip(f"no call of {method} was captured")
    assert_only_malformed(DECODERS[method], data.draw(damaged(requests)))


def test_captured_sync_streams_are_a_chain_that_verifies() -> None:
    """However many streams were captured, and whatever round each began with."""
    info = decode_group_file(named("group/live/after-dkg")["expected"]["group_toml"].encode()).chain_info()
    verifier = ChainVerifier(info.scheme, info.public_key)
    lines = [case.values[0] for case in captured()]
    items = [unhex(line["stream_item"]) for line in lines if line and "stream_item" in line]
    if not items:
        pytest.skip("no stream was captured")
    streamed = [packets.decode_synced_beacon(item) for item in items]
    assert {synced.beacon_id for synced in streamed} == {info.beacon_id}
    chain = {0: info.genesis_seed} | {synced.beacon.round: synced.beacon.signature for synced in streamed}
    for beacon in (synced.beacon for synced in streamed):
        verifier.check(beacon)
        assert beacon.signature == chain[beacon.round]
        assert beacon.previous_signature == chain.get(beacon.round - 1, beacon.previous_signature)


@pytest.mark.parametrize("vector", v1_cases("wire"))
def test_a_described_message_says_what_go_read_in_it(vector: Vector) -> None:
    encoded, expected = unhex(vector["inputs"]["request"]), vector["expected"]
    if vector["name"].startswith("wire/push-dkg-info"):
        push = packets.decode_group_push(encoded, CHAINED)
        assert push.group.hash().hex() == expected["group_hash"]
        assert push.secret.decode() == expected["secret_proof_ascii"]
        assert push.dkg_timeout_s == expected["dkg_timeout"]
        assert push.signature.hex() == expected["schnorr_signature"]
        assert expected["signature_valid"] is True
        leader = CHAINED.decode_key(unhex(vector["inputs"]["leader_public_key"]))
        schnorr.verify(CHAINED.key_group, leader, push.group.hash(), push.signature)
        assert expected["secret_proof_ascii"] not in repr(push)
        return
    assert vector["name"].startswith("wire/partial-beacon"), "a message that this test does not know"
    packet = packets.decode_partial(encoded)
    assert packet.round == expected["round"]
    assert int.from_bytes(packet.partial[:2], "big") == expected["index"]
    assert packet.partial.hex() == expected["partial_sig"]
    assert packet.previous_signature.hex() == expected["previous_signature"]
    assert packets.encode_partial(packet, ABOUT_DEFAULT).SerializeToString() == encoded
    assert again_empty(unhex(expected["response"])).SerializeToString().hex() == expected["response"]
    assert signed_by_its_author(packet, vector["inputs"]["commits"]) is expected["valid"]


def signed_by_its_author(packet: PartialPacket, commits: list[str]) -> bool:
    """Whether the partial holds under the share that the commitments give to its index."""
    polynomial = PublicPolynomial.decode(CHAINED.key_group, [unhex(text) for text in commits])
    message = CHAINED.digest(packet.round, packet.previous_signature)
    try:
        partial = PartialSignature.decode(packet.partial, CHAINED.signature_bytes)
        CHAINED.bls.verify(polynomial.evaluate(partial.index), message, partial.signature)
    except (InvalidSignature, Malformed):
        return False
    return True


@pytest.mark.parametrize("vector", v1_cases("partial"))
def test_the_packet_and_the_http_body_of_a_generated_round(vector: Vector) -> None:
    given, expected = vector["inputs"], vector["expected"]
    encoded = unhex(expected["partial_packet_proto_index0"])
    packet = packets.decode_partial(encoded)
    assert (packet.round, packet.previous_signature.hex()) == (given["round"], given["previous_signature"])
    assert packet.partial.hex() in {one["partial_sig"] for one in expected["partials"] if one["index"] == 0}
    metadata = metadata_of(protocol_pb2.PartialBeaconPacket.FromString(encoded))
    assert packets.encode_partial(packet, metadata).SerializeToString() == encoded
    body = expected["http_json"].encode()
    beacon = parse_beacon(body)
    assert beacon.signature.hex() == expected[f"recovered_signature_threshold_{len(given['private_poly'])}"]
    assert beacon.randomness.hex() == expected["randomness"]
    assert beacon_json(beacon) == body


@pytest.mark.parametrize("vector", v1_cases("verify-beacon", where=lambda vector: "http_body" in vector["expected"]))
def test_the_http_body_of_a_live_round(vector: Vector) -> None:
    given, body = vector["inputs"], vector["expected"]["http_body"].encode()
    beacon = parse_beacon(body)
    assert beacon == Beacon(Round(given["round"]), unhex(given["signature"]), unhex(given["previous_signature"]))
    assert beacon_json(beacon) == body.rstrip(b"\n")


def test_live_bodies_are_read_one_a_line_and_as_an_array() -> None:
    expectations = [vector["expected"] for vector in load("drand/v1.json")["vectors"]]
    bodies = [expected["http_body"].strip().encode() for expected in expectations if "http_body" in expected]
    expected = [parse_beacon(body) for body in bodies]
    assert list(parse_beacons(body + b"\n" for body in bodies)) == expected
    assert list(parse_beacons([b"[" + b",\n".join(bodies) + b"]"])) == expected


@pytest.mark.parametrize("vector", v1_cases("http"))
def test_the_chain_info_body_of_a_live_node(vector: Vector) -> None:
    assert vector["name"].endswith("/info"), "a body that this test does not know"
    group = decode_group_file(named(vector["inputs"]["group"])["expected"]["group_toml"].encode())
    body = vector["expected"]["body"].encode()
    assert chain_info_json(group.chain_info()) == body
    assert parse_chain_info(body) == group.chain_info()


@pytest.mark.parametrize("vector", v1_cases("group", where=lambda vector: "chain_info_proto" in vector["expected"]))
def test_the_chain_info_of_a_group_on_both_interfaces(vector: Vector) -> None:
    expected = vector["expected"]
    group: Group = decode_group_file(expected["group_toml"].encode())
    encoded = unhex(expected["chain_info_proto"])
    info = decode_chain_info(encoded)
    assert info == group.chain_info()
    metadata = decode_metadata(drand_pb2.ChainInfoPacket.FromString(encoded).metadata)
    assert encode_chain_info(info, metadata).SerializeToString() == encoded
    as_given = replace(info, beacon_id=vector["inputs"]["id"])
    assert chain_info_json(as_given).decode().strip() == expected["chain_info_json_http"].strip()
    assert parse_chain_info(expected["chain_info_json_http"].encode()) == info
