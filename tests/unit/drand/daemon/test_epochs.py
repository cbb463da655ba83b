"""Record, group file and share: which is believed, and what each contradiction is answered with."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collective.clock import SystemClock
from collective.errors import CollectiveError, Unavailable
from drand.cli.reset import forget
from drand.daemon.epochs import (
    DamagedGroupFile,
    FilesDisagree,
    TransitionAhead,
    read_group_file,
    settle_epoch,
    write_group_file,
)
from drand.errors import InvalidGroup
from drand.model.records import CeremonyStarted
from drand.model.vault_messages import EpochOpened, OpenEpoch, RequestId
from drand.store.sqlite import SqliteStore, open_store
from drand.vault.folder import DamagedKeyFile
from drand.vault.links import InprocLink, open_vault
from tests.support.daemons import Planted


class Site:
    """Node 0 of a planted chain, without a daemon."""

    def __init__(self, planted: Planted) -> None:
        self.planted = planted
        self.folder = planted.folder(planted.order[0])
        self.store: SqliteStore = open_store(self.folder.store, chained=False)
        self.vault: InprocLink = open_vault("inproc:", self.folder.root)
        self.identity = self.planted.group.nodes[0].identity
        self.now = SystemClock().now()

    def settle(self) -> None:
        settle_epoch(self.folder, self.identity, self.store, self.vault, self.now)

    def reopen_vault(self) -> None:
        self.vault = open_vault("inproc:", self.folder.root)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(Planted(tmp_path, size=3, threshold=2))
    yield made
    made.store.close()


def test_files_of_another_drand_become_the_record(site: Site):
    site.settle()
    epoch = site.store.epoch()
    assert epoch is not None
    assert (epoch.group, epoch.index) == (site.planted.group, 0)
    assert site.vault.holds(epoch.epoch_id)


def test_a_node_without_files_is_fresh(site: Site):
    site.folder.group_file.unlink()
    site.folder.share_file.unlink()
    site.settle()
    assert site.store.epoch() is None


def test_a_share_without_its_group_is_no_fresh_node(site: Site):
    site.folder.group_file.unlink()
    with pytest.raises(DamagedGroupFile, match=r"drand_group\.toml is missing"):
        site.settle()


def test_a_group_without_its_share_is_no_fresh_node(site: Site):
    site.folder.share_file.unlink()
    with pytest.raises(Unavailable, match=r"dist_key\.private"):
        site.settle()


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"Threshold = 'x'", b"[[Nodes]]\n" * 3, b"a = [" * 1000])
def test_a_damaged_group_file_is_named(site: Site, text: bytes):
    site.folder.group_file.write_bytes(text)
    with pytest.raises(DamagedGroupFile, match=r"drand_group\.toml") as caught:
        site.settle()
    assert "never taken for a fresh node" in caught.value.advice


def test_a_group_file_that_cannot_be_read_is_named(site: Site):
    site.folder.group_file.unlink()
    site.folder.group_file.mkdir()
    with pytest.raises(DamagedGroupFile, match=r"drand_group\.toml: Is a directory"):
        site.settle()


def test_a_proposal_is_no_group(site: Site):
    write_group_file(site.folder.group_file, replace(site.planted.group, public_key=()))
    with pytest.raises(DamagedGroupFile, match="only a proposal"):
        site.settle()


def test_a_damaged_share_file_is_named(site: Site):
    site.folder.share_file.write_bytes(b"Index = -1\n")
    with pytest.raises(DamagedKeyFile, match=r"dist_key\.private"):
        site.settle()


def test_a_share_of_another_member_does_not_fit(site: Site):
    other = site.planted.folder(site.planted.order[1])
    site.folder.share_file.write_bytes(other.share_file.read_bytes())
    with pytest.raises(FilesDisagree, match=r"dist_key\.private does not fit .*drand_group\.toml"):
        site.settle()


def test_a_group_without_us_is_refused(site: Site):
    nodes = tuple(
        replace(node, identity=replace(node.identity, address="127.0.0.9:1")) if node.index == 0 else node
        for node in site.planted.group.nodes
    )
    write_group_file(site.folder.group_file, replace(site.planted.group, nodes=nodes))
    with pytest.raises(InvalidGroup, match="not in the group"):
        site.settle()


def test_a_lost_group_file_is_written_again_from_the_record(site: Site):
    site.settle()
    site.folder.group_file.unlink()
    site.settle()
    assert read_group_file(site.folder.group_file) == site.planted.group
    assert site.folder.group_file.stat().st_mode & 0o777 == 0o644


def test_a_group_file_that_cannot_be_written_again_keeps_nobody_from_starting(
    site: Site, caplog: pytest.LogCaptureFixture
):
    site.settle()
    site.folder.group_file.unlink()
    site.folder.groups.rename(site.folder.root / "elsewhere")
    site.settle()
    assert "cannot write" in caplog.text


def test_a_member_that_moved_is_dialled_where_the_edited_file_says(site: Site):
    site.settle()
    group = site.planted.group
    moved = replace(group.nodes[1], identity=replace(group.nodes[1].identity, address="192.0.2.1:9"))
    edited = replace(group, nodes=(group.nodes[0], moved, group.nodes[2]))
    write_group_file(site.folder.group_file, edited)
    site.settle()
    epoch = site.store.epoch()
    assert epoch is not None
    assert epoch.group == edited


@pytest.mark.parametrize("change", [{"period_ns": 2_000_000_000}, {"genesis_unix_s": 77}, {"genesis_seed": b"x" * 32}])
def test_a_file_of_another_chain_contradicts_the_record(site: Site, change: dict[str, object]):
    site.settle()
    write_group_file(site.folder.group_file, replace(site.planted.group, **change))  # type: ignore[arg-type]
    with pytest.raises(FilesDisagree, match="another chain"):
        site.settle()


def test_a_resharing_that_another_drand_took_part_in_is_adopted(site: Site):
    site.settle()
    before = site.store.epoch()
    later, secret = site.planted.reshared(int(site.now) - 2)
    site.planted.write(0, later, secret)
    site.settle()
    epoch = site.store.epoch()
    assert before is not None
    assert epoch is not None
    assert epoch.group == later
    assert epoch.epoch_id != before.epoch_id
    assert site.vault.holds(epoch.epoch_id)


def test_a_later_group_with_the_old_share_is_refused(site: Site):
    site.settle()
    later, _ = site.planted.reshared(int(site.now) - 2)
    write_group_file(site.folder.group_file, later)
    with pytest.raises(FilesDisagree, match="does not fit"):
        site.settle()


def test_an_earlier_epoch_does_not_replace_a_later_record(site: Site):
    later, secret = site.planted.reshared(int(site.now) - 2)
    site.planted.write(0, later, secret)
    site.settle()
    site.planted.write(0, site.planted.group, site.planted.secret)
    with pytest.raises(FilesDisagree, match="not the later one"):
        site.settle()


def test_an_epoch_whose_transition_has_not_come_is_not_begun_early(site: Site):
    site.settle()
    later, secret = site.planted.reshared(int(site.now) + 1000)
    site.planted.write(0, later, secret)
    with pytest.raises(TransitionAhead, match=r"begins in \d+ s"):
        site.settle()


def test_a_vault_that_lost_its_state_takes_the_share_from_the_file(site: Site, caplog: pytest.LogCaptureFixture):
    site.settle()
    (site.folder.root / "vault.state").unlink()
    site.reopen_vault()
    epoch = site.store.epoch()
    assert epoch is not None
    assert not site.vault.holds(epoch.epoch_id)
    site.settle()
    assert site.vault.holds(epoch.epoch_id)
    assert "the vault had lost its state" in caplog.text


async def opened(site: Site) -> bytes:
    """The site has run before: its share is open; returns the share file as it should be."""
    site.settle()
    epoch = site.store.epoch()
    assert epoch is not None
    assert isinstance(await site.vault.ask(OpenEpoch(RequestId("t/1"), epoch.epoch_id, epoch.group)), EpochOpened)
    return site.folder.share_file.read_bytes()


@pytest.mark.parametrize("content", [b"", b"Index = -1\n", b"\xff\xfe", b"x" * (2**20 + 1)])
async def test_a_damaged_share_file_is_named_and_written_again_while_the_vault_is_whole(
    site: Site, caplog: pytest.LogCaptureFixture, content: bytes
):
    right = await opened(site)
    site.folder.share_file.write_bytes(content)
    site.reopen_vault()
    with caplog.at_level(logging.WARNING):
        site.settle()
    (line,) = [record.getMessage() for record in caplog.records if "written again from the vault" in record.message]
    assert line.startswith(str(site.folder.share_file))
    assert site.folder.share_file.read_bytes() == right
    assert site.folder.share_file.stat().st_mode & 0o777 == 0o600
    caplog.clear()
    site.settle()
    assert caplog.records == []


async def test_a_share_that_is_replaced_is_kept_aside(site: Site, caplog: pytest.LogCaptureFixture):
    right = await opened(site)
    other = site.planted.folder(site.planted.order[1]).share_file.read_bytes()
    site.folder.share_file.write_bytes(other)
    site.settle()
    assert "holds another share than the vault" in caplog.text
    kept = site.folder.groups / "dist_key.private.replaced"
    assert str(kept) in caplog.text
    assert (site.folder.share_file.read_bytes(), kept.read_bytes()) == (right, other)


async def test_a_lost_share_file_is_written_again(site: Site, caplog: pytest.LogCaptureFixture):
    right = await opened(site)
    site.folder.share_file.unlink()
    site.settle()
    assert "dist_key.private is missing; it was written again from the vault" in caplog.text
    assert site.folder.share_file.read_bytes() == right


async def test_a_share_file_that_cannot_be_written_again_keeps_nobody_from_starting(
    site: Site, caplog: pytest.LogCaptureFixture
):
    await opened(site)
    site.folder.share_file.unlink()
    site.folder.share_file.mkdir()
    kept = site.folder.groups / "dist_key.private.replaced"
    kept.write_text("in the way of a folder")
    site.settle()
    assert f"cannot move {site.folder.share_file} to {kept}" in caplog.text


async def test_a_share_just_adopted_is_not_replaced_by_the_one_before(site: Site):
    await opened(site)
    later, secret = site.planted.reshared(int(site.now) - 2)
    site.planted.write(0, later, secret)
    newer = site.folder.share_file.read_bytes()
    site.settle()
    site.settle()
    assert site.folder.share_file.read_bytes() == newer
    assert not (site.folder.groups / "dist_key.private.replaced").exists()


def test_a_node_whose_share_is_lost_goes_on_without_signing_and_says_so(site: Site, caplog: pytest.LogCaptureFixture):
    site.settle()
    (site.folder.root / "vault.state").unlink()
    site.folder.share_file.unlink()
    site.reopen_vault()
    with caplog.at_level(logging.ERROR):
        site.settle()
    assert "cannot sign" in caplog.text


def lose(site: Site, *names: str) -> None:
    """What an operator's `rm -rf` takes of the folder; the vault and the store are opened anew, as at a start."""
    site.store.close()
    for name in names:
        path = site.folder.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    site.folder.make()
    site.store = open_store(site.folder.store, chained=False)
    site.reopen_vault()


async def test_a_node_of_which_the_vault_alone_is_left_is_no_fresh_node(site: Site):
    await opened(site)
    lose(site, "db", "groups")
    with pytest.raises(DamagedGroupFile, match=r"drand_group\.toml is missing, .* share in .*vault\.state") as caught:
        site.settle()
    assert "never taken for a fresh node" in caught.value.advice
    assert "`drand util reset`" in caught.value.advice
    assert site.store.epoch() is None
    forget(site.folder)
    lose(site, "db")
    site.settle()
    assert site.store.epoch() is None


async def test_a_group_file_that_is_put_back_gets_the_share_that_the_vault_has(
    site: Site, caplog: pytest.LogCaptureFixture
):
    right = await opened(site)
    before = site.store.epoch()
    lose(site, "db", "groups")
    write_group_file(site.folder.group_file, site.planted.group)
    site.settle()
    assert site.store.epoch() == before
    assert site.folder.share_file.read_bytes() == right
    assert "the record of the group was lost" in caplog.text


async def test_a_damaged_share_file_beside_a_lost_store_is_written_again_from_the_vault(site: Site):
    right = await opened(site)
    lose(site, "db")
    site.folder.share_file.write_bytes(b"Index = -1\n")
    site.settle()
    assert site.store.epoch() is not None
    assert site.folder.share_file.read_bytes() == right


async def test_a_share_that_was_opened_for_another_group_is_not_taken(site: Site):
    await opened(site)
    lose(site, "db", "groups")
    later, _ = site.planted.reshared(int(site.now) - 2)
    for other in (later, replace(site.planted.group, period_ns=2_000_000_000)):
        write_group_file(site.folder.group_file, other)
        with pytest.raises(Unavailable, match="no share to adopt"):
            site.settle()


async def test_a_ceremony_that_a_crash_cut_short_goes_on_whatever_the_vault_has(site: Site):
    """Its journal is there: the store was not lost."""
    await opened(site)
    lose(site, "db", "groups")
    site.store.persist(CeremonyStarted(group=site.planted.group, phase_s=1, leader=False, started_unix_s=site.now))
    site.settle()
    assert site.store.journal()


def test_a_share_that_was_never_opened_is_of_a_ceremony_that_failed(site: Site):
    site.settle()  # adopts, opens nothing
    lose(site, "db", "groups")
    site.settle()
    assert site.store.epoch() is None


def test_every_contradiction_says_what_to_try(site: Site):
    for kind in (DamagedGroupFile, FilesDisagree, TransitionAhead):
        assert issubclass(kind, CollectiveError)
        assert kind.hint
