"""A ceremony and the first rounds while strangers throw forged messages of every kind at every node."""

import itertools
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from drand.model.schemes import scheme_named
from drand.wire.gen import common_pb2, dkg_pb2, drand_pb2, protocol_pb2
from tests.support.http2_frames import END_HEADERS, HEADERS, Http2Connection, call, frame
from tests.support.processes import Ceremony, Network, Node

SCHEME = scheme_named("bls-unchained-g1-rfc9380")
KEY = SCHEME.key_group.encode(SCHEME.key_group.generator())
POINT = SCHEME.signature_group.encode(SCHEME.signature_group.generator())
METADATA = common_pb2.Metadata(beaconID="default", node_version=common_pb2.NodeVersion(major=1, minor=5, patch=11))
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
MANY = 100_000
MOST_LINES = 400  # of one node's log: some thousand messages come in


def forgeries() -> list[tuple[str, bytes]]:
    """Calls that decode, or nearly, and prove nothing: methods and payloads."""
    identity = drand_pb2.Identity(address="127.0.0.1:9\0", key=KEY, signature=bytes(48))
    nodes = [drand_pb2.Node(public=identity, index=index) for index in (0, 1, 2**32 - 1)]
    group = drand_pb2.GroupPacket(
        nodes=nodes, threshold=2**32 - 1, period=2**31, genesis_time=2**64 - 1, schemeID=SCHEME.name, metadata=METADATA
    )
    responses = [dkg_pb2.Response(dealer_index=1, status=True)] * MANY
    bundle = dkg_pb2.Packet(response=dkg_pb2.ResponseBundle(responses=responses, session_id=bytes(32)))
    deal = dkg_pb2.Packet(deal=dkg_pb2.DealBundle(commits=[KEY] * 2, session_id=bytes(32), signature=bytes(112)))
    partials = [
        protocol_pb2.PartialBeaconPacket(
            round=round_, partial_sig=struct.pack(">H", index) + POINT, metadata=METADATA, previous_signature=POINT
        )
        for round_ in (0, 1, 2, 3, 2**64 - 1)
        for index in (0, 1, 2, 65535)
    ]
    signal = protocol_pb2.SignalDKGPacket(node=identity, secret_proof=b"\0" * 40, metadata=METADATA)
    push = protocol_pb2.DKGInfoPacket(
        new_group=group, secret_proof=b"\0" * 40, dkg_timeout=2**32 - 1, metadata=METADATA
    )
    return [
        ("SignalDKGParticipant", signal.SerializeToString()),
        ("PushDKGInfo", push.SerializeToString()),
        ("BroadcastDKG", protocol_pb2.DKGPacket(dkg=bundle, metadata=METADATA).SerializeToString()),
        ("BroadcastDKG", protocol_pb2.DKGPacket(dkg=deal, metadata=METADATA).SerializeToString()),
        *(("PartialBeacon", partial.SerializeToString()) for partial in partials),
        ("PartialBeacon", b"\x0a" * 1000),
    ]


@contextmanager
def fire_at(nodes: list[Node]) -> Iterator[None]:
    """All forgeries at all nodes, again and again, one at a time for each node; and calls that never say anything."""
    cease = threading.Event()
    silent = [Http2Connection(node.private) for node in nodes for _ in range(3)]
    for connection in silent:
        fields = call("/drand.Protocol/PartialBeacon")
        connection.send(*(frame(HEADERS, END_HEADERS, 1 + 2 * place, fields) for place in range(800)))

    def shoot(node: Node) -> None:
        with grpc.insecure_channel(node.private, OWN_CONNECTION) as channel:
            methods = {name: channel.unary_unary(f"/drand.Protocol/{name}") for name, _ in rounds}
            for name, payload in itertools.cycle(rounds):
                if cease.is_set():
                    return
                try:
                    methods[name](payload, timeout=10)
                except grpc.RpcError:
                    continue  # that is what it is there for

    rounds = forgeries()
    shooting = [threading.Thread(target=shoot, args=(node,)) for node in nodes]
    for thread in shooting:
        thread.start()
    try:
        yield
    finally:
        cease.set()
        for thread in shooting:
            thread.join()
        for connection in silent:
            connection.close()


@pytest.mark.slow
def test_a_ceremony_and_its_rounds_are_held_under_fire_from_strangers(tmp_path: Path):
    with Network(tmp_path, 3) as network:
        network.start(SCHEME.name)
        with fire_at(network.nodes):
            network.hold(Ceremony(threshold=3, scheme=SCHEME.name, timeout="5s"))
            for node in network.nodes:
                node.wait_round(3)
        for node in network.nodes:
            node.wait_round(5)
        assert len({node.body("/public/3") for node in network.nodes}) == 1
        for node in network.nodes:
            assert "Traceback" not in node.log, node.log
            assert len(node.log.splitlines()) < MOST_LINES, node.log
