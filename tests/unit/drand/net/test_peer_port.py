"""The peer port on a real socket: what it answers, what it refuses, and what its client makes of that."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import ServiceDescriptor

from collective.errors import OutOfTurn
from drand.errors import InvalidChainInfo, UnknownBeacon
from drand.model.bundles import Response, ResponseBundle
from drand.model.chain import Index, Round
from drand.model.group import Peer
from drand.model.packets import (
    OUR_VERSION,
    AskIdentity,
    DkgPacket,
    Metadata,
    PartialPacket,
    SignalPacket,
    SyncRequest,
    Version,
)
from drand.net import grpc_service
from drand.net.addresses import HostPort
from drand.net.errors import CannotListen, MethodMissing, PeerRefused, PeerUnreachable, PortTaken
from drand.net.peer_client import Displaced, Outgoing, PeerClient, encode
from drand.net.peer_server import PeerServer
from drand.wire.gen import control_pb2, drand_pb2, httpgrpc_pb2, protocol_pb2, public_pb2, watch_pb2
from tests.support.ports import free_port
from tests.support.served import CHAINED, IDENTITY, INFO, STATUS, ToldNode, beacon, until

ANY = HostPort("127.0.0.1", 0)
HASH = INFO.hash()
OURS = Metadata(OUR_VERSION, "default", HASH)
PARTIAL = PartialPacket(Round(8), beacon(7).signature, b"\x00\x01" + bytes(96))
BUNDLE = ResponseBundle(Index(1), (Response(Index(0), True),), bytes(32), b"\x07" * 80)
EVERY_SERVICE: list[ServiceDescriptor] = [
    service
    for file in (protocol_pb2, public_pb2, control_pb2, httpgrpc_pb2, watch_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
]


class Line:
    """A node behind a peer port, and a client that calls it."""

    def __init__(self, node: ToldNode, peer: Peer) -> None:
        self.node = node
        self.peer = peer
        self.client = PeerClient()

    async def raw(self, path: str, payload: bytes = b"") -> tuple[grpc.StatusCode, str]:
        """Status and text of one call."""
        call = (await self.client.channels.to(self.peer)).unary_unary(path)(payload, timeout=20)
        return await call.code(), await call.details()


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    node = ToldNode(chain_hash=HASH)
    server = PeerServer(node)
    bound = await server.start(ANY)
    made = Line(node, Peer(str(bound), tls=False))
    yield made
    await made.client.close()
    await server.stop(0)


async def test_the_port_answers_exactly_the_methods_of_peers_and_clients(line: Line):
    allowed = set()
    for service in EVERY_SERVICE:
        for method in service.methods:
            if method.server_streaming:
                line.node.stored = 0
            status, _ = await line.raw(f"/{service.full_name}/{method.name}", b"\xff")
            if status is not grpc.StatusCode.UNIMPLEMENTED:
                allowed.add(f"{service.full_name}/{method.name}")
    protocol = "GetIdentity SignalDKGParticipant PushDKGInfo BroadcastDKG PartialBeacon SyncChain Status"
    public = "PublicRand PublicRandStream ChainInfo Home"
    assert allowed == {
        *(f"drand.Protocol/{name}" for name in protocol.split()),
        *(f"drand.Public/{name}" for name in public.split()),
    }


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/drand.Protocol/",
        "/drand.Protocol/syncchain",
        "/drand.Control/Shutdown",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ],
)
async def test_anything_else_is_unimplemented(line: Line, path: str):
    assert (await line.raw(path))[0] is grpc.StatusCode.UNIMPLEMENTED


async def test_bytes_that_do_not_decode_are_answered_as_such(line: Line):
    for method in ("GetIdentity", "PushDKGInfo", "BroadcastDKG", "PartialBeacon", "SignalDKGParticipant"):
        status, text = await line.raw(f"/drand.Protocol/{method}", b"\xff\xff\xff")
        assert status is grpc.StatusCode.UNKNOWN
        assert "not a protobuf encoding" in text
    assert line.node.told == []


async def test_a_message_over_four_mebibytes_is_refused_unread(line: Line):
    channel = grpc.aio.insecure_channel(line.peer.address)
    call = channel.unary_unary("/drand.Protocol/PartialBeacon")(bytes(4 * 1024 * 1024 + 1))
    assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await channel.close()
    assert line.node.told == []


@pytest.mark.parametrize(
    ("version", "accepted"),
    [
        ((1, 5, 11), True),
        ((1, 4, 0), True),
        ((1, 6, 9), True),
        ((2, 0, 3), True),
        ((1, 2, 0), False),
        ((2, 1, 0), False),
        ((0, 5, 11), False),
    ],
)
async def test_the_version_gate_lets_neighbours_in(line: Line, version: tuple[int, int, int], accepted: bool):
    metadata = Metadata(Version(*version), "default")
    if accepted:
        await line.client.send(line.peer, PARTIAL, metadata)
        return
    with pytest.raises(PeerRefused) as caught:
        await line.client.send(line.peer, PARTIAL, metadata)
    assert caught.value.code == "PERMISSION_DENIED"
    assert caught.value.text == f"Incompatible node version. Current: 1.5.11, received: {metadata.version}"
    assert line.node.told == []


async def test_the_version_gate_does_not_look_at_streams_or_when_it_is_off(line: Line):
    request = protocol_pb2.SyncRequest(from_round=7)
    request.metadata.node_version.major = 9
    stream = (await line.client.channels.to(line.peer)).unary_stream("/drand.Protocol/SyncChain")(
        request.SerializeToString()
    )
    assert [raw async for raw in stream]
    open_server = PeerServer(line.node, version_check=False)
    address = await open_server.start(ANY)
    await line.client.send(Peer(str(address), tls=False), PARTIAL, Metadata(Version(9, 0, 0)))
    await open_server.stop(0)
    assert line.node.told[-1][0].version == Version(9, 0, 0)


async def test_messages_arrive_as_they_were_sent(line: Line):
    signal = SignalPacket(IDENTITY, b"a secret of at least thirty-two b", b"")
    for message in (PARTIAL, DkgPacket(BUNDLE), signal):
        await line.client.send(line.peer, message, OURS)
    assert [message for _, message, _ in line.node.told] == [PARTIAL, DkgPacket(BUNDLE), signal]


async def test_only_setup_messages_carry_the_chain_hash(line: Line):
    await line.client.send(line.peer, PARTIAL, OURS)
    await line.client.send(line.peer, DkgPacket(BUNDLE), OURS)
    await line.client.send(line.peer, SignalPacket(IDENTITY, b"secret"), OURS)
    bare = Metadata(OUR_VERSION, "default")
    assert [metadata for metadata, _, _ in line.node.told] == [bare, bare, OURS]


async def test_answers_carry_version_id_and_chain_hash(line: Line):
    raw = await (await line.client.channels.to(line.peer)).unary_unary("/drand.Protocol/PartialBeacon")(b"")
    metadata = drand_pb2.Empty.FromString(raw).metadata
    assert (metadata.node_version.patch, metadata.beaconID, metadata.chain_hash) == (11, "default", HASH)


async def test_home_names_the_version_and_nothing_else(line: Line):
    raw = await (await line.client.channels.to(line.peer)).unary_unary("/drand.Public/Home")(b"")
    home = public_pb2.HomeResponse.FromString(raw)
    assert (home.status, home.metadata.beaconID, home.metadata.node_version.minor) == ("", "", 5)
    await line.client.home(line.peer, OURS)


async def test_questions_are_answered_with_nouns(line: Line):
    assert await line.client.call(line.peer, AskIdentity(), OURS, CHAINED) == IDENTITY
    assert await line.client.call(line.peer, SignalPacket(IDENTITY, b"secret"), OURS) is None
    assert await line.client.chain_info(line.peer, OURS) == INFO
    assert await line.client.public_rand(line.peer, Round(0), OURS) == beacon(7)
    assert await line.client.public_rand(line.peer, Round(3), OURS) == beacon(3)
    assert await line.client.status(line.peer, OURS, [Peer("127.0.0.1:9", False)]) == STATUS


async def test_another_chain_than_asked_for_is_refused(line: Line):
    with pytest.raises(InvalidChainInfo):
        await line.client.chain_info(line.peer, Metadata(OUR_VERSION, "default", bytes(32)))


async def test_our_errors_travel_in_their_own_words_as_go_sends_them(line: Line):
    line.node.failure = UnknownBeacon("beacon id [x] is not running")
    with pytest.raises(PeerRefused) as caught:
        await line.client.send(line.peer, PARTIAL, OURS)
    assert (caught.value.code, caught.value.text) == ("UNKNOWN", "beacon id [x] is not running")


async def test_an_internal_error_shows_no_detail(line: Line, caplog: pytest.LogCaptureFixture):
    line.node.failure = ZeroDivisionError("the secret is 42")
    with pytest.raises(PeerRefused) as caught:
        await line.client.send(line.peer, PARTIAL, OURS)
    assert (caught.value.code, caught.value.text) == ("INTERNAL", "internal error")
    assert "the secret is 42" in caplog.text


async def test_what_an_operator_could_try_is_no_strangers_business(line: Line):
    line.node.failure = UnknownBeacon("beacon id [x] is not running")
    assert line.node.failure.advice
    call = (await line.client.channels.to(line.peer)).unary_unary("/drand.Protocol/GetIdentity")(b"", timeout=20)
    assert await call.code() is grpc.StatusCode.UNKNOWN
    assert [key for key, _ in await call.trailing_metadata() if "hint" in key] == []


async def test_one_encoding_serves_all_peers_and_failures_are_named(line: Line):
    nobody = Peer("127.0.0.1:1", tls=False)
    line.client._max_outstanding = 1
    failures: dict[Peer, str] = {}
    broadcast = line.client.broadcast(
        [line.peer, nobody], PARTIAL, OURS, lambda peer, error: failures.update({peer: type(error).__name__})
    )
    running = asyncio.ensure_future(broadcast)
    await until(lambda: nobody in line.client._lanes)
    with pytest.raises(PeerUnreachable):  # the newer one is given little time, and the older one gives way to it
        await line.client.deliver(nobody, Outgoing("/drand.Protocol/PartialBeacon", b"", 0.05))
    assert await running == 1
    assert failures == {nobody: "Displaced"}
    assert line.client.displaced == 1


async def test_a_sender_that_is_cancelled_is_cancelled(line: Line):
    line.node.release = asyncio.Event()
    sending = asyncio.ensure_future(line.client.send(line.peer, PARTIAL, OURS))
    await until(lambda: bool(line.node.told))
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert not line.client._lanes[line.peer].under_way


async def test_closing_the_client_ends_what_is_under_way_with_an_error(line: Line):
    line.node.release = asyncio.Event()
    sending = asyncio.ensure_future(line.client.send(line.peer, PARTIAL, OURS))
    await until(lambda: bool(line.node.told))
    await line.client.close()
    with pytest.raises(Displaced):
        await sending


async def test_nobody_there_and_another_program_there_are_told_apart(line: Line):
    with pytest.raises(PeerUnreachable):
        await line.client.home(Peer("127.0.0.1:1", False), OURS)
    other = grpc_service.new_server([])
    port = other.add_insecure_port("127.0.0.1:0")
    await other.start()
    with pytest.raises(MethodMissing):
        await line.client.home(Peer(f"127.0.0.1:{port}", False), OURS)
    await other.stop(0)


async def test_a_peer_that_is_back_is_reached_though_the_last_attempts_failed(line: Line):
    old, again = PeerServer(line.node), PeerServer(line.node)
    bound = await old.start(HostPort("127.0.0.1", free_port()))  # which nobody is given in between
    await old.stop(0)
    peer = Peer(str(bound), tls=False)
    for _ in range(2):
        with pytest.raises(PeerUnreachable):
            await line.client.home(peer, OURS)
    await again.start(bound)
    try:
        await line.client.home(peer, OURS)
        assert (await line.client.channels.to(peer)).get_state() is grpc.ChannelConnectivity.READY
    finally:
        await again.stop(0)


async def test_a_taken_port_is_named_and_never_shared(line: Line):
    taken = HostPort("127.0.0.1", int(line.peer.address.rpartition(":")[2]))
    with pytest.raises(PortTaken, match=f"{line.peer.address} is taken"):
        await PeerServer(line.node).start(taken)
    with pytest.raises(CannotListen):
        await PeerServer(line.node).start(HostPort("192.0.2.1", 0))


async def test_channels_are_cached_and_bounded(line: Line):
    line.client.channels._most = 3
    first = await line.client.channels.to(line.peer)
    assert await line.client.channels.to(line.peer) is first
    for port in range(1, 5):
        await line.client.channels.to(Peer(f"127.0.0.1:{port}", False))
    assert len(line.client.channels) == 3
    assert await line.client.channels.to(line.peer) is not first


async def test_the_random_value_of_a_stream_comes_with_our_metadata(line: Line):
    line.node.stored = 3
    request = public_pb2.PublicRandRequest(round=2).SerializeToString()
    stream = (await line.client.channels.to(line.peer)).unary_stream("/drand.Public/PublicRandStream")(request)
    answers = [public_pb2.PublicRandResponse.FromString(raw) async for raw in stream]
    assert [answer.round for answer in answers] == [2, 3]
    assert answers[0].randomness == beacon(2).randomness
    assert answers[0].metadata.chain_hash == HASH


async def test_an_error_before_a_stream_is_its_status(line: Line):
    line.node.failure = OutOfTurn("no beacon stored above requested round 7 < 9")
    with pytest.raises(PeerRefused, match="no beacon stored above"):
        async with line.client.sync(line.peer, SyncRequest(Round(9), "default"), patience_s=20) as batches:
            await anext(aiter(batches))


async def test_a_peer_whose_address_is_a_socket_of_this_machine_is_looked_for_by_name(tmp_path: Path):
    """gRPC knows `unix:` as a kind of address: a member could have the others talk to their own machines."""
    path, callers = tmp_path / "local.sock", list[asyncio.StreamWriter]()
    server = await asyncio.start_unix_server(lambda _, writer: callers.append(writer), path)
    peer, client = Peer(f"unix:{path}", tls=False), PeerClient()
    try:
        with pytest.raises(PeerUnreachable):
            await client.home(peer, OURS, deadline_s=5)
        with pytest.raises(PeerUnreachable):
            async with client.sync(peer, SyncRequest(Round(1), "default"), patience_s=5) as batches:
                await anext(batches)
    finally:
        await client.close()
        server.close()
    assert callers == []


def test_what_is_sent_is_not_shown():
    signal = SignalPacket(IDENTITY, b"a-secret-of-a-ceremony", b"")
    assert b"a-secret-of-a-ceremony" in encode(signal, OURS).payload
    assert "a-secret-of-a-ceremony" not in repr(encode(signal, OURS))
