"""From the files of a beacon to a shell that can be started: each thing that is wrong with them gets its own words."""

import logging
from collections.abc import Callable

from collective.errors import InvalidSignature, Malformed, Unavailable
from collective.files import OWNER_HINT, DiskRefused
from drand.daemon.beacon import BeaconShell, Outside
from drand.daemon.checking import check_head
from drand.daemon.epochs import settle_epoch
from drand.daemon.folders import BeaconFolder
from drand.errors import UnknownBeacon
from drand.model.group import Identity
from drand.model.vault_messages import IdentityShown, RequestId, ShowIdentity, VaultRefused
from drand.store.contract import BeaconStore
from drand.store.sqlite import open_store
from drand.vault.links import InprocLink, open_vault

log = logging.getLogger("drand")


class AlreadyLoaded(UnknownBeacon):
    """A beacon that is asked to be loaded runs already."""

    hint = "nothing to do; see `drand util status`"


class UnsignedIdentity(InvalidSignature):
    """The stored public identity is not signed by its own key."""

    hint = "run `drand util self-sign`"


class VaultAway(Unavailable):
    """The vault does not say whose keys it holds."""

    hint = "the beacon can be loaded once its vault answers: `drand load`"


def check_signed(identity: Identity) -> None:
    """Raise UnsignedIdentity unless the stored identity carries its own signature."""
    try:
        identity.check_self_signature()
    except (InvalidSignature, Malformed) as error:
        raise UnsignedIdentity(f"INVALID SELF SIGNATURE of {identity.address}: {error}") from error


async def open_beacon(
    folder: BeaconFolder, vault_uri: str, outside: Outside, *, opener: Callable[..., InprocLink] = open_vault
) -> BeaconShell:
    """The shell of the beacon in `folder`, not started; its store is open. `opener` reaches the vault.

    raises  NoKeyPair, DamagedKeyFile, StateDamaged, UnsignedIdentity, VaultAway; StoreFailed, StoreInUse; DiskRefused;
            and as settle_epoch and check_head. Nothing is left open then.
    """
    try:
        return await _open(folder, vault_uri, outside, opener)
    except OSError as error:  # where nobody thought of one; it names the file itself
        what = f"the files of beacon {folder.beacon_id} in {folder.root} cannot be used"
        raise DiskRefused(f"{what}: {error}", hint=OWNER_HINT) from error


async def _open(
    folder: BeaconFolder, vault_uri: str, outside: Outside, opener: Callable[..., InprocLink]
) -> BeaconShell:
    vault = opener(vault_uri, folder.root, clock=outside.clock, entropy=outside.entropy)
    identity = await _identity(vault, folder)
    check_signed(identity)
    for complaint in vault.complaints():
        log.warning("%s", complaint)
    folder.make()
    store = open_store(folder.store, chained=identity.scheme.chained)
    try:
        vault.read_again()  # the store's lock keeps others from the vault's state, too: what was read before may be old
        vault.discard_leftovers()
        settle_epoch(folder, identity, store, vault, outside.clock.now())
        epoch = store.epoch()
        if epoch is not None:
            check_head(folder.beacon_id, epoch.group, store)
        return _shell(folder, identity, store, vault, outside)
    except BaseException:
        store.close()
        raise


async def _identity(vault: InprocLink, folder: BeaconFolder) -> Identity:
    reply = await vault.ask(ShowIdentity(RequestId("load")))
    match reply:
        case IdentityShown(identity=identity):
            return identity
        case VaultRefused(reason=reason):
            raise VaultAway(f"the vault of beacon {folder.beacon_id} refuses to show its identity: {reason}")
        case _:
            raise VaultAway(f"the vault of beacon {folder.beacon_id} answered with {type(reply).__name__}")


def _shell(
    folder: BeaconFolder, identity: Identity, store: BeaconStore, vault: InprocLink, outside: Outside
) -> BeaconShell:
    return BeaconShell(
        identity=identity, beacon_id=folder.beacon_id, folder=folder, store=store, vault=vault, outside=outside
    )
