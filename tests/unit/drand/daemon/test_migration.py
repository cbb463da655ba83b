"""The folder of before beacon ids."""

from pathlib import Path

import pytest

from collective.files import DiskRefused
from drand.daemon import migration
from drand.daemon.folders import BeaconFolder, beacon_ids
from drand.daemon.migration import has_old_layout, migrate_old_layout


@pytest.fixture
def old(tmp_path: Path) -> Path:
    for name, content in (
        ("key/drand_id.private", "secret"),
        ("key/drand_id.public", "public"),
        ("groups/drand_group.toml", "group"),
        ("groups/dist_key.private", "share"),
        ("db/drand.db", "beacons"),
        ("db/kept/more", "deeper"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def test_an_old_folder_becomes_the_default_beacon(old: Path):
    assert has_old_layout(old)
    assert migrate_old_layout(old)
    folder = BeaconFolder(old, "default")
    assert (folder.keys / "drand_id.private").read_text() == "secret"
    assert folder.group_file.read_text() == "group"
    assert (folder.root / "db" / "kept" / "more").read_text() == "deeper"
    assert beacon_ids(old) == ["default"]


def test_copies_are_for_their_owner_and_the_originals_stay(old: Path):
    migrate_old_layout(old)
    root = BeaconFolder(old, "default").root
    modes = {path.stat().st_mode & 0o777 for path in root.rglob("*") if path.is_file()}
    folders = {path.stat().st_mode & 0o777 for path in (root.parent, *root.rglob("*")) if path.is_dir()}
    assert (modes, folders) == ({0o600}, {0o740})
    assert (old / "key" / "drand_id.private").read_text() == "secret"


def test_a_folder_is_migrated_once(old: Path):
    migrate_old_layout(old)
    (old / "key" / "drand_id.public").write_text("changed later")
    assert not migrate_old_layout(old)
    assert (BeaconFolder(old, "default").keys / "drand_id.public").read_text() == "public"


def test_a_folder_without_anything_is_left_alone(tmp_path: Path):
    assert not migrate_old_layout(tmp_path)
    assert not migrate_old_layout(tmp_path / "not there")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_part_of_the_old_layout_is_made_empty(tmp_path: Path):
    (tmp_path / "key").mkdir()
    assert migrate_old_layout(tmp_path)
    assert BeaconFolder(tmp_path, "default").groups.is_dir()


def test_a_migration_that_fails_leaves_no_new_folder(old: Path, monkeypatch: pytest.MonkeyPatch):
    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(migration.shutil, "copyfileobj", full)
    with pytest.raises(DiskRefused, match="No space left"):
        migrate_old_layout(old)
    assert sorted(path.name for path in old.iterdir()) == ["db", "groups", "key"]


def test_what_a_killed_migration_left_is_not_taken_for_a_migrated_folder(old: Path):
    (old / ".multibeacon.tmp" / "default" / "key").mkdir(parents=True)
    assert has_old_layout(old)
    assert migrate_old_layout(old)
    assert beacon_ids(old) == ["default"]
    assert not (old / ".multibeacon.tmp").exists()


def test_pipes_and_sockets_are_not_copied(old: Path):
    import os

    os.mkfifo(old / "db" / "pipe")
    assert migrate_old_layout(old)
    assert not (BeaconFolder(old, "default").root / "db" / "pipe").exists()
