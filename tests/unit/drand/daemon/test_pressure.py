"""Strangers who fill the memory behind the peer port lose it, and the node goes on."""

import asyncio
import logging
import socket
from pathlib import Path

import pytest

from drand.daemon.pressure import ROOM, MemoryGuard, resident_bytes
from drand.model.chain import Round
from drand.model.packets import Metadata
from drand.net.peer_client import PeerClient
from tests.support.daemons import Planted, beacon_of, running
from tests.support.http2_frames import CONTINUATION, HEADERS, SETTINGS, Http2Connection, call, field, frame

DEFAULT = Metadata(beacon_id="default")
MIB = 1 << 20


def read_to_the_end(connection: Http2Connection) -> None:
    """Whatever comes, until the other side hangs up."""
    try:
        while True:
            connection.read_frame()
    except (EOFError, ConnectionError):
        pass
    finally:
        connection.close()


async def test_unfinished_headers_are_thrown_away_with_their_connections_and_the_node_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    planted = Planted(tmp_path)
    client = PeerClient()
    async with running(planted.node(0)) as daemon:
        shell = daemon.shell("default")
        await beacon_of(shell, 1)
        stranger = await asyncio.to_thread(Http2Connection, str(daemon.peer_address))
        assert (await asyncio.to_thread(stranger.read_frame))[0] == SETTINGS
        stranger.send(frame(HEADERS, 0, 1, call("/drand.Protocol/PartialBeacon")))  # without END_HEADERS
        for _ in range(20):
            stranger.send(frame(CONTINUATION, 0, 1, field("x-a", "b" * 100) * 100))
        daemon._guard._limit = 0
        async with asyncio.timeout(30):
            await daemon._guard.look()
            await asyncio.to_thread(read_to_the_end, stranger)
        assert (await client.public_rand(shell.identity.peer, Round(1), DEFAULT)).round == 1
        head = shell.head
        assert head is not None
        await beacon_of(shell, head.round + 1)
        assert daemon._guard._limit >= resident_bytes(), "it is not done over and over"
    await client.close()
    assert caplog.text.count("all connections to the peer port were closed") == 1
    assert "Traceback" not in caplog.text


async def test_a_port_that_somebody_else_has_taken_meanwhile_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("drand.daemon.daemon.REOPEN_PAUSE_S", 0.01)
    client = PeerClient()
    async with running(Planted(tmp_path).node(0)) as daemon:
        shell, server = daemon.shell("default"), daemon._peer_server
        await beacon_of(shell, 1)
        assert daemon.peer_address is not None
        assert server is not None
        await server.stop(0)
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            thief.bind((daemon.peer_address.host, daemon.peer_address.port))
            thief.listen()
            reopening = asyncio.ensure_future(daemon._reopen_peer_port())
            async with asyncio.timeout(30):
                while "is taken" not in caplog.text:  # noqa: ASYNC110  # the log has no event
                    await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await reopening
        assert (await client.public_rand(shell.identity.peer, Round(1), DEFAULT)).round == 1
    await client.close()


async def test_the_port_is_closed_above_the_limit_only_and_what_is_left_raises_it(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    sizes = iter([100 * MIB, 101 * MIB, 80 * MIB, 159 * MIB, 161 * MIB, 10 * MIB])
    reopened: list[int] = []

    async def reopen() -> None:
        reopened.append(1)

    guard = MemoryGuard(reopen, limit_bytes=100 * MIB, resident=lambda: next(sizes))
    await guard.look()
    assert reopened == []
    await guard.look()
    assert (len(reopened), guard._limit) == (1, ROOM * 80 * MIB)
    await guard.look()
    await guard.look()
    assert (len(reopened), guard._limit) == (2, ROOM * 80 * MIB)
    assert "had grown to 101 MB" in caplog.text


def test_a_process_has_some_memory():
    assert resident_bytes() > 10 * MIB
