"""The end of a key generation: one share of the collective key out of what the dealers gave."""

import hashlib

from collective.errors import CollectiveError
from collective.secret import SecretScalar
from collective.sharing.commitment import PublicPolynomial
from collective.sharing.dealing import (
    combine_fresh_commitments,
    combine_fresh_shares,
    combine_reshared_commitments,
    combine_reshared_shares,
)
from collective.sharing.polynomial import SecretPolynomial
from collective.sharing.share import InvalidShare, Share, verify_share
from drand.model.bundles import DealBundle, DkgTerms
from drand.model.chain import Index
from drand.model.vault_messages import CombineShares, SharesCombined
from drand.vault.keeper import Keeper, Refused
from drand.vault.seat import Seat, by_dealer, known_dealers
from drand.vault.sessions import check_terms, session_of, terms_digest, with_epoch, with_session
from drand.vault.state import HeldEpoch, Session, VaultState


def combine_shares(keeper: Keeper, state: VaultState, request: CombineShares) -> tuple[VaultState, SharesCombined]:
    """Our share from `dealers`, kept as an epoch that is not open yet; the same request gives the same epoch for ever.

    Source: kyber v1.2.0, share/dkg/dkg.go, computeDKGResult and computeResharingResult.
    """
    terms = request.terms
    check_terms(keeper, terms)
    _check_dealer_count(terms, known_dealers(terms, request.dealers))
    bundles = by_dealer(terms, request.deals)
    origin = _origin(keeper, request, bundles)
    held = next((known for known in state.epochs if known.origin == origin), None)
    if held is None:
        session = session_of(keeper, state, terms)
        seat = Seat.of(keeper, terms)
        if seat is None:
            raise Refused("we are no holder in this session")
        held = _combine(seat, session, request, bundles, origin)
        state = with_epoch(with_session(state, session), held)
    return state, SharesCombined(request.request_id, held.epoch_id, Index(held.index), held.commits)


def epoch_name(session_id: bytes, commits: tuple[bytes, ...]) -> bytes:
    """The name of a share, 32 bytes: SHA-256(session id || coefficients of the public polynomial)."""
    return hashlib.sha256(session_id + b"".join(commits)).digest()


def _combine(
    seat: Seat, session: Session, request: CombineShares, bundles: dict[Index, DealBundle], origin: bytes
) -> HeldEpoch:
    terms, order = request.terms, seat.keeper.scheme.key_group.order
    shown = dict(request.shown)
    dealt: dict[int, PublicPolynomial] = {}
    shares: dict[int, SecretScalar] = {}
    for dealer in request.dealers:
        bundle = _bundle_of(seat, session, bundles, dealer)
        dealt[dealer] = seat.commitments(bundle)
        shares[dealer] = _share_from(seat, session, bundle, dealt[dealer], shown.get(dealer))
    if terms.old is None:
        public, value = combine_fresh_commitments(dealt), combine_fresh_shares(shares, order)
    else:
        public, value = combine_reshared_commitments(dealt), combine_reshared_shares(shares, order)
    if not value.expose():
        raise Refused("our share would be zero: run the ceremony again")
    verify_share(public, Share(seat.index, value))
    commits = tuple(public.encode())
    return HeldEpoch(
        epoch_id=epoch_name(terms.session_id, commits),
        session_id=terms.session_id,
        origin=origin,
        index=seat.index,
        share=value,
        commits=commits,
    )


def _bundle_of(seat: Seat, session: Session, bundles: dict[Index, DealBundle], dealer: Index) -> DealBundle:
    own = seat.terms.dealer(seat.keeper.public_key)
    bundle = session.deal if own is not None and own.index == dealer else bundles.get(dealer)
    if bundle is None:
        raise Refused(f"the deal bundle of dealer {dealer} is missing")
    return bundle


def _share_from(
    seat: Seat, session: Session, bundle: DealBundle, dealt: PublicPolynomial, shown: bytes | None
) -> SecretScalar:
    """Our share from one dealer: our own, the one kept when we judged, the sealed one, or the one shown in public."""
    if session.deal is not None and bundle == session.deal:
        return SecretPolynomial(session.polynomial, dealt.group.order).evaluate(seat.index)
    digest = bundle.hash()
    for kept in session.received:
        if kept.dealer == bundle.dealer_index and kept.bundle_hash == digest:
            return kept.share
    try:
        return seat.sealed_share(bundle, dealt)
    except CollectiveError as error:
        if shown is None:
            raise InvalidShare(f"no share of dealer {bundle.dealer_index}: {error}") from error
        return seat.checked_share(shown, dealt)


def _check_dealer_count(terms: DkgTerms, dealers: tuple[Index, ...]) -> None:
    if terms.old is None and len(dealers) < terms.threshold:
        raise Refused(f"{len(dealers)} dealers are fewer than the threshold, {terms.threshold}")
    if terms.old is not None and len(dealers) != terms.old.threshold:
        raise Refused(f"a resharing takes the shares of exactly {terms.old.threshold} dealers, got {len(dealers)}")


def _origin(keeper: Keeper, request: CombineShares, bundles: dict[Index, DealBundle]) -> bytes:
    """SHA-256 of all that determines the outcome: terms, dealers, and the bundles of all of them but ours."""
    own = request.terms.dealer(keeper.public_key)
    digest = hashlib.sha256(terms_digest(request.terms))
    for dealer in sorted(request.dealers):
        digest.update(dealer.to_bytes(4, "big"))
        bundle = bundles.get(dealer)
        if bundle is not None and (own is None or own.index != dealer):
            digest.update(bundle.hash())
    return digest.digest()
