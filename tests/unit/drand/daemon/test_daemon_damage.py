"""A daemon over damaged files: one sick beacon is named, and the others go on."""

import io
import logging
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from collective.errors import BadSetting
from drand.daemon.checking import DamagedChain
from drand.daemon.daemon import Daemon
from drand.daemon.epochs import DamagedGroupFile
from drand.daemon.folders import beacon_ids
from drand.daemon.opening import UnsignedIdentity, VaultAway, open_beacon
from drand.model.vault_messages import EpochOpened, VaultRefused
from drand.net.errors import PortTaken
from drand.store.contract import StoreFailed
from drand.vault.folder import DamagedKeyFile, NoKeyPair, VaultFolder
from drand.vault.state import StateDamaged
from tests.support.command_line import drand
from tests.support.daemons import (
    Planted,
    beacon_of,
    hold_ceremony,
    make_keys,
    network,
    running,
    settings,
)


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


@pytest.mark.parametrize("scheme", ["pedersen-bls-chained", "bls-unchained-g1-rfc9380"])
async def test_a_chain_whose_end_the_disk_has_changed_is_named_with_the_command_that_mends_it(
    tmp_path: Path, scheme: str
):
    planted = Planted(tmp_path, scheme=scheme)
    async with running(planted.node(0)) as daemon:
        whole = [await beacon_of(daemon.shell("default"), round_) for round_ in range(1, 4)]
    for round_ in (3, 2):
        flip_a_bit(planted.folder(0).store, round_)
        daemon = Daemon(settings(planted.node(0)))
        with pytest.raises(DamagedChain, match=f"round {round_} is not what the group signed") as caught:
            await daemon.start()
        await daemon.stop()
        command = f"drand util del-beacon --id default {round_}"
        assert command in caught.value.advice
        mended = drand(*command.split()[1:], "--folder", planted.node(0))
        assert mended.code == 0, mended
    async with running(planted.node(0)) as daemon:
        assert [await beacon_of(daemon.shell("default"), round_) for round_ in range(1, 4)] == whole


async def test_a_store_of_another_chain_is_named(planted: Planted, tmp_path: Path):
    other = Planted(tmp_path / "other")
    for one in (planted, other):
        async with running(one.node(0)) as daemon:
            await beacon_of(daemon.shell("default"), 1)
    with sqlite3.connect(planted.folder(0).store) as ours:
        ours.execute("ATTACH ? AS theirs", (str(other.folder(0).store),))
        ours.execute("UPDATE beacons SET signature = (SELECT signature FROM theirs.beacons WHERE round = 0)")
    daemon = Daemon(settings(planted.node(0)))
    with pytest.raises(DamagedChain, match="or another chain's") as caught:
        await daemon.start()
    await daemon.stop()
    assert "fetches" in caught.value.advice


def flip_a_bit(store: Path, round_: int) -> None:
    with sqlite3.connect(store) as connection:
        last = connection.execute("SELECT max(round) FROM beacons").fetchone()[0]
        signature = connection.execute("SELECT signature FROM beacons WHERE round = ?", (round_,)).fetchone()[0]
        assert last >= round_
        connection.execute("DELETE FROM beacons WHERE round > ?", (round_,))
        changed = bytes([*signature[:-1], signature[-1] ^ 1])
        connection.execute("UPDATE beacons SET signature = ? WHERE round = ?", (changed, round_))


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


async def test_nodes_of_which_the_vaults_alone_are_left_are_refused_and_begin_anew_after_a_reset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with network(tmp_path, nodes=2, threshold=2) as before:
        folders = [shell.folder for shell in before.shells]
    for folder in folders:
        shutil.rmtree(folder.groups)
        shutil.rmtree(folder.store.parent)
        with pytest.raises(DamagedGroupFile, match=r"is missing, but there is a share in .*vault\.state") as caught:
            async with running(folder.base):
                pass
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        (command,) = re.findall(r"`drand (util reset)`", caught.value.advice)
        reset = drand(*command.split(), "--folder", folder.base)
        assert reset.code == 0, reset
    async with running(folders[0].base) as first, running(folders[1].base) as second:
        groups = await hold_ceremony([first, second], 2)
    assert groups[0].public_key != before.group.public_key


async def test_a_lost_store_is_made_anew_from_the_files_and_the_chain_begins_again(planted: Planted):
    async with running(planted.node(0)) as daemon:
        first = await beacon_of(daemon.shell("default"), 1)
    for path in planted.folder(0).store.parent.iterdir():
        path.unlink()
    async with running(planted.node(0)) as daemon:
        assert await beacon_of(daemon.shell("default"), 1) == first
