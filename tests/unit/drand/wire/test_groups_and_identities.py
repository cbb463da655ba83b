"""Which groups, identities and chain information from the outside are taken, and what is said about the others."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given

from collective.errors import Malformed, MalformedPoint
from drand.errors import InvalidChainInfo, InvalidGroup, UnknownScheme
from drand.model.chain import canonical_beacon_id
from drand.model.group import NANOSECONDS, Group
from drand.model.packets import Metadata
from drand.wire.gen import drand_pb2
from drand.wire.groups import decode_chain_info, decode_group, encode_chain_info, encode_group
from drand.wire.identities import (
    decode_identity,
    decode_identity_response,
    encode_identity,
    encode_identity_response,
)
from tests.support.wire_samples import CHAINED, QUICKNET, group, groups, identity

INFINITY_G1 = bytes([0xC0]) + bytes(47)
Change = Callable[[drand_pb2.GroupPacket], object]


@given(groups())
def test_a_group_crosses_the_wire_with_its_periods_in_whole_seconds(sent: Group) -> None:
    received = decode_group(encode_group(sent).SerializeToString(), sent.scheme)
    assert received == replace(
        sent,
        period_ns=sent.period_ns // NANOSECONDS * NANOSECONDS,
        catchup_period_ns=sent.catchup_period_ns // NANOSECONDS * NANOSECONDS,
    )
    assert received.hash() == sent.hash()


def test_the_empty_beacon_id_is_sent_and_received_as_the_default_one() -> None:
    sent = replace(group(), beacon_id="")
    assert decode_group(encode_group(sent)).beacon_id == canonical_beacon_id("")
    assert decode_group(encode_group(sent)).hash() == sent.hash()


def test_a_group_without_a_seed_gets_the_one_it_determines() -> None:
    packet = encode_group(group(finished=False))
    packet.genesis_seed = b""
    received = decode_group(packet)
    assert received.genesis_seed == received.hash()


def test_nodes_come_out_in_index_order_whatever_order_they_were_sent_in() -> None:
    packet = encode_group(group())
    nodes = list(packet.nodes)[::-1]
    del packet.nodes[:]
    packet.nodes.extend(nodes)
    assert decode_group(packet) == decode_group(encode_group(group()))


def set_fields(**fields: object) -> Change:
    def change(packet: drand_pb2.GroupPacket) -> None:
        for name, value in fields.items():
            setattr(packet, name, value)

    return change


def set_identity(position: int, **fields: object) -> Change:
    def change(packet: drand_pb2.GroupPacket) -> None:
        for name, value in fields.items():
            setattr(packet.nodes[position].public, name, value)

    return change


@pytest.mark.parametrize(
    ("change", "error", "why"),
    [
        (set_fields(schemeID="no-such-scheme"), UnknownScheme, "no-such-scheme"),
        (set_fields(schemeID=""), UnknownScheme, "''"),
        (set_fields(schemeID=QUICKNET.name), InvalidGroup, "mismatch in Scheme name in GroupPacket"),
        (set_identity(0, address="node0.example.org"), Malformed, "missing port in address"),
        (set_identity(0, key=b"\x00" * 48), MalformedPoint, "could not unmarshal key"),
        (set_identity(0, key=INFINITY_G1), MalformedPoint, "could not unmarshal key"),
        (set_identity(0, key=identity(0, QUICKNET).key), MalformedPoint, "scheme may not match the beacon's scheme"),
        (set_identity(0, signature=b"\x01" * 257), Malformed, "self-signature"),
        (set_identity(0, address=identity(1).address), InvalidGroup, "share one address"),
        (set_fields(threshold=1), InvalidGroup, "below the minimum 2"),
        (set_fields(threshold=4), InvalidGroup, "greater than the number of nodes"),
        (set_fields(genesis_time=0), InvalidGroup, "genesis"),
        (set_fields(genesis_time=2**63), InvalidGroup, "end of time"),
        (set_fields(transition_time=2**64 - 1), InvalidGroup, "end of time"),
        (set_fields(period=0), InvalidGroup, "period"),
        (set_fields(genesis_seed=b"\x01" * 31), Malformed, "genesis seed: 31 bytes"),
        (lambda packet: packet.dist_key.pop(), InvalidGroup, "1 public coefficients for threshold 2"),
        (lambda packet: packet.dist_key.append(b"\x01" * 48), Malformed, "coefficients: number 2"),
        (lambda packet: packet.dist_key.__setitem__(0, INFINITY_G1), Malformed, "coefficients: number 0"),
        (lambda packet: setattr(packet.nodes[1], "index", 0), InvalidGroup, "share one index"),
        (lambda packet: setattr(packet.nodes[1], "index", 65536), InvalidGroup, "node index 65536"),
        (lambda packet: packet.nodes.add(), Malformed, "missing port"),
        (lambda packet: packet.nodes.extend([packet.nodes[0]] * 1025), Malformed, "nodes of a group"),
        (lambda packet: packet.ClearField("nodes"), InvalidGroup, "1 to 1024 nodes"),
    ],
)
def test_a_group_with_one_thing_wrong_is_refused_for_that_thing(
    change: Change, error: type[Malformed], why: str
) -> None:
    packet = encode_group(group())
    assert decode_group(packet, CHAINED) == replace(group(), catchup_period_ns=NANOSECONDS)
    change(packet)
    with pytest.raises(error, match=why):
        decode_group(packet.SerializeToString(), CHAINED)


def test_no_coefficient_of_the_group_may_be_the_identity() -> None:
    for place in (0, 1):
        packet = encode_group(group())
        packet.dist_key[place] = INFINITY_G1
        with pytest.raises(Malformed, match=f"number {place}"):
            decode_group(packet)


def test_an_identity_of_another_scheme_is_refused_with_a_hint() -> None:
    with pytest.raises(MalformedPoint) as caught:
        decode_identity(encode_identity(identity(0, QUICKNET)).SerializeToString(), CHAINED)
    assert "SchemeName" in caught.value.advice


def test_an_answer_to_get_identity_names_its_scheme() -> None:
    answer = encode_identity_response(identity(1, QUICKNET), Metadata()).SerializeToString()
    assert decode_identity_response(answer) == identity(1, QUICKNET)
    assert decode_identity_response(answer, QUICKNET) == identity(1, QUICKNET)
    with pytest.raises(Malformed, match=f"uses scheme {QUICKNET.name}, we use {CHAINED.name}"):
        decode_identity_response(answer, CHAINED)


def test_an_answer_of_an_older_release_names_no_scheme_and_is_read_in_ours() -> None:
    answer = encode_identity_response(identity(1, QUICKNET), Metadata())
    answer.schemeName = ""
    assert decode_identity_response(answer, QUICKNET) == identity(1, QUICKNET)
    with pytest.raises(MalformedPoint):
        decode_identity_response(answer)


def test_chain_information_is_taken_only_with_its_own_hash() -> None:
    info = group(scheme=QUICKNET, beacon_id="quicknet").chain_info()
    packet = encode_chain_info(info, Metadata(beacon_id="quicknet"))
    assert decode_chain_info(packet.SerializeToString()) == info
    packet.period += 1
    with pytest.raises(InvalidChainInfo, match=info.hash().hex()):
        decode_chain_info(packet)
    packet.hash = b""
    assert decode_chain_info(packet).period_s == info.period_s + 1


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"period": 0}, "period"),
        ({"genesis_time": -1}, "genesis time -1"),
        ({"groupHash": b"\x01"}, "genesis seed"),
        ({"public_key": b""}, "0 bytes|length|bytes"),
        ({"schemeID": "none-such"}, "none-such"),
    ],
)
def test_chain_information_with_one_thing_wrong_is_refused(fields: dict[str, object], why: str) -> None:
    packet = encode_chain_info(group().chain_info(), Metadata())
    packet.hash = b""
    for name, value in fields.items():
        setattr(packet, name, value)
    with pytest.raises(Malformed, match=why):
        decode_chain_info(packet)
