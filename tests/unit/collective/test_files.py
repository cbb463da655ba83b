"""Files that appear whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from collective.files import DiskRefused, create_file, discard_leftovers, replace_file, replacing_file


def test_a_file_written_piece_by_piece_replaces_the_old_one_at_the_end(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing_file(path, 0o600) as file:
        file.write(b"ne")
        assert path.read_bytes() == b"old"
        file.write(b"w")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def write_and_raise(path: Path, error: type[BaseException]) -> None:
    with replacing_file(path, 0o600) as file:
        file.write(b"new")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_ends_with_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(error):
        write_and_raise(path, error)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", [replace_file, create_file])
def test_a_signal_while_a_file_is_flushed_leaves_nothing_waiting(
    write: Callable[[Path, bytes, int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(_handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "file", b"new", 0o600)
    assert list(tmp_path.iterdir()) == []


def write_nothing(path: Path) -> None:
    with replacing_file(path, 0o600):
        pass


@pytest.mark.parametrize("name", ["n" * 250, "file/below"])
@pytest.mark.parametrize(
    "write", [lambda path: replace_file(path, b"", 0o600), lambda path: create_file(path, b"", 0o600), write_nothing]
)
def test_a_disk_that_does_not_even_let_us_tidy_up_is_named(tmp_path: Path, name: str, write: Callable[[Path], None]):
    """As one that was mounted read-only after an error: the file that is not there cannot be removed either."""
    (tmp_path / "file").touch()
    with pytest.raises(DiskRefused, match="cannot write"):
        write(tmp_path / name)


def test_what_killed_processes_left_waiting_is_removed_and_nothing_else(tmp_path: Path):
    left = [".vault.state.1.tmp", ".vault.state.31337.tmp"]
    others = ["vault.state", ".vault.state.tmp", ".vault.state.x.tmp", ".vault.state.1.tmp.bak", ".other.1.tmp"]
    for name in (*left, *others):
        (tmp_path / name).touch()
    discard_leftovers(tmp_path / "vault.state")
    assert {path.name for path in tmp_path.iterdir()} == set(others)
    discard_leftovers(tmp_path / "no such folder" / "vault.state")


def test_what_cannot_be_removed_is_said(tmp_path: Path):
    (tmp_path / ".vault.state.1.tmp").mkdir()
    with pytest.raises(DiskRefused, match="cannot tidy up"):
        discard_leftovers(tmp_path / "vault.state")


def write_to_a_full_disk(path: Path) -> None:
    with replacing_file(path, 0o600) as file:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, file.fileno())
        os.close(full)
        file.write(b"x" * 100_000)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(DiskRefused, match="No such file"), replacing_file(tmp_path / "no" / "file", 0o600):
        pytest.fail("there was nothing to write to")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path):
    with pytest.raises(DiskRefused, match="No space"):
        write_to_a_full_disk(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("derived", [False, True])
def test_only_what_can_be_made_again_may_be_the_old_file_after_a_crash(
    derived: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    flushed: list[tuple[str, bytes]] = []
    fsync = os.fsync

    def seen(handle: int) -> None:
        flushed.append((Path(os.readlink(f"/proc/self/fd/{handle}")).name, path.read_bytes()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", seen)
    replace_file(path, b"new", 0o600, derived=derived)
    whole = (f".file.{os.getpid()}.tmp", b"old")  # what is moved into place is on disk before
    assert flushed == [whole] + [(tmp_path.name, b"new")] * (not derived)
    assert path.read_bytes() == b"new"
