"""Whole daemons: ceremonies, rounds over every port, loading and unloading, stopping, damage."""

import asyncio
import http.client
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collective.errors import BadSetting, OutOfTurn, Unavailable
from drand.daemon.control_face import CeremonyLost, ControlFace
from drand.daemon.daemon import Daemon, Stopping
from drand.daemon.folders import beacon_ids
from drand.daemon.metrics import Metrics
from drand.daemon.opening import AlreadyLoaded, UnsignedIdentity, VaultAway, open_beacon
from drand.daemon.peer_face import PeerFace
from drand.errors import BeaconNotFound, UnknownBeacon
from drand.model.chain import Round
from drand.model.group import Peer
from drand.model.packets import Metadata, SyncRequest
from drand.model.status import DkgState
from drand.model.vault_messages import EpochOpened, VaultRefused
from drand.model.verification import ChainVerifier
from drand.net.addresses import HostPort
from drand.net.control_client import ControlClient
from drand.net.errors import PeerRefused, PortTaken
from drand.net.handlers import FollowOrder
from drand.net.peer_client import PeerClient
from drand.protocol.setup_rules import AlreadyRunning
from drand.store.contract import StoreFailed
from drand.vault.folder import DamagedKeyFile, NoKeyPair, VaultFolder
from drand.vault.state import StateDamaged
from tests.support.daemons import (
    Planted,
    beacon_of,
    hold_ceremony,
    make_keys,
    network,
    orders,
    running,
    settings,
    until,
)
from tests.support.ports import free_port

DEFAULT = Metadata(beacon_id="default")


def get(address: HostPort | None, path: str) -> tuple[int, bytes]:
    assert address is not None
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.fixture
async def client() -> AsyncIterator[PeerClient]:
    made = PeerClient()
    yield made
    await made.close()


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    return Planted(tmp_path)


# ------------------------------------------------------------ a network


async def test_two_daemons_generate_a_key_and_serve_rounds_that_verify(tmp_path: Path, client: PeerClient):
    async with network(tmp_path, metrics="0") as net:
        first, second = net.shells
        assert first.group() == second.group() == net.group
        beacons = await asyncio.gather(beacon_of(first, 2), beacon_of(second, 2))
        assert beacons[0] == beacons[1]
        ChainVerifier(net.group.scheme, net.group.public_key[0]).check(beacons[0])

        status, body = await asyncio.to_thread(get, net.daemons[0].http_address, "/public/2")
        assert (status, json.loads(body)["signature"]) == (200, beacons[0].signature.hex())
        peer = second.identity.peer
        assert await client.public_rand(peer, Round(2), second.metadata()) == beacons[0]
        assert (await client.chain_info(peer, DEFAULT)).hash() == net.group.chain_info().hash()

        face = ControlFace(net.daemons[0])
        status_ = await face.status(DEFAULT, ())
        assert (status_.dkg, status_.connections) == (DkgState.DONE, {peer.address: True})
        remote = await face.remote_status(DEFAULT, [peer, first.identity.peer, Peer("127.0.0.1:1", tls=False)])
        assert set(remote) == {peer.address, first.identity.address}
        metrics = net.daemons[0].metrics
        assert isinstance(metrics, Metrics)
        assert metrics.registry.get_sample_value("dkg_state", {"beacon_id": "default"}) == 3
        with pytest.raises(Exception, match="already done"):
            await face.init_dkg(DEFAULT, orders(first.identity.address, 2, 2)[0])


async def test_a_ceremony_shows_its_progress_and_ends_with_a_reason_when_the_beacon_is_unloaded(tmp_path: Path):
    make_keys(tmp_path)
    async with running(tmp_path) as daemon:
        face = ControlFace(daemon)
        watch = face.ceremony(DEFAULT)
        ordered = asyncio.create_task(face.init_dkg(DEFAULT, orders("", 3, 2)[0]))
        seen = await anext(watch)  # type: ignore[arg-type]
        assert (seen.stage, seen.leader, len(seen.joined), seen.wanted) == ("waiting", True, 1, 3)
        await daemon.unload("default")
        with pytest.raises(CeremonyLost, match="was stopped"):
            await ordered
        rest = [progress async for progress in watch]
        assert (rest[-1].stage, rest[-1].over) == ("failed", True)
        shell = await daemon.load("default")
        assert (await face.status(DEFAULT, ())).dkg is DkgState.NOT_STARTED
        assert shell.machine.ceremony.failure is None


async def test_a_ceremony_that_has_just_begun_is_shown_to_whoever_watched_before(tmp_path: Path):
    make_keys(tmp_path)
    async with running(tmp_path) as daemon:
        face = ControlFace(daemon)
        watch = face.ceremony(DEFAULT)
        first = asyncio.ensure_future(anext(watch))  # type: ignore[arg-type]
        await asyncio.sleep(0)  # the watcher is there, and waits
        ordered = asyncio.create_task(face.init_dkg(DEFAULT, orders("127.0.0.1:1", 3, 2)[1]))
        seen = await first
        assert (seen.stage, seen.leader, seen.joined) == ("waiting", False, ())
        await face.abandon(DEFAULT, "enough")
        with pytest.raises(CeremonyLost, match="enough"):
            await ordered


async def test_a_ceremony_of_long_ago_is_not_shown_as_the_one_that_was_ordered_now(planted: Planted):
    async with running(planted.node(0)) as daemon:
        face = ControlFace(daemon)
        watch = face.ceremony(DEFAULT)
        first = asyncio.ensure_future(anext(watch))  # type: ignore[arg-type]
        await asyncio.sleep(0)  # the watcher is there, and waits
        with pytest.raises(OutOfTurn, match="already done"):
            await face.init_dkg(DEFAULT, orders("", 3, 2)[0])
        await beacon_of(daemon.shell("default"), 1)
        assert not first.done()
        await daemon.unload("default")
        assert (await first).stage == "failed"


async def test_a_disk_that_fills_up_in_a_ceremony_is_what_the_operator_is_told(tmp_path: Path):
    make_keys(tmp_path)
    async with running(tmp_path) as daemon:
        face = ControlFace(daemon)
        shell = daemon.shell("default")
        ordered = asyncio.create_task(face.init_dkg(DEFAULT, orders("", 3, 2)[0]))
        await until(shell, lambda: shell.machine.ceremony.leader)
        shell._fail(StoreFailed("the disk is full"))
        with pytest.raises(CeremonyLost, match="the disk is full") as caught:
            await ordered
        assert "goes on by itself" in caught.value.advice


async def test_a_group_that_is_refused_is_shown_to_whoever_waits_for_one(tmp_path: Path, client: PeerClient):
    other = Planted(tmp_path / "other")
    make_keys(tmp_path)
    async with running(tmp_path) as daemon:
        face, shell = ControlFace(daemon), daemon.shell("default")
        from drand.model.packets import GroupPush

        join = orders(f"127.0.0.1:{free_port()}", 2, 2)[1]
        ordered = asyncio.create_task(face.init_dkg(DEFAULT, join))
        await until(shell, lambda: not shell.machine.ceremony.leader and shell.machine.state.value == "joining")
        with pytest.raises(PeerRefused):
            await client.send(shell.identity.peer, GroupPush(other.group, b"x" * 32, 10, b"forged"), DEFAULT)
        watch = face.ceremony(DEFAULT)
        seen = await anext(watch)  # type: ignore[arg-type]
        assert seen.stage == "waiting"
        assert seen.reason.startswith("refused a group from")
        await watch.aclose()  # type: ignore[attr-defined]
        ordered.cancel()


async def test_whoever_waits_for_an_absent_leader_sees_why_and_may_end_it(tmp_path: Path):
    make_keys(tmp_path)
    async with running(tmp_path) as daemon:
        face, shell = ControlFace(daemon), daemon.shell("default")
        join = orders(f"127.0.0.1:{free_port()}", 2, 2)[1]
        ordered = asyncio.create_task(face.init_dkg(DEFAULT, join))
        await until(shell, lambda: bool(shell.machine.ceremony.trouble))
        watch = face.ceremony(DEFAULT)
        seen = await anext(watch)  # type: ignore[arg-type]
        assert seen.stage == "waiting"
        assert seen.reason.startswith("asking the leader again: ")
        assert "refused" in seen.reason
        with pytest.raises(AlreadyRunning) as caught:
            await face.init_dkg(DEFAULT, join)
        assert "drand util abandon" in caught.value.advice
        await face.abandon(DEFAULT, "wrong leader")
        with pytest.raises(CeremonyLost, match="abandoned: wrong leader"):
            await ordered
        rest = [progress async for progress in watch]
        assert (rest[-1].stage, rest[-1].reason) == ("failed", "abandoned: wrong leader")
        with pytest.raises(OutOfTurn, match="no ceremony is running"):
            await face.abandon(DEFAULT, "again")


async def test_an_order_for_another_scheme_than_the_key_s_is_refused(tmp_path: Path):
    make_keys(tmp_path)
    async with running(tmp_path) as daemon:
        from dataclasses import replace

        order = replace(orders("", 3, 2)[0], scheme_name="pedersen-bls-chained")
        with pytest.raises(BadSetting, match="bls-unchained-g1-rfc9380, not pedersen-bls-chained"):
            await ControlFace(daemon).init_dkg(DEFAULT, order)


# ------------------------------------------------------------ loading, unloading, stopping


async def test_files_of_another_drand_are_taken_up_and_the_chain_goes_on(planted: Planted):
    async with running(planted.node(0)) as daemon:
        shell = daemon.shell("default")
        await beacon_of(shell, 3)
        assert (await ControlFace(daemon).status(DEFAULT, ())).dkg is DkgState.DONE
    async with running(planted.node(0)) as daemon:
        head = daemon.shell("default").head
        assert head is not None
        assert head.round >= 3


async def test_a_beacon_that_is_unloaded_is_gone_from_every_port_and_comes_back(planted: Planted, client: PeerClient):
    async with running(planted.node(0)) as daemon:
        shell = daemon.shell("default")
        peer, served = shell.identity.peer, f"/{planted.group.chain_info().hash().hex()}/public/1"
        await beacon_of(shell, 1)
        assert (await asyncio.to_thread(get, daemon.http_address, served))[0] == 200
        await daemon.unload("default")
        assert (await asyncio.to_thread(get, daemon.http_address, served))[0] == 404
        with pytest.raises(PeerRefused, match="is not running"):
            await client.public_rand(peer, Round(1), DEFAULT)
        with pytest.raises(UnknownBeacon):
            await daemon.unload("default")
        await daemon.load("default")
        assert (await client.public_rand(peer, Round(1), DEFAULT)).round == 1
        assert (await asyncio.to_thread(get, daemon.http_address, served))[0] == 200


async def test_two_loads_at_the_same_time_make_one_beacon(planted: Planted):
    async with running(planted.node(0), only_beacon="") as daemon:
        results = await asyncio.gather(*(daemon.load("default") for _ in range(5)), return_exceptions=True)
        assert sum(isinstance(result, AlreadyLoaded) for result in results) == 4
        assert await daemon.loaded("default") is daemon.shells["default"]


async def test_beacons_live_side_by_side(tmp_path: Path):
    one, two = Planted(tmp_path), Planted(tmp_path, beacon_id="second")
    async with running(tmp_path / "node0") as daemon:
        assert sorted(daemon.shells) == ["default", "second"]
        assert await ControlFace(daemon).list_beacon_ids() == ["default", "second"]
        for planted, name in ((one, "default"), (two, "second")):
            beacon = await beacon_of(daemon.shell(name), 1)
            ChainVerifier(planted.scheme, planted.group.public_key[0]).check(beacon)


async def test_the_daemon_stops_at_once_with_streams_and_held_requests_open(planted: Planted, client: PeerClient):
    """`drand stop` is answered, every stream ends, and nobody waits for a reader who never leaves."""
    daemon = Daemon(settings(planted.node(0), metrics="0"))
    await daemon.start()
    shell = daemon.shell("default")
    await beacon_of(shell, 2)
    streaming = asyncio.create_task(_read_for_ever(client, shell.identity.peer))
    await until(shell, lambda: shell.feed.readers > 0)

    def stop() -> None:
        with ControlClient(str(daemon.control_address)) as control:
            control.shutdown(Metadata())

    answered = asyncio.create_task(asyncio.to_thread(stop))
    await daemon.wait()
    await daemon.stop()
    await answered
    count, reason = await streaming
    assert count >= 2
    assert "stops serving" in reason, "told so, not cut off when patience was at its end"
    with pytest.raises(Stopping):
        await daemon.load("default")


async def test_a_held_request_is_told_to_come_again_when_the_daemon_stops(planted: Planted):
    daemon = Daemon(settings(planted.node(0)))
    await daemon.start()
    shell = daemon.shell("default")
    await beacon_of(shell, 2)
    shell._errands.cancel()
    shell._alarms.cancel_all()  # no more rounds: the next one is waited for
    assert shell.head is not None
    held = asyncio.create_task(asyncio.to_thread(get, daemon.http_address, f"/public/{shell.head.round + 1}"))
    while not daemon._http.held and not held.done():  # noqa: ASYNC110
        await asyncio.sleep(0)
    await daemon.stop()
    assert (await held)[0] == 404


async def _read_for_ever(client: PeerClient, peer: Peer) -> tuple[int, str]:
    count = 0
    try:
        async with client.sync(peer, SyncRequest(Round(1), "default"), patience_s=30) as batches:
            async for batch in batches:
                count += len(batch)
    except (PeerRefused, Unavailable) as error:
        return count, str(error)
    return count, "ended well"


async def test_a_stop_that_meets_a_failure_still_closes_the_rest(
    planted: Planted, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    daemon = Daemon(settings(planted.node(0)))
    await daemon.start()

    async def broken() -> None:
        raise ZeroDivisionError("a bug")

    async def refused() -> None:
        raise Unavailable("gone")

    http = daemon._http.stop
    monkeypatch.setattr(daemon._http, "stop", broken)
    monkeypatch.setattr(daemon.client, "close", refused)
    await daemon.stop()
    await http()
    assert daemon.shells == {}
    assert "while stopping: gone" in caplog.text


# ------------------------------------------------------------ damage


async def test_one_damaged_beacon_does_not_keep_the_others_from_running(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    Planted(tmp_path)
    broken = Planted(tmp_path, beacon_id="broken")
    group_file = broken.folder(0).group_file
    whole = group_file.read_bytes()
    group_file.write_bytes(b"rubbish")
    with caplog.at_level(logging.ERROR):
        async with running(tmp_path / "node0") as daemon:
            assert sorted(daemon.shells) == ["default"]
            assert "BEACON broken IS NOT RUNNING" in caplog.text
            assert str(group_file) in caplog.text
            group_file.write_bytes(whole)
            await daemon.load("broken")
            await beacon_of(daemon.shell("broken"), 1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("key/drand_id.private", DamagedKeyFile),
        ("key/drand_id.public", DamagedKeyFile),
        ("groups/drand_group.toml", Exception),
        ("groups/dist_key.private", DamagedKeyFile),
        ("vault.state", StateDamaged),
        ("db/drand.sqlite", StoreFailed),
    ],
)
async def test_the_only_beacon_s_damaged_file_is_named_and_the_daemon_does_not_start(
    planted: Planted, name: str, expected: type[Exception]
):
    path = planted.folder(0).root / name
    path.write_bytes(b"\x00rubbish\xff" * 300)
    daemon = Daemon(settings(planted.node(0)))
    with pytest.raises(expected, match=path.name) as caught:
        await daemon.start()
    await daemon.stop()
    assert caught.value.advice  # type: ignore[attr-defined]
    assert len(str(caught.value).splitlines()) == 1
    assert daemon.shells == {}
    assert daemon.chains == {}


async def test_an_unsigned_identity_is_refused_with_the_command_that_mends_it(planted: Planted):
    from dataclasses import replace

    folder = VaultFolder(planted.folder(0).root)
    identity = folder.load_key_pair().identity
    for signature in (b"", b"\x01" * 48):
        folder.save_identity(replace(identity, signature=signature))
        daemon = Daemon(settings(planted.node(0)))
        with pytest.raises((UnsignedIdentity, DamagedKeyFile)) as caught:
            await daemon.start()
        await daemon.stop()
        assert caught.value.advice


async def test_a_vault_that_refuses_is_named(planted: Planted):
    class Mute:
        def __init__(self, reply: object) -> None:
            self.reply = reply

        async def ask(self, request: object) -> object:
            return self.reply

    async with running(planted.node(0), only_beacon="") as daemon:
        for reply in (VaultRefused("load", "asleep", retry=True), EpochOpened("load", b"")):  # type: ignore[arg-type]
            with pytest.raises(VaultAway, match="vault of beacon default"):
                await open_beacon(
                    planted.folder(0),
                    "inproc:",
                    daemon._outside,
                    opener=lambda *_, reply=reply, **__: Mute(reply),  # type: ignore[misc,arg-type,return-value]
                )


async def test_a_beacon_without_keys_cannot_be_loaded_and_leaves_nothing(tmp_path: Path):
    async with running(tmp_path) as daemon:
        with pytest.raises(NoKeyPair):
            await daemon.load("nobody")
        with pytest.raises(BadSetting):
            await daemon.load("../../etc")
        assert beacon_ids(tmp_path) == []


async def test_a_taken_port_ends_the_start(planted: Planted, tmp_path: Path):
    async with running(planted.node(0)):
        other = Planted(tmp_path / "other")
        taken = planted.group.nodes[0].identity.address
        daemon = Daemon(settings(other.node(0), private_listen=taken))
        with pytest.raises(PortTaken, match=taken):
            await daemon.start()
        await daemon.stop()


async def test_a_taken_port_is_not_taken_for_a_damaged_beacon(planted: Planted, tmp_path: Path):
    async with running(planted.node(0)):
        address = planted.group.nodes[0].identity.address
        make_keys(tmp_path / "other", address=address)
        daemon = Daemon(settings(tmp_path / "other"))
        with pytest.raises(PortTaken):
            await daemon.start()
        assert daemon.shells == {}
        await daemon.stop()


async def test_a_lost_store_is_made_anew_from_the_files_and_the_chain_begins_again(planted: Planted):
    async with running(planted.node(0)) as daemon:
        first = await beacon_of(daemon.shell("default"), 1)
    for path in planted.folder(0).store.parent.iterdir():
        path.unlink()
    async with running(planted.node(0)) as daemon:
        assert await beacon_of(daemon.shell("default"), 1) == first


# ------------------------------------------------------------ what the operator may ask


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
