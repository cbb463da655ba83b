"""`drand demo`: a whole network on this machine, from nothing to verified randomness."""

import http.client
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from collective.clock import SystemClock
from collective.errors import BadSetting, Unavailable
from drand.cli.endings import CODES, Ended
from drand.cli.local_network import ENDING_SIGNALS, Ceremony, LocalNetwork
from drand.cli.options import Whole
from drand.errors import EXIT_INTERRUPTED
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.group import minimum_threshold
from drand.model.schemes import SCHEME_NAMES
from drand.model.verification import ChainVerifier
from drand.wire.http_json import parse_beacon, parse_chain_info

FETCH_PATIENCE_S = 120
LEAST_DIGITS = 8  # shown of a value on the narrowest terminal


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
@click.option("--nodes", default=5, show_default=True, type=Whole(2, 64), metavar="N", help="How many daemons.")
@click.option("--threshold", type=Whole(1), metavar="T", help="How many of them make a round (default: over half).")
@click.option("--period", default="3s", show_default=True, metavar="DURATION", help="Time between two rounds.")
@click.option(
    "--scheme",
    default=SCHEME_NAMES[0],
    show_default=True,
    type=click.Choice(SCHEME_NAMES),
    metavar="NAME",
    help=f"The signature scheme: {', '.join(SCHEME_NAMES)}.",
)
@click.option("--rounds", default=0, show_default=True, type=Whole(0), metavar="N", help="End after so many; 0 never.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep everything here (a fresh folder); else it is removed.",
)
def demo(nodes: int, threshold: int | None, period: str, scheme: str, rounds: int, folder: Path | None) -> int:
    """Run a whole network on this machine.

    Starts the daemons as processes on loopback, holds a key generation through the ordinary commands, then prints each
    round as it is verified. Ctrl-C stops the daemons and cleans up.
    """
    threshold = checked_threshold(nodes, threshold)
    base = fresh_folder(folder)
    network = LocalNetwork(base, nodes)
    with ended_by_signals():
        try:
            run(network, Ceremony(threshold=threshold, period=period, scheme=scheme), rounds)
        except KeyboardInterrupt as ended:
            click.echo("\nstopping")
            return ended.code if isinstance(ended, Ended) else EXIT_INTERRUPTED
        finally:
            disregard_signals()
            network.stop()
            if folder is None:
                shutil.rmtree(base, ignore_errors=True)
            else:
                click.echo(kept(network, threshold))
    return 0


def checked_threshold(nodes: int, threshold: int | None) -> int:
    """The threshold; raises BadSetting for one that the ceremony would refuse, before anything is started."""
    least = minimum_threshold(nodes)
    if threshold is None:
        return least
    if not least <= threshold <= nodes:
        raise BadSetting(f"a threshold of {threshold} for {nodes} nodes", hint=f"it goes from {least} to {nodes}")
    return threshold


def fresh_folder(folder: Path | None) -> Path:
    """The folder to work in, by its full path; raises BadSetting for one that holds something."""
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="drand-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BadSetting(f"{folder} is not empty", hint="the demonstration begins with nothing: name a fresh folder")
    return folder.absolute()


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Being terminated, or losing the terminal, is like Ctrl-C: one KeyboardInterrupt. Afterwards all is as before.

    Only one, since another would interrupt the cleaning up, which takes seconds.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        disregard_signals()
        raise Ended(CODES.get(signal.Signals(number), EXIT_INTERRUPTED))

    before = {number: signal.signal(number, interrupt) for number in ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, known in before.items():
            signal.signal(number, known)


def disregard_signals() -> None:
    """Impatience must not leave daemons behind."""
    for number in ENDING_SIGNALS:
        signal.signal(number, lambda _number, _frame: None)


def kept(network: LocalNetwork, threshold: int) -> str:
    """What is left, and how its nodes are started again."""
    lines = [f"everything is kept in {network.folder}"]
    nodes = [node for node in network.nodes if (node.folder / "multibeacon").exists()]
    if nodes:
        lines.append(f"start the nodes again, at least {threshold} of them for the chain to go on:")
    return "\n".join([*lines, *("  " + shlex.join(node.start_command()) for node in nodes)])


def run(network: LocalNetwork, ceremony: Ceremony, rounds: int) -> None:
    """The demonstration, step by step."""
    count = len(network.nodes)
    click.echo(f"scheme {ceremony.scheme}, threshold {ceremony.threshold} of {count}, a round every {ceremony.period}")
    click.echo(f"starting {count} daemons below {network.folder}")
    network.start()
    click.echo(f"generating {count} key pairs")
    network.generate_keys(ceremony)
    click.echo("distributed key generation")
    network.hold(ceremony, said=lambda line: click.echo("  " + line))
    for node in network.nodes:
        click.echo(f"  {node.name}: http://{node.public}/public/latest")
    address = network.nodes[0].public
    info = parse_chain_info(fetch(address, "/info"))
    click.echo(fitted("chain ", info.hash().hex(), ""))
    click.echo(f"a page to look at: http://{address}/   Ctrl-C stops everything")
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
        end = f"  verified, {late_ms:.0f} ms late, from {node.name}"
        click.echo(fitted(f"round {beacon.round}  ", beacon.randomness.hex(), end))


def fitted(before: str, digits: str, after: str) -> str:
    """One line: on a terminal `digits` are cut to what has room beside the rest, elsewhere they are whole."""
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    room = columns - len(before) - len(after)
    if not columns or len(digits) <= room:
        return before + digits + after
    return f"{before}{digits[: max(LEAST_DIGITS, room - 1)]}…{after}"


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
