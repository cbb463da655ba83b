"""`drand start`: the daemon, in the foreground."""

import os
from pathlib import Path

import click

from collective.errors import BadSetting
from collective.files import make_folder
from drand.cli.endings import leave_signals_alone
from drand.cli.options import CERTS_DIR, CONTROL, FILE, FOLDER, TLS_DISABLE, VERBOSE, BeaconId
from drand.cli.output import print_banner, warn
from drand.daemon.folders import MULTIBEACON
from drand.daemon.memory import without_roots
from drand.daemon.migration import migrate_old_layout
from drand.daemon.settings import Settings


class MaybeBeaconId(BeaconId):
    """A beacon id, or "" for none at all."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The canonical id, or ""."""
        return super().convert(value, param, ctx) if value else ""


def check_folder(folder: Path) -> None:
    """Make the folder, so that what is wrong with it is said now and not by `drand generate-keypair`.

    raises  DiskRefused where it cannot be made; BadSetting where it may not be written to
    """
    make_folder(folder)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise BadSetting(
            f"the folder {folder} may not be read and written by user {os.geteuid()}",
            hint=f"give it to whoever runs the daemon: chown -R USER {folder}",
        )


@click.command()
@FOLDER
@CONTROL
@click.option(
    "--private-listen",
    default="",
    metavar="ADDRESS",
    help="Where to listen for other nodes, host:port (default: the address of the stored key).",
)
@click.option("--public-listen", default="", metavar="ADDRESS", help="Where to serve the HTTP API (default: nowhere).")
@click.option("--access-log", default="", metavar="FILE|-", help="Write HTTP requests here in Apache's combined form.")
@click.option("--rate-limit", type=float, default=0.0, metavar="N", help="HTTP requests a second from one address.")
@click.option("--burst", type=float, default=0.0, metavar="N", help="HTTP requests at once (default: twice the limit).")
@click.option("--metrics", default="", metavar="[HOST:]PORT", help="Where to serve metrics (default: nowhere).")
@click.option("--tls-cert", type=FILE, metavar="FILE", help="Our certificate chain, PEM.")
@click.option("--tls-key", type=FILE, metavar="FILE", help="The key of our certificate, PEM.")
@TLS_DISABLE
@CERTS_DIR
@click.option(
    "--id", "beacon_id", type=MaybeBeaconId(), metavar="ID", help='Load only this beacon; "" loads none (default: all).'
)
@click.option("--vault", default="inproc:", show_default=True, metavar="URI", help="Where the keys are held.")
@click.option("--json", "json_logs", is_flag=True, help="Log lines as JSON.")
@VERBOSE
@click.option("--db", default="bolt", show_default=True, metavar="ENGINE", help="bolt: the built-in store.")
@click.option("--pg-dsn", metavar="DSN", help="Taken for compatibility; used with another engine only.")
@click.option(
    "--memdb-size", type=int, default=2000, metavar="N", help="Taken for compatibility; used with another engine only."
)
@click.option("--from", "from_group", type=FILE, metavar="FILE", help="Taken for compatibility; changes nothing.")
@click.option("--push", is_flag=True, help="Taken for compatibility; changes nothing.")
@click.option(
    "--skipValidation",
    "skip_validation",
    is_flag=True,
    envvar="DRAND_SKIP_VALIDATION",
    help="Taken for compatibility; beacons are always verified.",
)
def start(
    folder: Path,
    control: str,
    private_listen: str,
    public_listen: str,
    access_log: str,
    rate_limit: float,
    burst: float,
    metrics: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_disable: bool,
    certs_dir: Path | None,
    beacon_id: str | None,
    vault: str,
    json_logs: bool,
    verbose: bool,
    db: str,
    pg_dsn: str | None,
    memdb_size: int,
    from_group: Path | None,
    push: bool,
    skip_validation: bool,
) -> None:
    """Run the daemon in the foreground, with every beacon that has keys. An empty folder will do.

    It ends on SIGTERM, on Ctrl-C, and on `drand stop`. A renewed certificate is taken up within a minute; SIGHUP does
    so at once, and begins the access log anew.
    """
    leave_signals_alone()
    print_banner()
    if db != "bolt":
        raise BadSetting(f"the database engine {db!r} is not available in this version", hint="leave out --db")
    if skip_validation:
        warn("--skipValidation changes nothing: beacons are always verified")
    if migrate_old_layout(folder):
        warn(f"{folder} had the layout of one beacon only; its files were copied to {folder / MULTIBEACON}")
    settings = Settings(
        folder=folder,
        private_listen=private_listen,
        public_listen=public_listen,
        access_log=access_log,
        rate_per_s=rate_limit,
        burst=burst,
        control=control,
        metrics=metrics,
        tls_disable=tls_disable,
        tls_cert=tls_cert,
        tls_key=tls_key,
        certs_dir=certs_dir,
        only_beacon=beacon_id,
        vault=vault,
        json_logs=json_logs,
        verbose=verbose,
    )
    settings.check()
    check_folder(folder)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own lines on stderr, which strangers bring about at will
    with without_roots():
        from drand.daemon.daemon import run_daemon

    run_daemon(settings)
