"""Where a daemon keeps what, and which settings cannot work together."""

from pathlib import Path

import pytest

from collective.errors import BadSetting
from drand.daemon.folders import BeaconFolder, beacon_ids, checked_beacon_id
from drand.daemon.settings import Settings, default_folder


@pytest.mark.parametrize("name", ["default", "quicknet-t", "a", "0", "a.b_c-d", "x" * 64])
def test_ids_that_do_as_folder_names_are_taken(name: str):
    assert checked_beacon_id(name) == name


def test_the_empty_id_is_the_default_beacon():
    assert checked_beacon_id("") == "default"


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "a/b", "../up", "a\n", "x" * 65, "ü", "a b", "-rf", "a\0"])
def test_ids_that_could_leave_the_folder_are_refused(name: str):
    with pytest.raises(BadSetting, match="beacon id"):
        checked_beacon_id(name)


def test_files_are_where_go_keeps_them(tmp_path: Path):
    folder = BeaconFolder(tmp_path, "default")
    assert folder.group_file == tmp_path / "multibeacon/default/groups/drand_group.toml"
    assert folder.share_file == tmp_path / "multibeacon/default/groups/dist_key.private"
    assert folder.keys == tmp_path / "multibeacon/default/key"
    assert folder.store == tmp_path / "multibeacon/default/db/drand.sqlite"


def test_folders_are_closed_to_strangers(tmp_path: Path):
    folder = BeaconFolder(tmp_path, "default")
    folder.make()
    folder.make()
    for made in (folder.root, folder.keys, folder.groups, folder.store.parent):
        assert made.stat().st_mode & 0o777 == 0o740


def test_only_folders_with_a_key_are_beacons(tmp_path: Path):
    assert beacon_ids(tmp_path) == []
    for name in ("b", "a", "empty", ".hidden"):
        BeaconFolder(tmp_path, name).make()
        if name != "empty":
            (BeaconFolder(tmp_path, name).keys / "drand_id.private").write_text("")
    (tmp_path / "multibeacon" / "file").write_text("")
    assert beacon_ids(tmp_path) == ["a", "b"]


def test_a_vault_that_this_version_cannot_reach_is_refused_before_anything_is_opened():
    with pytest.raises(BadSetting, match="'unix:/run/vault' is not available"):
        Settings(tls_disable=True, vault="unix:/run/vault").check()


def test_tls_needs_both_files_or_none():
    Settings(tls_disable=True).check()
    Settings(tls_cert=Path("cert"), tls_key=Path("key")).check()
    for bad in (
        Settings(),
        Settings(tls_cert=Path("cert")),
        Settings(tls_key=Path("key")),
        Settings(tls_disable=True, tls_cert=Path("cert")),
    ):
        with pytest.raises(BadSetting) as caught:
            bad.check()
        assert "--tls-disable" in caught.value.advice


def test_the_folder_is_in_the_home_of_the_operator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".drand"
