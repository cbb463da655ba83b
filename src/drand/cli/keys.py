"""`drand generate-keypair` and `drand util self-sign`."""

import re
import select
import sys
from pathlib import Path

import click

from collective.entropy import SystemEntropy
from collective.errors import BadSetting, CollectiveError, InvalidSignature, Malformed
from drand.cli.layout import refuse_old_layout
from drand.cli.lifecycle import load_beacon
from drand.cli.options import CONTROL, FOLDER, ID, SCHEME, TLS_DISABLE
from drand.cli.output import print_banner, print_json, warn
from drand.cli.reaching import peer_at
from drand.daemon.folders import BeaconFolder
from drand.model.schemes import Scheme, scheme_named
from drand.vault.folder import ForeignIdentity, KeyPairExists, VaultFolder, make_key_pair, self_signed
from drand.wire.toml_files import encode_identity_file

DEFAULT_PORT = "8080"
PORT_QUESTION = "No valid port given. Please, choose a port number (or ENTER for default port 8080): "
PIPE_PATIENCE_S = 1.0  # `echo 4444 | drand generate-keypair HOST` has the answer there by now
PORTS = range(1000, 65536)
EVERYWHERE = ("0.0.0.0", "[::]")  # noqa: S104
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

    ADDRESS is host:port, as the other nodes will dial this one. Without a port one is asked for (or read from a pipe);
    8080 is taken where nobody answers. A key pair that exists is never overwritten.
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
    if peer_at(listening, tls=False).address.rpartition(":")[0] in EVERYWHERE:
        warn(f"{listening} is where to listen, and nobody can dial it: the other nodes need this machine's own name")
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
    """What the operator types, or a script pipes in, until it is a port number; 8080 for an empty line or none."""
    if not somebody_answers():
        click.echo("Default port selected")
        return DEFAULT_PORT
    while True:
        click.echo(PORT_QUESTION, nl=False)
        answer = sys.stdin.readline().strip()
        if not answer:
            click.echo("Default port selected")
            return DEFAULT_PORT
        if answer.isascii() and answer.isdigit() and int(answer) in PORTS:
            return str(int(answer))


def somebody_answers() -> bool:
    """There is a terminal, or something is piped in; a pipe that stays open and empty is not waited for for ever."""
    return sys.stdin.isatty() or bool(select.select([sys.stdin], [], [], PIPE_PATIENCE_S)[0])


@click.command()
@FOLDER
@ID
@click.option("--address", metavar="HOST:PORT", help="This node's address, where the public file is lost or another's.")
@TLS_DISABLE
def self_sign(folder: Path, beacon_id: str | None, address: str | None, tls_disable: bool) -> None:
    """Sign the public identity with its own key, or make the public file again from the private one.

    The first was needed once for identities made before version 1.4. The second mends a public file that is lost,
    damaged, or of another key: what it says of address and TLS is kept where it can be read; where it cannot, give
    --address, and --tls-disable for a key pair made with it. A group knows its members by key, address and TLS flag.
    """
    refuse_old_layout(folder)
    name = beacon_id or "default"
    vault = VaultFolder(BeaconFolder(folder, name).root)
    secret, scheme = vault.load_secret()
    try:
        known = vault.load_key_pair().identity
        if address is not None and peer_at(address, tls=known.tls).address != known.address:
            raise BadSetting(
                f"{vault.identity_file} is this key's and says {known.address}, not {address}",
                hint="leave out --address, which is for a lost public file; groups know their members by address",
            )
        known.check_self_signature()
        click.echo(f"beacon id [{name}] - public identity already self signed.")
        return
    except (InvalidSignature, Malformed, ForeignIdentity) as error:
        click.echo(f"{error}: signing it again", err=True)
    own_address, tls = whose(vault, scheme, address, tls=not tls_disable)
    identity = self_signed(secret, own_address, tls=tls, scheme=scheme).identity
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


def whose(vault: VaultFolder, scheme: Scheme, address: str | None, *, tls: bool) -> tuple[str, bool]:
    """Address and TLS flag for a new public file: as given, else as the old one has them.

    raises  DamagedIdentityFile where neither is there; MalformedAddress
    """
    if address is not None:
        return peer_at(address, tls=tls).address, tls
    old = vault.load_identity(scheme)
    warn(f"address {old.address} and TLS {'on' if old.tls else 'off'} are taken from {vault.identity_file}")
    return old.address, old.tls
