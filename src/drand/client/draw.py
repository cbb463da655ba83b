"""Drawing winners from a list with a coming round, so that everybody can check it later. Bytes: docs/spec/sampling.md.

Pure: nothing here asks anybody or reads a clock.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from collective.errors import BadSetting, Malformed
from drand.client.errors import InvalidReceipt
from drand.client.sampling import Sampler
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.verification import ChainVerifier
from drand.wire.http_json import chain_info_v2_json, parse_beacon, parse_chain_info

FORMAT = "drand-draw-receipt/1"
ANNOUNCED = "drand-draw-announcement/1"
MAX_LIST_BYTES = 256 * 2**20
MAX_RECEIPT_BYTES = 2 * MAX_LIST_BYTES
MAX_ANNOUNCEMENT_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Commitment:
    """What is fixed before the round is known."""

    list_sha256: bytes
    winners_wanted: int

    @property
    def purpose(self) -> str:
        """The sampling purpose: another list or another number of winners draws something else."""
        return f"drand-draw-v1/{self.list_sha256.hex()}/{self.winners_wanted}"

    def positions(self, entries: int, randomness: bytes) -> list[int]:
        """The 0-based places of the winners among `entries`, in the order drawn."""
        return Sampler(randomness, self.purpose).sample_positions(entries, self.winners_wanted)


def parse_entries(data: bytes) -> list[str]:
    """The entries of a list file: its lines in UTF-8, but for empty ones.

    raises  Malformed for other bytes; BadSetting when an entry occurs twice, or there is none
    """
    try:
        lines = [line.removesuffix("\r") for line in data.decode("utf-8").split("\n")]
    except UnicodeDecodeError as error:
        raise Malformed(f"the list is not UTF-8: {error}") from error
    entries = [line for line in lines if line]
    return checked_entries(entries)


def checked_entries(entries: Sequence[str]) -> list[str]:
    """`entries`; raises BadSetting unless there is one, each is one line, and no two are the same."""
    if not entries:
        raise BadSetting("the list has no entry", hint="one entry a line")
    if any(not entry or "\n" in entry for entry in entries):
        raise BadSetting("an entry is empty, or has several lines")
    seen: set[str] = set()
    for entry in entries:
        if entry in seen:
            raise BadSetting(f"the entry {entry[:80]!r} occurs twice", hint="number the tickets of one who has several")
        seen.add(entry)
    return list(entries)


def commit(entries: Sequence[str], winners_wanted: int) -> Commitment:
    """The commitment to a list and a number of winners; raises BadSetting when there are not that many entries."""
    if not 1 <= winners_wanted <= len(entries):
        raise BadSetting(f"cannot draw {winners_wanted} winners from {len(entries)} entries")
    digest = sha256()
    for entry in checked_entries(entries):
        digest.update(entry.encode() + b"\n")
    return Commitment(digest.digest(), winners_wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A draw that was announced and is still to be made."""

    chain: ChainInfo
    commitment: Commitment
    round: Round
    committed_unix_s: int  # by the clock of who announced it


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A draw, with all that is needed to check it offline."""

    chain: ChainInfo
    commitment: Commitment
    committed_unix_s: int  # by the clock of who drew
    beacon: Beacon
    positions: tuple[int, ...]
    entries: tuple[str, ...] | None  # None: kept private, and given again to be checked

    @property
    def winners(self) -> list[str]:
        """The winners in the order drawn; raises BadSetting where the entries were left out."""
        if self.entries is None:
            raise BadSetting("the receipt does not hold the list", hint="give the list again")
        return [self.entries[place] for place in self.positions]

    @property
    def due_unix_s(self) -> int:
        """When the round was due."""
        return self.chain.schedule.due_unix_s(self.beacon.round)


def draw(announced: Announcement, entries: Sequence[str], beacon: Beacon) -> Receipt:
    """The receipt of a draw with the verified beacon of the announced round.

    raises  BadSetting when the list or the round is not the announced one
    """
    if commit(entries, announced.commitment.winners_wanted) != announced.commitment:
        raise BadSetting("the list is not the one that was announced: its hash differs")
    if beacon.round != announced.round:
        raise BadSetting(f"round {announced.round} was announced, this is round {beacon.round}")
    return Receipt(
        chain=announced.chain,
        commitment=announced.commitment,
        committed_unix_s=announced.committed_unix_s,
        beacon=beacon,
        positions=tuple(announced.commitment.positions(len(entries), beacon.randomness)),
        entries=tuple(entries),
    )


def check(receipt: Receipt, entries: Sequence[str] | None = None) -> Receipt:
    """The receipt with its entries, once everything in it was recomputed.

    entries  the list, needed where the receipt leaves it out
    raises   InvalidReceipt saying what does not follow; InvalidBeacon
    The chain is the receipt's own: whoever checks compares its hash with one that he trusts.
    """
    listed = receipt.entries if entries is None else tuple(entries)
    if listed is None:
        raise BadSetting("the receipt does not hold the list", hint="give the list with --from")
    try:
        commitment = commit(listed, receipt.commitment.winners_wanted)
    except BadSetting as error:
        raise InvalidReceipt(f"the list is none to draw from: {error}") from error
    if commitment != receipt.commitment:
        raise InvalidReceipt("the list is not the one that was committed to: its hash differs")
    if receipt.committed_unix_s >= receipt.due_unix_s:
        raise InvalidReceipt("the list was committed to after the round was known")
    ChainVerifier(receipt.chain.scheme, receipt.chain.public_key).check(receipt.beacon)
    if list(receipt.positions) != commitment.positions(len(listed), receipt.beacon.randomness):
        raise InvalidReceipt("the winners are not those that the round draws from the list")
    return Receipt(
        chain=receipt.chain,
        commitment=commitment,
        committed_unix_s=receipt.committed_unix_s,
        beacon=receipt.beacon,
        positions=receipt.positions,
        entries=listed,
    )


# ---------------------------------------------------------------- as JSON


def receipt_fields(receipt: Receipt, *, with_entries: bool = True) -> dict[str, Any]:
    """The fields of the JSON object, in the order of the specification."""
    beacon = {"round": receipt.beacon.round, "signature": receipt.beacon.signature.hex()}
    if receipt.beacon.previous_signature:
        beacon["previous_signature"] = receipt.beacon.previous_signature.hex()
    fields: dict[str, Any] = {
        "format": FORMAT,
        "chain": json.loads(chain_info_v2_json(receipt.chain)),
        "list_sha256": receipt.commitment.list_sha256.hex(),
        "winners_wanted": receipt.commitment.winners_wanted,
        "committed_unix_s": receipt.committed_unix_s,
        "round_due_unix_s": receipt.due_unix_s,
        "beacon": beacon,
        "positions": list(receipt.positions),
    }
    if with_entries and receipt.entries is not None:
        fields |= {"winners": receipt.winners, "entries": list(receipt.entries)}
    return fields


def encode_receipt(receipt: Receipt, *, with_entries: bool = True) -> bytes:
    """The receipt as indented JSON."""
    fields = receipt_fields(receipt, with_entries=with_entries)
    return json.dumps(fields, indent=2, ensure_ascii=False).encode() + b"\n"


def parse_receipt(data: bytes) -> Receipt:
    """A receipt, not checked. Raises Malformed, InvalidChainInfo, and InvalidReceipt for fields that contradict."""
    fields = _fields(data, FORMAT, MAX_RECEIPT_BYTES)
    try:
        entries = fields.get("entries")
        receipt = Receipt(
            chain=_chain(fields),
            commitment=_commitment(fields),
            committed_unix_s=_integer(fields["committed_unix_s"], "committed_unix_s"),
            beacon=parse_beacon(json.dumps(fields["beacon"]).encode()),
            positions=tuple(_integer(place, "a position") for place in _array(fields["positions"])),
            entries=None if entries is None else tuple(_text(entry) for entry in _array(entries)),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed(f"this is no draw receipt: {error!r}"[:300]) from error
    _require_told(receipt, fields)
    return receipt


def encode_announcement(announced: Announcement) -> bytes:
    """The announcement as indented JSON: to be published, and to go on with after an interruption."""
    fields = {
        "format": ANNOUNCED,
        "chain": json.loads(chain_info_v2_json(announced.chain)),
        "list_sha256": announced.commitment.list_sha256.hex(),
        "winners_wanted": announced.commitment.winners_wanted,
        "committed_unix_s": announced.committed_unix_s,
        "round": announced.round,
        "round_due_unix_s": announced.chain.schedule.due_unix_s(announced.round),
    }
    return json.dumps(fields, indent=2).encode() + b"\n"


def parse_announcement(data: bytes) -> Announcement:
    """An announcement; raises Malformed, InvalidChainInfo."""
    fields = _fields(data, ANNOUNCED, MAX_ANNOUNCEMENT_BYTES)
    try:
        return Announcement(
            chain=_chain(fields),
            commitment=_commitment(fields),
            committed_unix_s=_whole(fields["committed_unix_s"], "committed_unix_s"),
            round=Round(_whole(fields["round"], "round")),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed(f"this is no draw announcement: {error!r}"[:300]) from error


def _fields(data: bytes, wanted: str, most_bytes: int) -> dict[str, Any]:
    if len(data) > most_bytes:
        raise Malformed(f"{len(data)} bytes, at most {most_bytes} expected")
    try:
        fields = json.loads(data, object_pairs_hook=_said_once)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"this is no JSON: {error}"[:300]) from error
    if not isinstance(fields, dict) or fields.get("format") != wanted:
        raise Malformed(f"this is no draw receipt or announcement: its format is not {wanted!r}")
    return fields


def _chain(fields: Mapping[str, Any]) -> ChainInfo:
    return parse_chain_info(json.dumps(fields["chain"]).encode())


def _commitment(fields: Mapping[str, Any]) -> Commitment:
    return Commitment(bytes.fromhex(fields["list_sha256"]), _integer(fields["winners_wanted"], "winners_wanted"))


def _require_told(receipt: Receipt, fields: Mapping[str, Any]) -> None:
    """What the receipt says twice, it says the same: people read `winners`, the check reads `positions`."""
    if receipt.committed_unix_s < 0:
        raise InvalidReceipt(f"the list was committed to at unix time {receipt.committed_unix_s}, which is below 0")
    if any(place < 0 for place in receipt.positions):
        raise InvalidReceipt(f"a winner's position is {min(receipt.positions)}, and the list begins at 0")
    size = None if receipt.entries is None else len(receipt.entries)
    if size is not None and not all(place < size for place in receipt.positions):
        raise InvalidReceipt("a winner's position is beyond the list")
    if "winners" in fields and (receipt.entries is None or fields["winners"] != receipt.winners):
        raise InvalidReceipt("the winners named are not the entries at their positions")
    if fields.get("round_due_unix_s") != receipt.due_unix_s:
        raise InvalidReceipt("the round was due at another time than the receipt says")


def _said_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a field that it has twice would be read in one way by people and in another by programs."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is given twice")
    return fields


def _array(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise Malformed(f"{value!r} is no array"[:200])
    return value


def _integer(value: object, what: str) -> int:
    """A number that may prove false; one below 0 does, where a receipt is checked."""
    if not isinstance(value, int) or isinstance(value, bool) or not abs(value) < 2**64:
        raise Malformed(f"{what}: {value!r} is no whole number of 64 bits"[:200])
    return value


def _whole(value: object, what: str) -> int:
    number = _integer(value, what)
    if number < 0:
        raise Malformed(f"{what}: {number} is below 0")
    return number


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Malformed(f"the entry {value!r} is no text"[:200])
    value.encode()  # half of a surrogate pair is no text either, and raises a ValueError
    return value
