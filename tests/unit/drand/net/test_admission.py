"""What one caller may hold of the peer port: calls without a request, calls and streams under way."""

import asyncio
import logging
from collections.abc import AsyncIterator

import grpc
import pytest

from drand.model.chain import Round
from drand.model.group import Peer
from drand.model.packets import Metadata, PartialPacket
from drand.net.addresses import HostPort
from drand.net.admission import Admission, Quota, TooBusy, WaitingRoom, network_of, origin_of
from drand.net.peer_client import PeerClient, encode
from drand.net.peer_server import PeerServer
from tests.support.http2_frames import (
    CANCEL,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    RST_STREAM,
    Http2Connection,
    frame,
    message,
)
from tests.support.http2_frames import call as call_fields
from tests.support.served import ToldNode, beacon, until

PARTIAL = PartialPacket(Round(8), beacon(7).signature, b"\x00\x01" + bytes(96))
METADATA = Metadata(beacon_id="default")
PARTIAL_BYTES = encode(PARTIAL, METADATA).payload
FIELDS = call_fields("/drand.Protocol/PartialBeacon")


class Port:
    """A peer port, its doors, and how to call it."""

    def __init__(self, admission: Admission) -> None:
        self.node = ToldNode()
        self.server = PeerServer(self.node)
        self.server.admission = admission
        self.client = PeerClient()
        self.peer = Peer("", tls=False)

    async def open(self) -> None:
        bound = await self.server.start(HostPort("127.0.0.1", 0))
        self.peer = Peer(str(bound), tls=False)

    async def close(self) -> None:
        await self.client.close()
        await self.server.stop(0)


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    made = Port(Admission(total=20, per_network=10, unread=WaitingRoom(most=4, least_s=0.0)))
    await made.open()
    yield made
    await made.close()


async def test_calls_whose_request_never_comes_give_way_to_those_that_say_what_they_want(port: Port):
    stranger = await asyncio.to_thread(Http2Connection, port.peer.address)
    stranger.send(*(frame(HEADERS, END_HEADERS, 1 + 2 * place, FIELDS) for place in range(4)))
    await until(lambda: len(port.server.admission.unread) == 4)
    for _ in range(6):  # every one of these finds the room full
        await port.client.send(port.peer, PARTIAL, METADATA)
    assert len(port.node.told) == 6
    assert len(port.server.admission.unread) == 3, "one was sent away, and its place sufficed for all that followed"
    stranger.close()
    await until(lambda: port.server.admission.calls.running == 0)


async def test_where_every_place_is_taken_a_call_that_says_nothing_gives_way(port: Port):
    port.server.admission.calls = Quota("calls", total=3, per_network=10)
    stranger = await asyncio.to_thread(Http2Connection, port.peer.address)
    stranger.send(*(frame(HEADERS, END_HEADERS, 1 + 2 * place, FIELDS) for place in range(3)))
    await until(lambda: port.server.admission.calls.is_full)
    await port.client.send(port.peer, PARTIAL, METADATA)
    assert len(port.node.told) == 1
    await until(lambda: port.server.admission.unread.leaving == 0)
    assert port.server.admission.calls.running == 2
    stranger.close()


async def test_a_thousand_calls_of_one_moment_are_all_heard(port: Port):
    port.server.admission.calls = Quota("calls", total=2000, per_network=1024)
    port.server.admission.unread = WaitingRoom(most=4)
    await asyncio.gather(*(port.client.deliver(port.peer, encode(PARTIAL, METADATA)) for _ in range(500)))
    assert len(port.node.told) == 500


async def test_a_request_that_does_not_come_is_not_waited_for_without_end(port: Port):
    port.server.admission.unread = WaitingRoom(most=4, patience_s=0.05)
    async with grpc.aio.insecure_channel(port.peer.address) as channel:
        silent = channel.stream_unary("/drand.Protocol/PartialBeacon")()
        assert await silent.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "did not follow its headers" in await silent.details()


async def test_a_call_that_ends_without_a_request_is_told_so(port: Port):
    async with grpc.aio.insecure_channel(port.peer.address) as channel:
        for method in (
            channel.stream_unary("/drand.Protocol/GetIdentity"),
            channel.stream_stream("/drand.Protocol/SyncChain"),
        ):
            asked = method()
            await asked.done_writing()
            assert await asked.code() is grpc.StatusCode.UNKNOWN
            assert await asked.details() == "a call without a request"


async def test_one_network_does_not_hold_every_place(port: Port):
    port.node.release = asyncio.Event()
    sending = [asyncio.ensure_future(port.client.send(port.peer, PARTIAL, METADATA)) for _ in range(10)]
    await until(lambda: len(port.node.told) == 10)
    async with grpc.aio.insecure_channel(port.peer.address) as channel:
        asked = channel.unary_unary("/drand.Public/Home")(b"")
        assert await asked.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await asked.details() == "10 calls to your address run already"
        port.node.release.set()
        await asyncio.gather(*sending)
        assert await channel.unary_unary("/drand.Public/Home")(b"")


async def test_callers_that_leave_before_their_answer_leave_no_trace_in_the_log(
    port: Port, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    port.node.release = asyncio.Event()
    stranger = await asyncio.to_thread(Http2Connection, port.peer.address)
    body = message(PARTIAL_BYTES)
    for stream in range(1, 17, 2):
        stranger.send(frame(HEADERS, END_HEADERS, stream, FIELDS), frame(DATA, END_STREAM, stream, body))
    await until(lambda: len(port.node.told) == 8)
    stranger.send(*(frame(RST_STREAM, 0, stream, CANCEL) for stream in range(1, 17, 4)))
    stranger.close()
    port.node.release.set()
    await until(lambda: port.server.admission.calls.running == 0)
    port.node.release = None
    await port.client.send(port.peer, PARTIAL, METADATA)
    assert caplog.records == []


async def test_streams_whose_reader_vanishes_leave_no_trace_in_the_log(port: Port, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    port.node.endless = True
    stranger = await asyncio.to_thread(Http2Connection, port.peer.address)
    fields = call_fields("/drand.Protocol/SyncChain")
    body = message(b"\x08\x01")
    for stream in range(1, 17, 2):  # none of them is read, so that each write waits for the reader
        stranger.send(frame(HEADERS, END_HEADERS, stream, fields), frame(DATA, END_STREAM, stream, body))
    await until(lambda: port.server.streams == 8)
    stranger.close()
    await until(lambda: port.server.streams == 0)
    await until(lambda: port.server.admission.calls.running == 0)
    assert caplog.records == []


def test_a_quota_counts_in_total_and_by_network():
    quota = Quota("calls", total=3, per_network=2)
    first, second, third = (quota.place(network) for network in ("a", "a", "b"))
    for place in (first, second, third):
        place.__enter__()
    with pytest.raises(TooBusy, match="3 calls run already"), quota.place("c"):
        pass
    third.__exit__(None, None, None)
    with pytest.raises(TooBusy, match="2 calls to your address run already"), quota.place("a"):
        pass
    first.__exit__(None, None, None)
    with quota.place("a"):
        assert quota.running == 2
    second.__exit__(None, None, None)
    assert quota.running == 0
    assert quota._running == {}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("[2001:db8::1]", "[2001:db8::ffff:1:2:3]", True),
        ("[2001:db8::1]", "[2001:db8:0:1::1]", False),
        ("[fe80::1%eth0]", "[fe80::2]", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "[::ffff:192.0.2.1]", True),
        ("", "", True),
    ],
)
def test_the_addresses_of_one_customer_are_one_network(one: str, other: str, same: bool):
    assert (network_of(one) == network_of(other)) is same


@pytest.mark.parametrize(
    ("peer", "headers", "network"),
    [
        ("ipv4:192.0.2.1:5000", {"x-real-ip": "198.51.100.9"}, "192.0.2.1"),
        ("ipv4:10.0.0.1:5000", {"x-real-ip": "198.51.100.9"}, "10.0.0.1"),
        ("ipv4:127.0.0.1:5000", {"x-real-ip": "198.51.100.9"}, "198.51.100.9"),
        ("ipv6:%5B::1%5D:5000", {"x-forwarded-for": "made up, 2001:db8::7"}, "2001:db8::/64"),
        ("ipv4:127.0.0.1:5000", {"x-real-ip": " "}, "127.0.0.1"),
        ("ipv4:127.0.0.1:5000", {}, "127.0.0.1"),
        ("unix:", {}, ""),
    ],
)
def test_only_a_proxy_on_this_machine_is_believed_about_who_calls(peer: str, headers: dict[str, str], network: str):
    assert origin_of(peer, headers).network == network


def test_connections_from_one_network_are_told_apart():
    one, other = (origin_of(f"ipv4:192.0.2.1:{port}", {}) for port in (1, 2))
    assert one.network == other.network
    assert one != other
