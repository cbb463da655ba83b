"""Whatever is thrown at its ports, the daemon answers clearly or hangs up, and goes on making rounds."""

import asyncio
import random
import resource
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest

from drand.daemon.beacon import BeaconShell
from drand.daemon.daemon import Daemon
from drand.model.chain import Round
from drand.model.packets import DkgPacket, GroupPush, Metadata, PartialPacket, SignalPacket, SyncRequest, Version
from drand.net.errors import PeerRefused, PeerUnreachable
from drand.net.peer_client import PeerClient, encode
from tests.support.daemons import Planted, beacon_of, running
from tests.support.stored import BUNDLE

DEFAULT = Metadata(beacon_id="default")
NOISE = random.Random(1)  # the same rubbish every day: some of a million rubbish messages would be none
MOST_GROWTH_BYTES = 32 << 20  # of resident memory, after as much had gone through before


@dataclass
class Target:
    """A daemon that makes a round every second."""

    daemon: Daemon
    planted: Planted
    client: PeerClient

    @property
    def shell(self) -> BeaconShell:
        return self.daemon.shell("default")

    @property
    def peer_port(self) -> int:
        assert self.daemon.peer_address is not None
        return self.daemon.peer_address.port

    @property
    def http_port(self) -> int:
        assert self.daemon.http_address is not None
        return self.daemon.http_address.port

    async def still_makes_rounds(self) -> None:
        head = self.shell.head
        assert head is not None
        await beacon_of(self.shell, head.round + 2)
        assert self.shell.failure is None


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[Target]:
    planted = Planted(tmp_path)
    client = PeerClient()
    async with running(planted.node(0)) as daemon:
        yield Target(daemon, planted, client)
    await client.close()


async def say(port: int, data: bytes, *, patience_s: float = 5.0) -> bytes:
    """What a port answers to raw bytes, until it hangs up or says nothing more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = b""
    try:
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(patience_s):
            while chunk := await reader.read(65536):
                heard += chunk
    except (OSError, TimeoutError):
        pass
    finally:
        writer.close()
    return heard


GARBAGE = {
    "nothing": b"",
    "random bytes": NOISE.randbytes(100_000),
    "zeros": bytes(100_000),
    "an HTTP/1 request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + NOISE.randbytes(500),
    "an HTTP/2 preface and rubbish": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + NOISE.randbytes(1000),
    "an HTTP/2 frame too long": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    "a header without end": b"GET / HTTP/1.1\r\nX: " + b"a" * 1_000_000,
    "a thousand headers": b"GET /public/1 HTTP/1.1\r\n" + b"A: b\r\n" * 100_000 + b"\r\n",
    "a chunk of a wrong length": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a line feed in the path": b"GET /public/1\x0b\x00 HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("what", GARBAGE)
async def test_bytes_that_are_no_protocol(target: Target, what: str):
    await asyncio.gather(
        say(target.peer_port, GARBAGE[what], patience_s=0.5), say(target.http_port, GARBAGE[what], patience_s=0.5)
    )
    await target.still_makes_rounds()


async def test_half_open_connections_take_nothing_from_others(target: Target):
    opened = [await asyncio.open_connection("127.0.0.1", target.http_port) for _ in range(300)]
    opened += [await asyncio.open_connection("127.0.0.1", target.peer_port) for _ in range(300)]
    for _, writer in opened[:300]:
        writer.write(b"GET /public/la")
    answer = await say(target.http_port, b"GET /public/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert (await target.client.public_rand(target.shell.identity.peer, Round(1), DEFAULT)).round == 1
    await target.still_makes_rounds()
    for _, writer in opened:
        writer.transport.abort()


async def test_five_thousand_requests_at_the_same_time(target: Target):
    peer = target.shell.identity.peer
    await beacon_of(target.shell, 1)

    async def ask() -> str:
        try:
            await target.client.public_rand(peer, Round(1), DEFAULT)
        except PeerRefused as error:
            return error.code
        except PeerUnreachable as error:
            return str(error)
        return "OK"

    answers = set(await asyncio.gather(*(ask() for _ in range(5000))))
    # A connection bears MAX_CONCURRENT_STREAMS calls: what a client begins before it was told so is sent back.
    answers = {answer for answer in answers if "RST_STREAM with error code 7" not in answer}
    assert "OK" in answers
    assert answers <= {"OK", "RESOURCE_EXHAUSTED"}
    await target.still_makes_rounds()


@pytest.mark.parametrize(
    ("method", "payload", "code"),
    [
        ("/drand.Control/Shutdown", b"", "UNIMPLEMENTED"),
        ("/drand.Control/PrivateKey", b"", "UNIMPLEMENTED"),
        ("/pydrand.Watch/Ceremony", b"", "UNIMPLEMENTED"),
        ("/drand.Protocol/NoSuchMethod", b"", "UNIMPLEMENTED"),
        ("/drand.Protocol/PartialBeacon", NOISE.randbytes(300), "UNKNOWN"),
        ("/drand.Protocol/BroadcastDKG", NOISE.randbytes(300), "UNKNOWN"),
        ("/drand.Protocol/PushDKGInfo", b"\x0a\xff\xff\xff\xff\x0f", "UNKNOWN"),
        ("/drand.Protocol/SignalDKGParticipant", b"", "UNKNOWN"),
        ("/drand.Public/PublicRand", b"\x08" + b"\xff" * 20, "UNKNOWN"),
    ],
)
async def test_calls_that_are_none_of_ours(target: Target, method: str, payload: bytes, code: str):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{target.peer_port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(method)(payload, timeout=10)
    assert caught.value.code().name == code
    assert "Traceback" not in (caught.value.details() or "")
    await target.still_makes_rounds()


async def test_a_message_beyond_the_bound_is_refused_unread(target: Target):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{target.peer_port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/drand.Protocol/BroadcastDKG")(bytes(64 << 20), timeout=30)
    assert caught.value.code().name == "RESOURCE_EXHAUSTED"
    await target.still_makes_rounds()


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        (Metadata(Version(1, 2, 0), "default"), "Incompatible node version"),
        (Metadata(Version(9, 0, 0), "default"), "Incompatible node version"),
        (Metadata(beacon_id="other"), r"beacon id \[other\] is not running"),
        (Metadata(beacon_id="../../etc/passwd"), "is not running"),
        (Metadata(beacon_id="default", chain_hash=b"\x07" * 32), "unknown chain hash"),
    ],
)
async def test_messages_for_another_version_beacon_or_chain(target: Target, metadata: Metadata, text: str):
    with pytest.raises(PeerRefused, match=text):
        await target.client.public_rand(target.shell.identity.peer, Round(1), metadata)


async def test_messages_that_belong_to_no_ceremony(target: Target):
    peer, group = target.shell.identity.peer, target.planted.group
    push = GroupPush(replace(group, public_key=()), b"s" * 32, 10, b"forged")
    signal = SignalPacket(group.nodes[0].identity, b"s" * 32)
    for message, text in ((push, "no group is expected now"), (signal, "no DKG in progress")):
        with pytest.raises(PeerRefused, match=text):
            await target.client.send(peer, message, DEFAULT)
    assert target.shell.refusals.last_group
    await target.still_makes_rounds()


async def test_a_bundle_of_a_ceremony_that_is_over_is_taken_and_changes_nothing(target: Target):
    bundle = BUNDLE.bundle
    key = target.planted.scheme.key_group
    good = replace(bundle, commits=(key.encode(key.generator()),))  # type: ignore[arg-type,call-arg]
    for _ in range(3):  # replayed
        await target.client.send(target.shell.identity.peer, DkgPacket(good), DEFAULT)
    await target.still_makes_rounds()


async def test_partials_with_a_wrong_round_index_length_or_signature(target: Target):
    head = await beacon_of(target.shell, 1)
    peer, size = target.shell.identity.peer, target.planted.scheme.signature_bytes
    wrong = [
        PartialPacket(Round(head.round + 1000), b"", struct.pack(">H", 0) + bytes(size)),
        PartialPacket(Round(2**64 - 1), b"", struct.pack(">H", 0) + bytes(size)),
        PartialPacket(Round(0), b"", struct.pack(">H", 0) + bytes(size)),
        PartialPacket(Round(head.round + 1), b"", struct.pack(">H", 9) + bytes(size)),
        PartialPacket(Round(head.round + 1), b"", b""),
        PartialPacket(Round(head.round + 1), b"", b"\0"),
        PartialPacket(Round(head.round + 1), NOISE.randbytes(10_000), struct.pack(">H", 0) + NOISE.randbytes(10_000)),
    ]

    async def throw(partial: PartialPacket) -> str:
        try:
            await target.client.send(peer, partial, DEFAULT)
        except PeerRefused as error:
            return f"{error.code}: {error.text}"
        return "accepted"

    answers = []
    for _ in range(20):
        answers += await asyncio.gather(*(throw(partial) for partial in wrong))
    assert not [answer for answer in answers if "internal" in answer.lower()]
    assert "accepted" not in answers[:2], "a round that is not due is refused"
    await target.still_makes_rounds()


async def test_streams_beyond_the_quota_are_refused_and_those_who_leave_free_their_place(target: Target):
    from drand.net.peer_server import MAX_STREAMS_PER_NETWORK
    from drand.wire.packets import encode_sync_request

    await beacon_of(target.shell, 1)
    request = encode_sync_request(SyncRequest(Round(1), "default")).SerializeToString()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{target.peer_port}") as channel:
        sync = channel.unary_stream("/drand.Protocol/SyncChain")
        calls = [sync(request) for _ in range(MAX_STREAMS_PER_NETWORK)]
        for call in calls:
            assert await call.read() is not grpc.aio.EOF
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await sync(request).read()
        assert caught.value.code().name == "RESOURCE_EXHAUSTED"
        for call in calls:
            call.cancel()
    await target.still_makes_rounds()
    assert target.daemon._peer_server is not None
    assert target.daemon._peer_server.streams == 0


async def test_memory_does_not_grow_with_what_was_thrown_at_us(target: Target):
    peer = target.shell.identity.peer
    outgoing = encode(PartialPacket(Round(1), NOISE.randbytes(100_000), NOISE.randbytes(100_000)), DEFAULT)

    async def throw() -> None:
        with pytest.raises(PeerRefused):
            await target.client.deliver(peer, outgoing)

    async def throw_many() -> int:
        for _ in range(20):
            await asyncio.gather(*(throw() for _ in range(50)))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    first, second = await throw_many(), await throw_many()
    assert second - first < MOST_GROWTH_BYTES, "200 MB each time"
    assert target.shell._errands.under_way < 100
    await target.still_makes_rounds()
