"""Folders that the daemon's user may not look into: each is named, and never taken for one where nothing is."""

import errno
import logging
import os
from pathlib import Path

import pytest

from collective.files import DiskRefused, is_there
from drand.daemon.daemon import Daemon
from drand.daemon.epochs import DamagedGroupFile, read_group_file
from drand.daemon.folders import BeaconFolder, beacon_ids
from drand.daemon.migration import has_old_layout
from drand.daemon.opening import open_beacon
from drand.store.contract import StoreFailed
from drand.store.schema import connect_reader
from drand.vault.folder import VaultFolder
from tests.support.daemons import Planted, make_keys, running, settings


class Shut:
    """Root may look everywhere, so it is the looking that is refused: at what is below a folder of mode 0600."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folders: set[Path] = set()
        stat, listdir = os.stat, os.listdir

        def shut_stat(path, *args, **kwargs):
            if not isinstance(path, int):
                self.refuse(path, Path(path).parents)
            return stat(path, *args, **kwargs)

        def shut_listdir(path="."):
            self.refuse(path, (Path(path),))
            return listdir(path)

        monkeypatch.setattr(os, "stat", shut_stat)
        monkeypatch.setattr(os, "listdir", shut_listdir)

    def refuse(self, path, below) -> None:
        if self.folders.intersection(below):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


@pytest.fixture
def shut(monkeypatch: pytest.MonkeyPatch) -> Shut:
    return Shut(monkeypatch)


@pytest.mark.parametrize("name", [".", "key", "groups"])
async def test_one_unreadable_beacon_does_not_keep_the_others_from_running(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, shut: Shut, name: str
):
    Planted(tmp_path)
    closed = Planted(tmp_path, beacon_id="closed").folder(0)
    shut.folders.add(closed.root / name)
    with caplog.at_level(logging.ERROR):
        async with running(tmp_path / "node0") as daemon:
            assert sorted(daemon.shells) == ["default"]
            (line,) = [record.getMessage() for record in caplog.records if "IS NOT RUNNING" in record.message]
            assert line.startswith("BEACON closed IS NOT RUNNING: cannot ")
            assert str(closed.root / name) in line
            assert "Permission denied (check " in line
            with pytest.raises(DiskRefused):
                await daemon.load("closed")
            shut.folders.clear()
            await daemon.load("closed")
            assert sorted(daemon.shells) == ["closed", "default"]


async def test_the_only_beacon_s_unreadable_folder_is_named_and_the_daemon_does_not_start(planted: Planted, shut: Shut):
    shut.folders.add(planted.folder(0).root)
    for only in (None, "default"):
        daemon = Daemon(settings(planted.node(0), only_beacon=only))
        with pytest.raises(DiskRefused, match=r"cannot look at .*drand_id\.private: Permission denied") as caught:
            await daemon.start()
        await daemon.stop()
        assert caught.value.advice


async def test_an_error_of_the_system_that_nobody_thought_of_is_told_like_the_others(planted: Planted):
    def opener(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "/some/file")

    async with running(planted.node(0), only_beacon="") as daemon:
        with pytest.raises(DiskRefused, match=r"beacon default in .*Input/output error: '/some/file'") as caught:
            await open_beacon(planted.folder(0), "inproc:", daemon._outside, opener=opener)  # type: ignore[arg-type]
        assert caught.value.advice


async def test_a_bug_in_the_loading_of_one_beacon_is_logged_and_the_others_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    make_keys(tmp_path, "default")
    make_keys(tmp_path, "broken")
    load = Daemon.load

    async def broken(self: Daemon, beacon_id: str) -> object:
        if beacon_id == "broken":
            raise RuntimeError("nobody thought of this")
        return await load(self, beacon_id)

    monkeypatch.setattr(Daemon, "load", broken)
    async with running(tmp_path) as daemon:
        assert sorted(daemon.shells) == ["default"]
    (told,) = [record for record in caplog.records if "BEACON broken IS NOT RUNNING" in record.getMessage()]
    assert told.exc_info is not None


def test_a_beacon_that_may_not_be_looked_at_is_listed_and_a_folder_that_may_not_be_is_named(tmp_path: Path, shut: Shut):
    for name in ("a", "b"):
        make_keys(tmp_path, name)
    BeaconFolder(tmp_path, "empty").make()
    shut.folders.add(tmp_path / "multibeacon" / "b")
    assert beacon_ids(tmp_path) == ["a", "b"]
    shut.folders.add(tmp_path / "multibeacon")
    with pytest.raises(DiskRefused, match=r"cannot list .*multibeacon: Permission denied"):
        beacon_ids(tmp_path)
    shut.folders.add(tmp_path)
    with pytest.raises(DiskRefused, match=r"cannot look at .*multibeacon: Permission denied"):
        has_old_layout(tmp_path)


def test_the_vault_s_files_are_not_missing_where_they_may_not_be_looked_at(planted: Planted, shut: Shut):
    folder = VaultFolder(planted.folder(0).root)
    keys = folder.load_key_pair()
    shut.folders.add(folder.path)
    with pytest.raises(DiskRefused, match=r"drand_id\.private"):
        folder.load_key_pair()
    with pytest.raises(DiskRefused, match=r"drand_id\.public"):
        folder.save_key_pair(keys)
    with pytest.raises(DiskRefused, match=r"dist_key\.private"):
        folder.load_share(keys.identity.scheme)
    assert folder.complaints() == []


def test_a_store_is_not_missing_where_it_may_not_be_looked_at(tmp_path: Path, shut: Shut):
    path = tmp_path / "db" / "drand.sqlite"
    with pytest.raises(StoreFailed, match="there is no store"):
        connect_reader(path)
    shut.folders.add(tmp_path)
    with pytest.raises(StoreFailed, match=r"cannot look at .*drand\.sqlite: Permission denied") as caught:
        connect_reader(path)
    assert "permissions" in caught.value.advice


def test_shares_that_cannot_be_removed_are_named(planted: Planted):
    folder = VaultFolder(planted.folder(0).root)
    folder.share_file.unlink()
    folder.share_file.mkdir()
    with pytest.raises(DiskRefused, match=r"cannot remove .*dist_key\.private"):
        folder.forget_shares()


def test_a_group_file_that_cannot_be_read_needs_no_backup(tmp_path: Path):
    with pytest.raises(DamagedGroupFile, match="Is a directory") as caught:
        read_group_file(tmp_path)
    assert "permissions" in caught.value.advice


def test_what_is_below_a_file_is_not_there(tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert is_there(tmp_path / "file")
    assert not is_there(tmp_path / "file" / "below")
    assert not is_there(tmp_path / "nothing")
    (tmp_path / "dangling").symlink_to("nothing")
    assert not is_there(tmp_path / "dangling")
