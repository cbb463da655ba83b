"""Who may be in the group: the status matrix of a key generation, and everything that follows from it.

The matrix has a row for each dealer and a column for each holder; an entry is true when the holder has accepted the
dealer's share, or the dealer has shown it in public. All entries start false, and holders report successes as well as
complaints (kyber's "fast sync"), so that silence counts as a complaint.

    hear_deals            the dealing phase is over: who dealt in good order?
    judged                our own verdicts, as the vault gave them
    hear_responses        the response phase is over: who accepted what? `all_clear` ends the protocol here
    hear_late_deals       deals that came after we had judged, which a justification may still put right
    hear_justifications   the justification phase is over: were all complaints answered?
    qualify               whose polynomials make the key, and which nodes form the group

Everything here is public. Bundles that come in were verified: right session, known author, valid signature, points and
scalars that decode, and at most one of its type for each author (see echo.py).
Source: drand v1.5.11 with kyber v1.2.0, share/dkg/dkg.go (ProcessDeals, ProcessResponses, ProcessJustifications).
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import Enum

from collective.secret import SecretScalar
from collective.sharing.commitment import PublicPolynomial
from collective.sharing.dealing import verify_reshared_constant
from collective.sharing.share import InvalidShare, Share, verify_share
from drand.model.bundles import DealBundle, DkgTerms, Justification, JustificationBundle, Participant, ResponseBundle
from drand.model.chain import Index
from drand.protocol.faults import NotEnoughDealers, NotEnoughNodes, OurselvesEvicted

NOBODY: frozenset[Index] = frozenset()


class Role(Enum):
    """In which of the two lists an index counts; in a resharing the lists differ."""

    DEALER = "dealer"
    HOLDER = "holder"


@dataclass(frozen=True, slots=True)
class Culprit:
    """Who broke the protocol, or kept silent. `proved` when a signature ties the fault to the node."""

    role: Role
    index: Index
    what: str
    proved: bool


@dataclass(frozen=True, slots=True)
class Qualified:
    """The outcome.

    dealers   whose polynomials are combined. Fresh: the same as `nodes`. Resharing: exactly the old threshold's worth
              of valid dealers, the lowest indices, since any other choice gives another polynomial
    nodes     who forms the group: indices of holders
    """

    dealers: tuple[Index, ...]
    nodes: tuple[Index, ...]


class Complaints:
    """The status matrix as the node with the long-term key `key` sees it."""

    def __init__(self, terms: DkgTerms, key: bytes) -> None:
        self.terms = terms
        self.dealer = _place(terms.dealer(key))
        self.holder = _place(terms.holder(key))
        self.deals: dict[Index, DealBundle] = {}
        self._holders = frozenset(holder.index for holder in terms.holders)
        self._accepted: dict[Index, set[Index]] = {dealer.index: set() for dealer in terms.dealers}
        self._evicted_dealers: set[Index] = set()
        self._evicted_holders: set[Index] = set()
        self._complained = False
        self._shown_to_us: dict[Index, bytes] = {}
        self._polynomials: dict[Index, PublicPolynomial] = {}
        self._old: PublicPolynomial | None = None

    # ------------------------------------------------------------ dealing

    def hear_deals(self, deals: Mapping[Index, DealBundle], twice: Set[Index] = NOBODY) -> list[Culprit]:
        """Close the dealing phase with these bundles, by dealer; name who is evicted or was silent.

        twice   dealers that sent two bundles: neither counts, and they were named already
        """
        found = []
        for dealer in self._accepted:
            bundle = deals.get(dealer)
            if bundle is None:
                if dealer not in twice:
                    found.append(Culprit(Role.DEALER, dealer, "sent no deal", proved=False))
            elif dealer == self.dealer:
                self.deals[dealer] = bundle
            else:
                found += self._hear_deal(bundle)
        holders = {holder.key: holder.index for holder in self.terms.holders}
        for participant in self.terms.dealers:
            if participant.key in holders:  # nobody sends itself a share, and nobody lies to itself
                self._accepted[participant.index].add(holders[participant.key])
        return found

    def _hear_deal(self, bundle: DealBundle) -> list[Culprit]:
        if len(bundle.commits) != self.terms.threshold:
            what = f"committed to {len(bundle.commits)} coefficients, {self.terms.threshold} were agreed"
            return self._evict_dealer(bundle.dealer_index, what, proved=True)
        self.deals[bundle.dealer_index] = bundle
        strangers = sorted({deal.share_index for deal in bundle.deals} - self._holders)
        if strangers:
            what = f"dealt to node {strangers[0]}, who is no holder"
            return self._evict_dealer(bundle.dealer_index, what, proved=True)
        return []

    def open_dealers(self) -> tuple[Index, ...]:
        """Those not evicted, in the order of the list: on each of them a response carries a verdict."""
        return tuple(dealer for dealer in self._accepted if dealer not in self._evicted_dealers)

    # ------------------------------------------------------------ responses

    def judged(self, own: ResponseBundle) -> None:
        """Enter our own verdicts."""
        for response in own.responses:
            if response.valid:
                self._accepted[response.dealer_index].add(own.share_index)

    def hear_responses(self, bundles: Mapping[Index, ResponseBundle]) -> list[Culprit]:
        """Close the response phase with these bundles, by holder; name who is evicted or was silent.

        Unless all is clear, a dealer with `threshold` or more complaints is evicted: to answer them all, it would have
        to show its polynomial.
        """
        found = []
        for holder in sorted(self._holders - {self.holder}):
            bundle = bundles.get(holder)
            if bundle is None:
                found += self._evict_holder(holder, "sent no response", proved=False)
            else:
                found += self._hear_response(bundle)
        if self.all_clear:
            return found
        for dealer in self.open_dealers():
            complaints = len(self._missing(dealer))
            if complaints >= self.terms.threshold:
                found += self._evict_dealer(dealer, f"{complaints} holders got no valid share from it", proved=False)
        return found

    def _hear_response(self, bundle: ResponseBundle) -> list[Culprit]:
        holder = bundle.share_index
        found = []
        verdicts = 0
        for response in bundle.responses:
            row = self._accepted.get(response.dealer_index)
            if row is None:
                what = f"judged node {response.dealer_index}, who is no dealer"
                found += self._evict_holder(holder, what, proved=True)
                continue
            verdicts += 1
            if response.valid:
                row.add(holder)
            else:
                row.discard(holder)
                self._complained = True
        if not verdicts:
            found += self._evict_holder(holder, "judged nobody", proved=True)
        return found

    @property
    def all_clear(self) -> bool:
        """True when nobody complained and every holder has accepted every dealer's share: no justification needed."""
        return not self._complained and not any(self._missing(dealer) for dealer in self._accepted)

    # ------------------------------------------------------------ justifications

    def owed(self) -> tuple[Index, ...]:
        """Holders to whom we, as a dealer, must show their shares in public; nobody once we are evicted.

        v1.5.11 shows the shares even to `threshold` or more holders, and with them its secret; an evicted dealer here
        keeps them to itself.
        """
        if self.dealer is None or self.dealer in self._evicted_dealers:
            return ()
        return self._missing(self.dealer)

    def answered(self) -> None:
        """We show all that we owe: our row is in order."""
        if self.dealer is not None:
            self._accepted[self.dealer] |= self._holders

    def hear_late_deals(self, deals: Mapping[Index, DealBundle]) -> list[Culprit]:
        """Deals that count at the end of the justification phase; those we judged without are taken in now.

        v1.5.11 evicts a dealer who justifies a deal that had not come in time. Those who had it in time accept the same
        justification, so that a node that was down for a while would end with a key of its own. When the deal was late
        for `threshold` nodes the dealer is evicted anyway.
        """
        found = []
        for dealer in self.open_dealers():
            if dealer in deals and dealer not in self.deals and dealer != self.dealer:
                found += self._hear_deal(deals[dealer])
        return found

    def hear_justifications(self, bundles: Mapping[Index, JustificationBundle]) -> list[Culprit]:
        """Close the justification phase with these bundles, by dealer; name who answered wrongly or not at all."""
        found = []
        for dealer in self.open_dealers():
            if dealer == self.dealer:
                continue
            bundle = bundles.get(dealer)
            if bundle is not None:
                found += self._hear_justification(bundle)
            if dealer not in self._evicted_dealers and (missing := self._missing(dealer)):
                what = f"did not justify its share for {_names(missing)}"
                found.append(Culprit(Role.DEALER, dealer, what, proved=False))
        return found

    def _hear_justification(self, bundle: JustificationBundle) -> list[Culprit]:
        dealer = bundle.dealer_index
        found = []
        for shown in bundle.justifications:
            if shown.share_index not in self._holders:
                what = f"justified a share for node {shown.share_index}, who is no holder"
                found += self._evict_dealer(dealer, what, proved=True)
            elif dealer not in self.deals:
                return found + self._evict_dealer(dealer, "justified a deal that we never got", proved=False)
            else:
                found += self._hear_shown_share(dealer, shown)
        return found

    def _hear_shown_share(self, dealer: Index, shown: Justification) -> list[Culprit]:
        polynomial = self._polynomial(dealer)
        try:
            verify_share(polynomial, Share(shown.share_index, SecretScalar(int.from_bytes(shown.share, "big"))))
            if self.terms.old is not None:
                verify_reshared_constant(self._old_polynomial(self.terms.old.commits), dealer, polynomial)
        except InvalidShare as error:
            return self._evict_dealer(dealer, f"a false justification: {error}", proved=True)
        self._accepted[dealer].add(shown.share_index)
        if shown.share_index == self.holder:
            self._shown_to_us[dealer] = shown.share
        return []

    # ------------------------------------------------------------ the end

    def convict(
        self, *, dealt_twice: Iterable[Index], justified_twice: Iterable[Index], responded_twice: Iterable[Index]
    ) -> list[Culprit]:
        """Evict who is proved to have signed two different bundles, although the first may have been heard by now.

        v1.5.11 counts the first when the second comes after the phase. But some nodes may have got the second one
        first, and made another key or another group: with the proof in our hands, its author is out. How far this
        helps, and what would be needed for certainty: docs/decisions/0008-dkg-agreement.md.
        """
        found: list[Culprit] = []
        for dealer in sorted(dealt_twice):
            found += self._evict_dealer(dealer, "dealt twice", proved=True)
        for dealer in sorted(justified_twice):
            found += self._evict_dealer(dealer, "justified twice", proved=True)
        for holder in sorted(responded_twice):
            found += self._evict_holder(holder, "responded twice", proved=True)
        return found

    def qualify(self) -> Qualified:
        """Whose polynomials make the key, and which nodes form the group.

        raises  OurselvesEvicted, NotEnoughDealers, NotEnoughNodes
        """
        if self.dealer is not None and self.dealer in self._evicted_dealers:
            raise OurselvesEvicted("our node is evicted from the list of qualified participants")
        valid = tuple(dealer for dealer in self.open_dealers() if not self._missing(dealer))
        needed = self.terms.threshold if self.terms.old is None else self.terms.old.threshold
        if len(valid) < needed:
            raise NotEnoughDealers(f"only {len(valid)} of the {needed} valid dealers that are needed")
        nodes = self._nodes(frozenset(valid))
        if len(nodes) < self.terms.threshold:
            raise NotEnoughNodes(f"only {len(nodes)} nodes qualified, the threshold is {self.terms.threshold}")
        return Qualified(dealers=nodes if self.terms.old is None else tuple(sorted(valid))[:needed], nodes=nodes)

    def _nodes(self, valid: frozenset[Index]) -> tuple[Index, ...]:
        """Holders that responded and that are not dealers with an open complaint."""
        failed = {dealer.key for dealer in self.terms.dealers if dealer.index not in valid}
        return tuple(
            holder.index
            for holder in self.terms.holders
            if holder.key not in failed and holder.index not in self._evicted_holders
        )

    def shown_to_us(self, dealers: tuple[Index, ...]) -> tuple[tuple[Index, bytes], ...]:
        """The shares for us that these dealers had to show in public, each on its dealer's polynomial."""
        return tuple((dealer, self._shown_to_us[dealer]) for dealer in dealers if dealer in self._shown_to_us)

    # ------------------------------------------------------------ inside

    def _missing(self, dealer: Index) -> tuple[Index, ...]:
        row = self._accepted[dealer]
        if len(row) == len(self._holders):
            return ()
        return tuple(sorted(self._holders - row))

    def _polynomial(self, dealer: Index) -> PublicPolynomial:
        if dealer not in self._polynomials:
            group = self.terms.scheme.key_group
            self._polynomials[dealer] = PublicPolynomial.decode(group, self.deals[dealer].commits)
        return self._polynomials[dealer]

    def _old_polynomial(self, commits: tuple[bytes, ...]) -> PublicPolynomial:
        if self._old is None:
            self._old = PublicPolynomial.decode(self.terms.scheme.key_group, commits)
        return self._old

    def _evict_dealer(self, dealer: Index, what: str, *, proved: bool) -> list[Culprit]:
        if dealer in self._evicted_dealers:
            return []
        self._evicted_dealers.add(dealer)
        return [Culprit(Role.DEALER, dealer, what, proved)]

    def _evict_holder(self, holder: Index, what: str, *, proved: bool) -> list[Culprit]:
        if holder in self._evicted_holders:
            return []
        self._evicted_holders.add(holder)
        return [Culprit(Role.HOLDER, holder, what, proved)]


def _place(participant: Participant | None) -> Index | None:
    return None if participant is None else participant.index


def _names(indices: tuple[Index, ...]) -> str:
    return ("node " if len(indices) == 1 else "nodes ") + ", ".join(str(index) for index in indices)
