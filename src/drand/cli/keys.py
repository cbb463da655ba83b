"""`drand generate-keypair` and `drand util self-sign`."""

import re
import sys
from pathlib import Path

import click

from collective.entropy import SystemEntropy
from collective.errors import CollectiveError, InvalidSignature, Malformed
from drand.cli.layout import refuse_old_layout
from drand.cli.lifecycle import load_beacon
from drand.cli.options import CONTROL, FOLDER, ID, SCHEME, TLS_DISABLE
from drand.cli.output import print_banner, print_json
from drand.cli.reaching import peer_at
from drand.daemon.folders import BeaconFolder
from drand.model.schemes import scheme_named
from drand.vault.folder import KeyPairExists, VaultFolder, make_key_pair, self_signed
from drand.wire.toml_files import encode_identity_file

DEFAULT_PORT = "8080"
PORTS = range(1000, 65536)
_WITH_PORT = re.compile(r":\d+\Z")


@click.command()
@CONTROL
@FOLDER
@TLS_DISABLE
@ID
@SCHEME
@click.argument("address", nargs=-1)
def generate_keypair(
    control: str, folder: Path, tls_disable: bool, beacon_id: str | None, scheme: str, address: tuple[str, ...]
) -> None:
    """Make this node's long-term key pair for one beacon, and have the daemon load it if one runs.

    ADDRESS is host:port, as the other nodes will dial this one. Without a port one is asked for; 8080 is taken where
    nobody can answer. A key pair that exists is never overwritten.
    """
    print_banner()
    if not address:
        raise click.UsageError("missing drand address in argument. Abort")
    if len(address) > 1:
        raise click.UsageError(f"expecting only one argument, the address, but got: {' '.join(address)}")
    refuse_old_layout(folder)
    beacon = BeaconFolder(folder, beacon_id or "default")
    if beacon.has_keys:
        raise KeyPairExists(f"keypair already exists: beacon {beacon.beacon_id} has one in {beacon.keys}")
    listening = with_port(address[0])
    if tls_disable:
        click.echo("Generating private / public key pair without TLS.")
    else:
        click.echo("Generating private / public key pair with TLS indication")
    keys = make_key_pair(listening, tls=not tls_disable, scheme=scheme_named(scheme), entropy=SystemEntropy())
    beacon.make()
    vault = VaultFolder(beacon.root)
    vault.save_key_pair(keys)
    click.echo(f"Saved the key : {listening} at {vault.identity_file}")
    click.echo(f"Generated keys at  {beacon.keys.absolute()}")
    click.echo(encode_identity_file(keys.identity).decode() + "\n")
    try:
        load_beacon(control, beacon.beacon_id)
    except CollectiveError as error:
        click.echo(
            "Keys couldn't be loaded on drand daemon. If it is not running, these new keys will be loaded on startup. "
            f"Err: {error}"
        )


def with_port(address: str) -> str:
    """The address with a port: as given, as the operator answers, or 8080. Raises MalformedAddress."""
    if not _WITH_PORT.search(address):
        click.echo(f"Invalid port: {address}")
        address = f"{address.removesuffix(':')}:{asked_port()}"
    peer_at(address, tls=False)
    return address


def asked_port() -> str:
    """What the operator types until it is a port number; 8080 for an empty line or where there is no terminal."""
    while True:
        if not sys.stdin.isatty():
            click.echo("Default port selected")
            return DEFAULT_PORT
        answer = click.prompt(
            "No valid port given. Please, choose a port number (or ENTER for default port 8080)",
            default="",
            show_default=False,
        ).strip()
        if not answer:
            click.echo("Default port selected")
            return DEFAULT_PORT
        if answer.isascii() and answer.isdigit() and int(answer) in PORTS:
            return str(int(answer))


@click.command()
@FOLDER
@ID
def self_sign(folder: Path, beacon_id: str | None) -> None:
    """Sign the public identity with its own key: needed once for identities made before version 1.4."""
    refuse_old_layout(folder)
    name = beacon_id or "default"
    vault = VaultFolder(BeaconFolder(folder, name).root)
    keys = vault.load_key_pair()
    try:
        keys.identity.check_self_signature()
        click.echo(f"beacon id [{name}] - public identity already self signed.")
        return
    except (InvalidSignature, Malformed) as error:
        click.echo(f"{error}: signing it again", err=True)
    old = keys.identity
    identity = self_signed(keys.secret, old.address, tls=old.tls, scheme=old.scheme).identity
    vault.save_identity(identity)
    click.echo(f"beacon id [{name}] - Public identity self signed for scheme {identity.scheme.name}")
    print_json(
        {
            "Address": identity.address,
            "Key": identity.key.hex(),
            "TLS": identity.tls,
            "Signature": identity.signature.hex(),
            "SchemeName": identity.scheme.name,
        }
    )
