"""`drand draw`: winners from a list, by a round that nobody knows yet; and checking such a draw."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collective.clock import SystemClock
from collective.errors import BadSetting
from collective.files import create_file, replace_file
from drand.cli.countdown import Countdown
from drand.cli.moments import moment_written, shown_moment
from drand.cli.options import EXISTING_FILE, FILE, JSON, Whole
from drand.cli.output import PUBLIC_MODE, print_json, warn
from drand.cli.root import one_line
from drand.cli.timelock_chains import chosen_chain
from drand.client.chains import PUBLIC_CHAINS, public_chain
from drand.client.draw import (
    MAX_ANNOUNCEMENT_BYTES,
    MAX_LIST_BYTES,
    MAX_RECEIPT_BYTES,
    Announcement,
    Receipt,
    check,
    commit,
    draw,
    encode_announcement,
    encode_receipt,
    parse_announcement,
    parse_entries,
    parse_receipt,
    receipt_fields,
)
from drand.client.errors import ClientError
from drand.errors import InvalidChainInfo
from drand.model.chain import MAX_ROUND, ChainInfo, Round

if TYPE_CHECKING:
    from drand.client.beacon import VerifiedBeacon

PATIENCE_S = 60.0  # how long after its time the round may take to reach the servers
ASK_AGAIN_S = 1.0
DEFAULT_CHAIN = "quicknet"
ANOTHER_LIST = "give the list as it was then, byte for byte; a changed one needs a draw of its own"
_HIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")  # moves the cursor, turns text around


@click.command("draw")
@click.option("--from", "list_file", type=EXISTING_FILE, metavar="FILE", help="The list: one entry a line, in UTF-8.")
@click.option("--winners", type=Whole(min=1), metavar="N", help="How many to draw.")
@click.option("--round", "round_", type=Whole(1, MAX_ROUND), metavar="R", help="The round that decides.")
@click.option("--at", metavar="TIME", help='Or the first round due at this time: "2026-12-31T23:00:00Z".')
@click.option(
    "--chain", metavar="NAME|HASH|FILE", help=f"Which chain: {', '.join(PUBLIC_CHAINS)}, a hash, or a chain info file."
)
@click.option("--url", "urls", multiple=True, metavar="URL", help="A server of the chain; repeat it for more.")
@click.option("--out", type=FILE, metavar="FILE", help="Write the receipt here (default: draw-ROUND.json).")
@click.option("--private", is_flag=True, help="Leave the entries out of the receipt; checking needs the list again.")
@click.option(
    "--resume", "announced_file", type=EXISTING_FILE, metavar="FILE", help="Go on with a draw that was interrupted."
)
@click.option("--check", "receipt_file", type=EXISTING_FILE, metavar="RECEIPT", help="Check a receipt, offline.")
@JSON
def draw_command(
    list_file: Path | None,
    winners: int | None,
    round_: int | None,
    at: str | None,
    chain: str | None,
    urls: tuple[str, ...],
    out: Path | None,
    private: bool,
    announced_file: Path | None,
    receipt_file: Path | None,
    as_json: bool,
) -> None:
    """Draw winners from a list by a coming round, or check such a draw.

    The announcement (the list's hash, the number of winners, the round) is printed and written first: publish it.
    When the round is there, the winners follow from it, and a receipt is written that anybody can check with --check.
    """
    if receipt_file is not None:
        if winners or round_ or at or out or private or urls or announced_file:
            raise click.UsageError("--check goes with --from, --chain and --json only")
        show(checked_file(receipt_file, list_file, chain), as_json, checked=True)
        return
    if announced_file is not None:
        if winners or round_ or at or chain or list_file is None:
            raise click.UsageError("--resume needs --from, and goes with --url, --out, --private and --json")
        entries = parse_entries(read(list_file, MAX_LIST_BYTES))
        announced = parse_announcement(read(announced_file, MAX_ANNOUNCEMENT_BYTES))
        require_list(announced, entries)
    elif list_file is None or winners is None or (round_ is None) == (at is None):
        raise click.UsageError("a draw needs --from, --winners, and either --round or --at")
    else:
        entries = parse_entries(read(list_file, MAX_LIST_BYTES))
        announced = new_announcement(entries, winners, chosen_chain(chain or DEFAULT_CHAIN, urls), round_, at)
    target = out or Path(f"draw-{announced.round}.json")
    require_free(target)
    announce(announced, len(entries))
    if announced_file is None:
        beside = target.with_name(target.name + ".announced")
        replace_file(beside, encode_announcement(announced), PUBLIC_MODE)
        click.echo(f"kept in: {beside} (to go on after an interruption: --resume)", err=True)
    receipt = draw(announced, entries, awaited(announced.chain, announced.round, urls).plain)
    keep(target, encode_receipt(receipt, with_entries=not private))
    click.echo(f"receipt: {target}", err=True)
    show(receipt, as_json, checked=False)


def new_announcement(
    entries: Sequence[str], winners: int, info: ChainInfo, round_: int | None, at: str | None
) -> Announcement:
    """The commitment of now to a coming round; raises BadSetting."""
    now = SystemClock().now()  # read once: a second that begins between two looks would make the draw come too late
    deciding = chosen_round(info, round_, at, now)
    return Announcement(chain=info, commitment=commit(entries, winners), round=deciding, committed_unix_s=int(now))


def require_list(announced: Announcement, entries: Sequence[str]) -> None:
    """Raise BadSetting, before any waiting, unless the list is the announced one."""
    if commit(entries, announced.commitment.winners_wanted) != announced.commitment:
        raise BadSetting("the list is not the one that was announced: its hash differs", hint=ANOTHER_LIST)


def read(path: Path, most_bytes: int) -> bytes:
    """The file, bounded; raises BadSetting."""
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise BadSetting(f"cannot read {path}: {error.strerror}", hint="check the name and who may read it") from error
    if len(data) > most_bytes:
        raise BadSetting(f"{path} has more than {most_bytes} bytes")
    return data


def chosen_round(info: ChainInfo, round_: int | None, at: str | None, now: float) -> Round:
    """The round that decides; raises BadSetting for one that is known already, which would be no draw."""
    if round_ is None:
        assert at is not None
        moment = moment_written(at)
        before = info.schedule.current_round(moment)
        round_ = before if info.schedule.due_unix_s(before) >= moment else before + 1
    due = info.schedule.due_unix_s(round_)
    if due <= now:
        coming, _ = info.schedule.next_round(now)
        raise BadSetting(
            f"round {round_} was due {now - due:.0f} s ago: whoever knows it could choose the list to fit",
            hint=f"the next round is {coming}; leave time to publish the commitment",
        )
    return Round(round_)


def require_free(target: Path) -> None:
    """Raise BadSetting when the receipt would replace a file: the receipt of a draw is never overwritten."""
    if target.exists():
        raise BadSetting(f"{target} exists already", hint="name another file with --out")
    if not target.absolute().parent.is_dir():
        raise BadSetting(f"the folder of {target} does not exist", hint="make it first, or give another --out")


def keep(target: Path, data: bytes) -> None:
    """Write the receipt where nothing is yet; beside it, when something has come there meanwhile."""
    try:
        create_file(target, data, PUBLIC_MODE)
    except FileExistsError:
        beside = target.with_name(f"{target.name}.{int(SystemClock().now())}")
        warn(f"{target} has come into being meanwhile; the receipt is {beside}")
        replace_file(beside, data, PUBLIC_MODE)


def announce(announced: Announcement, entries: int) -> None:
    """The announcement, on stderr: publish it before the round is due."""
    info = announced.chain
    lines = {
        "list": f"{entries} entries, SHA-256 {announced.commitment.list_sha256.hex()}",
        "winners": str(announced.commitment.winners_wanted),
        "chain": f"{one_line(info.beacon_id)} {info.hash().hex()}",
        "round": f"{announced.round}, due {shown_moment(info.schedule.due_unix_s(announced.round))}",
    }
    for name, text in lines.items():
        click.echo(f"{name + ':':<9}{text}", err=True)


def awaited(info: ChainInfo, round_: Round, urls: tuple[str, ...]) -> "VerifiedBeacon":
    """The round, waited for and verified."""
    from drand.client import Client

    countdown = Countdown()
    with Client(info, urls) as client:
        due = info.schedule.due_unix_s(round_)
        countdown.until(due)
        while True:
            try:
                return client.get(round_)
            except ClientError as error:
                if SystemClock().now() > due + PATIENCE_S:
                    raise
                warn(f"{error}; trying again")
                countdown.until(SystemClock().now() + ASK_AGAIN_S)


def checked_file(receipt_file: Path, list_file: Path | None, chain: str | None) -> Receipt:
    """The receipt in a file, checked. Raises InvalidReceipt, InvalidBeacon, InvalidChainInfo, Malformed."""
    receipt = parse_receipt(read(receipt_file, MAX_RECEIPT_BYTES))
    chain_hash = receipt.chain.hash()
    if chain is not None and (wanted := wanted_hash(chain)) != chain_hash:
        raise InvalidChainInfo(f"the draw was made with chain {chain_hash.hex()}, not {wanted.hex()}", hint="")
    known = public_chain(chain_hash.hex())
    if known is not None and known != receipt.chain:
        raise InvalidChainInfo("the receipt gives a well-known chain another scheme", hint="")
    if known is None and chain is None:
        warn(f"chain {chain_hash.hex()} is not built in: compare its hash with one you trust, or give --chain")
    entries = None if list_file is None else parse_entries(read(list_file, MAX_LIST_BYTES))
    return check(receipt, entries)


def wanted_hash(text: str) -> bytes:
    """The hash that --chain names; a hash is taken as it is."""
    try:
        given = bytes.fromhex(text)
    except ValueError:
        given = b""
    return given if len(given) == 32 else chosen_chain(text, ()).hash()


def shown_entry(entry: str) -> str:
    """An entry as it may go to a terminal: somebody else's receipt must not paint one name over another."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), entry)


def show(receipt: Receipt, as_json: bool, *, checked: bool) -> None:
    """The winners, one a line; the receipt with --json."""
    if as_json:
        print_json(receipt_fields(receipt))
        return
    for winner in receipt.winners:
        click.echo(shown_entry(winner))
    if checked:
        click.echo(
            f"valid: {len(receipt.positions)} of {len(receipt.entries or ())} entries, round {receipt.beacon.round} of "
            f"chain {receipt.chain.hash().hex()[:16]}..., due {shown_moment(receipt.due_unix_s)}",
            err=True,
        )
