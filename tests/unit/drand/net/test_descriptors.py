"""Connections of strangers leave descriptors for files and for calls to peers."""

import asyncio
from dataclasses import astuple

import pytest

from drand.net.addresses import HostPort
from drand.net.descriptors import MAX_CONTROL, MAX_HTTP, MAX_PEERS, shares_of
from drand.net.peer_server import PeerServer
from tests.support.http2_frames import SETTINGS, Http2Connection
from tests.support.served import ToldNode


@pytest.mark.parametrize("limit", [64, 256, 1024, 4096, 20_000, 65_536, 1 << 20])
def test_a_quarter_of_the_descriptors_is_never_given_to_connections(limit: int):
    shares = shares_of(limit)
    assert min(astuple(shares)) > 0
    assert sum(astuple(shares)) <= limit - limit // 4
    assert (shares.http <= MAX_HTTP, shares.peers <= MAX_PEERS, shares.control <= MAX_CONTROL) == (True, True, True)


def test_what_our_service_file_allows_suffices_for_every_bound():
    assert astuple(shares_of(65_536)) == (MAX_HTTP, MAX_PEERS, MAX_CONTROL)


async def test_a_connection_beyond_the_share_is_closed_and_room_is_made_by_those_that_leave():
    server = PeerServer(ToldNode(), max_connections=2)
    address = str(await server.start(HostPort("127.0.0.1", 0)))

    def connect() -> Http2Connection:
        return Http2Connection(address)

    first, second, third = [await asyncio.to_thread(connect) for _ in range(3)]
    assert (await asyncio.to_thread(first.read_frame))[0] == SETTINGS
    assert (await asyncio.to_thread(second.read_frame))[0] == SETTINGS
    with pytest.raises((EOFError, ConnectionResetError)):
        await asyncio.to_thread(third.read_frame)
    first.close()
    async with asyncio.timeout(30):
        while True:  # until the server has noticed
            fourth = await asyncio.to_thread(connect)
            try:
                kind, _, _, _ = await asyncio.to_thread(fourth.read_frame)
            except (EOFError, ConnectionResetError):
                continue
            assert kind == SETTINGS
            break
    for connection in (second, fourth):
        connection.close()
    await server.stop(0)
