"""Whole daemons: ceremonies, rounds over every port, loading and unloading, stopping, damage."""

import asyncio
import http.client
import json
from pathlib import Path

import pytest

from collective.errors import BadSetting, OutOfTurn, Unavailable
from drand.daemon.control_face import CeremonyLost, ControlFace
from drand.daemon.daemon import Daemon, Stopping
from drand.daemon.metrics import Metrics
from drand.daemon.opening import AlreadyLoaded
from drand.errors import UnknownBeacon
from drand.model.chain import Round
from drand.model.group import Peer
from drand.model.packets import Metadata, SyncRequest
from drand.model.status import DkgState
from drand.model.verification import ChainVerifier
from drand.net.addresses import HostPort
from drand.net.control_client import ControlClient
from drand.net.errors import PeerRefused
from drand.net.peer_client import PeerClient
from drand.protocol.setup_rules import AlreadyRunning
from drand.store.contract import StoreFailed
from tests.support.daemons import (
    Planted,
    beacon_of,
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
        with pytest.raises(CeremonyLost, match="abandoned: wrong leader") as lost:
            await ordered
        assert "on this node alone" in lost.value.advice
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


async def test_a_daemon_for_one_beacon_waits_for_its_keys(tmp_path: Path):
    async with running(tmp_path, only_beacon="second", private_listen="127.0.0.1:0") as daemon:
        assert not daemon.shells
        make_keys(tmp_path, "second")
        await daemon.load("second")
        assert list(daemon.shells) == ["second"]


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
