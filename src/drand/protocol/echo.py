"""Echo broadcast: every node passes on every new bundle once, so that what one honest node has, all of them get.

A bundle is known by its hash, which leaves out the signature. It is checked before anything else happens, kept on
disk, and only then passed on, to all other nodes, the one it came from too: a node that echoes and then forgets would
complain about a dealer whom all others accept.

A deal of which every other node has sent us its copy is one that every other node has: until then, somebody may still
hold another deal of the same dealer (`deals_echoed`). It is the same with responses and justifications.

Only a dealer's first deal is not sent back to it, which v1.5.11 does: it knows what it signed, and who has it, once it
has been answered. A second one is: whose key is used by somebody else should hear of it. Answers do go back: whoever
waits for its own leaves no sooner than the others have all there is.

Of each author and type at most two different bundles are kept and passed on: the second proves equivocation, which
everybody should see, and a third would prove nothing new. So memory and traffic are bounded whatever is signed.
Anybody may send a bundle in another's name: what it costs to find that out is bounded by drand.protocol.forgeries.
Source: drand v1.5.11, core/broadcast.go (echoBroadcast) and kyber v1.2.0, share/dkg/protocol.go (set), which keep
everything that is signed.
"""

from collections.abc import Mapping
from typing import Generic, TypeVar

from collective.errors import InvalidSignature, Malformed, MalformedScalar
from collective.machine import Persist
from collective.sealing import ecies
from collective.secret import SCALAR_BYTES
from collective.sharing.commitment import PublicPolynomial
from collective.signatures import schnorr
from drand.model.bundles import Bundle, DealBundle, DkgTerms, JustificationBundle, Participant, ResponseBundle
from drand.model.chain import Index
from drand.model.group import Peer
from drand.model.packets import DkgPacket, Origin
from drand.model.records import BundleKept
from drand.protocol.faults import (
    EquivocatingAuthor,
    EquivocatingDealer,
    EquivocatingHolder,
    UnknownAuthor,
    WrongSession,
)
from drand.protocol.forgeries import ForgeryBudget
from drand.protocol.steps import CulpritNamed, Effect, Report, Send

MAX_KEPT = 2  # different bundles of one author and type
MAX_BUNDLE_BYTES = 2**19  # an honest deal bundle for 1024 nodes with 96-byte points takes 205 kB

BundleT = TypeVar("BundleT", DealBundle, ResponseBundle, JustificationBundle)


class Tray(Generic[BundleT]):
    """All bundles of one type: by author, at most MAX_KEPT different ones each."""

    def __init__(self) -> None:
        self._kept: dict[Index, dict[bytes, BundleT]] = {}
        self._copies: dict[bytes, int] = {}

    def offer(self, bundle: BundleT) -> bool:
        """True when the bundle is to be kept: not seen yet, and its author's place not full. A copy is counted."""
        known = self._kept.get(bundle.author, {})
        hash_ = bundle.hash()
        if hash_ in known:
            self._copies[hash_] += 1
        return len(known) < MAX_KEPT and hash_ not in known

    def put(self, bundle: BundleT, *, copies: int = 0) -> None:
        """Keep a bundle, which came in `copies` times so far."""
        hash_ = bundle.hash()
        self._kept.setdefault(bundle.author, {})[hash_] = bundle
        self._copies[hash_] = copies

    def copied(self, times: int, *, but: Index | None = None) -> bool:
        """Whether each bundle that counts came in so many times; that of the author `but` is not looked at."""
        counted = (next(iter(known)) for author, known in self._kept.items() if len(known) == 1 and author != but)
        return all(self._copies[hash_] >= times for hash_ in counted)

    def counted(self) -> dict[Index, BundleT]:
        """The bundles that count: those of authors who sent exactly one."""
        return {author: next(iter(known.values())) for author, known in self._kept.items() if len(known) == 1}

    def __len__(self) -> int:
        """How many bundles count."""
        return sum(len(known) == 1 for known in self._kept.values())

    def twice(self) -> frozenset[Index]:
        """Authors who signed two different bundles; none of theirs counts."""
        return frozenset(author for author, known in self._kept.items() if len(known) > 1)

    def proofs(self) -> list[BundleT]:
        """Both bundles of every author who signed two."""
        return [bundle for known in self._kept.values() if len(known) > 1 for bundle in known.values()]

    def all(self) -> list[BundleT]:
        """All bundles, whether they count or not."""
        return [bundle for known in self._kept.values() for bundle in known.values()]

    def __contains__(self, author: Index) -> bool:
        """True when there is any bundle of this author, whether it counts or not."""
        return author in self._kept


class EchoBroadcast:
    """The bundles of one session, and what to do with each that comes in.

    others   all other nodes, by their long-term keys
    dealer   our own place among those who deal, None where we are a holder only
    """

    def __init__(self, terms: DkgTerms, others: Mapping[bytes, Peer], *, dealer: Index | None) -> None:
        self.terms = terms
        self.peers = tuple(others.values())
        self._others = others
        self.deals: Tray[DealBundle] = Tray()
        self.responses: Tray[ResponseBundle] = Tray()
        self.justifications: Tray[JustificationBundle] = Tray()
        self.complaint_came = False  # in any response, ours too
        self._dealers = {dealer.index: dealer for dealer in terms.dealers}
        self._holders = {holder.index: holder for holder in terms.holders}
        self._dealer = dealer
        self._forgeries = ForgeryBudget.of_bundles(terms.scheme)

    def send(self, bundle: Bundle) -> list[Effect]:
        """Keep and send a bundle of our own, which the vault has just signed."""
        self.keep(bundle)
        return [Persist(BundleKept(bundle)), Send(self.peers, DkgPacket(bundle))]

    def receive(
        self, bundle: Bundle, now: float = 0.0, origin: Origin | None = None, *, early: bool = False
    ) -> list[Effect]:
        """Check, keep and pass on a bundle from outside; nothing to do for one that is known or not wanted.

        now, origin   what the cost of a forged one is counted by; None: it is not counted
        early         it came before the ceremony, and is not counted; where it is good, its origin is known from now on

        raises  WrongSession, UnknownAuthor, Malformed (MalformedPoint, MalformedScalar, MalformedSignature),
                InvalidSignature, TooManyForgeries; then nothing has changed but what is counted
        """
        if bundle.session_id != self.terms.session_id:
            raise WrongSession(f"a bundle of node {bundle.author} for another session")
        author = self._author(bundle)
        if not self._offer(bundle):
            return []
        self._check_size(bundle)
        self._verify(bundle, author, now, None if early else origin)
        if isinstance(bundle, DealBundle):
            bundle = self._as_dealt(bundle)
        self._check_content(bundle)
        self._forgeries.proved(origin)
        proof = self.keep(bundle, copies=1)
        audience = self._but_dealer(author) if isinstance(bundle, DealBundle) and proof is None else self.peers
        effects: list[Effect] = [Persist(BundleKept(bundle)), Send(audience, DkgPacket(bundle))]
        if proof is not None:
            effects.append(Report(CulpritNamed(index=proof.culprit, what=str(proof), proved=True)))
        return effects

    def keep(self, bundle: Bundle, *, copies: int = 0) -> EquivocatingAuthor | None:
        """Take in a bundle without any check: our own, or one from the journal. Answers with what it proves."""
        match bundle:
            case DealBundle():
                self.deals.put(bundle, copies=copies)
                if bundle.author in self.deals.twice():
                    return EquivocatingDealer("signed two different deal bundles", culprit=bundle.author)
            case ResponseBundle():
                self.responses.put(bundle, copies=copies)
                self.complaint_came |= any(not response.valid for response in bundle.responses)
                if bundle.author in self.responses.twice():
                    return EquivocatingHolder("signed two different response bundles", culprit=bundle.author)
            case JustificationBundle():
                self.justifications.put(bundle, copies=copies)
                if bundle.author in self.justifications.twice():
                    return EquivocatingDealer("signed two different justification bundles", culprit=bundle.author)
        return None

    def deals_echoed(self) -> bool:
        """True once every deal that counts came in from every other node.

        From its dealer and, passed on, from all others; our own is what we know it to be. Whoever answered a deal has
        passed it on before, so two faces of one dealer show here. Copies are counted, not attributed: a sender's
        address proves nothing, and who repeats itself only brings us back to v1.5.11, which waits for no copies.
        """
        return self.deals.copied(len(self.peers), but=self._dealer)

    def responses_echoed(self) -> bool:
        """True once every response that counts came in from every other node: a holder's second face shows by then.

        In v1.5.11 a node that has heard only good verdicts ends at once. If one of the holders told others that it
        complains, they wait for a justification that this node will never send, and evict it.
        """
        return self.responses.copied(len(self.peers))

    def justifications_echoed(self) -> bool:
        """True once every justification that counts came in from every other node: a second face shows by then.

        In v1.5.11 a node ends at once when every dealer has justified, which one holder brings about that complains of
        all. If it shows another justification of its own to others, they evict it, and this node does not.
        """
        return self.justifications.copied(len(self.peers))

    def proofs(self) -> tuple[Bundle, ...]:
        """The pairs of bundles that prove equivocation."""
        return (*self.deals.proofs(), *self.responses.proofs(), *self.justifications.proofs())

    def _but_dealer(self, dealer: Participant) -> tuple[Peer, ...]:
        return tuple(peer for key, peer in self._others.items() if key != dealer.key)

    # ------------------------------------------------------------ checks

    def _author(self, bundle: Bundle) -> Participant:
        listed, role = (self._holders, "holder") if isinstance(bundle, ResponseBundle) else (self._dealers, "dealer")
        author = listed.get(bundle.author)
        if author is None:
            raise UnknownAuthor(f"no {role} of this session has index {bundle.author}")
        return author

    def _offer(self, bundle: Bundle) -> bool:
        match bundle:
            case DealBundle():
                return self.deals.offer(bundle)
            case ResponseBundle():
                return self.responses.offer(bundle)
            case JustificationBundle():
                return self.justifications.offer(bundle)

    def _verify(self, bundle: Bundle, author: Participant, now: float, origin: Origin | None) -> None:
        """Its author signed `bundle`; a forged one is paid for by where it came from.

        What is signed and does not decode costs its sender nothing: nodes of v1.5.11 pass it on as they got it, and
        its author, who would silence them by it, is named. Nor does it make its sender known.
        """
        self._forgeries.check(origin, now)
        scheme = self.terms.scheme
        try:
            schnorr.verify(scheme.key_group, scheme.decode_key(author.key), bundle.hash(), bundle.signature)
        except (InvalidSignature, schnorr.MalformedSignature):
            self._forgeries.failed(origin, now)
            raise

    def _as_dealt(self, bundle: DealBundle) -> DealBundle:
        """`bundle` as its dealer signed it, wherever somebody on the way has put its borders; raises Malformed.

        v1.5.11 takes what comes first, so that one node can make others evict an honest dealer. What cannot be read is
        not passed on: it may be another message of the same author, so that nothing is proved by it.
        """
        group = self.terms.scheme.key_group
        meant = bundle.as_signed(
            commits=self.terms.threshold,
            commit_bytes=group.point_bytes,
            share_bytes=ecies.sealed_bytes(group, SCALAR_BYTES),
            holders=frozenset(self._holders),
        )
        if meant is None:
            raise Malformed(
                f"what node {bundle.author} signed is no deal of {self.terms.threshold} commitments and sealed shares"
            )
        return meant

    @staticmethod
    def _check_size(bundle: Bundle) -> None:
        match bundle:
            case DealBundle():
                size = sum(map(len, bundle.commits)) + sum(8 + len(deal.encrypted_share) for deal in bundle.deals)
            case ResponseBundle():
                size = 8 * len(bundle.responses)
            case JustificationBundle():
                size = sum(8 + len(shown.share) for shown in bundle.justifications)
        if size > MAX_BUNDLE_BYTES:
            raise Malformed(f"a bundle of {size} bytes from node {bundle.author}, at most {MAX_BUNDLE_BYTES} are taken")

    def _check_content(self, bundle: Bundle) -> None:
        """Points and scalars decode.

        Only done for what its author signed: to decode points is the most expensive check of all.
        """
        if isinstance(bundle, DealBundle):
            PublicPolynomial.decode(self.terms.scheme.key_group, bundle.commits)  # known when it is judged
        if isinstance(bundle, JustificationBundle):
            for shown in bundle.justifications:
                if len(shown.share) != SCALAR_BYTES:
                    raise MalformedScalar(f"a share has {SCALAR_BYTES} bytes, got {len(shown.share)}")
                if int.from_bytes(shown.share, "big") >= self.terms.scheme.key_group.order:
                    raise MalformedScalar("a share is not below the group order")
