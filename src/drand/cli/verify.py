"""`drand verify`: check one or many beacons against a chain, offline."""

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import click

from collective.clock import monotonic_s
from collective.errors import BadSetting, Malformed
from drand.cli.options import JSON
from drand.cli.output import print_json_line
from drand.cli.root import say_error
from drand.client.chains import INFO_HINT, PUBLIC_CHAINS, public_chain
from drand.errors import EXIT_INVALID, InvalidBeacon
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.schemes import SCHEME_NAMES, Scheme, scheme_named
from drand.model.verification import ChainVerifier
from drand.verifying.verifiers import MAX_BEACONS, MOST_BY_ITSELF, WORTH_BEACONS, Verifiers
from drand.wire.http_json import bounded_lines, parse_beacons, parse_chain_info

MAX_INFO_BYTES = 1 << 20
MOST_WORKERS = 256
MOST_NAMED = 10  # bad rounds named one by one; the rest are counted
TELL_EVERY_S = 2.0


@click.command()
@click.option(
    "--chain",
    metavar="NAME|HASH|FILE",
    help=f"A built-in chain ({', '.join(PUBLIC_CHAINS)}), its hash, or a chain info file (v1 or v2 JSON).",
)
@click.option("--public-key", metavar="HEX", help="The group's key, instead of a chain; with --scheme.")
@click.option("--scheme", metavar="NAME", help=f"The scheme of --public-key: {', '.join(SCHEME_NAMES)}.")
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(0, MOST_WORKERS),
    help=f"Processes that verify; 0: none but this one. From {WORTH_BEACONS} beacons on, one a core, at most "
    f"{MOST_BY_ITSELF}, unless given.",
)
@click.option("--quiet", is_flag=True, help="Say nothing about valid beacons.")
@JSON
@click.argument("file", type=click.File("rb"), default="-")
def verify(
    chain: str | None,
    public_key: str | None,
    scheme: str | None,
    workers: int | None,
    quiet: bool,
    as_json: bool,
    file: BinaryIO,
) -> int:
    """Check beacons against a chain: JSON or NDJSON in FILE (or standard input), as the HTTP API gives them.

    Many beacons are checked in batches, on several cores. Exit code 0 only when there was at least one and every one
    is valid, 4 when one is not.
    """
    verifier = chosen_verifier(chain, public_key, scheme)
    if file.isatty():
        click.echo("waiting for beacons as JSON on standard input; end with Ctrl-D, or give a FILE", err=True)
    tally = Tally()
    with closing(Verifiers(workers)) as verifiers:
        for batch, suspects in verifiers.in_order(verifier, batches(parse_beacons(bounded_lines(file)))):
            tally.add(batch, reasons(verifier, batch, suspects))
            tally.tell_progress()
    if not tally.seen:
        raise Malformed("there is no beacon in the input", hint="give what /public/{round} answers, one or many")
    if as_json:
        print_json_line(tally.fields())
    for line in tally.bad_lines():
        click.echo(line, err=True)
    if tally.bad:
        say_error(
            f"{tally.bad} of {tally.seen} beacons are not valid on this chain",
            "" if tally.bad < tally.seen else "is it the chain they come from? --chain names another one",
        )
        return EXIT_INVALID
    if not quiet and not as_json:
        click.echo(tally.verdict())
    return 0


def chosen_verifier(chain: str | None, public_key: str | None, scheme: str | None) -> ChainVerifier:
    """The key and scheme to verify with; raises BadSetting unless exactly one way to name them is used."""
    if (chain is None) == (public_key is None):
        raise BadSetting(
            "name the chain: either --chain, or --public-key with --scheme",
            hint=f"--chain takes {', '.join(PUBLIC_CHAINS)}, a chain hash of these, or a file with what /info answers",
        )
    if chain is not None:
        info = public_chain(chain) or info_in(chain)
        if scheme is not None and scheme != info.scheme.name:
            raise BadSetting(f"the chain's scheme is {info.scheme.name}, not {scheme}", hint="leave out --scheme")
        return ChainVerifier(info.scheme, info.public_key)
    if scheme is None:
        raise BadSetting("--public-key needs --scheme", hint=f"one of {', '.join(SCHEME_NAMES)}")
    return ChainVerifier(scheme_named(scheme), unhex_key(public_key or "", scheme_named(scheme)))


def info_in(name: str) -> ChainInfo:
    """The chain information in the file `name`; raises BadSetting, and what `parse_chain_info` raises."""
    try:
        return parse_chain_info(read_info(name))
    except Malformed as error:
        raise type(error)(f"{name}: {error}", hint=error.advice or INFO_HINT) from error


def read_info(name: str) -> bytes:
    """The chain info file `name`."""
    path = Path(name)
    try:
        with path.open("rb") as file:
            return file.read(MAX_INFO_BYTES)
    except OSError as error:
        known = ", ".join(PUBLIC_CHAINS)
        raise BadSetting(f"no chain and no readable file is called {name!r}", hint=f"built in are: {known}") from error


def unhex_key(text: str, scheme: Scheme) -> bytes:
    """The key's bytes; raises BadSetting naming the wanted length."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != scheme.key_bytes:
        raise BadSetting(
            f"--public-key: {2 * scheme.key_bytes} hexadecimal digits make a key of {scheme.name}",
            hint="take public_key from the chain's /info, or name the chain with --chain",
        )
    return key


def batches(beacons: Iterator[Beacon]) -> Iterator[list[Beacon]]:
    """Runs of at most MAX_BEACONS beacons."""
    while batch := list(islice(beacons, MAX_BEACONS)):
        yield batch


def reasons(verifier: ChainVerifier, batch: Sequence[Beacon], suspects: Collection[Round]) -> dict[int, str]:
    """Positions in the batch that fail, with the reason. A single beacon is told exactly why."""
    places: dict[int, str] = {}
    for place, beacon in enumerate(batch):
        if beacon.round in suspects:
            reason = why(verifier, beacon)
            if reason is not None:
                places[place] = reason
    return places


def why(verifier: ChainVerifier, beacon: Beacon) -> str | None:
    """Why a beacon fails alone, or None: a round may stand in the input twice, once right and once wrong."""
    try:
        verifier.check(beacon)
    except InvalidBeacon as error:
        return str(error)
    return None


class Tally:
    """What was seen so far."""

    def __init__(self) -> None:
        self.seen = 0
        self.bad = 0
        self.first: Round | None = None
        self.last: Round | None = None
        self.only: Beacon | None = None
        self._named: list[str] = []
        self._told_s = monotonic_s()

    def add(self, batch: Sequence[Beacon], bad: dict[int, str]) -> None:
        """Count one batch."""
        rounds = [beacon.round for beacon in batch]
        self.first = min(rounds + ([self.first] if self.first is not None else []))
        self.last = max(rounds + ([self.last] if self.last is not None else []))
        self.seen += len(batch)
        self.only = batch[0] if self.seen == 1 else None
        self.bad += len(bad)
        self._named += [f"invalid: {reason}" for reason in list(bad.values())[: MOST_NAMED - len(self._named)]]

    def tell_progress(self) -> None:
        """A line on a terminal's stderr every now and then."""
        if sys.stderr.isatty() and monotonic_s() - self._told_s > TELL_EVERY_S:
            self._told_s = monotonic_s()
            click.echo(f"{self.seen} beacons checked, {self.bad} not valid", err=True)

    def bad_lines(self) -> list[str]:
        """The first bad beacons by name, and how many more there are."""
        more = self.bad - len(self._named)
        return self._named + ([f"... and {more} more"] if more else [])

    def fields(self) -> dict[str, object]:
        """What was found, for programs: counts, the span of rounds, and the first reasons."""
        found: dict[str, object] = {"checked": self.seen, "invalid": self.bad, "first_round": self.first}
        found |= {"last_round": self.last, "reasons": self._named}
        return found | ({"randomness": self.only.randomness.hex()} if self.only is not None and not self.bad else {})

    def verdict(self) -> str:
        """What was found, when all is well."""
        if self.only is not None:
            return f"round {self.only.round} is valid; randomness {self.only.randomness.hex()}"
        return f"all {self.seen} beacons are valid, rounds {self.first} to {self.last}"
