"""`drand show`: what the local node holds."""

from pathlib import Path

import click

from collective.errors import BadSetting, OutOfTurn
from drand.cli.layout import chosen_beacons
from drand.cli.options import CONTROL, FOLDER, GROUP_OUT, HASH_ONLY, ID, JSON, JSON_ANYWAY, was_typed
from drand.cli.output import print_chain_info, print_group, print_group_json, print_json, version_fields, warn
from drand.cli.reaching import WHERE_IT_STANDS, about, daemon
from drand.cli.root import CONTROL_KEY
from drand.daemon.folders import BeaconFolder
from drand.vault.folder import VaultFolder

NO_GROUP_HINT = f"a group comes out of a key generation: `drand share`; {WHERE_IT_STANDS}"
SCALAR_GROUP_ID = 22  # what the deployment guide shows; it names BLS12-381's scalars in old versions


@click.command()
@CONTROL
@ID
@GROUP_OUT
@HASH_ONLY
@JSON
def group(control: str, beacon_id: str | None, out: Path | None, only_hash: bool, as_json: bool) -> None:
    """The group of a beacon: its nodes, threshold, times and key, as every node writes it to its group file."""
    if as_json and (out is not None or only_hash):
        raise click.UsageError("--json goes neither with --out nor with --hash: a group file is TOML, a hash a word")
    with daemon(control, "fetching group file error", NO_GROUP_HINT) as client:
        current = client.group_file(about(beacon_id))
    if as_json:
        print_group_json(current)
    else:
        print_group(current, out=out, only_hash=only_hash)


@click.command()
@CONTROL
@ID
@HASH_ONLY
@JSON_ANYWAY
def chain_info(control: str, beacon_id: str | None, only_hash: bool) -> None:
    """What clients verify a beacon's chain with, as JSON."""
    with daemon(control, "could not request chain info", NO_GROUP_HINT) as client:
        info = client.chain_info(about(beacon_id))
    print_chain_info(info, only_hash=only_hash)


@click.command()
@CONTROL
@ID
@JSON_ANYWAY
def public(control: str, beacon_id: str | None) -> None:
    """This node's long-term public key, as JSON."""
    from drand.net.errors import RefusedByDaemon

    name = beacon_id or "default"
    with daemon(control, "drand: could not request drand.public") as client:
        key = client.public_key(about(name))
        metadata: dict[str, object] = {"node_version": version_fields(client.ping()), "beaconID": name}
        try:
            metadata["chain_hash"] = client.chain_info(about(name)).hash().hex()
        except RefusedByDaemon:
            metadata.pop("chain_hash", None)  # there is none before the first ceremony
    print_json({"pubKey": key.hex(), "metadata": metadata})


@click.command()
@FOLDER
@CONTROL
@ID
@JSON_ANYWAY
def private(folder: Path, control: str, beacon_id: str | None) -> None:
    """This node's long-term private key, read from its file: it never leaves this machine by itself.

    A daemon that answers at --control must have this key: with several folders on one machine, that tells them apart.
    """
    (beacon,) = chosen_beacons(folder, beacon_id, every=False)
    keys = VaultFolder(beacon.root).load_key_pair()
    require_same_node(control, beacon, keys.identity.key)
    warn("this is the secret key of this node: whoever has it can speak for the node")
    print_json({"priKey": keys.secret.to_bytes().hex(), "metadata": {"beaconID": beacon.beacon_id}})


def require_same_node(control: str, beacon: BeaconFolder, key: bytes) -> None:
    """Raise BadSetting where the daemon at a --control that was typed runs the beacon with another key."""
    from drand.net.errors import DaemonAbsent, RefusedByDaemon

    ctx = click.get_current_context()
    if not was_typed(ctx, "control") and CONTROL_KEY not in ctx.meta:
        return
    try:
        with daemon(control) as client:
            other = client.public_key(about(beacon.beacon_id))
    except (DaemonAbsent, RefusedByDaemon):  # the files are there all the same
        return
    if other != key:
        raise BadSetting(
            f"the daemon at {control} has another key than {beacon.keys}", hint="choose its folder with --folder"
        )


@click.command()
@FOLDER
@CONTROL
@ID
@JSON_ANYWAY
def share(folder: Path, control: str, beacon_id: str | None) -> None:
    """This node's share of the group's key, read from its file: it never leaves this machine by itself.

    A daemon that answers at --control must be this folder's: with several on one machine, that tells them apart.
    """
    (beacon,) = chosen_beacons(folder, beacon_id, every=False)
    vault = VaultFolder(beacon.root)
    keys = vault.load_key_pair()
    require_same_node(control, beacon, keys.identity.key)
    held = vault.load_share(keys.identity.scheme)
    if held is None:
        raise OutOfTurn(f"beacon {beacon.beacon_id} has no share yet", hint="it comes out of `drand share`")
    warn("this is a share of the group's secret key: a threshold of them is the key")
    print_json({"index": held.index, "share": {"gid": SCALAR_GROUP_ID, "scalar": held.secret.to_bytes().hex()}})
