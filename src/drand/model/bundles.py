"""The messages of a distributed key generation, and the hashes that their authors sign.

Source: kyber v1.2.0, share/dkg/structs.go; vectors dkg/*. All hashes are SHA-256 and cover the session id, never the
signature: two copies that differ only in their signature have one hash.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import TypeAlias

from drand.model.chain import Index
from drand.model.schemes import Scheme


def session_id(starting_unix_s: int) -> bytes:
    """The 32-byte session id (nonce): SHA-256(i64BE t), t = transition time of a resharing, else genesis time."""
    return hashlib.sha256(starting_unix_s.to_bytes(8, "big", signed=True)).digest()


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class Deal:
    """One holder's share of a dealer's polynomial, sealed to the holder (ECIES)."""

    share_index: Index
    encrypted_share: bytes


@dataclass(frozen=True, slots=True)
class DealBundle:
    """A dealer's commitments and its sealed shares for everybody else."""

    dealer_index: Index
    commits: tuple[bytes, ...]  # encoded points, constant term first
    deals: tuple[Deal, ...]
    session_id: bytes
    signature: bytes = b""  # Schnorr of `hash()` by the dealer's long-term key

    @property
    def author(self) -> Index:
        """Whose signature it carries: a place in the list of dealers."""
        return self.dealer_index

    def hash(self) -> bytes:
        """SHA-256(u32BE dealer || commits || (u32BE share index || sealed share) by share index || session id)."""
        return hashlib.sha256(_u32(self.dealer_index) + self._body() + self.session_id).digest()

    def _body(self) -> bytes:
        deals = sorted(self.deals, key=lambda deal: deal.share_index)
        return b"".join(self.commits) + b"".join(_u32(deal.share_index) + deal.encrypted_share for deal in deals)

    def as_signed(
        self, *, commits: int, commit_bytes: int, share_bytes: int, holders: frozenset[Index]
    ) -> "DealBundle | None":
        """What its author signed, read in the one way that depends on nothing else; None where it is no deal.

        Nothing in the hash says where a commitment or a share ends, or that this is a deal at all: the signature on
        a response holds for a deal without commitments. So whoever passes a bundle on can move a border, hide a deal
        in the one before it, or make a deal of another message, and the signature still holds. With all lengths known
        there is one way to read what was signed: `commits` commitments, then shares of `share_bytes`.

        A dealer can seal a share of another length to one holder, who will complain. Then the deals before and after
        it are read, and the odd one is what lies between them.
        """
        body, split = self._body(), commits * commit_bytes
        deals = _read_deals(body[split:], 4 + share_bytes, holders)
        if len(body) < split or deals is None:
            return None
        read = tuple(body[at : at + commit_bytes] for at in range(0, split, commit_bytes))
        return replace(self, commits=read, deals=deals)


def _read_deals(data: bytes, entry: int, holders: frozenset[Index]) -> tuple[Deal, ...] | None:
    """All of `entry` bytes and in order, whoever they are for; else with an odd one among them; None for no deals."""
    deals = tuple(_read_deal(data[at : at + entry]) for at in range(0, len(data), entry))
    indices = [deal.share_index for deal in deals]
    if len(data) % entry == 0 and indices == sorted(indices):
        return deals
    return _read_around_an_odd_one(data, entry, holders)


def _read_deal(data: bytes) -> Deal:
    return Deal(Index(int.from_bytes(data[:4], "big")), data[4:])


def _read_around_an_odd_one(data: bytes, entry: int, holders: frozenset[Index]) -> tuple[Deal, ...] | None:
    """Deals to holders, by rising index: from the front while one follows, then from the back; one is left between."""

    def index(at: int) -> int:
        return int.from_bytes(data[at : at + 4], "big") if at <= len(data) - 4 else -1

    if index(0) not in holders:
        return None
    before, odd = [], 0
    while index(odd + entry) in holders and index(odd + entry) > index(odd):
        before.append(odd)
        odd += entry
    after, end, above = list[int](), len(data), 2**32
    while end - entry >= odd + 4 and index(end - entry) in holders and index(odd) < index(end - entry) < above:
        end -= entry
        after.append(end)
        above = index(end)
    whole = [_read_deal(data[at : at + entry]) for at in (*before, *reversed(after))]
    return (*whole[: len(before)], _read_deal(data[odd:end]), *whole[len(before) :])


@dataclass(frozen=True, slots=True)
class Response:
    """A holder's verdict on one dealer: True when the share it got is right."""

    dealer_index: Index
    valid: bool


@dataclass(frozen=True, slots=True)
class ResponseBundle:
    """A holder's verdicts on all dealers."""

    share_index: Index
    responses: tuple[Response, ...]
    session_id: bytes
    signature: bytes = b""

    @property
    def author(self) -> Index:
        """Whose signature it carries: a place in the list of holders."""
        return self.share_index

    def hash(self) -> bytes:
        """SHA-256(u32BE holder || (u32BE dealer || 0x01 or 0x00) by dealer || session id)."""
        responses = sorted(self.responses, key=lambda response: response.dealer_index)
        body = b"".join(_u32(r.dealer_index) + (b"\x01" if r.valid else b"\x00") for r in responses)
        return hashlib.sha256(_u32(self.share_index) + body + self.session_id).digest()


@dataclass(frozen=True, slots=True)
class Justification:
    """A share shown to everybody, because its holder complained about it or was silent."""

    share_index: Index
    share: bytes  # 32 bytes, big-endian scalar


@dataclass(frozen=True, slots=True)
class JustificationBundle:
    """A dealer's answer to the complaints about it."""

    dealer_index: Index
    justifications: tuple[Justification, ...]
    session_id: bytes
    signature: bytes = b""

    @property
    def author(self) -> Index:
        """Whose signature it carries: a place in the list of dealers."""
        return self.dealer_index

    def hash(self) -> bytes:
        """SHA-256(u32BE dealer || (u32BE share index || 32-byte share) by share index || session id)."""
        shown = sorted(self.justifications, key=lambda item: item.share_index)
        body = b"".join(_u32(item.share_index) + item.share for item in shown)
        return hashlib.sha256(_u32(self.dealer_index) + body + self.session_id).digest()


Bundle: TypeAlias = DealBundle | ResponseBundle | JustificationBundle


@dataclass(frozen=True, slots=True)
class Participant:
    """A node's place in one of the two lists of a session: its index there and its long-term key."""

    index: Index
    key: bytes  # encoded point of the key group


@dataclass(frozen=True, slots=True, kw_only=True)
class OldSharing:
    """What a resharing starts from: the public side of the sharing that is handed on."""

    threshold: int
    commits: tuple[bytes, ...]  # the old public polynomial, encoded points
    epoch_id: bytes  # the vault's name for the old share (empty for a node that holds none)


@dataclass(frozen=True, slots=True, kw_only=True)
class DkgTerms:
    """What everybody in one session has agreed on before it starts.

    Fresh: dealers == holders == the group's nodes. Resharing: dealers are the old nodes under their old indices,
    holders the new nodes under their new ones.
    """

    session_id: bytes  # 32 bytes, see `session_id`
    scheme: Scheme
    threshold: int  # of the new sharing: polynomials have this many coefficients
    dealers: tuple[Participant, ...]  # by index
    holders: tuple[Participant, ...]  # by index
    old: OldSharing | None = None  # None in a fresh session

    def dealer(self, key: bytes) -> Participant | None:
        """The dealer with this long-term key."""
        return next((dealer for dealer in self.dealers if dealer.key == key), None)

    def holder(self, key: bytes) -> Participant | None:
        """The holder with this long-term key."""
        return next((holder for holder in self.holders if holder.key == key), None)
