"""What an operator may ask of a running daemon."""

import asyncio
from pathlib import Path

import pytest

from collective.errors import BadSetting
from drand.daemon.control_face import ControlFace
from drand.daemon.daemon import Daemon
from drand.daemon.opening import AlreadyLoaded
from drand.daemon.peer_face import PeerFace
from drand.errors import BeaconNotFound
from drand.model.chain import Round
from drand.model.group import Peer
from drand.model.packets import Metadata, SyncRequest
from drand.net.errors import PeerRefused
from drand.net.handlers import FollowOrder
from drand.net.peer_client import PeerClient
from tests.support.daemons import (
    Planted,
    beacon_of,
    hold_ceremony,
    make_keys,
    orders,
    running,
    settings,
)

DEFAULT = Metadata(beacon_id="default")


async def test_the_control_face_answers_about_a_running_chain(planted: Planted, tmp_path: Path):
    async with running(planted.node(0)) as daemon:
        face, shell = ControlFace(daemon), daemon.shell("default")
        await beacon_of(shell, 1)
        assert await face.public_key(DEFAULT) == shell.identity.key
        assert (await face.chain_info(DEFAULT)).hash() == planted.group.chain_info().hash()
        assert await face.group_file(DEFAULT) == planted.group
        assert "bls-bn254-unchained-on-g1" in await face.list_schemes()
        await face.backup(DEFAULT, tmp_path / "copy")
        assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
        await face.backup(DEFAULT, tmp_path / "copy")
        (tmp_path / "mine").write_text("something of mine")
        with pytest.raises(BadSetting, match="no backup of this program"):
            await face.backup(DEFAULT, tmp_path / "mine")
        assert (tmp_path / "mine").read_text() == "something of mine"
        assert face.reply_metadata(DEFAULT).chain_hash == planted.group.chain_info().hash()
        assert face.reply_metadata(Metadata(beacon_id="other")).chain_hash == b""
        await face.shutdown(DEFAULT)
        assert not daemon.stopping
        await face.load_beacon(DEFAULT)
        with pytest.raises(AlreadyLoaded):
            await face.load_beacon(DEFAULT)
        await face.shutdown(Metadata())
        assert daemon.stopping


async def test_what_this_version_does_not_do_is_said(tmp_path: Path):
    make_keys(tmp_path)
    async with running(tmp_path) as daemon:
        face = ControlFace(daemon)
        order = orders("", 2, 2)[0]
        with pytest.raises(Exception, match="not available"):
            await face.init_reshare(DEFAULT, order)
        follow = FollowOrder(peers=(), up_to=Round(1))
        for start in (face.start_follow, face.start_check):
            with pytest.raises(Exception, match="not available"):
                start(DEFAULT, follow)
        with pytest.raises(Exception, match="not setup yet"):
            await face.backup(DEFAULT, tmp_path / "copy")


async def test_rounds_that_are_not_there_and_chains_that_are_not_ours(planted: Planted, client: PeerClient):
    async with running(planted.node(0)) as daemon:
        shell = daemon.shell("default")
        await beacon_of(shell, 1)
        peer = shell.identity.peer
        with pytest.raises(PeerRefused, match="no beacon stored above requested round"):
            await client.public_rand(peer, Round(10**6), DEFAULT)
        with pytest.raises(PeerRefused, match=r"beacon id \[other\] is not running"):
            await client.public_rand(peer, Round(1), Metadata(beacon_id="other"))
        with pytest.raises(PeerRefused, match="unknown chain hash"):
            await client.public_rand(peer, Round(1), Metadata(chain_hash=b"\x01" * 32))
        assert issubclass(BeaconNotFound, Exception)


async def test_streams_begin_at_a_stored_round_or_with_the_next_one(planted: Planted):
    async with running(planted.node(0)) as daemon:
        face, shell = PeerFace(daemon), daemon.shell("default")
        await beacon_of(shell, 3)
        stored = face.public_rand_stream(DEFAULT, Round(1), "x:1")
        assert (await anext(stored))[0].round == 1
        head = shell.head
        assert head is not None
        async with asyncio.timeout(30):
            fresh = face.public_rand_stream(DEFAULT, Round(0), "x:1")
            assert (await anext(fresh))[0].round > head.round
            with pytest.raises(BeaconNotFound, match="no beacon stored above requested round"):
                await anext(face.sync(DEFAULT, SyncRequest(Round(10**9), "default"), "x:1"))
            with pytest.raises(BeaconNotFound, match=r"no beacon stored above requested round \d+ < 1000000000"):
                await anext(face.public_rand_stream(DEFAULT, Round(10**9), "x:1"))


async def test_a_stranger_s_status_dials_members_only(planted: Planted, client: PeerClient, tmp_path: Path):
    trap = asyncio.Event()
    server = await asyncio.start_server(lambda *_: trap.set(), "127.0.0.1", 0)
    stranger = Peer(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", tls=False)
    async with running(planted.node(0)) as daemon:
        status = await client.status(daemon.shell("default").identity.peer, DEFAULT, [stranger])
        assert status.connections == {}
        assert not trap.is_set()
        assert (await ControlFace(daemon).status(DEFAULT, [stranger])).connections == {stranger.address: False}
        assert trap.is_set(), "the operator may ask about whom they like"
    server.close()


async def test_who_asks_about_nobody_learns_which_members_answer_us(client: PeerClient, tmp_path: Path):
    planted = Planted(tmp_path, size=2, threshold=2)
    async with running(planted.node(0)) as daemon:
        shell = daemon.shell("default")
        (absent,) = shell.peers()
        assert (await client.status(shell.identity.peer, DEFAULT)).connections == {absent.address: False}


async def test_three_daemons_generate_the_key_of_a_second_beacon(tmp_path: Path):
    daemons = []
    try:
        for number in range(3):
            make_keys(tmp_path / str(number), "second")
            daemons.append(Daemon(settings(tmp_path / str(number))))
            await daemons[-1].start()
        groups = await hold_ceremony(daemons, 2, beacon_id="second")
        assert {group.hash() for group in groups} == {groups[0].hash()}
        assert len(groups[0].nodes) == 3
    finally:
        await asyncio.gather(*(daemon.stop() for daemon in daemons))
