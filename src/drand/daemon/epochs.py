"""The epoch record and the files that Go reads: which one is believed, and how one is made from the other.

The record in the store is written in one transaction and is what this node believes. `drand_group.toml` is written from
it for operators and for Go (the vault writes `dist_key.private`). Where there are files but no record, a Go node lived
here: its group and share are adopted. Files that contradict the record, or that do not parse, are an error and never
"a fresh node": somebody has to look.
"""

import logging
from pathlib import Path

from collective.errors import CollectiveError, Malformed
from collective.files import replace_file
from drand.daemon.folders import BeaconFolder
from drand.errors import InvalidGroup
from drand.model.group import Group, Identity
from drand.model.records import Epoch, EpochStarted
from drand.store.contract import BeaconStore
from drand.vault.links import InprocLink
from drand.wire.toml_files import decode_group_file, encode_group_file

GROUP_FILE_MODE = 0o644
MAX_GROUP_FILE_BYTES = 4 << 20

log = logging.getLogger(__name__)


class DamagedGroupFile(Malformed):
    """A group file that is there but cannot be used."""

    hint = (
        "restore it from a backup, or ask another node for it (`drand show group`); it is never taken for a fresh node"
    )


class FilesDisagree(InvalidGroup):
    """Group file and epoch record are of different groups."""

    hint = "move the wrong one away: the record is in db/drand.sqlite, the file in groups/drand_group.toml"


def read_group_file(path: Path) -> Group | None:
    """The group in `path`, None without the file; raises DamagedGroupFile naming it."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_GROUP_FILE_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedGroupFile(f"{path}: {error.strerror}") from error
    try:
        group = decode_group_file(data)
        group.check()
    except CollectiveError as error:
        raise DamagedGroupFile(f"{path}: {error}") from error
    return group


def write_group_file(path: Path, group: Group) -> None:
    """Replace the group file atomically, as Go writes it."""
    replace_file(path, encode_group_file(group), GROUP_FILE_MODE)


def settle_epoch(folder: BeaconFolder, identity: Identity, store: BeaconStore, vault: InprocLink) -> None:
    """Make record and files agree before the beacon starts; see the module's text.

    raises  DamagedGroupFile, FilesDisagree; what the vault says of a share that does not fit
    """
    epoch, written = store.epoch(), read_group_file(folder.group_file)
    if epoch is not None:
        if written is None:
            write_group_file(folder.group_file, epoch.group)
        elif written.hash() != epoch.group.hash():
            raise FilesDisagree(
                f"{folder.group_file} holds group {written.hash().hex()}, the record {epoch.group.hash().hex()}"
            )
        return
    if written is not None and written.public_key:
        store.persist(EpochStarted(_adopted(folder, identity, written, vault)))


def _adopted(folder: BeaconFolder, identity: Identity, group: Group, vault: InprocLink) -> Epoch:
    """The epoch that Go's files stand for."""
    node = group.find(identity)
    if node is None:
        raise InvalidGroup(
            f"this node ({identity.address}) is not in the group of {folder.group_file}",
            hint="was the group file edited by hand? Address, TLS flag and key must be as in the ceremony",
        )
    epoch_id = vault.adopt(group)
    log.info("adopted group and share of another drand from %s", folder.groups)
    return Epoch(group=group, index=node.index, epoch_id=epoch_id)
