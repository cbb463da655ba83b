"""`drand demo`: a whole network on this machine, from nothing to verified randomness."""

import http.client
import shutil
import tempfile
from pathlib import Path

import click

from collective.clock import SystemClock
from collective.errors import Unavailable
from drand.cli.local_network import Ceremony, LocalNetwork
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.schemes import SCHEME_NAMES
from drand.model.verification import ChainVerifier
from drand.wire.http_json import parse_beacon, parse_chain_info

FETCH_PATIENCE_S = 120


def fetch(address: str, path: str) -> bytes:
    """GET from a node's HTTP API; raises Unavailable on anything but 200."""
    connection = http.client.HTTPConnection(address, timeout=FETCH_PATIENCE_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(1 << 20)
    except OSError as error:
        raise Unavailable(f"http://{address}{path}: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise Unavailable(f"http://{address}{path} answered {response.status}")
    return body


@click.command()
@click.option("--nodes", default=5, show_default=True, type=click.IntRange(2, 64), help="How many daemons.")
@click.option(
    "--threshold", default=3, show_default=True, type=click.IntRange(1), help="How many of them make a round."
)
@click.option("--period", default="3s", show_default=True, help="Time between two rounds, a Go duration.")
@click.option(
    "--scheme", default=SCHEME_NAMES[0], show_default=True, type=click.Choice(SCHEME_NAMES), help="The scheme."
)
@click.option("--rounds", default=0, show_default=True, type=click.IntRange(0), help="End after so many; 0 never.")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Keep everything here (a fresh folder); else it is removed."
)
def demo(nodes: int, threshold: int, period: str, scheme: str, rounds: int, folder: Path | None) -> None:
    """Run a whole network on this machine.

    Starts the daemons as processes on loopback, holds a key generation through the ordinary commands, then prints each
    round as it is verified. Ctrl-C stops the daemons and cleans up.
    """
    base = folder or Path(tempfile.mkdtemp(prefix="drand-demo-"))
    base.mkdir(parents=True, exist_ok=True)
    network = LocalNetwork(base, nodes)
    try:
        run(network, Ceremony(threshold=threshold, period=period, scheme=scheme), rounds)
    except KeyboardInterrupt:
        click.echo("\nstopping")
    finally:
        network.stop()
        if folder is None:
            shutil.rmtree(base, ignore_errors=True)
        else:
            click.echo(
                f"everything is kept in {base}; start one node again with: drand start --folder {base}/node1 ..."
            )


def run(network: LocalNetwork, ceremony: Ceremony, rounds: int) -> None:
    """The demonstration, step by step."""
    count = len(network.nodes)
    click.echo(f"starting {count} daemons below {network.folder}")
    network.start()
    click.echo(f"generating {count} key pairs ({ceremony.scheme})")
    network.generate_keys(ceremony)
    click.echo(f"distributed key generation: {ceremony.threshold} of {count} make a round, one every {ceremony.period}")
    network.hold(ceremony, said=lambda line: click.echo("  " + line))
    for node in network.nodes:
        click.echo(f"  {node.name}: http://{node.public}/public/latest")
    address = network.nodes[0].public
    info = parse_chain_info(fetch(address, "/info"))
    click.echo(f"chain {info.hash().hex()}")
    follow(network, info, rounds)


def follow(network: LocalNetwork, info: ChainInfo, rounds: int) -> None:
    """Print each round as it is verified, asking the nodes in turn."""
    verifier, clock = ChainVerifier(info.scheme, info.public_key), SystemClock()
    start = info.schedule.genesis_unix_s - clock.now()
    if start > 0:
        click.echo(f"round 1 is due in {start:.0f} s")
    round_ = 0
    while not rounds or round_ < rounds:
        round_ += 1
        node = network.nodes[round_ % len(network.nodes)]
        beacon = held(node.public, Round(round_), info, clock)
        late_ms = (clock.now() - info.schedule.due_unix_s(beacon.round)) * 1000
        verifier.check(beacon)
        click.echo(
            f"round {beacon.round}  {beacon.randomness.hex()}  verified, {late_ms:.0f} ms late, from {node.name}"
        )


def held(address: str, round_: Round, info: ChainInfo, clock: SystemClock) -> Beacon:
    """Fetch a round, asking again while it is too early: the node holds a request for the very next round."""
    import threading

    pause = threading.Event()
    while True:
        wait_s = info.schedule.due_unix_s(round_) - info.period_s - clock.now()
        if wait_s > 0:
            pause.wait(wait_s + 0.05)
        try:
            return parse_beacon(fetch(address, f"/public/{round_}"))
        except Unavailable:
            if clock.now() > info.schedule.due_unix_s(round_) + 20 * info.period_s:
                raise
            pause.wait(0.1)
