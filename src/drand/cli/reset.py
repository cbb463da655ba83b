"""`drand util reset` and `drand util del-beacon`: both work on the files of a daemon that does not run."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from collective.errors import BadSetting
from drand.cli.layout import chosen_beacons
from drand.cli.options import CONTROL, FOLDER, ID, VERBOSE
from drand.daemon.folders import BeaconFolder
from drand.model.chain import Round
from drand.store.schema import StoreInUse, WriterLock, connect_reader
from drand.store.sqlite import open_store
from drand.vault.folder import VaultFolder

ALL = click.option("--all", "every", is_flag=True, help="All beacons of the folder.")
GO_STORE = "drand.db"  # what v1.5.11 leaves here


class BeaconRuns(StoreInUse):
    """A running daemon has this beacon."""


@contextmanager
def nobody_writes(beacon: BeaconFolder) -> Iterator[None]:
    """Keep daemons away from the beacon's store for a while; raises BeaconRuns when one has it."""
    if not beacon.store.parent.is_dir():
        yield
        return
    try:
        lock = WriterLock(beacon.store)
    except StoreInUse as error:
        raise runs(beacon) from error
    try:
        yield
    finally:
        lock.release()


def runs(beacon: BeaconFolder) -> BeaconRuns:
    """The error for a beacon that a daemon has open."""
    return BeaconRuns(
        f"a running daemon has beacon {beacon.beacon_id} open ({beacon.store})",
        hint=f"stop it first: `drand stop --id {beacon.beacon_id}`, or `drand stop` for the whole daemon",
    )


@click.command()
@FOLDER
@CONTROL
@ID
@ALL
def reset(folder: Path, control: str, beacon_id: str | None, every: bool) -> None:
    """Forget share, group file and beacons. The key pair is kept, so the node can join a new ceremony.

    The beacon must not run: stop it first. --control is taken for compatibility and changes nothing.
    """
    click.echo(
        "You are about to delete your local share, group file and generated random beacons. "
        "Are you sure you wish to perform this operation? [y/N]",
        nl=False,
    )
    answer = sys.stdin.readline()
    if not answer:
        click.echo()
        raise BadSetting("nobody answered: nothing was reset", hint="in a script: `echo y | drand util reset`")
    if answer.strip().lower() != "y":
        click.echo("drand: not reseting the state.")
        return
    for beacon in chosen_beacons(folder, beacon_id, every=every):
        with nobody_writes(beacon):
            forget(beacon)
        click.echo(f"drand: beacon id [{beacon.beacon_id}] - database reset")


def forget(beacon: BeaconFolder) -> None:
    """Remove what a ceremony and the rounds left; the key pair stays."""
    stores = [beacon.store, beacon.store.with_name(GO_STORE)]
    stores += [beacon.store.with_name(beacon.store.name + suffix) for suffix in ("-wal", "-shm")]
    for path in stores:
        path.unlink(missing_ok=True)
    beacon.group_file.unlink(missing_ok=True)
    VaultFolder(beacon.root).forget_shares()


@click.command()
@FOLDER
@ID
@ALL
@VERBOSE
@click.argument("round_", metavar="ROUND")
def del_beacon(folder: Path, beacon_id: str | None, every: bool, verbose: bool, round_: str) -> None:
    """Delete ROUND and all later rounds from the store. The daemon must not run; it fetches them again when it does."""
    if not (round_.isascii() and round_.isdigit() and int(round_) > 0):
        raise click.UsageError(f"given round not valid: {round_}")
    for beacon in chosen_beacons(folder, beacon_id, every=every):
        deleted = delete_from(beacon, Round(int(round_)))
        if verbose:
            click.echo(f"beacon id [{beacon.beacon_id}] - deleted {deleted} beacons from round {round_} on")


def delete_from(beacon: BeaconFolder, first: Round) -> int:
    """Delete `first` and later rounds; returns how many. Raises BeaconRuns, BadSetting, StoreFailed."""
    reader, chained = connect_reader(beacon.store)
    reader.close()
    try:
        store = open_store(beacon.store, chained=chained)
    except StoreInUse as error:
        raise runs(beacon) from error
    try:
        last = store.last()
        if last is None or first > last.round:
            head = last.round if last is not None else 0
            raise BadSetting(
                f"beacon id [{beacon.beacon_id}] - given round is ahead of the chain: {head}",
                hint=f"give a round from 1 to {head}" if head else "there is nothing to delete",
            )
        return store.delete_from(first)
    finally:
        store.close()
