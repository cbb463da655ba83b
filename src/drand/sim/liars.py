"""Liars: production machines inside, lies in what the vault signs, in what is sent, or in what is served.

A liar holds its long-term key and its share like everybody else, so that all it says carries good signatures where
the lie needs them. It never stops lying.
"""

import random
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from collective.sharing.threshold import PartialSignature
from collective.signatures import schnorr
from collective.sim.world import SeededEntropy
from drand.model.bundles import (
    Bundle,
    Deal,
    DealBundle,
    Justification,
    JustificationBundle,
    ResponseBundle,
    session_id,
)
from drand.model.chain import Beacon, Index, Round
from drand.model.packets import DkgPacket, Message, PartialPacket
from drand.model.vault_messages import (
    DealShares,
    DealsJudged,
    JudgeDeals,
    SharesDealt,
    SharesShown,
    VaultReply,
    VaultRequest,
)
from drand.sim.scenario import Lie
from drand.vault.keeper import KeyPair
from drand.vault.state import MemoryStateFile
from drand.vault.vault import Vault

if TYPE_CHECKING:
    from drand.sim.node import SimulatedNode

REMEMBERED: Final = 200  # messages that a replayer keeps


class Liar:
    """Honest in everything; each lie overrides what it needs."""

    def __init__(self, keys: KeyPair, entropy: SeededEntropy, chance: random.Random) -> None:
        self.keys = keys
        self.scheme = keys.identity.scheme
        self.entropy = entropy
        self.chance = chance

    def signed(self, request: VaultRequest, reply: VaultReply) -> VaultReply:
        """What the vault gives the machine, in place of `reply`."""
        return reply

    def said(self, message: Message, place: int, others: int) -> list[Message]:
        """What goes to the peer at `place` of `others`, in place of `message`."""
        return [message]

    def heard(self, message: Message) -> None:
        """A peer said `message`."""

    def served(self, beacons: tuple[Beacon, ...]) -> tuple[Beacon, ...]:
        """What goes to a peer that catches up from here, in place of the stored `beacons`."""
        return beacons

    def now_and_then(self, node: "SimulatedNode") -> list[Message]:
        """What it sends to everybody out of the blue; asked about once a second."""
        return []

    def resigned(self, bundle: Bundle) -> Bundle:
        """`bundle` with a good signature of ours over what it says now."""
        signature = schnorr.sign(self.scheme.key_group, self.keys.secret, bundle.hash(), self.entropy)
        return replace(bundle, signature=signature)

    def random_signature(self) -> bytes:
        """Well-formed, in the right group, and nobody's."""
        return self.scheme.bls.sign(self.keys.secret, self.chance.randbytes(16))


class BadShare(Liar):
    """Seals rubbish to one holder; what the others get is in order. Justified by the machine when complained about."""

    def signed(self, request: VaultRequest, reply: VaultReply) -> VaultReply:
        """As in Liar."""
        match reply:
            case SharesDealt(request_id, DealBundle() as bundle) if bundle.deals:
                victim = bundle.deals[bundle.dealer_index % len(bundle.deals)]
                sealed = bytes(len(victim.encrypted_share) - 1) + b"\x01"
                deals = tuple(Deal(d.share_index, sealed) if d == victim else d for d in bundle.deals)
                altered = self.resigned(replace(bundle, deals=deals, signature=b""))
                assert isinstance(altered, DealBundle)
                return SharesDealt(request_id, altered)
            case _:
                return reply


def _moved_borders(bundle: DealBundle) -> DealBundle:
    """The last commitment and all shares, read as one share: the same hash."""
    last, shares = bundle.commits[-1], b"".join(_u32(one.share_index) + one.encrypted_share for one in bundle.deals)
    deal = Deal(Index(int.from_bytes(last[:4], "big")), last[4:] + shares)
    return replace(bundle, commits=bundle.commits[:-1], deals=(deal,))


class MovedBorders(Liar):
    """Seals a share of odd length, which every node has to read in the same way, whatever borders it comes with."""

    def signed(self, request: VaultRequest, reply: VaultReply) -> VaultReply:
        """As in Liar."""
        match reply:
            case SharesDealt(request_id, DealBundle() as bundle) if bundle.deals:
                *others, last = bundle.deals
                deals = (*others, replace(last, encrypted_share=last.encrypted_share + b"!"))
                altered = self.resigned(replace(bundle, deals=deals, signature=b""))
                assert isinstance(altered, DealBundle)
                return SharesDealt(request_id, altered)
            case _:
                return reply

    def said(self, message: Message, place: int, others: int) -> list[Message]:
        """As in Liar."""
        match message:
            case DkgPacket(DealBundle() as bundle) if 2 * place < others:
                return [DkgPacket(_moved_borders(bundle))]
            case _:
                return [message]


def _as_deal(bundle: ResponseBundle | JustificationBundle) -> DealBundle:
    """A deal without commitments that has the hash of `bundle`."""
    if isinstance(bundle, ResponseBundle):
        body = b"".join(_u32(one.dealer_index) + bytes([one.valid]) for one in bundle.responses)
    else:
        body = b"".join(_u32(one.share_index) + one.share for one in bundle.justifications)
    deal = Deal(Index(int.from_bytes(body[:4], "big")), body[4:])
    return DealBundle(bundle.author, (), (deal,), bundle.session_id, bundle.signature)


class Relabeller(Liar):
    """Sends each answer first as a deal: whose author would have dealt twice, and be out."""

    def said(self, message: Message, place: int, others: int) -> list[Message]:
        """As in Liar."""
        match message:
            case DkgPacket(ResponseBundle() | JustificationBundle() as answer):
                return [DkgPacket(_as_deal(answer)), message]
            case _:
                return [message]


class BadShareUnjustified(BadShare):
    """The same, and it never answers the complaint."""

    def said(self, message: Message, place: int, others: int) -> list[Message]:
        """As in Liar."""
        silent = isinstance(message, DkgPacket) and isinstance(message.bundle, JustificationBundle)
        return [] if silent else [message]


def _false(bundle: JustificationBundle) -> JustificationBundle:
    """The same holders, with a share that is right for none of them."""
    shown = tuple(Justification(one.share_index, (1).to_bytes(32, "big")) for one in bundle.justifications)
    return replace(bundle, justifications=shown, signature=b"")


class FalseJustification(BadShare):
    """The same, and what it shows when it is asked to is wrong, too."""

    def signed(self, request: VaultRequest, reply: VaultReply) -> VaultReply:
        """As in Liar."""
        match reply:
            case SharesShown(request_id, JustificationBundle() as bundle):
                altered = self.resigned(_false(bundle))
                assert isinstance(altered, JustificationBundle)
                return SharesShown(request_id, altered)
            case _:
                return super().signed(request, reply)


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _complaints(bundle: ResponseBundle, *, spared: Index | None = None) -> ResponseBundle:
    """Complaints about all dealers but `spared`."""
    responses = tuple(replace(response, valid=response.dealer_index == spared) for response in bundle.responses)
    return replace(bundle, responses=responses, signature=b"")


class TwoFaced(Liar):
    """Signs two bundles of one type, and tells each half of the nodes another one. `_other` is the second."""

    def __init__(self, keys: KeyPair, entropy: SeededEntropy, chance: random.Random) -> None:
        super().__init__(keys, entropy, chance)
        self._other: Bundle | None = None

    def said(self, message: Message, place: int, others: int) -> list[Message]:
        """As in Liar."""
        other = self._other
        if isinstance(message, DkgPacket) and other is not None:
            bundle = message.bundle
            if type(bundle) is type(other) and bundle.author == other.author:
                return [DkgPacket(other) if 2 * place < others else message]
        return [message]


class TwoDeals(TwoFaced):
    """The equivocating dealer. Its second face comes from a second vault that knows nothing of the first."""

    def signed(self, request: VaultRequest, reply: VaultReply) -> VaultReply:
        """As in Liar."""
        if isinstance(request, DealShares) and self._other is None:
            second = Vault(self.keys, MemoryStateFile(), entropy=self.entropy, clock=_NoClock()).answer(request)
            assert isinstance(second, SharesDealt)
            self._other = second.bundle
        return reply


class TwoResponses(TwoFaced):
    """Two verdicts: all is well, and nothing is."""

    def signed(self, request: VaultRequest, reply: VaultReply) -> VaultReply:
        """As in Liar."""
        if isinstance(reply, DealsJudged) and reply.bundle is not None and self._other is None:
            self._other = self.resigned(_complaints(reply.bundle))
        return reply


class TwoVerdicts(TwoFaced):
    """The same, without a complaint about itself, for which it would be evicted as a dealer anyway."""

    def signed(self, request: VaultRequest, reply: VaultReply) -> VaultReply:
        """As in Liar."""
        if isinstance(reply, DealsJudged) and reply.bundle is not None and self._other is None:
            self._other = self.resigned(_complaints(reply.bundle, spared=reply.bundle.share_index))
        return reply


class TwoJustifications(TwoFaced, BadShare):
    """Complains about everybody else, so that all dealers justify and the phase can end; then it justifies twice."""

    def signed(self, request: VaultRequest, reply: VaultReply) -> VaultReply:
        """As in Liar."""
        match reply:
            case DealsJudged(request_id, ResponseBundle() as bundle):
                altered = self.resigned(_complaints(bundle, spared=bundle.share_index))
                assert isinstance(altered, ResponseBundle)
                return DealsJudged(request_id, altered)
            case SharesShown(_, JustificationBundle() as bundle):
                self._other = self.resigned(_false(bundle))
                return reply
            case _:
                return super().signed(request, reply)


class Complainer(Liar):
    """Complains about every dealer, whatever it got."""

    def signed(self, request: VaultRequest, reply: VaultReply) -> VaultReply:
        """As in Liar."""
        match request, reply:
            case JudgeDeals(), DealsJudged(request_id, ResponseBundle() as bundle):
                altered = self.resigned(_complaints(bundle))
                assert isinstance(altered, ResponseBundle)
                return DealsJudged(request_id, altered)
            case _:
                return reply


class SilentDealer(Liar):
    """Takes part in the setup, and then sends no bundle, not even an echo."""

    def said(self, message: Message, place: int, others: int) -> list[Message]:
        """As in Liar."""
        return [] if isinstance(message, DkgPacket) else [message]


class SilentSigner(Liar):
    """Follows the chain, and never sends a partial."""

    def said(self, message: Message, place: int, others: int) -> list[Message]:
        """As in Liar."""
        return [] if isinstance(message, PartialPacket) else [message]


class WrongPartials(Liar):
    """Signs something else in every round, for every peer another thing."""

    def said(self, message: Message, place: int, others: int) -> list[Message]:
        """As in Liar."""
        match message:
            case PartialPacket():
                index = PartialSignature.decode(message.partial, self.scheme.signature_bytes).index
                return [replace(message, partial=PartialSignature(index, self.random_signature()).encode())]
            case _:
                return [message]


class Replayer(Liar):
    """Sends again what it heard and said before, and bundles of a session that never was."""

    def __init__(self, keys: KeyPair, entropy: SeededEntropy, chance: random.Random) -> None:
        super().__init__(keys, entropy, chance)
        self._heard: deque[Message] = deque(maxlen=REMEMBERED)

    def heard(self, message: Message) -> None:
        """As in Liar."""
        if isinstance(message, DkgPacket | PartialPacket):
            self._heard.append(message)

    def said(self, message: Message, place: int, others: int) -> list[Message]:
        """As in Liar. A key generation may be over within a second: replays have to come in the middle of it."""
        self.heard(message)
        return [*self._of_no_session([message]), message]

    def now_and_then(self, node: "SimulatedNode") -> list[Message]:
        """As in Liar."""
        if not self._heard:
            return []
        again = [self.chance.choice(self._heard) for _ in range(3)]
        return again + self._of_no_session(again)[:1]

    def _of_no_session(self, messages: list[Message]) -> list[Message]:
        bundles = [message.bundle for message in messages if isinstance(message, DkgPacket)]
        return [DkgPacket(self.resigned(replace(bundle, session_id=session_id(1)))) for bundle in bundles]


class StrayPartials(Liar):
    """Partials that are out of place: too early, too late, under another's index, of the wrong length."""

    def now_and_then(self, node: "SimulatedNode") -> list[Message]:
        """As in Liar."""
        epoch, head = node.process.epoch, node.process.head
        if epoch is None or head is None:
            return []
        rounds = [Round(head.round + ahead) for ahead in (1, 2, 3, 50)] + [Round(max(1, head.round - 2)), Round(2**63)]
        strays: list[Message] = []
        for round_ in rounds:
            index = self.chance.choice((epoch.index, *(member.index for member in epoch.group.nodes), Index(60_000)))
            partial = PartialSignature(index, self.random_signature()).encode()
            strays.append(PartialPacket(round_, head.signature, partial))
        return [*strays, PartialPacket(Round(head.round + 1), head.signature, b"\x00\x01short")]


class LyingArchive(Liar):
    """Serves beacons in good shape that verify under no key, or leaves some out, or serves another history."""

    def served(self, beacons: tuple[Beacon, ...]) -> tuple[Beacon, ...]:
        """As in Liar."""
        how = self.chance.randrange(4)
        if how == 0:
            return beacons[1:]
        if how == 1:
            return tuple(replace(beacon, signature=self.random_signature()) for beacon in beacons)
        if how == 2:
            return (*beacons[:-1], replace(beacons[-1], signature=self.random_signature()))
        made: list[Beacon] = []
        for beacon in beacons:
            previous = made[-1].signature if made and self.scheme.chained else beacon.previous_signature
            made.append(Beacon(beacon.round, self.random_signature(), previous))
        return tuple(made)


class _NoClock:
    """For a vault that is only asked to deal."""

    def now(self) -> float:
        return 0.0


LIARS: Final[dict[Lie, type[Liar]]] = {
    Lie.TWO_DEALS: TwoDeals,
    Lie.BAD_SHARE: BadShare,
    Lie.BAD_SHARE_UNJUSTIFIED: BadShareUnjustified,
    Lie.FALSE_JUSTIFICATION: FalseJustification,
    Lie.TWO_RESPONSES: TwoResponses,
    Lie.COMPLAINER: Complainer,
    Lie.SILENT_DEALER: SilentDealer,
    Lie.WRONG_PARTIALS: WrongPartials,
    Lie.SILENT_SIGNER: SilentSigner,
    Lie.REPLAYER: Replayer,
    Lie.STRAY_PARTIALS: StrayPartials,
    Lie.LYING_ARCHIVE: LyingArchive,
    Lie.TWO_VERDICTS: TwoVerdicts,
    Lie.TWO_JUSTIFICATIONS: TwoJustifications,
    Lie.MOVED_BORDERS: MovedBorders,
    Lie.RELABELLER: Relabeller,
}
