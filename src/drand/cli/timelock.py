"""`drand timelock`: files that open when a chain reaches a round."""

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from collective.clock import SystemClock
from collective.errors import BadSetting, CollectiveError
from drand.cli.countdown import Countdown
from drand.cli.moments import moment_after, moment_written, shown_moment
from drand.cli.options import EXISTING_FILE, JSON, Whole
from drand.cli.output import print_json_line, warn
from drand.cli.root import one_line
from drand.cli.timelock_chains import DEFAULT_CHAIN, Rounds, asking, chosen_chain
from drand.cli.timelock_files import (
    LOCKED_MODE,
    OPENED_MODE,
    STANDARD,
    Job,
    Watched,
    each,
    locked_name,
    opened_name,
    plan,
    reading,
    writing,
)
from drand.client.chains import PUBLIC_CHAINS, RETIRED_HASHES
from drand.errors import EXIT_FAILURE, EXIT_TOO_EARLY
from drand.model.chain import MAX_ROUND, ChainInfo, Round
from drand.model.spans import shown_span
from drand.timelock.errors import StillLocked, UnsuitableChain, WrongChain
from drand.timelock.inspection import Inspection, Lock, inspect
from drand.timelock.recipients import Identity, Recipient
from drand.timelock.streams import encrypt_stream, unlocked, write_content
from drand.timelock.tlock import BeaconSource, TlockRecipient
from drand.timelock.x25519 import X25519Identity, X25519Recipient, read_identities

NEVER_SOONER_S = 0.001  # a round that is due this little before the moment asked for still counts as at it
FILES = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)

URL = click.option(
    "--url",
    "urls",
    multiple=True,
    metavar="URL",
    help="A server to ask (https://, grpc://host:port, or the path of a drand.sqlite); repeat it for more. "
    "Default: the League of Entropy's, for its chains.",
)
CHAIN = click.option(
    "--chain",
    metavar="CHAIN",
    help=f"A built-in chain ({', '.join(PUBLIC_CHAINS)}), a chain hash, or a file with what /info answers. "
    "A file of another chain is refused. Default: the chain that the file names.",
)
LOCKING_CHAIN = click.option(
    "--chain",
    default=DEFAULT_CHAIN,
    show_default=True,
    metavar="CHAIN",
    help=f"A built-in chain ({', '.join(PUBLIC_CHAINS)}), a chain hash, or a file with what /info answers.",
)
ARCHIVE = click.option(
    "--archive",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep every round that was fetched here, and look here before asking a server.",
)
OUTPUT = click.option(
    "--output",
    "-o",
    type=click.Path(allow_dash=True, path_type=Path),
    metavar="OUT",
    help="Where the result goes: a file, a folder for several, or - (standard output, the default for one file).",
)


@click.command()
@URL
@LOCKING_CHAIN
@click.option("--round", "round_", type=Whole(1, MAX_ROUND), metavar="R", help="Lock to this round.")
@click.option(
    "--duration", "-D", metavar="D", help="Lock for so long: y, M (months), w, d, h, m, s, as in 1y6M or 36h."
)
@click.option("--at", metavar="T", help="Lock until this moment, as in 2026-12-31T23:00:00Z.")
@click.option("--armor", "-a", is_flag=True, help="Write text instead of binary.")
@click.option("--recipient", "-r", "keys", multiple=True, metavar="AGE1...", help="Also let this age key open it.")
@click.option("--force", "-f", is_flag=True, help="Lock to a round that is there already, or to a retired chain.")
@OUTPUT
@click.argument("files", nargs=-1, type=FILES, metavar="[IN]...")
def encrypt(
    urls: tuple[str, ...],
    chain: str,
    round_: int | None,
    duration: str | None,
    at: str | None,
    armor: bool,
    keys: tuple[str, ...],
    force: bool,
    output: Path | None,
    files: tuple[Path, ...],
) -> int:
    """Lock files until a round of a chain. Nobody can open them sooner, the one who locked them included.

    Says when they open. Nothing is asked of a server for a built-in chain. A duration or a moment locks to the first
    round that is due then or later. Several files become FILE.tle beside them.
    """
    info = chosen_chain(chain, urls)
    chosen = chosen_round(info, round_, duration, at)
    refuse_useless(info, chosen, force=force)
    recipients: list[Recipient] = [TlockRecipient(info, chosen), *map(X25519Recipient.parse, keys)]
    jobs = plan(files, output, locked_name)
    if jobs[0].target == STANDARD and not armor and sys.stdout.isatty():
        raise BadSetting("binary does not belong on a terminal", hint="use --armor, or -o OUT")

    def lock(job: Job, tell: Callable[[int], None]) -> None:
        with reading(job.source) as source, writing(job.target, LOCKED_MODE) as target:
            encrypt_stream(Watched(source, tell, job.label), target, recipients, armor=armor)

    code = each(jobs, lock)
    opens = info.schedule.due_unix_s(chosen)
    left_s = opens - SystemClock().now()
    when = f"in {shown_span(left_s)}, at" if left_s > 0 else "now: the round was due at"
    click.echo(f"opens {when} {shown_moment(opens)} (round {chosen} of {one_line(info.beacon_id)})", err=True)
    return code


def chosen_round(info: ChainInfo, round_: int | None, duration: str | None, at: str | None) -> int:
    """The round to lock to; raises BadSetting unless exactly one of the three is given."""
    if sum(one is not None for one in (round_, duration, at)) != 1:
        raise BadSetting("say until when: one of --round, --duration and --at", hint="for instance --duration 36h")
    if round_ is not None:
        return round_
    if duration is not None:
        return first_round_from(info, moment_after(SystemClock().now(), duration))
    return first_round_from(info, moment_written(at or ""))


def first_round_from(info: ChainInfo, unix_s: float) -> int:
    """The first round that is due at a moment or later."""
    return max(1, math.ceil((unix_s - NEVER_SOONER_S - info.genesis_unix_s) / info.period_s) + 1)


def refuse_useless(info: ChainInfo, round_: int, *, force: bool) -> None:
    """Raise where the lock would be none, or would never open; with --force only warn."""
    if info.hash() in RETIRED_HASHES:
        what = f"the chain {info.beacon_id} was retired: it makes no more rounds, so nothing locked to it opens"
        if not force:
            raise UnsuitableChain(what, hint="choose quicknet, or a past round with --force")
        warn(what)
    elif info.schedule.due_unix_s(round_) <= SystemClock().now():
        what = f"round {round_} is in the past: anybody could open the file at once"
        if not force:
            raise BadSetting(what, hint="choose a later round, or use --force")
        warn(what)


@click.command()
@URL
@CHAIN
@ARCHIVE
@click.option("--beacon", metavar="JSON|FILE", help="The round itself, as /public/{round} gives it: nothing is asked.")
@click.option("--wait", is_flag=True, help="Wait until the file opens.")
@click.option(
    "--identity", "-i", "keys", multiple=True, type=EXISTING_FILE, metavar="FILE", help="Age keys to try first."
)
@click.option(
    "--allow-no-chunk",
    is_flag=True,
    help="Open the empty files of tlock-js 0.9.0, which cannot be told from files cut short.",
)
@OUTPUT
@click.argument("files", nargs=-1, type=FILES, metavar="[IN]...")
def decrypt(
    urls: tuple[str, ...],
    chain: str | None,
    archive: Path | None,
    beacon: str | None,
    wait: bool,
    keys: tuple[Path, ...],
    allow_no_chunk: bool,
    output: Path | None,
    files: tuple[Path, ...],
) -> int:
    """Open files whose round has come. Exit code 3 when it has not.

    Every beacon is verified, wherever it comes from. A file as output appears only when all of it proved authentic;
    standard output gets each piece as soon as it has, so take nothing for whole before the exit code is 0.
    Several files lose their .tle or .age.
    """
    jobs = plan(files, output, opened_name)
    identities: list[Identity] = [key for path in keys for key in read_keys(path)]
    countdown = Countdown() if wait else None
    with Rounds(chain, urls, beacon=beacon, archive=archive, countdown=countdown) as rounds:
        identities.append(rounds)

        def open_(job: Job, tell: Callable[[int], None]) -> None:
            with reading(job.source) as source:
                watched = Watched(source, tell, job.label)
                opener = unlocked(watched, identities, allow_no_chunk=allow_no_chunk)
                with writing(job.target, OPENED_MODE) as target:
                    write_content(opener, watched, target)

        return each(jobs, open_)


def read_keys(path: Path) -> list[X25519Identity]:
    """The keys of an identity file; raises BadSetting, MalformedKey."""
    try:
        text = path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"cannot read {path} as an identity file", hint="age-keygen writes one") from error
    return read_identities(text.splitlines())


@click.command(name="inspect")
@URL
@CHAIN
@JSON
@click.argument("files", nargs=-1, type=FILES, metavar="[IN]...")
def inspect_(urls: tuple[str, ...], chain: str | None, as_json: bool, files: tuple[Path, ...]) -> None:
    """What files say about themselves: their rounds, chains and opening times, and their other recipients.

    Nothing of it is authentic before a file was opened. A chain that is not built in needs --chain or --url for its
    times.
    """
    for label, found in inspected(files, chain, urls):
        if as_json:
            print_json_line(inspection_fields(label, found))
            continue
        click.echo(f"{label}: {'armored' if found.armored else 'binary'} age file")
        for lock in found.locks:
            name = one_line(lock.chain_name) or "a chain unknown here"
            click.echo(f"  round {lock.round} of {name}, {opening_words(lock)}")
            click.echo(f"  chain hash {lock.chain_hash}")
        if found.others:
            click.echo(f"  also opens with: {', '.join(found.others)}")


@click.command()
@URL
@CHAIN
@JSON
@click.argument("files", nargs=-1, type=FILES, metavar="[IN]...")
def status(urls: tuple[str, ...], chain: str | None, as_json: bool, files: tuple[Path, ...]) -> int:
    """When files open, by this machine's clock. Exit code 3 while one of them is locked.

    Exit code 1 when none is known to be, but of one it cannot be told, since its chain is unknown here.
    """
    locked = untold = False
    for label, found in inspected(files, chain, urls):
        left_s = None if found.opens_unix_s is None else found.opens_unix_s - SystemClock().now()
        locked = locked or (left_s is not None and left_s > 0)
        untold = untold or (left_s is None and bool(found.locks))
        if as_json:
            print_json_line(status_fields(label, found, left_s))
        elif not found.locks:
            click.echo(f"{label}: has no time lock")
        elif left_s is None:
            click.echo(
                f"{label}: opens at round {found.rounds[0]} of a chain unknown here (give it with --chain or --url)"
            )
        elif left_s > 0:
            click.echo(f"{label}: opens in {shown_span(left_s)}, at {shown_moment(found.opens_unix_s or 0)}")
        else:
            click.echo(f"{label}: open since {shown_moment(found.opens_unix_s or 0)}")
    return EXIT_TOO_EARLY if locked else EXIT_FAILURE if untold else 0


@click.command()
@URL
@CHAIN
@ARCHIVE
@click.argument("files", nargs=-1, type=FILES, metavar="[IN]...")
def wait(urls: tuple[str, ...], chain: str | None, archive: Path | None, files: tuple[Path, ...]) -> None:
    """Wait until all the files can be opened: until a server has the round of each."""
    given = None if chain is None else chosen_chain(chain, urls)
    for label, found in inspected(files, chain, urls):
        if not found.locks:
            click.echo(f"{label}: has no time lock", err=True)
            continue
        locks = [lock for lock in found.locks if given is None or lock.chain_hash == given.hash().hex()]
        if not locks:
            raise WrongChain(f"{label} is locked to the chain {found.chain_hashes[0]}", wanted=found.chain_hashes)
        lock = min(locks, key=lambda lock: lock.opens_unix_s or math.inf)
        info = given or chosen_chain(lock.chain_hash, urls)
        with asking(info, urls, archive) as source:
            wait_for(info, lock.round, source, Countdown())
        click.echo(f"{label}: open", err=True)


def wait_for(info: ChainInfo, round_: Round, source: BeaconSource, countdown: Countdown) -> None:
    """Return once the source has the round."""
    opens = info.schedule.due_unix_s(round_)

    def ask() -> None:
        if opens > SystemClock().now():
            raise StillLocked(f"round {round_} has not come", round_=round_, opens_unix_s=opens)
        source.get(round_)

    countdown.until_it_opens(ask)


def inspected(files: Sequence[Path], chain: str | None, urls: Sequence[str]) -> list[tuple[str, Inspection]]:
    """Each file's name and what its header says; the servers are asked about chains that are not known here."""
    known = [] if chain is None else [chosen_chain(chain, urls)]
    found = []
    for job in [Job(path, STANDARD) for path in files or (STANDARD,)]:
        with reading(job.source) as source:
            said = inspect(source, known)
        for chain_hash in {lock.chain_hash for lock in said.locks if lock.opens_unix_s is None} if urls else ():
            try:
                known.append(chosen_chain(chain_hash, urls))
            except CollectiveError as error:
                warn(one_line(error))
        found.append((job.label, said.knowing(known)))
    return found


def opening_words(lock: Lock) -> str:
    """When a lock opens, in words."""
    if lock.opens_unix_s is None:
        return "at a time unknown here"
    left_s = lock.opens_unix_s - SystemClock().now()
    return f"{f'opens in {shown_span(left_s)}, at' if left_s > 0 else 'open since'} {shown_moment(lock.opens_unix_s)}"


def inspection_fields(label: str, found: Inspection) -> dict[str, object]:
    """The JSON of `inspect`."""
    locks = [
        {
            "round": lock.round,
            "chain_hash": lock.chain_hash,
            "chain": lock.chain_name or None,
            "opens_unix_s": lock.opens_unix_s,
            "opens": None if lock.opens_unix_s is None else shown_moment(lock.opens_unix_s),
        }
        for lock in found.locks
    ]
    return {"file": label, "armored": found.armored, "locks": locks, "recipients": list(found.recipients)}


def status_fields(label: str, found: Inspection, left_s: float | None) -> dict[str, object]:
    """The JSON of `status`; `locked` is null where it cannot be known."""
    return {
        "file": label,
        "locked": None if left_s is None and found.locks else (left_s or 0) > 0,
        "opens_unix_s": found.opens_unix_s,
        "opens_in_s": None if left_s is None else max(0, math.ceil(left_s)),
    }
