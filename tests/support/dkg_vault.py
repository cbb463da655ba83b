"""A vault for tests of the key generation: what the real one computes, in its plainest form, with a few ways to lie."""

from dataclasses import dataclass, field, replace
from typing import TypeVar

from collective.entropy import Entropy
from collective.errors import CollectiveError
from collective.sealing import ecies
from collective.secret import SecretScalar
from collective.sharing.commitment import PublicPolynomial
from collective.sharing.dealing import (
    combine_fresh_commitments,
    combine_fresh_shares,
    combine_reshared_commitments,
    combine_reshared_shares,
    verify_reshared_constant,
)
from collective.sharing.polynomial import SecretPolynomial
from collective.sharing.share import Share, verify_share
from collective.signatures import schnorr
from drand.model.bundles import (
    Deal,
    DealBundle,
    DkgTerms,
    Justification,
    JustificationBundle,
    Response,
    ResponseBundle,
)
from drand.model.chain import Index
from drand.model.schemes import Scheme
from drand.model.vault_messages import (
    CombineShares,
    DealShares,
    DealsJudged,
    JudgeDeals,
    SharesCombined,
    SharesDealt,
    SharesShown,
    ShowShares,
    VaultReply,
    VaultRequest,
)

BundleT = TypeVar("BundleT", DealBundle, ResponseBundle, JustificationBundle)


@dataclass
class PlainVault:
    """Keys and shares in plain sight. `corrupt_for` get wrong shares; `lies_again` shows wrong ones in public too."""

    scheme: Scheme
    secret: SecretScalar
    entropy: Entropy
    old_share: SecretScalar | None = None
    corrupt_for: frozenset[int] = frozenset()
    lies_again: bool = False
    polynomial: SecretPolynomial | None = None
    dealt: DealBundle | None = None
    received: dict[int, SecretScalar] = field(default_factory=dict)
    share: SecretScalar | None = None

    @property
    def key(self) -> bytes:
        return self.scheme.key_group.encode(self.scheme.bls.public_key(self.secret))

    def answer(self, request: VaultRequest) -> VaultReply:
        match request:
            case DealShares(request_id, terms):
                return SharesDealt(request_id, self.deal(terms))
            case JudgeDeals():
                return DealsJudged(request.request_id, self.judge(request))
            case ShowShares(request_id, terms, holders):
                return SharesShown(request_id, self.show(terms, holders))
            case CombineShares():
                return self.combine(request)
            case _:
                raise AssertionError(f"a key generation does not ask for {request}")

    def deal(self, terms: DkgTerms) -> DealBundle | None:
        """Dealt once, whoever asks and however often."""
        me = terms.dealer(self.key)
        assert me is not None
        if self.dealt is None:
            order = self.scheme.key_group.order
            self.polynomial = SecretPolynomial.random(terms.threshold, order, self.entropy, self.old_share)
            self.dealt = self.seal(terms, me.index)
        return self.dealt

    def seal(self, terms: DkgTerms, dealer: Index) -> DealBundle:
        assert self.polynomial is not None
        group = self.scheme.key_group
        deals = []
        for holder in terms.holders:
            if holder.key != self.key:
                lie = holder.index in self.corrupt_for
                share = (self.polynomial.evaluate(holder.index).expose() + lie) % group.order
                sealed = ecies.seal(group, self.scheme.decode_key(holder.key), share.to_bytes(32, "big"), self.entropy)
                deals.append(Deal(holder.index, sealed))
        commits = tuple(self.polynomial.commit(group).encode())
        return self.signed(DealBundle(dealer, commits, tuple(deals), terms.session_id))

    def signed(self, bundle: BundleT) -> BundleT:
        signature = schnorr.sign(self.scheme.key_group, self.secret, bundle.hash(), self.entropy)
        return replace(bundle, signature=signature)

    def judge(self, request: JudgeDeals) -> ResponseBundle | None:
        terms = request.terms
        me = terms.holder(self.key)
        assert me is not None
        own = terms.dealer(self.key)
        for bundle in request.deals:
            if own is None or bundle.dealer_index != own.index:
                self.open(terms, me.index, bundle)
        if own is not None and self.polynomial is not None:
            self.received[own.index] = self.polynomial.evaluate(me.index)
        valid = set(self.received) | ({own.index} if own is not None else set())
        responses = tuple(Response(dealer, dealer in valid) for dealer in request.dealers)
        if not responses:
            return None
        return self.signed(ResponseBundle(me.index, responses, terms.session_id))

    def open(self, terms: DkgTerms, me: Index, bundle: DealBundle) -> None:
        group = self.scheme.key_group
        polynomial = PublicPolynomial.decode(group, bundle.commits)
        for deal in bundle.deals:
            if deal.share_index != me:
                continue
            try:
                opened = ecies.unseal(group, self.secret, deal.encrypted_share)
                share = SecretScalar.from_bytes(opened, group.order)
                verify_share(polynomial, Share(me, share))
                if terms.old is not None:
                    old = PublicPolynomial.decode(group, terms.old.commits)
                    verify_reshared_constant(old, bundle.dealer_index, polynomial)
            except CollectiveError:
                continue  # our verdict on this dealer stays a complaint
            self.received[bundle.dealer_index] = share

    def show(self, terms: DkgTerms, holders: tuple[Index, ...]) -> JustificationBundle:
        me = terms.dealer(self.key)
        assert me is not None
        assert self.polynomial is not None
        assert len(holders) < terms.threshold, "showing that many shares shows the secret"
        order = self.scheme.key_group.order
        shares = [(self.polynomial.evaluate(holder).expose() + self.lies_again) % order for holder in holders]
        shown = [Justification(at, share.to_bytes(32, "big")) for at, share in zip(holders, shares, strict=True)]
        return self.signed(JustificationBundle(me.index, tuple(shown), terms.session_id))

    def combine(self, request: CombineShares) -> SharesCombined:
        terms = request.terms
        group = self.scheme.key_group
        me = terms.holder(self.key)
        assert me is not None
        shown = {dealer: SecretScalar(int.from_bytes(share, "big")) for dealer, share in request.shown}
        shares = {dealer: shown.get(dealer) or self.received[dealer] for dealer in request.dealers}
        dealt = {
            deal.dealer_index: PublicPolynomial.decode(group, deal.commits)
            for deal in request.deals
            if deal.dealer_index in request.dealers
        }
        if terms.old is None:
            self.share = combine_fresh_shares(shares, group.order)
            public = combine_fresh_commitments(dealt)
        else:
            self.share = combine_reshared_shares(shares, group.order)
            public = combine_reshared_commitments(dealt)
        verify_share(public, Share(me.index, self.share))
        return SharesCombined(request.request_id, b"epoch", me.index, tuple(public.encode()))
