"""Aggregation: partial signatures of the next rounds come in, and at the threshold a beacon comes out.

Partials are optimistic: they are decoded on arrival but not verified one by one. At the threshold the signature is
recovered and verified once; only when that fails is every partial verified, the bad ones dropped, and their signers
lose the privilege: what comes under their index later is verified before it is kept.

A partial is not signed by who sends it, so anybody can send rubbish under any index. One place is kept for each round
and index; the first to come has it, and a different second one is verified before it may take the place. Hence rubbish
costs time, of which drand.protocol.forgeries grants a share, never a round, and the memory is bounded by WINDOW_ROUNDS
times the size of the group (v1.5.11 keeps up to 100 entries for each signer).
"""

from dataclasses import dataclass
from typing import Final

from collective.errors import InvalidSignature, Malformed, MalformedPoint, OutOfTurn
from collective.groups.group import Point
from collective.sharing.commitment import PublicPolynomial
from collective.sharing.threshold import PartialSignature, recover
from drand.model.chain import Beacon, Round
from drand.model.packets import Origin, PartialPacket
from drand.model.records import Epoch
from drand.protocol.forgeries import ForgeryBudget

WINDOW_ROUNDS: Final = 4  # kept: last < round <= last + 4 (v1.5.11, partialCacheStoreLimit)
AHEAD_ROUNDS: Final = 1  # of the current round: what clocks may differ (v1.5.11, ProcessPartialBeacon)
SEED_BYTES: Final = 32  # what round 1 has as its previous signature
MAX_HASHED: Final = 4 * WINDOW_ROUNDS  # messages kept as points


class RoundTooEarly(OutOfTurn):
    """A partial for a round that is not due yet."""

    hint = "compare the clocks of the two nodes"


class UnknownSigner(Malformed):
    """A partial under an index that nobody in the group has."""

    hint = "the sender may have another group file: compare `drand show group --hash`"


class OwnIndex(OutOfTurn):
    """A peer sent a partial under our own index."""


class OtherHistory(OutOfTurn):
    """A partial that builds on another beacon than the one we have for the round before."""

    hint = "the sender may belong to another chain: compare `drand show chain-info --hash`"


class InvalidPartial(InvalidSignature):
    """A partial signature that does not verify under its signer's public share. Its sender is only suspected."""


@dataclass(slots=True)
class _Held:
    """A partial in its place."""

    packet: PartialPacket
    point: Point
    verified: bool
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class Combined:
    """What the partials of the next round gave: its verified beacon, or None; and who was found to be bad."""

    beacon: Beacon | None
    culprits: tuple[int, ...] = ()
    signers: tuple[int, ...] = ()  # whose partials the beacon was recovered from, ascending


class Aggregation:
    """The partials of the rounds after the head, for one epoch."""

    def __init__(self, epoch: Epoch) -> None:
        """Decodes the public polynomial once; raises MalformedPoint when the group's key does not decode."""
        group = epoch.group
        self._scheme = group.scheme
        self._bls = group.scheme.bls
        self._polynomial = PublicPolynomial.decode(group.scheme.key_group, group.public_key)
        self._threshold = group.threshold
        self._members = frozenset(node.index for node in group.nodes)
        self._own = epoch.index
        self._held: dict[Round, dict[int, _Held]] = {}
        self._hashed: dict[tuple[Round, bytes], Point] = {}
        self._distrusted: set[int] = set()
        self._forgeries = ForgeryBudget.of_partials(group.scheme)

    @property
    def distrusted(self) -> frozenset[int]:
        """The indices whose partials are verified one by one."""
        return frozenset(self._distrusted)

    def count(self, round_: Round) -> int:
        """How many partials of `round_` are held."""
        return len(self._held.get(round_, {}))

    def add(
        self, packet: PartialPacket, head: Beacon, current: Round, *, origin: Origin | None = None, now: float = 0.0
    ) -> bool:
        """Take a peer's partial; True when it was kept, False when it is late, known, or beyond the window.

        origin, now   what the cost of a bad one is counted by; None: it is not counted

        raises  in the order of v1.5.11's checks: RoundTooEarly, Malformed (length), UnknownSigner, OwnIndex;
                OtherHistory; TooManyForgeries; MalformedPoint; InvalidPartial when it had to be verified and is bad
        Source: v1.5.11, chain/beacon/node.go, ProcessPartialBeacon, and cache.go.
        """
        if packet.round > current + AHEAD_ROUNDS:
            raise RoundTooEarly(f"invalid round: {packet.round} instead of {current}")
        if packet.round <= head.round:
            return False
        partial = PartialSignature.decode(packet.partial, self._scheme.signature_bytes)
        if len(packet.previous_signature) > max(self._scheme.signature_bytes, SEED_BYTES):
            raise Malformed(f"node {partial.index}: a previous signature of {len(packet.previous_signature)} bytes")
        if partial.index not in self._members:
            raise UnknownSigner(
                f"attempted to process beacon from node of index {partial.index}, but it was not in the group file"
            )
        if partial.index == self._own:
            raise OwnIndex(f"invalid self index {partial.index} in partial of round {packet.round}")
        return self._take(packet, partial, head, origin, now)

    def add_own(self, packet: PartialPacket, head: Beacon) -> bool:
        """Take the partial that our vault made; raises Malformed when it carries another index than ours."""
        partial = PartialSignature.decode(packet.partial, self._scheme.signature_bytes)
        if partial.index != self._own:
            raise UnknownSigner(
                f"the vault signed as node {partial.index}, we are node {self._own}",
                hint="the vault holds the share of another node or of another group",
            )
        return packet.round > head.round and self._take(packet, partial, head)

    def _take(
        self,
        packet: PartialPacket,
        partial: PartialSignature,
        head: Beacon,
        origin: Origin | None = None,
        now: float = 0.0,
    ) -> bool:
        if packet.round > head.round + WINDOW_ROUNDS:
            return False
        held = self._held.get(packet.round, {}).get(partial.index)
        if held is not None and self._same(held.packet, packet):
            return False
        if self._scheme.chained and packet.round == head.round + 1 and packet.previous_signature != head.signature:
            raise OtherHistory(f"node {partial.index}: the partial of round {packet.round} builds on another chain")
        verified = held is not None or partial.index in self._distrusted
        if verified:
            point = self._verified_arrival(packet, partial, origin, now)
        else:
            point = self._scheme.signature_group.decode(partial.signature)
        if held is not None:
            if held.verified:  # two good ones, for two histories: the signer can only spoil its own part
                return False
            self._distrusted.add(partial.index)
        self._held.setdefault(packet.round, {})[partial.index] = _Held(packet, point, verified, origin)
        if packet.round == head.round + 1:
            self._message(packet.round, head.signature)  # hashed now, so that the last partial need not wait for it
        return True

    def _verified_arrival(
        self, packet: PartialPacket, partial: PartialSignature, origin: Origin | None, now: float
    ) -> Point:
        """The point of a partial that is not taken on trust; a bad one is paid for by where it came from."""
        self._forgeries.check(origin, now)
        try:
            point = self._scheme.signature_group.decode(partial.signature)
            self._verify(packet, partial.index, point)
        except (MalformedPoint, InvalidPartial):
            self._forgeries.failed(origin, now)
            raise
        self._forgeries.proved(origin)
        return point

    def _same(self, one: PartialPacket, other: PartialPacket) -> bool:
        """One and the same statement; in an unchained scheme the previous signature says nothing."""
        if one.partial != other.partial:
            return False
        return not self._scheme.chained or one.previous_signature == other.previous_signature

    def _verify(self, packet: PartialPacket, index: int, point: Point) -> None:
        hashed = self._message(packet.round, packet.previous_signature)
        if not self._bls.holds(hashed, self._polynomial.evaluate(index), point):
            raise InvalidPartial(f"node {index}: the partial signature of round {packet.round} does not verify")

    def _message(self, round_: Round, previous_signature: bytes) -> Point:
        """What the group signs for a round, as a point; the latest few are remembered."""
        key = (round_, previous_signature if self._scheme.chained else b"")
        point = self._hashed.get(key)
        if point is None:
            point = self._bls.hash_to_point(self._scheme.digest(round_, previous_signature))
            if len(self._hashed) >= MAX_HASHED:
                del self._hashed[next(iter(self._hashed))]
            self._hashed[key] = point
        return point

    def combine(self, head: Beacon) -> Combined:
        """Recover and verify the beacon after `head`, once enough partials of it are held.

        In an unchained scheme all partials of the round count, whatever previous signature came with them.
        """
        round_ = Round(head.round + 1)
        usable = self._usable(round_, head)
        if len(usable) < self._threshold:
            return Combined(None)
        signature = self._recover(usable)
        hashed = self._message(round_, head.signature)
        if self._bls.holds(hashed, self._polynomial.constant, signature):
            return self._made(head, signature, usable)
        culprits = self._single_out(round_, usable)
        usable = self._usable(round_, head)
        if len(usable) < self._threshold:
            return Combined(None, culprits)
        signature = self._recover(usable)
        self._bls.verify_point(self._polynomial.constant, hashed, signature)
        return self._made(head, signature, usable, culprits)

    def _made(
        self, head: Beacon, signature: Point, usable: dict[int, _Held], culprits: tuple[int, ...] = ()
    ) -> Combined:
        """The partials that made it are good, so that where they came from is known."""
        chosen = self._chosen(usable)
        for index in chosen:
            self._forgeries.proved(usable[index].origin)
        return Combined(self._beacon(head, signature), culprits, chosen)

    def _usable(self, round_: Round, head: Beacon) -> dict[int, _Held]:
        return {
            index: held
            for index, held in self._held.get(round_, {}).items()
            if not self._scheme.chained or held.packet.previous_signature == head.signature
        }

    def _chosen(self, usable: dict[int, _Held]) -> tuple[int, ...]:
        """The threshold's worth of lowest index, verified ones first; ascending."""
        ranked = sorted(usable, key=lambda index: (not usable[index].verified, index))
        return tuple(sorted(ranked[: self._threshold]))

    def _recover(self, usable: dict[int, _Held]) -> Point:
        chosen = {index: usable[index].point for index in self._chosen(usable)}
        return recover(self._scheme.signature_group, chosen, self._threshold)

    def _single_out(self, round_: Round, usable: dict[int, _Held]) -> tuple[int, ...]:
        """Verify every partial that was taken on trust; drop the bad ones, whose signers are trusted no more."""
        culprits = []
        for index, held in sorted(usable.items()):
            if held.verified:
                continue
            try:
                self._verify(held.packet, index, held.point)
            except InvalidPartial:
                culprits.append(index)
                del self._held[round_][index]
            else:
                held.verified = True
        self._distrusted.update(culprits)
        return tuple(culprits)

    def _beacon(self, head: Beacon, signature: Point) -> Beacon:
        previous = head.signature if self._scheme.chained else b""
        return Beacon(Round(head.round + 1), self._scheme.signature_group.encode(signature), previous)

    def forget(self, head: Beacon) -> None:
        """The chain has come to `head`: drop partials up to it, and those of the next round that build on another."""
        for round_ in [held for held in self._held if held <= head.round]:
            del self._held[round_]
        for key in [key for key in self._hashed if key[0] <= head.round]:
            del self._hashed[key]
        following = Round(head.round + 1)
        if following in self._held:
            self._held[following] = self._usable(following, head)
