"""`drand get`: fetch from other nodes, and verify."""

from dataclasses import replace
from pathlib import Path

import click

from collective.clock import SystemClock
from collective.errors import BadSetting, CollectiveError, InvalidSignature, Malformed, Unavailable
from drand.cli.options import (
    CERTS_DIR,
    EXISTING_FILE,
    HASH_ONLY,
    ID,
    JSON_ANYWAY,
    TLS_DISABLE,
    TLS_ROOT,
    VERBOSE,
    Whole,
)
from drand.cli.output import print_beacon, print_chain_info, warn
from drand.cli.reaching import about, ask_nodes, named, peer_at, trusted_roots
from drand.errors import InvalidBeacon, InvalidChainInfo, TooEarly
from drand.model.chain import MAX_ROUND, Beacon, ChainInfo, Round
from drand.model.group import Group, Peer
from drand.model.spans import shown_span
from drand.model.verification import ChainVerifier
from drand.wire.toml_files import decode_group_file

MAX_GROUP_FILE_BYTES = 1 << 22
GROUP_HINT = "give the group file of a node as it stands: `drand show group --out FILE` writes it"


@click.command()
@TLS_ROOT
@CERTS_DIR
@TLS_DISABLE
@VERBOSE
@click.option("--round", "round_", type=Whole(0, MAX_ROUND), default=0, metavar="ROUND", help="0 is the latest.")
@click.option("--nodes", metavar="A,B,...", help="Ask only these members of the group, in this order.")
@JSON_ANYWAY
@click.argument("group_file", type=EXISTING_FILE, metavar="GROUP.toml")
def public(
    tls_cert: Path | None,
    certs_dir: Path | None,
    tls_disable: bool,
    verbose: bool,
    round_: int,
    nodes: str | None,
    group_file: Path,
) -> None:
    """A round of the chain that GROUP.toml describes, verified with the group's key.

    The members are asked in turn until one gives a valid beacon. TLS is used with those that the file says have it;
    --tls-disable changes nothing.
    """
    group = read_group(group_file)
    info = group.chain_info()
    require_due(info, Round(round_))
    peers = chosen_members(group, nodes)
    roots = trusted_roots(certs_dir, tls_cert)
    print_beacon(fetch_beacon(peers, info, Round(round_), roots, verbose=verbose))


def read_group(path: Path) -> Group:
    """The group in a file; raises BadSetting, Malformed, and InvalidGroup before a key was generated."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_GROUP_FILE_BYTES)
    except OSError as error:
        raise BadSetting(f"cannot read {path}: {error.strerror}", hint=GROUP_HINT) from error
    try:
        return decode_group_file(data)
    except Malformed as error:
        raise type(error)(f"{path}: {error}", hint=error.advice or GROUP_HINT) from error


def require_due(info: ChainInfo, round_: Round) -> None:
    """Raise TooEarly for a round of the future."""
    wait_s = info.schedule.due_unix_s(round_) - SystemClock().now()
    if wait_s > 0:
        raise TooEarly(
            f"round {round_ or 1} does not exist yet: it is due in {shown_span(wait_s)}",
            hint="ask again then, or leave out --round for the latest",
        )


def chosen_members(group: Group, nodes: str | None) -> list[Peer]:
    """The members to ask: all in order, or those named; raises BadSetting for a stranger to the group."""
    members = {node.identity.address: node.identity.peer for node in group.nodes}
    if nodes is None:
        return list(members.values())
    wanted = nodes.replace(",", " ").split()
    strangers = [address for address in wanted if address not in members]
    if strangers or not wanted:
        raise BadSetting(
            f"addresses specified don't exist in group.toml: {', '.join(strangers)}",
            hint=f"its members are: {', '.join(members)}",
        )
    return [members[address] for address in wanted]


def fetch_beacon(peers: list[Peer], info: ChainInfo, round_: Round, roots: bytes | None, *, verbose: bool) -> Beacon:
    """The first valid answer, and nothing of it but what was verified.

    raises  InvalidBeacon when somebody lied and nobody told the truth, else Unavailable
    """
    from drand.net.peer_client import PeerClient

    verifier = ChainVerifier(info.scheme, info.public_key)
    lies: list[CollectiveError] = []

    async def ask(client: PeerClient) -> Beacon | None:
        for peer in peers:
            try:
                beacon = await client.public_rand(peer, round_, about(info.beacon_id, info.hash()))
                verifier.check(beacon)
            except CollectiveError as error:
                click.echo(f"drand: could not get public randomness from {peer.address}: {named(error)}", err=True)
                lies.extend([error] if isinstance(error, InvalidSignature) else [])
                continue
            if verbose:
                click.echo(f"drand: public randomness retrieved from {peer.address}", err=True)
            return beacon
        return None

    found = ask_nodes(ask, roots)
    if found is None and lies:
        raise InvalidBeacon(
            "drand: could not verify randomness", hint="ask a node you trust, or fetch the group file again"
        )
    if found is None:
        raise Unavailable("drand: no node gave the round", hint="check the addresses with `drand util check`")
    current = info.schedule.current_round(SystemClock().now())
    if not round_ and found.round + 1 < current:
        warn(f"round {current} is due, but this node's latest is {found.round}: the chain or the node is behind")
    return found if info.scheme.chained else replace(found, previous_signature=b"")  # which nobody signed there


@click.command()
@TLS_ROOT
@CERTS_DIR
@TLS_DISABLE
@HASH_ONLY
@click.option("--chain-hash", metavar="HEX", help="The hash that the chain must have.")
@ID
@JSON_ANYWAY
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
def chain_info(
    tls_cert: Path | None,
    certs_dir: Path | None,
    tls_disable: bool,
    only_hash: bool,
    chain_hash: str | None,
    beacon_id: str | None,
    addresses: tuple[str, ...],
) -> None:
    """What the first node that answers says its chain is verified with, as JSON.

    The chain hash is computed here. Only --chain-hash, from a source you trust, makes the answer trustworthy.
    """
    wanted = wanted_hash(chain_hash)
    peers = [peer_at(address, tls=not tls_disable) for address in addresses]
    print_chain_info(fetch_info(peers, beacon_id, wanted, trusted_roots(certs_dir, tls_cert)), only_hash=only_hash)


def wanted_hash(text: str | None) -> bytes:
    """The 32 bytes of --chain-hash, b"" without it; raises BadSetting."""
    if not text:
        return b""
    try:
        chain_hash = bytes.fromhex(text)
    except ValueError:
        chain_hash = b""
    if len(chain_hash) != 32:
        raise BadSetting(f"invalid chain hash given: {text!r}", hint="a chain hash has 64 hexadecimal digits")
    return chain_hash


def fetch_info(peers: list[Peer], beacon_id: str | None, wanted: bytes, roots: bytes | None) -> ChainInfo:
    """The first good answer. Raises InvalidChainInfo when somebody answered with another chain, else Unavailable."""
    from drand.net.peer_client import PeerClient

    lies: list[CollectiveError] = []

    async def ask(client: PeerClient) -> ChainInfo | None:
        for peer in peers:
            try:
                return await client.chain_info(peer, about(beacon_id, wanted))
            except CollectiveError as error:
                click.echo(f"drand: error fetching distributed key from {peer.address} : {named(error)}", err=True)
                lies.extend([error] if isinstance(error, InvalidChainInfo) else [])
        return None

    found = ask_nodes(ask, roots)
    if found is None and lies:
        raise InvalidChainInfo("drand: no node serves the chain that was asked for")
    if found is None:
        raise Unavailable(
            "drand: can't retrieve dist. key from any nodes",
            hint="check address, port and TLS with `drand util check`; the gRPC port is wanted, not the HTTP one",
        )
    return found
