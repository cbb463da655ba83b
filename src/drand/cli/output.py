"""What commands print, in the words and the order of v1.5.11, so that scripts written for it go on working."""

import json
from collections.abc import Mapping
from pathlib import Path

import click

from collective.files import replace_file
from drand.cli.root import one_line
from drand.cli.version import VERSION_LINE
from drand.model.chain import Beacon, ChainInfo
from drand.model.group import Group, Node
from drand.model.packets import Version
from drand.model.status import DkgState, NodeStatus, ReshareState
from drand.wire.http_json import beacon_json, chain_info_json
from drand.wire.toml_files import encode_group_file

PUBLIC_MODE = 0o644

_DKG_WORDS = {DkgState.DONE: "Done", DkgState.IN_PROGRESS: "In progress", DkgState.NOT_STARTED: "Not started"}
_RESHARE_WORDS = {ReshareState.IDLE: "Not started", ReshareState.IN_PROGRESS: "In progress"}


def print_banner() -> None:
    """The version line that start, stop, share and generate-keypair begin with."""
    click.echo(VERSION_LINE)


def warn(text: str) -> None:
    """A line on stderr that stops nothing."""
    click.echo(f"warning: {text}", err=True)


def print_json(value: object) -> None:
    """JSON indented by four spaces."""
    click.echo(json.dumps(value, indent=4, ensure_ascii=False))


def print_json_line(value: object) -> None:
    """JSON on one line; the space at its end is Go's."""
    click.echo(json.dumps(value, separators=(",", ":"), ensure_ascii=False) + " ")


def print_chain_info(info: ChainInfo, *, only_hash: bool) -> None:
    """What `/info` serves, indented; or its hash."""
    if only_hash:
        click.echo(info.hash().hex())
    else:
        print_json(json.loads(chain_info_json(info)))


def print_beacon(beacon: Beacon) -> None:
    """What `/public/{round}` serves, indented."""
    print_json(json.loads(beacon_json(beacon)))


def print_group(group: Group, *, out: Path | None, only_hash: bool = False) -> None:
    """The group file, into `out` or to be read; or its hash."""
    text = encode_group_file(group)
    if out is not None:
        replace_file(out, text, PUBLIC_MODE)
    elif only_hash:
        click.echo(group.hash().hex())
    else:
        click.echo("The following group.toml file has been created")
        click.echo(text.decode())
        click.echo(f"\nHash of the group configuration: {group.hash().hex()}")


def print_group_json(group: Group) -> None:
    """A group as JSON: seconds, keys and seeds in hexadecimal; a fresh group without its key has none."""
    print_json(
        {
            "beaconID": group.beacon_id,
            "schemeID": group.scheme.name,
            "threshold": group.threshold,
            "period": group.period_s,
            "catchup_period": int(seconds) if (seconds := group.catchup_period_s).is_integer() else seconds,
            "genesis_time": group.genesis_unix_s,
            "genesis_seed": group.genesis_seed.hex(),
            "transition_time": group.transition_unix_s,
            "public_key": [coefficient.hex() for coefficient in group.public_key],
            "nodes": [node_fields(node) for node in group.nodes],
            "hash": group.hash().hex(),
        }
    )


def node_fields(node: Node) -> dict[str, object]:
    """A member of a group as JSON."""
    identity = node.identity
    return {
        "index": node.index,
        "address": identity.address,
        "tls": identity.tls,
        "key": identity.key.hex(),
        "signature": identity.signature.hex(),
    }


def version_fields(version: Version) -> dict[str, object]:
    """A version as JSON; zero fields are left out."""
    fields = {"major": version.major, "minor": version.minor, "patch": version.patch, "prerelease": version.prerelease}
    return _present(fields)


def status_block(status: NodeStatus) -> str:
    """The text of `util status`, without a newline at its end. The spaces that end lines are Go's."""
    words = {True: "true", False: "false"}
    lines = [
        "* Dkg ",
        f" - Status: {_DKG_WORDS[status.dkg]} ",
        "* Reshare ",
        f" - Status: {_RESHARE_WORDS[status.reshare]} ",
        "* ChainStore ",
        f" - IsEmpty: {words[status.chain.is_empty]} ",
        f" - LastRound: {status.chain.last_round} ",
        "* BeaconProcess ",
        f" - Status: {'Inited' if status.is_inited else 'Not inited'} ",
        f" - Stopped: {words[status.is_stopped]} ",
        f" - Started: {words[status.is_started]} ",
        f" - Serving: {words[status.is_serving]} ",
        f" - Running: {words[status.is_running]} ",
    ]
    if status.connections:
        lines.append("* Network visibility")
        seen = sorted(status.connections.items())
        lines += [f" - {one_line(address)} -> {'OK' if answers else 'X no connection'}" for address, answers in seen]
    if status.other_chains:
        lines.append("* Members with another chain: compare `drand show chain-info --hash` with all operators")
        lines += [f" - {one_line(address)} -> {held.hex()}" for address, held in sorted(status.other_chains.items())]
    return "\n".join(lines)


def status_fields(status: NodeStatus) -> dict[str, object]:
    """The JSON of `util status --json`: numbers as on the wire; zero fields are left out, connections are not."""
    fields: dict[str, object] = {
        "dkg": _present({"status": status.dkg.value}),
        "reshare": _present({"status": status.reshare.value}),
        "beacon": _present(
            {
                "status": int(status.is_inited),
                "is_running": status.is_running,
                "is_stopped": status.is_stopped,
                "is_started": status.is_started,
                "is_serving": status.is_serving,
            }
        ),
        "chain_store": _present(
            {
                "is_empty": status.chain.is_empty,
                "last_round": status.chain.last_round,
                "length": status.chain.length,
            }
        ),
    }
    if status.connections:
        fields["connections"] = dict(sorted(status.connections.items()))
    if status.other_chains:
        fields["other_chains"] = {address: held.hex() for address, held in sorted(status.other_chains.items())}
    return fields


def _present(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value}
