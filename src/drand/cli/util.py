"""`drand util`: check, inspect, back up, end a ceremony."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from collective.errors import CollectiveError, Malformed, Unavailable
from drand.cli.get import read_group
from drand.cli.options import CERTS_DIR, CONTROL, EXISTING_FILE, FILE, GOS_JSON, ID, JSON, TLS_DISABLE, VERBOSE
from drand.cli.output import print_json_line, status_block, status_fields, version_fields
from drand.cli.reaching import about, ask_nodes, daemon, named, peer_at, trusted_roots
from drand.model.group import Peer
from drand.model.packets import OUR_VERSION
from drand.model.status import NodeStatus

if TYPE_CHECKING:
    from drand.net.peer_client import PeerClient

NOT_RUNNING_HINT = (
    "`drand util status --list-ids` says which beacons run; one that does not is started with `drand load`, "
    "after `drand generate-keypair`"
)


@click.command()
@click.option(
    "--group", "group_file", type=EXISTING_FILE, metavar="GROUP.toml", help="Check the members of this group."
)
@CERTS_DIR
@TLS_DISABLE
@VERBOSE
@JSON
@ID
@click.argument("addresses", nargs=-1, metavar="[ADDRESS...]")
def check(
    group_file: Path | None,
    certs_dir: Path | None,
    tls_disable: bool,
    verbose: bool,
    as_json: bool,
    beacon_id: str | None,
    addresses: tuple[str, ...],
) -> None:
    """Does a drand node answer at these addresses? With --id or --group: and with the identity that it should have?"""
    if group_file is not None:
        if beacon_id is not None:
            raise click.UsageError("id flag is not required when using group flag")
        group = read_group(group_file)
        peers = [Peer(node.identity.address, not tls_disable) for node in group.nodes]
        beacon_id = group.beacon_id
    elif addresses:
        peers = [peer_at(address, tls=not tls_disable) for address in addresses]
    else:
        raise click.UsageError("drand: check-group expects a list of identities or --group flag")
    found = ask_nodes(lambda client: check_all(client, peers, beacon_id), trusted_roots(certs_dir))
    if as_json:
        print_json_line(
            {peer.address: {"answers": error is None, "error": error and named(error)} for peer, error in found}
        )
    else:
        print_checks(found, verbose=verbose)
    failed = [peer.address for peer, error in found if error is not None]
    if failed:
        raise Unavailable(
            f"following nodes don't answer: {','.join(failed)}",
            hint="--verbose says why; check that they run, that the port is their gRPC port, and TLS on both sides",
        )


async def check_all(
    client: "PeerClient", peers: list[Peer], beacon_id: str | None
) -> list[tuple[Peer, CollectiveError | None]]:
    """Check all at once; the peers in their order, each with what is wrong with it."""
    import asyncio

    found: list[tuple[Peer, CollectiveError | None]] = []
    checks = await asyncio.gather(*(check_one(client, peer, beacon_id) for peer in peers), return_exceptions=True)
    for peer, error in zip(peers, checks, strict=True):
        if error is not None and not isinstance(error, CollectiveError):
            raise error
        found.append((peer, error))
    return found


def print_checks(found: list[tuple[Peer, CollectiveError | None]], *, verbose: bool) -> None:
    """A line for each node."""
    for peer, error in found:
        if error is None:
            click.echo(f"drand: id {peer.address} answers correctly")
        else:
            click.echo(f"drand: error checking id {peer.address}" + (f": {named(error)}" if verbose else ""))


async def check_one(client: "PeerClient", peer: Peer, beacon_id: str | None) -> None:
    """Raise a CollectiveError unless the node answers, and (with an id) shows a signed identity of that address."""
    if beacon_id is None:
        await client.home(peer, about(""))
        return
    identity = await client.get_identity(peer, about(beacon_id))
    if identity.address != peer.address:
        raise Malformed(f"mismatch of address: contact {peer.address} reply with {identity.address}")
    identity.check_self_signature()


@click.command()
@CONTROL
@JSON
def ping(control: str, as_json: bool) -> None:
    """Is the local daemon alive?"""
    with daemon(control, "drand: can't ping the daemon ...") as client:
        version = client.ping()
    if as_json:
        print_json_line({"alive": True, "control": control, "node_version": version_fields(version)})
    else:
        click.echo(f"drand daemon is alive on port {control}")


@click.command()
@CONTROL
@JSON
def list_schemes(control: str, as_json: bool) -> None:
    """The signature schemes that the daemon knows."""
    with daemon(control, "drand: can't get the list of scheme ids availables ...") as client:
        names = client.list_schemes()
    if as_json:
        print_json_line({"ids": list(names)})
        return
    click.echo("Drand supports the following list of schemes: ")
    for number, name in enumerate(names):
        click.echo(f"{number}) {name} ")
    click.echo("\nChoose one of them and set it on --scheme flag ")


@click.command()
@CONTROL
@GOS_JSON
@ID
@click.option("--all", "every", is_flag=True, help="All beacons of the daemon.")
@click.option("--list-ids", is_flag=True, help="Only the ids of the beacons that run.")
def status(control: str, as_json: bool, beacon_id: str | None, every: bool, list_ids: bool) -> None:
    """Where the local daemon's beacons stand, and which members of their groups answer it."""
    if beacon_id is not None and (every or list_ids):
        raise click.UsageError("drand: can't use --id with --all or --list-ids flags at the same time")
    ids: tuple[str, ...] = (beacon_id or "default",)
    if every or list_ids:
        with daemon(control, "drand: can't get the list of running beacon ids on the daemon ...") as client:
            ids = client.list_beacon_ids()
    if list_ids:
        print_ids(ids, as_json=as_json)
        return
    statuses = {name: status_of(control, name) for name in ids}
    if as_json:
        print_json_line({"beacons": {name: status_fields(one) for name, one in sorted(statuses.items())}})
        return
    for name, one in statuses.items():
        click.echo(f"the status of network with id [{name}] is: ")
        click.echo(f"{status_block(one)}\n ")


def status_of(control: str, beacon_id: str) -> NodeStatus:
    """Where one beacon stands; raises DaemonAbsent or RefusedByDaemon."""
    doing = f"drand: can't get the status of the network with id [{beacon_id}]..."
    with daemon(control, doing, NOT_RUNNING_HINT) as client:
        return client.status(about(beacon_id))


def print_ids(ids: tuple[str, ...], *, as_json: bool) -> None:
    """The ids that run."""
    if as_json:
        print_json_line({"ids": list(ids), "metadata": {"node_version": version_fields(OUR_VERSION)}})
    else:
        click.echo(f"running beacon ids on the node: [{', '.join(ids)}]")


@click.command()
@CONTROL
@GOS_JSON
@ID
@TLS_DISABLE
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
def remote_status(
    control: str, as_json: bool, beacon_id: str | None, tls_disable: bool, addresses: tuple[str, ...]
) -> None:
    """Where a beacon stands on other nodes, as the local daemon learns from them."""
    name = beacon_id or "default"
    peers = [peer_at(address, tls=not tls_disable) for address in addresses]
    with daemon(control, "drand: can't get the status of other nodes") as client:
        found = client.remote_status(about(name), peers)
    if as_json:
        print_json_line(
            {at: status_fields(found[at]) if at in found else None for at in sorted(p.address for p in peers)}
        )
        return
    for peer in peers:
        click.echo(f"Status of beacon {name} on node {peer.address}")
        answer = found.get(peer.address)
        click.echo("\t- NO STATUS; can't connect" if answer is None else status_block(answer) + "\n")


@click.command()
@CONTROL
@ID
@click.option("--out", type=FILE, required=True, metavar="FILE", help="Where the daemon writes the copy.")
def backup(control: str, beacon_id: str | None, out: Path) -> None:
    """Have the daemon write a copy of a beacon's store while it goes on. An older copy is replaced, nothing else."""
    with daemon(control, "could not back up") as client:
        client.backup(about(beacon_id), out)


@click.command()
@CONTROL
@ID
@click.option(
    "--reason", default="by the operator", show_default=True, metavar="TEXT", help="What log and watchers are told."
)
def abandon(control: str, beacon_id: str | None, reason: str) -> None:
    """End the ceremony that runs, or waits for others, on the local daemon; a group that exists is not touched.

    Another `drand share` may begin at once. The other nodes are not told: theirs end in their own time, or by this
    command.
    """
    name = beacon_id or "default"
    with daemon(control, f"could not abandon the ceremony of beacon [{name}]") as client:
        client.abandon(name, reason)
    click.echo(f"the ceremony of beacon [{name}] is abandoned")
