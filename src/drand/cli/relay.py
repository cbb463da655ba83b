"""`drand relay`: serve beacons of any chains to many; `drand relay export`: write them as files."""

from pathlib import Path

import click

from drand.cli.endings import leave_signals_alone
from drand.cli.options import EXISTING_FILE, FILE, VERBOSE
from drand.cli.root import with_variables
from drand.net.http_events import DEFAULT_MAX_READERS
from drand.relay.settings import RelaySettings


def _checked_urls(_ctx: click.Context, _param: click.Parameter, urls: tuple[str, ...]) -> tuple[str, ...]:
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise click.BadParameter(
                f"{url} does not begin with https:// or http://; a node's gRPC is named by --grpc, its store by --store"
            )
    return urls


URL = click.option(
    "--url",
    "urls",
    multiple=True,
    metavar="URL",
    callback=_checked_urls,
    help="An HTTP upstream; give several for failover.",
)
GRPC = click.option(
    "--grpc", multiple=True, metavar="[grpcs://]HOST:PORT", help="A node's gRPC as upstream; grpcs:// for TLS."
)
STORE = click.option(
    "--store", "stores", multiple=True, type=EXISTING_FILE, metavar="FILE", help="A drand.sqlite of a node here."
)
CHAIN = click.option(
    "--chain",
    "chains",
    multiple=True,
    metavar="NAME|HASH|FILE",
    help="Serve this chain, the first one by default; all that the upstreams have where none is named.",
)
ARCHIVE = click.option("--archive", type=FILE, metavar="FILE", help="Keep every round that was seen here.")


@click.group(invoke_without_command=True)
@click.option("--listen", default="127.0.0.1:8080", show_default=True, metavar="ADDRESS", help="Where to serve HTTP.")
@URL
@GRPC
@STORE
@CHAIN
@ARCHIVE
@click.option("--history", is_flag=True, help="Fetch all past rounds into the archive.")
@click.option("--workers", type=int, default=1, show_default=True, metavar="N", help="Processes that serve.")
@click.option("--access-log", default="", metavar="FILE|-", help="Write requests here in Apache's combined form.")
@click.option("--metrics", default="", metavar="[HOST:]PORT", help="Where to serve metrics (default: nowhere).")
@click.option("--rate-limit", type=float, default=0.0, metavar="N", help="Requests a second of one client address.")
@click.option("--burst", type=float, default=0.0, metavar="N", help="Requests at once (default: twice --rate-limit).")
@click.option(
    "--max-readers",
    type=int,
    default=DEFAULT_MAX_READERS,
    show_default=True,
    metavar="N",
    help="Event streams of each worker.",
)
@click.option("--json", "json_logs", is_flag=True, help="Log lines as JSON.")
@VERBOSE
@click.pass_context
def relay(
    ctx: click.Context,
    listen: str,
    urls: tuple[str, ...],
    grpc: tuple[str, ...],
    stores: tuple[Path, ...],
    chains: tuple[str, ...],
    archive: Path | None,
    history: bool,
    workers: int,
    access_log: str,
    metrics: str,
    rate_limit: float,
    burst: float,
    max_readers: int,
    json_logs: bool,
    verbose: bool,
) -> None:
    """Serve beacons to many: the HTTP API v1 and v2, streams of events, and a page for people.

    Everything that an upstream says is verified; one that lies is dropped and named. It ends on SIGTERM and on Ctrl-C,
    after the answers that are under way; SIGHUP begins the access log anew.
    """
    if ctx.invoked_subcommand is not None:
        return
    leave_signals_alone()
    settings = RelaySettings(
        listen=listen,
        sources=_sources(urls, grpc),
        stores=stores,
        chains=chains,
        archive=archive,
        history=history,
        workers=workers,
        access_log=access_log,
        metrics=metrics,
        rate_per_s=rate_limit,
        burst=burst,
        max_readers=max_readers,
        json_logs=json_logs,
        verbose=verbose,
    )
    settings.check()
    from drand.relay.relay import run_relay

    run_relay(settings)


@relay.command()
@URL
@GRPC
@STORE
@CHAIN
@ARCHIVE
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Where to write."
)
@click.option("--first", type=int, default=1, show_default=True, metavar="ROUND", help="The first round to write.")
@click.option("--last", type=int, metavar="ROUND", help="The last round to write (default: the latest).")
@click.option("--quiet", is_flag=True, help="Say only what goes wrong.")
def export(
    urls: tuple[str, ...],
    grpc: tuple[str, ...],
    stores: tuple[Path, ...],
    chains: tuple[str, ...],
    archive: Path | None,
    out: Path,
    first: int,
    last: int | None,
    quiet: bool,
) -> None:
    """Write beacons as files under the paths of the HTTP API, for an object store or a plain web server.

    Only what is missing is written, so it can be stopped and run again, for instance every minute.
    """
    settings = RelaySettings(sources=_sources(urls, grpc), stores=stores, chains=chains, archive=archive)
    settings.check()
    from drand.relay.export import run_export

    for line in run_export(settings, out, first, last):
        if not quiet:
            click.echo(line)


def _sources(urls: tuple[str, ...], grpc: tuple[str, ...]) -> tuple[str, ...]:
    """Upstreams as the client library writes them, HTTP first."""
    return (*urls, *(one if "://" in one else f"grpc://{one}" for one in grpc))


with_variables(export, "DRAND_")
