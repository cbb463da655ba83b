"""The epoch record and the files that Go reads: which one is believed, and how one is made from the other.

The record in the store is written in one transaction and is what this node believes. `drand_group.toml` is written from
it for operators and for Go (the vault writes `dist_key.private`); both are right again after every start. Files may say
more than the record in three cases:

- there is no record: a Go node lived here, or the store was removed. The group is adopted, with the share that the
  vault has opened for it, else with that in the file;
- the file is of a later epoch of the same chain: a Go node ran here meanwhile, and took part in a resharing. Adopted;
- the file is of the same group and chain, but somebody edited what neither hash covers: where a member is dialled, the
  catch-up period. Believed: it is how a member's move is told to the others.

Anything else that contradicts the record, or that does not parse, is an error and never "a fresh node": somebody has to
look. So is a share without its group, in the file or in the vault. While the journal of a ceremony is there the store
was not lost, and a share that the ceremony has ended with is found again by its machine.
"""

import logging
from dataclasses import replace
from pathlib import Path

from collective.errors import CollectiveError, Malformed, Unavailable
from collective.files import OWNER_HINT, DiskRefused, is_there, replace_file
from drand.daemon.folders import BeaconFolder
from drand.errors import InvalidGroup
from drand.model.group import Group, Identity
from drand.model.records import Epoch, EpochStarted
from drand.store.contract import BeaconStore
from drand.vault.folder import DamagedKeyFile
from drand.vault.links import InprocLink
from drand.wire.toml_files import decode_group_file, encode_group_file

GROUP_FILE_MODE = 0o644
MISSING_HINT = (
    "restore it from a backup, or ask another node for it (`drand show group --out FILE`); it is never taken for a"
    " fresh node: to give the share up and begin anew, `drand util reset`"
)
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


class TransitionAhead(InvalidGroup):
    """The group file is of an epoch whose transition has not come."""

    hint = "this version cannot wait for a transition: start it after that, or run the drand that took part until then"


def read_group_file(path: Path) -> Group | None:
    """The group in `path`, None without the file; raises DamagedGroupFile naming it."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_GROUP_FILE_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedGroupFile(f"{path}: {error.strerror}", hint=OWNER_HINT) from error
    try:
        group = decode_group_file(data)
        group.check()
    except CollectiveError as error:
        raise DamagedGroupFile(f"{path}: {error}") from error
    return group


def write_group_file(path: Path, group: Group) -> None:
    """Replace the group file atomically, as Go writes it; the next start makes it again where it was lost."""
    replace_file(path, encode_group_file(group), GROUP_FILE_MODE, derived=True)


def settle_epoch(folder: BeaconFolder, identity: Identity, store: BeaconStore, vault: InprocLink, now: float) -> None:
    """Make record, files and vault agree before the beacon starts; see the module's text.

    raises  DamagedGroupFile, FilesDisagree, TransitionAhead; what the vault says of a share file that is damaged
    """
    epoch, written = store.epoch(), read_group_file(folder.group_file)
    if epoch is None:
        epoch = _epoch_of_files(folder, identity, written, store, vault)
        if epoch is not None:
            store.persist(EpochStarted(epoch))
        return
    if written is None:
        _write_again(folder, epoch.group)
    elif written != epoch.group:
        epoch = _epoch_with_file(folder, identity, epoch, written, vault, now)
        store.persist(EpochStarted(epoch))
    if vault.holds(epoch.epoch_id):
        _mend_share_file(epoch, vault)
    else:
        _restore_share(folder, epoch, store, vault)


def _epoch_of_files(
    folder: BeaconFolder, identity: Identity, written: Group | None, store: BeaconStore, vault: InprocLink
) -> Epoch | None:
    """Without a record: the epoch that the files stand for, None where there are none."""
    if written is None:
        if is_there(folder.share_file):
            raise _missing_group(folder, folder.share_file)
        if vault.in_use and not store.journal():
            raise _missing_group(folder, folder.vault_state)
        return None
    if not written.public_key:
        raise DamagedGroupFile(f"{folder.group_file}: the group has no public key; it is only a proposal")
    return _adopted(folder, identity, written, vault)


def _missing_group(folder: BeaconFolder, share: Path) -> DamagedGroupFile:
    return DamagedGroupFile(f"{folder.group_file} is missing, but there is a share in {share}", hint=MISSING_HINT)


def _epoch_with_file(
    folder: BeaconFolder, identity: Identity, epoch: Epoch, written: Group, vault: InprocLink, now: float
) -> Epoch:
    """The epoch that record and a differing group file stand for together."""
    known = epoch.group
    if not written.public_key or written.chain_info().hash() != known.chain_info().hash():
        raise FilesDisagree(f"{folder.group_file} is of another chain than the record in {folder.store}")
    if written.hash() == known.hash():
        log.warning("%s was edited (addresses or catch-up period): believed", folder.group_file)
        return replace(epoch, group=written)
    if written.transition_unix_s <= known.transition_unix_s:
        raise FilesDisagree(
            f"{folder.group_file} holds group {written.hash().hex()}, the record in {folder.store} group"
            f" {known.hash().hex()}, and the file is not the later one"
        )
    if written.transition_unix_s > now:
        raise TransitionAhead(f"the group in {folder.group_file} begins in {written.transition_unix_s - now:.0f} s")
    adopted = _adopted(folder, identity, written, vault)
    log.info("adopted a later epoch of this chain from %s", folder.groups)
    return adopted


def _adopted(folder: BeaconFolder, identity: Identity, group: Group, vault: InprocLink) -> Epoch:
    """The epoch that the group file stands for, with the share that the vault has opened for it or that in its file."""
    node = group.find(identity)
    if node is None:
        raise InvalidGroup(
            f"this node ({identity.address}) is not in the group of {folder.group_file}",
            hint="was the group file edited by hand? Address, TLS flag and key must be as in the ceremony",
        )
    try:
        opened = vault.opened_for(group)
        epoch_id = vault.adopt(group) if opened is None else opened
    except (Unavailable, DamagedKeyFile):
        raise  # it names the file
    except CollectiveError as error:
        raise FilesDisagree(
            f"{folder.share_file} does not fit {folder.group_file}: {error}",
            hint="restore both from one backup; a share belongs to one group",
        ) from error
    epoch = Epoch(group=group, index=node.index, epoch_id=epoch_id)
    if opened is None:
        log.info("adopted group and share of another drand from %s", folder.groups)
    else:
        log.warning(
            "the record of the group was lost: it was made again from %s, the share is in %s",
            folder.group_file,
            folder.vault_state,
        )
        _mend_share_file(epoch, vault)
    return epoch


def _restore_share(folder: BeaconFolder, epoch: Epoch, store: BeaconStore, vault: InprocLink) -> None:
    """The vault has lost its state: take the share from Go's file, else go on without signing, and say so."""
    try:
        epoch_id = vault.adopt(epoch.group)
    except CollectiveError as error:
        log.error(
            "this node will follow the chain but cannot sign: the vault has no share of its group, and %s holds none"
            " that fits: %s",
            folder.share_file,
            error,
        )
        return
    log.warning("the vault had lost its state; the share was taken from %s", folder.share_file)
    if epoch_id != epoch.epoch_id:
        store.persist(EpochStarted(replace(epoch, epoch_id=epoch_id)))


def _mend_share_file(epoch: Epoch, vault: InprocLink) -> None:
    """Nothing here needs Go's file while the vault has its state, but the day it is needed is too late to look."""
    try:
        complaint = vault.mend_share_file(epoch.epoch_id)
    except DiskRefused as error:
        log.error("%s (%s)", error, error.advice)
        return
    if complaint:
        log.warning("%s", complaint)


def _write_again(folder: BeaconFolder, group: Group) -> None:
    try:
        write_group_file(folder.group_file, group)
    except DiskRefused as error:  # the record is what counts
        log.error("%s (%s)", error, error.advice)
