"""`drand stop` and `drand load`."""

import click

from drand.cli.options import CONTROL, ID, TLS_DISABLE, BeaconId
from drand.cli.output import print_banner
from drand.cli.reaching import about, daemon

LOAD_HINT = "`drand util status --list-ids` says which beacons run; keys are made with `drand generate-keypair`"


@click.command()
@CONTROL
@click.option("--id", "beacon_id", type=BeaconId(), metavar="ID", help="Stop only this beacon (default: the daemon).")
def stop(control: str, beacon_id: str | None) -> None:
    """Stop the daemon; with --id, only that beacon of it."""
    from drand.net.errors import DaemonAbsent

    print_banner()
    what = f"beacon process [{beacon_id}]" if beacon_id else "drand daemon"
    with daemon(control, f"error stopping {what}") as client:
        client.ping()
        try:
            client.shutdown(about(beacon_id))
        except DaemonAbsent:
            if beacon_id:
                raise
            # It was there a moment ago: a daemon of v1.5.11 mostly ends before it has answered.
    click.echo(f"{what} stopped correctly. Bye.")


@click.command()
@CONTROL
@ID
@TLS_DISABLE
def load(control: str, beacon_id: str | None, tls_disable: bool) -> None:
    """Have the running daemon start a beacon from its files.

    --tls-disable is taken for compatibility and changes nothing: the key file says whether the beacon uses TLS.
    """
    load_beacon(control, beacon_id or "default")


def load_beacon(control: str, beacon_id: str) -> None:
    """Ask the daemon to load a beacon, and say so; raises DaemonAbsent or RefusedByDaemon."""
    with daemon(control, f"could not reload the beacon process [{beacon_id}]", LOAD_HINT) as client:
        client.load_beacon(about(beacon_id))
    click.echo(f"Beacon process [{beacon_id}] was loaded on drand.")
