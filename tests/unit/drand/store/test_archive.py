"""The client's archive: any rounds of any chains, several writers, and files that are something else."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drand.model.chain import Beacon, Round
from drand.store.archive import ArchiveReadOnly, BeaconArchive
from drand.store.contract import StoreFailed
from drand.store.sqlite import open_store

A, B = b"a" * 32, b"b" * 32


def beacon(round_: int) -> Beacon:
    return Beacon(Round(round_), round_.to_bytes(48, "big"), b"before")


@given(stored=st.sets(st.integers(0, 40)), first=st.integers(0, 45), limit=st.integers(0, 50))
def test_runs_and_gaps_are_those_of_a_set(tmp_path_factory, stored: set[int], first: int, limit: int):
    archive = BeaconArchive(tmp_path_factory.mktemp("archive") / "a")
    archive.put(A, map(beacon, stored))
    archive.put(B, [beacon(first)])
    run, at = [], first
    while at in stored and len(run) < limit:
        run.append(beacon(at))
        at += 1
    assert archive.run(A, Round(first), limit) == run
    assert archive.get(A, Round(first)) == (beacon(first) if first in stored else None)
    assert archive.next_stored(A, Round(first)) == min((one for one in stored if one >= first), default=None)
    assert archive.count(A) == len(stored)
    archive.close()


def test_what_was_stored_is_there_again_and_how_far_was_walked(tmp_path: Path):
    archive = BeaconArchive(tmp_path / "folder" / "a")
    assert archive.walked(A) == 0
    archive.put(A, [beacon(7)])
    archive.set_walked(A, Round(7))
    archive.close()
    again = BeaconArchive(tmp_path / "folder" / "a")
    assert again.get(A, Round(7)) == beacon(7)
    assert (again.walked(A), again.walked(B)) == (7, 0)
    again.close()


def test_two_write_to_one_file(tmp_path: Path):
    one, two = BeaconArchive(tmp_path / "a"), BeaconArchive(tmp_path / "a")
    for round_ in range(20):
        (one, two)[round_ % 2].put(A, [beacon(round_)])
    assert one.run(A, Round(0), 100) == two.run(A, Round(0), 100) == [beacon(round_) for round_ in range(20)]
    one.close()
    two.close()


@pytest.mark.parametrize("content", [b"no database" * 500, b"SQLite format 3\x00" + bytes(2000)])
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(StoreFailed):
        BeaconArchive(tmp_path / "a")


def test_a_folder_is_no_archive(tmp_path: Path):
    with pytest.raises(StoreFailed):
        BeaconArchive(tmp_path)


def test_the_store_of_a_node_is_no_archive(tmp_path: Path):
    open_store(tmp_path / "drand.sqlite", chained=False).close()
    with pytest.raises(StoreFailed, match="no archive"):
        BeaconArchive(tmp_path / "drand.sqlite")


def test_a_closed_archive_says_so(tmp_path: Path):
    archive = BeaconArchive(tmp_path / "a")
    archive.close()
    archive.close()
    with pytest.raises(StoreFailed, match="closed"):
        archive.get(A, Round(1))


def test_rounds_beyond_what_the_file_can_number_are_not_there(tmp_path: Path):
    archive = BeaconArchive(tmp_path / "a")
    assert archive.get(A, Round(2**64 - 1)) is None
    archive.close()


STRANGER = 65534


@contextmanager
def without_privileges() -> Iterator[None]:
    """Whom the permissions of a file bind: not root, who may be running this."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(STRANGER)
    try:
        yield
    finally:
        os.seteuid(mine)


@pytest.mark.parametrize("in_use", [False, True])
@pytest.mark.parametrize(("folder", "file"), [(0o777, 0o444), (0o555, 0o444), (0o555, 0o666)])
def test_an_archive_that_may_not_be_written_is_read(folder: int, file: int, in_use: bool):
    with tempfile.TemporaryDirectory() as name:  # not below pytest's own folder, which is closed to strangers
        place = Path(name)
        writer = BeaconArchive(place / "a")
        writer.put(A, map(beacon, range(1, 6)))
        if not in_use:
            writer.close()
        for path in place.iterdir():
            path.chmod(0o444 if in_use else file)
        place.chmod(folder)
        try:
            with without_privileges():
                archive = BeaconArchive(place / "a")
                assert archive.read_only
                assert archive.run(A, Round(1), 100) == list(map(beacon, range(1, 6)))
                with pytest.raises(ArchiveReadOnly, match="may be read, but not written"):
                    archive.put(A, [beacon(6)])
                archive.close()
        finally:
            place.chmod(0o700)
        writer.close()


def test_an_empty_file_that_may_not_be_written_is_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a").touch()
    monkeypatch.setattr("drand.store.archive.may_write", lambda _path: False)
    with pytest.raises(StoreFailed):
        BeaconArchive(tmp_path / "a")
